"""Chooses the backend for a job's keyed state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from shmflink.core.clock import Clock
from shmflink.errors import ConfigurationError
from shmflink.state.heap_backend import HeapKeyedStateBackend
from shmflink.state.namespaces import NamespaceForm
from shmflink.state.protocol import KeyedStateBackend, StateBackendFactory, Timers
from shmflink.state.timers import TimerQueue

__all__ = ["HeapStateBackendFactory", "state_backends"]

_TYPE: Final = "state.backend.type"
_OLD_TYPE: Final = "state.backend"
_DEFAULT: Final = "hashmap"  # Flink's name


class HeapStateBackendFactory:
    """State in the memory of the TaskManager."""

    def keyed_backend(
        self, max_parallelism: int, clock: Clock, *, namespaces: NamespaceForm, is_incremental: bool, operator: str
    ) -> KeyedStateBackend:
        """As the protocol says."""
        return HeapKeyedStateBackend(
            max_parallelism, clock, namespaces=namespaces, is_incremental=is_incremental, operator=operator
        )

    def timers(self, namespaces: NamespaceForm) -> Timers:
        """As the protocol says."""
        return TimerQueue(namespaces)


_FACTORIES: Final[Mapping[str, StateBackendFactory]] = {_DEFAULT: HeapStateBackendFactory()}


def state_backends(configuration: Mapping[str, str]) -> StateBackendFactory:
    """The factory that `state.backend.type` names.

    Raises:
        ConfigurationError: there is no such backend.
    """
    name = configuration.get(_TYPE, configuration.get(_OLD_TYPE, _DEFAULT)).lower()
    if name not in _FACTORIES:
        raise ConfigurationError(f"{_TYPE}: unknown state backend '{name}'; known: {', '.join(_FACTORIES)}")
    return _FACTORIES[name]
