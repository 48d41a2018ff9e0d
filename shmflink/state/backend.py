"""Keyed state: values by key, kept in memory, cut into key groups only when a snapshot is taken."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from shmflink.core.key_groups import key_groups as assign_key_groups
from shmflink.core.keys import decode_keys, encode_keys
from shmflink.errors import InternalError
from shmflink.state.hashable_keys import keys_of_hashables

__all__ = ["GroupAssigner", "HeapKeyedStateBackend", "KeyedStateBackend", "KeyedStateSnapshot"]

KeyedStateSnapshot = dict[int, dict[str, tuple[pa.Array, list[Any]]]]
"""Key group -> state name -> (key column, values in the same order)."""

GroupAssigner = Callable[[pa.Array, int], np.ndarray[Any, Any]]
"""(key column, max parallelism) -> the key group of each key."""


class KeyedStateBackend(Protocol):
    """State of one operator and subtask. Used by the slot's thread alone."""

    def value_state(self, name: str) -> dict[Any, Any]:
        """The values of a state by `core.keys.decode_keys` keys: a live dict that batch loops use directly."""
        ...

    def snapshot(self, key_groups: range, assign: GroupAssigner = assign_key_groups) -> KeyedStateSnapshot:
        """The state of these key groups; empty groups are left out. Values are not copied."""
        ...

    def restore(self, snapshot: KeyedStateSnapshot, key_groups: range) -> None:
        """Adds the state of these key groups, whoever had them."""
        ...

    def clear(self) -> None:
        """Forgets everything."""
        ...


class HeapKeyedStateBackend:
    """A dict for each state name."""

    def __init__(self, max_parallelism: int) -> None:
        self._max_parallelism = max_parallelism
        self._states: dict[str, dict[Any, Any]] = {}

    def value_state(self, name: str) -> dict[Any, Any]:
        return self._states.setdefault(name, {})

    def state_names(self) -> Iterable[str]:
        """Names of the states that were asked for or restored."""
        return self._states.keys()

    def snapshot(self, key_groups: range, assign: GroupAssigner = assign_key_groups) -> KeyedStateSnapshot:
        """As the protocol says.

        Raises:
            InternalError: a key lies outside of `key_groups`; it was sent to the wrong subtask.
        """
        groups: KeyedStateSnapshot = {}
        for name, values in self._states.items():
            if values:
                for group, part in _by_group(values, self._max_parallelism, key_groups, assign):
                    groups.setdefault(group, {})[name] = part
        return groups

    def restore(self, snapshot: KeyedStateSnapshot, key_groups: range) -> None:
        for group, states in snapshot.items():
            if group in key_groups:
                self._restore_group(states)

    def clear(self) -> None:
        for values in self._states.values():
            values.clear()

    def _restore_group(self, states: Mapping[str, tuple[pa.Array, list[Any]]]) -> None:
        for name, (keys, values) in states.items():
            self.value_state(name).update(zip(decode_keys(keys), values, strict=True))


def _by_group(
    values: dict[Any, Any], max_parallelism: int, key_groups: range, assign: GroupAssigner
) -> Iterable[tuple[int, tuple[pa.Array, list[Any]]]]:
    """(group, (keys, values)) in order of groups; one vectorised assignment and one stable sort."""
    keys = encode_keys(keys_of_hashables(values))
    groups = np.asarray(assign(keys, max_parallelism), dtype=np.int64)
    order = np.argsort(groups, kind="stable")
    numbers, starts = np.unique(groups[order], return_index=True)
    stored = list(values.values())
    for number, indices in zip(numbers.tolist(), np.split(order, starts[1:]), strict=True):
        _check_group(number, key_groups)
        yield number, (keys.take(pa.array(indices)), [stored[i] for i in indices.tolist()])


def _check_group(group: int, key_groups: range) -> None:
    if group not in key_groups:
        raise InternalError(f"state of key group {group} in the subtask of key groups {key_groups}")
