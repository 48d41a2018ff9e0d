"""map, flat_map and filter on a keyed stream, whose functions may use keyed state (PyFlink: KeyedStream.map)."""

from __future__ import annotations

from typing import Any

from shmflink.operators.functions.process import Call, KeyedProcessOperator

__all__ = ["KeyedFilterOperator", "KeyedFlatMapOperator", "KeyedMapOperator"]


class KeyedMapOperator(KeyedProcessOperator):
    """One output element per input element."""

    methods = ("map",)

    def _calls(self) -> list[Call]:
        call = self._function.call
        return [lambda row, _: (call(row),)]


class KeyedFlatMapOperator(KeyedProcessOperator):
    """Any number of output elements per input element."""

    methods = ("flat_map",)

    def _calls(self) -> list[Call]:
        call = self._function.call
        return [lambda row, _: call(row)]


class KeyedFilterOperator(KeyedProcessOperator):
    """Keeps elements or drops them."""

    methods = ("filter",)

    def _calls(self) -> list[Call]:
        call: Any = self._function.call
        return [lambda row, _: (row,) if call(row) else None]
