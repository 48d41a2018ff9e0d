"""Keyed state: tables by key, kept in memory, cut into key groups only when a snapshot is taken."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from shmflink.core.clock import SYSTEM_CLOCK, Clock
from shmflink.core.key_groups import key_groups as assign_key_groups
from shmflink.core.keys import decode_keys, encode_keys
from shmflink.errors import InternalError, TypeMismatchError
from shmflink.state.descriptors import StateDescriptor
from shmflink.state.hashable_keys import keys_of_hashables
from shmflink.state.keyed_states import NO_KEY, CurrentKey
from shmflink.state.state_factory import expiry_of, make_state
from shmflink.state.ttl_states import Expiry

__all__ = ["GroupAssigner", "HeapKeyedStateBackend", "KeyedStateBackend", "KeyedStateSnapshot", "StatePart"]

GroupAssigner = Callable[[pa.Array, int], np.ndarray[Any, Any]]
"""(key column, max parallelism) -> the key group of each key."""


@dataclass(frozen=True, slots=True)
class StatePart:
    """One state of one key group: an entry for each position of all three.

    `namespaces` None: one entry for each key. `identity` is that of the descriptor, None for a table without one.
    """

    keys: pa.Array
    values: list[Any]
    namespaces: list[Any] | None = None
    identity: tuple[Any, ...] | None = None


KeyedStateSnapshot = dict[int, dict[str, StatePart]]
"""Key group -> state name -> its entries."""


class KeyedStateBackend(Protocol):
    """State of one operator and subtask. Used by the slot's thread alone."""

    entry: Any
    """What states read and write: the current key (as `core.keys.decode_keys` gives it), or (key, namespace).

    NO_KEY where there is none: states refuse to be used.
    """

    def value_state(self, name: str) -> dict[Any, Any]:
        """The values of a state by key: a live dict that batch loops use directly."""
        ...

    def state(
        self, descriptor: StateDescriptor, *, is_namespaced: bool = False, current: CurrentKey | None = None
    ) -> Any:
        """The state object of a descriptor; the same entries whenever it is asked for.

        `current` says which entry is meant, where it is not the backend's `entry`.

        Raises:
            TypeMismatchError: the name stands for a state of another kind or type.
        """
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


@dataclass(slots=True)
class _Table:
    """Entries of one state, by key or by (key, namespace)."""

    values: dict[Any, Any]
    is_namespaced: bool
    identity: tuple[Any, ...] | None = None
    expiry: Expiry | None = None


class HeapKeyedStateBackend:
    """A dict for each state name."""

    def __init__(self, max_parallelism: int, clock: Clock = SYSTEM_CLOCK) -> None:
        self.entry: Any = NO_KEY
        self._max_parallelism = max_parallelism
        self._clock = clock
        self._tables: dict[str, _Table] = {}

    def value_state(self, name: str) -> dict[Any, Any]:
        return self._table(name, is_namespaced=False).values

    def state(
        self, descriptor: StateDescriptor, *, is_namespaced: bool = False, current: CurrentKey | None = None
    ) -> Any:
        table = self._table(descriptor.name, is_namespaced=is_namespaced)
        identity = descriptor.identity()
        if table.identity is not None and table.identity[:3] != identity[:3]:
            raise TypeMismatchError(
                f"the state '{descriptor.name}' is asked for as {descriptor}, but it is a {table.identity[0]} of type "
                f"{table.identity[2]}: give states of different kinds or types different names"
            )
        table.identity = identity
        if table.expiry is None:
            table.expiry = expiry_of(descriptor, table.values, self._clock)
        return make_state(descriptor, table.values, current or self, table.expiry)

    def table(self, name: str) -> dict[Any, Any]:
        """The entries of a state that was asked for, as they lie in memory."""
        return self._tables[name].values

    def state_names(self) -> Iterable[str]:
        """Names of the states that were asked for or restored."""
        return self._tables.keys()

    def snapshot(self, key_groups: range, assign: GroupAssigner = assign_key_groups) -> KeyedStateSnapshot:
        """As the protocol says.

        Raises:
            InternalError: a key lies outside of `key_groups`; it was sent to the wrong subtask.
        """
        groups: KeyedStateSnapshot = {}
        for name, table in self._tables.items():
            entries = _living(table)
            if entries:
                for group, part in _by_group(entries, table, self._max_parallelism, key_groups, assign):
                    groups.setdefault(group, {})[name] = part
        return groups

    def restore(self, snapshot: KeyedStateSnapshot, key_groups: range) -> None:
        for group, parts in snapshot.items():
            if group in key_groups:
                for name, part in parts.items():
                    self._restore(name, part)

    def clear(self) -> None:
        for table in self._tables.values():
            table.values.clear()

    def _restore(self, name: str, part: StatePart) -> None:
        table = self._table(name, is_namespaced=part.namespaces is not None)
        table.identity = table.identity or part.identity
        keys: Iterable[Any] = decode_keys(part.keys)
        if part.namespaces is not None:
            keys = zip(keys, part.namespaces, strict=True)
        table.values.update(zip(keys, part.values, strict=True))

    def _table(self, name: str, *, is_namespaced: bool) -> _Table:
        table = self._tables.get(name)
        if table is None:
            table = self._tables[name] = _Table({}, is_namespaced)
        if table.is_namespaced != is_namespaced:
            raise TypeMismatchError(f"the state '{name}' is used both with and without windows; give it two names")
        return table


def _living(table: _Table) -> dict[Any, Any]:
    expiry = table.expiry
    if expiry is None or not expiry.is_left_out_of_snapshots:
        return table.values
    living = ((key, expiry.living(entry)) for key, entry in table.values.items())
    return {key: entry for key, entry in living if entry is not None}


def _by_group(
    entries: dict[Any, Any], table: _Table, max_parallelism: int, key_groups: range, assign: GroupAssigner
) -> Iterable[tuple[int, StatePart]]:
    """Parts in order of groups; one vectorised assignment and one stable sort."""
    hashables = [key for key, _ in entries] if table.is_namespaced else list(entries)
    namespaces = [namespace for _, namespace in entries] if table.is_namespaced else None
    keys = encode_keys(keys_of_hashables(hashables))
    groups = np.asarray(assign(keys, max_parallelism), dtype=np.int64)
    order = np.argsort(groups, kind="stable")
    numbers, starts = np.unique(groups[order], return_index=True)
    stored = list(entries.values())
    for number, indices in zip(numbers.tolist(), np.split(order, starts[1:]), strict=True):
        _check_group(number, key_groups)
        chosen = indices.tolist()
        yield (
            number,
            StatePart(
                keys.take(pa.array(indices)),
                [stored[i] for i in chosen],
                None if namespaces is None else [namespaces[i] for i in chosen],
                table.identity,
            ),
        )


def _check_group(group: int, key_groups: range) -> None:
    if group not in key_groups:
        raise InternalError(f"state of key group {group} in the subtask of key groups {key_groups}")
