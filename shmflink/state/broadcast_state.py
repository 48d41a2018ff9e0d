"""Broadcast state: maps that are equal in every subtask (`pyflink.datastream.state`: BroadcastState).

Reads and writes copy values, as in keyed state.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Generic

from shmflink.core.isolation import isolated
from shmflink.core.types.parameters import K, TakesTypeParameters, V
from shmflink.errors import TypeMismatchError, UsageError
from shmflink.state.descriptors import MapStateDescriptor

__all__ = ["BroadcastState", "BroadcastStateStore", "ReadOnlyBroadcastState"]


class ReadOnlyBroadcastState(TakesTypeParameters, Generic[K, V]):
    """The view of the side that is not broadcast."""

    __slots__ = ("_entries",)

    def __init__(self, entries: dict[Any, Any]) -> None:
        self._entries = entries

    def get(self, key: K) -> V | None:
        """The value of a key; None if there is none."""
        value: V | None = isolated(self._entries.get(key))
        return value

    def contains(self, key: K) -> bool:
        """Whether the key is there."""
        return key in self._entries

    def items(self) -> Iterable[tuple[K, V]]:
        """A copy of the keys and values."""
        return [(key, isolated(value)) for key, value in self._entries.items()]

    def keys(self) -> Iterable[K]:
        """A copy of the keys."""
        return list(self._entries)

    def values(self) -> Iterable[V]:
        """A copy of the values."""
        return [isolated(value) for value in self._entries.values()]

    def is_empty(self) -> bool:
        """Whether there is no key."""
        return not self._entries

    def clear(self) -> None:
        """Only the broadcast side may change the state.

        Raises:
            UsageError: always.
        """
        raise UsageError("broadcast state can only be changed in process_broadcast_element()")

    def __getitem__(self, key: K) -> V | None:
        return self.get(key)

    def __contains__(self, key: K) -> bool:
        return self.contains(key)

    def __iter__(self) -> Iterator[K]:
        return iter(self.keys())


class BroadcastState(ReadOnlyBroadcastState[K, V]):
    """The view of the broadcast side. All subtasks must change it in the same way."""

    __slots__ = ()

    def put(self, key: K, value: V) -> None:
        """Sets the value of a key."""
        self._entries[isolated(key)] = isolated(value)

    def put_all(self, dict_value: Mapping[K, V]) -> None:
        """Sets the values of several keys."""
        self._entries.update(isolated(dict(dict_value)))

    def remove(self, key: K) -> None:
        """Removes a key if it exists."""
        self._entries.pop(key, None)

    def clear(self) -> None:
        """Removes all keys."""
        self._entries.clear()

    def __setitem__(self, key: K, value: V) -> None:
        self.put(key, value)

    def __delitem__(self, key: K) -> None:
        self.remove(key)


class BroadcastStateStore:
    """The broadcast states of one operator and subtask."""

    def __init__(self, descriptors: Iterable[MapStateDescriptor], operator: str) -> None:
        """`descriptors` are those that `broadcast()` was called with; no others may be used."""
        self._operator = operator
        self._descriptors = {descriptor.name: descriptor for descriptor in descriptors}
        self._entries: dict[str, dict[Any, Any]] = {name: {} for name in self._descriptors}

    def writable(self, descriptor: MapStateDescriptor) -> BroadcastState:
        """The view of the broadcast side."""
        return BroadcastState(self._of(descriptor))

    def read_only(self, descriptor: MapStateDescriptor) -> ReadOnlyBroadcastState:
        """The view of the other side."""
        return ReadOnlyBroadcastState(self._of(descriptor))

    def snapshot(self) -> dict[str, dict[Any, Any]]:
        """The entries by state name; every subtask's are equal."""
        return {name: dict(entries) for name, entries in self._entries.items()}

    def restore(self, snapshot: Mapping[str, Mapping[Any, Any]]) -> None:
        """Restores the entries of any subtask."""
        for name, entries in snapshot.items():
            self._entries.setdefault(name, {}).update(entries)

    def _of(self, descriptor: MapStateDescriptor) -> dict[Any, Any]:
        known = self._descriptors.get(getattr(descriptor, "name", ""))
        if known is None:
            raise UsageError(
                f"operator '{self._operator}': the broadcast state {descriptor!r} was not given to broadcast(); "
                f"known are {sorted(self._descriptors) or 'none'}"
            )
        if known.identity()[:3] != descriptor.identity()[:3]:
            raise TypeMismatchError(
                f"operator '{self._operator}': the broadcast state '{descriptor.name}' is requested as {descriptor}, "
                f"but broadcast() was given {known}"
            )
        return self._entries[descriptor.name]
