"""Operators with two inputs: CoProcessFunction, KeyedCoProcessFunction, CoMapFunction, CoFlatMapFunction.

The order between the inputs is undefined; in BATCH mode a keyed operator receives both sorted by key and time.
"""

from __future__ import annotations

from typing import Any

from shmflink.operators.functions.process import Call, KeyedProcessOperator, ProcessOperator

__all__ = [
    "CoFlatMapOperator",
    "CoMapOperator",
    "CoProcessOperator",
    "KeyedCoFlatMapOperator",
    "KeyedCoMapOperator",
    "KeyedCoProcessOperator",
]


class CoProcessOperator(ProcessOperator):
    """A CoProcessFunction on streams without keys."""

    methods = ("process_element1", "process_element2")


class KeyedCoProcessOperator(KeyedProcessOperator):
    """A KeyedCoProcessFunction: both inputs share state and timers of the key."""

    methods = ("process_element1", "process_element2")


def _as_list(call: Any) -> Call:
    """A function of only the record whose single result is emitted; None emits nothing, as in PyFlink."""

    def one(row: Any, _: Any) -> tuple[Any, ...] | None:
        result = call(row)
        return None if result is None else (result,)

    return one


def _as_iterable(call: Any) -> Call:
    """A function of only the record that returns an iterable or None."""
    return lambda row, _: call(row)


class CoMapOperator(CoProcessOperator):
    """A CoMapFunction."""

    methods = ("map1", "map2")

    def _calls(self) -> list[Call]:
        return [_as_list(call) for call in super()._calls()]


class CoFlatMapOperator(CoProcessOperator):
    """A CoFlatMapFunction."""

    methods = ("flat_map1", "flat_map2")

    def _calls(self) -> list[Call]:
        return [_as_iterable(call) for call in super()._calls()]


class KeyedCoMapOperator(KeyedCoProcessOperator):
    """A CoMapFunction on keyed streams: it may keep state."""

    methods = ("map1", "map2")

    def _calls(self) -> list[Call]:
        return [_as_list(call) for call in super()._calls()]


class KeyedCoFlatMapOperator(KeyedCoProcessOperator):
    """A CoFlatMapFunction on keyed streams: it may keep state."""

    methods = ("flat_map1", "flat_map2")

    def _calls(self) -> list[Call]:
        return [_as_iterable(call) for call in super()._calls()]
