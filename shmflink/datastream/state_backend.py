"""Where state lives while a job runs (PyFlink: `pyflink.datastream.state_backend`).

As in PyFlink 2, no method accepts these objects: the option `state.backend.type` decides, and only `hashmap` exists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shmflink.absent import names_absent
from shmflink.errors import ConfigurationError

__all__ = ["EmbeddedRocksDBStateBackend", "HashMapStateBackend", "StateBackend"]

if not TYPE_CHECKING:
    __getattr__ = names_absent(__name__)


class StateBackend:
    """A kind of memory for state."""


class HashMapStateBackend(StateBackend):
    """State in memory."""

    def __str__(self) -> str:
        return "HashMapStateBackend"


class EmbeddedRocksDBStateBackend(StateBackend):
    """Always raises an error: there is no RocksDB here."""

    def __init__(self, enable_incremental_checkpointing: bool | None = None) -> None:
        raise ConfigurationError(
            "EmbeddedRocksDBStateBackend: state is kept in memory here, and written incrementally to the checkpoint "
            "folder; leave the state backend out, or use HashMapStateBackend()"
        )
