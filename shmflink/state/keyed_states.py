"""Keyed state as functions use it: each object reads and writes the entry of the backend's current key.

Reads and writes copy: changing a list after `value()` or `update()` does not change the state
(`core/isolation.py`). None means absent everywhere, as in Flink.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, Self

from shmflink._core import ValueCell
from shmflink.core.isolation import IMMUTABLE, isolated
from shmflink.core.types.parameters import IN, OUT, K, T, TakesTypeParameters, V
from shmflink.errors import UsageError
from shmflink.state.entries import ABSENT
from shmflink.state.heap_table import HeapStateTable

__all__ = [
    "NO_KEY",
    "AggregatingState",
    "CurrentKey",
    "ListState",
    "MapState",
    "ReducingState",
    "ValueState",
    "elements_of",
    "reject_none",
]


class CurrentKey(Protocol):
    """Knows the current entry."""

    entry: Any


class _NoKey:
    """Stands for the current key when there is none: every access to a state then raises an error."""

    def __hash__(self) -> int:
        raise UsageError(
            "keyed state belongs to the key of an element or a timer, and there is none here: use it in "
            "process_element(), on_timer() or a window function, not in open() or process_broadcast_element()"
        )

    def __repr__(self) -> str:
        return "no key"


NO_KEY: Final = _NoKey()


class ValueState(ValueCell, TakesTypeParameters, Generic[T]):
    """One value per key: `value()`, which is None if there is none, `update(value)`, `clear()`."""

    __slots__ = ()

    def __new__(cls, table: HeapStateTable, current: CurrentKey) -> Self:
        return super().__new__(cls, table, current, ABSENT, IMMUTABLE, isolated)

    if TYPE_CHECKING:

        def value(self) -> T | None: ...

        def update(self, value: T) -> None: ...


class ListState(TakesTypeParameters, Generic[T]):
    """A list for each key."""

    __slots__ = ("_current", "_table")

    def __init__(self, table: HeapStateTable, current: CurrentKey) -> None:
        self._table = table
        self._current = current

    def get(self) -> list[T]:
        """The elements; empty if there are none."""
        elements = self._table.get(self._current.entry)
        if elements is ABSENT:
            return []
        return [v if type(v) in IMMUTABLE else isolated(v) for v in elements]

    def add(self, value: T) -> None:
        """Appends one element, which must not be None."""
        reject_none(value)
        kept = value if type(value) in IMMUTABLE else isolated(value)
        table, entry = self._table, self._current.entry
        elements = table.live.get(entry)
        if elements is None:
            elements = table.own(entry)
        if elements is ABSENT:
            table.live[entry] = [kept]
        else:
            elements.append(kept)

    def update(self, values: Iterable[T]) -> None:
        """Replaces all elements; an empty list clears."""
        elements = elements_of(values)
        if elements:
            self._table.live[self._current.entry] = elements
        else:
            self.clear()

    def add_all(self, values: Iterable[T]) -> None:
        """Appends elements, none of which may be None."""
        if new := elements_of(values):
            elements = self._table.own(self._current.entry)
            if elements is ABSENT:
                self._table.live[self._current.entry] = new
            else:
                elements.extend(new)

    def clear(self) -> None:
        """Removes all elements."""
        self._table.remove(self._current.entry)

    def __iter__(self) -> Iterator[T]:
        return iter(self.get())


class MapState(TakesTypeParameters, Generic[K, V]):
    """A map for each key. Map keys must be hashable."""

    __slots__ = ("_current", "_table")

    def __init__(self, table: HeapStateTable, current: CurrentKey) -> None:
        self._table = table
        self._current = current

    def get(self, key: K) -> V | None:
        """The value of a map key; None if there is none."""
        value = self._map().get(key)
        return value if type(value) in IMMUTABLE else isolated(value)

    def put(self, key: K, value: V) -> None:
        """Sets the value of a map key."""
        table, entry = self._table, self._current.entry
        entries = table.live.get(entry)
        if entries is None:
            entries = table.own(entry)
        if entries is ABSENT:
            entries = table.live[entry] = {}
        entries[isolated(key)] = isolated(value)

    def put_all(self, dict_value: dict[K, V]) -> None:
        """Sets the values of several map keys."""
        if dict_value:
            new = isolated(dict(dict_value))
            entries = self._table.own(self._current.entry)
            if entries is ABSENT:
                self._table.live[self._current.entry] = new
            else:
                entries.update(new)

    def remove(self, key: K) -> None:
        """Removes a map key if it exists."""
        if key in self._map():
            entries = self._table.own(self._current.entry)
            del entries[key]
            if not entries:
                self.clear()

    def contains(self, key: K) -> bool:
        """Whether the map key is there."""
        return key in self._map()

    def items(self) -> Iterable[tuple[K, V]]:
        """A copy of the map keys and values."""
        return [(key, isolated(value)) for key, value in self._map().items()]

    def keys(self) -> Iterable[K]:
        """A copy of the map keys."""
        return list(self._map())

    def values(self) -> Iterable[V]:
        """A copy of the values."""
        return [isolated(value) for value in self._map().values()]

    def is_empty(self) -> bool:
        """Whether the map is empty."""
        return not self._map()

    def clear(self) -> None:
        """Removes all map keys."""
        self._table.remove(self._current.entry)

    def __getitem__(self, key: K) -> V | None:
        return self.get(key)

    def __setitem__(self, key: K, value: V) -> None:
        self.put(key, value)

    def __delitem__(self, key: K) -> None:
        self.remove(key)

    def __contains__(self, key: K) -> bool:
        return self.contains(key)

    def __iter__(self) -> Iterator[K]:
        return iter(self.keys())

    def _map(self) -> dict[Any, Any]:
        entries: Any = self._table.get(self._current.entry)
        return _NOTHING if entries is ABSENT else entries


_NOTHING: dict[Any, Any] = {}


class ReducingState(TakesTypeParameters, Generic[T]):
    """One value per key, into which every added value is reduced."""

    __slots__ = ("_cell", "_reduce")

    def __init__(self, cell: Any, reduce: Callable[[Any, Any], Any]) -> None:
        """`cell`: a value state, with or without time to live."""
        self._cell = cell
        self._reduce = reduce

    def get(self) -> T | None:
        """The reduced value; None if nothing was added."""
        reduced: T | None = self._cell.value()
        return reduced

    def add(self, value: T) -> None:
        """Reduces the value into the state; None clears it, as in Flink."""
        if value is None:
            self._cell.clear()
            return
        old = self._cell.value()
        self._cell.update(value if old is None else self._reduce(old, value))

    def clear(self) -> None:
        """Removes the value."""
        self._cell.clear()


class AggregatingState(TakesTypeParameters, Generic[IN, OUT]):
    """One accumulator per key; `get` returns its result."""

    __slots__ = ("_cell", "_function")

    def __init__(self, cell: Any, function: Any) -> None:
        """`cell`: a value state; `function`: an AggregateFunction."""
        self._cell = cell
        self._function = function

    def get(self) -> OUT | None:
        """The result; None if nothing was added."""
        accumulator = self._cell.value()
        return None if accumulator is None else self._function.get_result(accumulator)

    def add(self, value: IN) -> None:
        """Adds the value to the accumulator; None clears it, as in Flink."""
        if value is None:
            self._cell.clear()
            return
        accumulator = self._cell.value()
        if accumulator is None:
            accumulator = self._function.create_accumulator()
        self._cell.update(self._function.add(value, accumulator))

    def clear(self) -> None:
        """Removes the accumulator."""
        self._cell.clear()


def reject_none(value: Any) -> None:
    """List state cannot hold None, as in Flink.

    Raises:
        UsageError: the value is None.
    """
    if value is None:
        raise UsageError("a list state cannot hold None; omit it, or store another value in its place")


def elements_of(values: Iterable[Any]) -> list[Any]:
    """The values that a list state stores.

    Raises:
        UsageError: the argument cannot be iterated over, or one of its values is None.
    """
    if values is None:
        raise UsageError("a list state takes an iterable of values, got None; use clear() to remove all")
    elements = [isolated(value) for value in values]
    if any(element is None for element in elements):
        reject_none(None)
    return elements
