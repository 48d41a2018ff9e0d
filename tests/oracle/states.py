"""Keyed state, as simple as can be: one dict from (key, name) to a value. What goes in and comes out is copied."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import Any

from oracle.elements import typed

Cells = dict[Any, Any]


class Value:
    def __init__(self, cells: Cells, place: Any) -> None:
        self._cells = cells
        self._place = place

    def value(self) -> Any:
        return copy.deepcopy(self._cells.get(self._place))

    def update(self, value: Any) -> None:
        if value is None:
            self.clear()
        else:
            self._cells[self._place] = copy.deepcopy(value)

    def clear(self) -> None:
        self._cells.pop(self._place, None)


class List(Value):
    def get(self) -> list[Any]:
        return self.value() or []

    def add(self, value: Any) -> None:
        self.update([*self.get(), value])

    def add_all(self, values: Iterable[Any]) -> None:
        self.update([*self.get(), *values])

    def update(self, value: Any) -> None:
        super().update(list(value) or None)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.get())


class Map(Value):
    def _entries(self) -> dict[Any, Any]:
        return self.value() or {}

    def get(self, key: Any) -> Any:
        return self._entries().get(key)

    def put(self, key: Any, value: Any) -> None:
        self.update({**self._entries(), key: value})

    def put_all(self, entries: dict[Any, Any]) -> None:
        self.update({**self._entries(), **entries} or None)

    def remove(self, key: Any) -> None:
        self.update({k: v for k, v in self._entries().items() if k != key} or None)

    def contains(self, key: Any) -> bool:
        return key in self._entries()

    def items(self) -> list[tuple[Any, Any]]:
        return list(self._entries().items())

    def keys(self) -> list[Any]:
        return list(self._entries())

    def values(self) -> list[Any]:
        return list(self._entries().values())

    def is_empty(self) -> bool:
        return not self._entries()

    __getitem__ = get
    __setitem__ = put
    __delitem__ = remove
    __contains__ = contains


class Reducing(Value):
    def __init__(self, cells: Cells, place: Any, function: Any) -> None:
        super().__init__(cells, place)
        self._function = getattr(function, "reduce", function)

    def get(self) -> Any:
        return self.value()

    def add(self, value: Any) -> None:
        before = self.value()
        self.update(value if before is None else self._function(before, value))


class Aggregating(Value):
    def __init__(self, cells: Cells, place: Any, function: Any) -> None:
        super().__init__(cells, place)
        self._function = function

    def get(self) -> Any:
        accumulator = self.value()
        return None if accumulator is None else self._function.get_result(accumulator)

    def add(self, value: Any) -> None:
        before = self.value()
        self.update(self._function.add(value, self._function.create_accumulator() if before is None else before))


class KeyedStates:
    """The runtime context that functions get in `open`: its states follow the current key.

    A state object is made anew at each access, so that none can remember a key.
    """

    def __init__(self, current_key: Any) -> None:
        """`current_key()` says whose state is meant."""
        self._cells: Cells = {}
        self._current_key = current_key

    def get_state(self, descriptor: Any) -> Any:
        return _Following(self, lambda cells, place: Value(cells, place), descriptor)

    def get_list_state(self, descriptor: Any) -> Any:
        return _Following(self, lambda cells, place: List(cells, place), descriptor)

    def get_map_state(self, descriptor: Any) -> Any:
        return _Following(self, lambda cells, place: Map(cells, place), descriptor)

    def get_reducing_state(self, descriptor: Any) -> Any:
        function = descriptor.get_reduce_function()
        return _Following(self, lambda cells, place: Reducing(cells, place, function), descriptor)

    def get_aggregating_state(self, descriptor: Any) -> Any:
        function = descriptor.get_agg_function()
        return _Following(self, lambda cells, place: Aggregating(cells, place, function), descriptor)

    def at(self, name: str, make: Any) -> Any:
        return make(self._cells, (typed(self._current_key()), name))


class _Following:
    """Whatever is asked of it is asked of the state of the key that is current then."""

    def __init__(self, states: KeyedStates, make: Any, descriptor: Any) -> None:
        self._now = lambda: states.at(descriptor.name, make)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._now(), name)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._now())

    def __getitem__(self, key: Any) -> Any:
        return self._now().get(key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._now().put(key, value)

    def __delitem__(self, key: Any) -> None:
        self._now().remove(key)

    def __contains__(self, key: Any) -> bool:
        return bool(self._now().contains(key))
