"""The contents of windows: a list of elements, one reduced value, or one accumulator, by key and window."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from shmflink.operators.windows.window_functions import Entry
from shmflink.state.descriptors import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    ReducingStateDescriptor,
    StateDescriptor,
)
from shmflink.state.protocol import ABSENT, KeyedStateBackend, StateTable

__all__ = ["WindowContents", "merge_entries"]


class WindowContents:
    """Contents of the window that `at` has selected."""

    def __init__(self, backend: KeyedStateBackend, descriptor: StateDescriptor) -> None:
        self._entry = Entry()
        self._descriptor = descriptor
        self._is_list = isinstance(descriptor, ListStateDescriptor)
        self._state = backend.state(descriptor, is_namespaced=True, current=self._entry)
        self._table = backend.table(descriptor.name)

    def at(self, key: Any, window: Any) -> WindowContents:
        self._entry.entry = (key, window)
        return self

    def add(self, element: Any) -> None:
        self._state.add(element)

    def elements(self) -> list[Any]:
        """The argument of the window function: the elements, or the single value; empty if the window is empty."""
        got = self._state.get()
        if self._is_list:
            return list(got)
        return [] if got is None else [got]

    def replace(self, elements: Iterable[Any]) -> None:
        """Replaces the elements; only for lists."""
        self._state.update(list(elements))

    def clear(self) -> None:
        self._state.clear()

    def merge(self, key: Any, into: Any, windows: Iterable[Any]) -> None:
        """Merges the contents of `windows` into those of the window `into`."""
        merge_entries(self._table, self._descriptor, (key, into), [(key, window) for window in windows])


def merge_entries(table: StateTable, descriptor: StateDescriptor, into: Any, entries: Iterable[Any]) -> None:
    """Merges entries of a table into one (Flink: InternalMergingState.mergeNamespaces)."""
    for entry in entries:
        other = table.take(entry)
        if other is ABSENT:
            continue
        own = table.own(into)
        table.put(into, other if own is ABSENT else _merged(descriptor, own, other))


def _merged(descriptor: StateDescriptor, own: Any, other: Any) -> Any:
    match descriptor:
        case ListStateDescriptor():
            return [*own, *other]
        case ReducingStateDescriptor():
            return descriptor.as_callable()(own, other)
        case AggregatingStateDescriptor():
            return descriptor.get_agg_function().merge(own, other)
    raise TypeError(f"the state {descriptor} cannot be merged")
