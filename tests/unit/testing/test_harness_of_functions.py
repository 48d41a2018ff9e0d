"""The harness of a function: uses the operator that a stream would use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from shmflink.common import Time, Types
from shmflink.datastream import (
    BroadcastProcessFunction,
    CoMapFunction,
    FlatMapFunction,
    KeyedProcessFunction,
    MapFunction,
    ProcessWindowFunction,
    RuntimeContext,
)
from shmflink.datastream.state import MapStateDescriptor, ValueState, ValueStateDescriptor
from shmflink.datastream.window import TumblingEventTimeWindows
from shmflink.errors import UsageError
from shmflink.testing import OperatorHarness


class _CountPerKey(KeyedProcessFunction):
    def open(self, runtime_context: RuntimeContext) -> None:
        self.count: ValueState[int] = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def process_element(self, value: Any, ctx: KeyedProcessFunction.Context) -> Iterator[Any]:
        count = (self.count.value() or 0) + 1
        self.count.update(count)
        ctx.timer_service().register_event_time_timer(ctx.timestamp() + 10)
        yield ctx.get_current_key(), count

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[Any]:
        yield ctx.get_current_key(), "timer", timestamp


def test_a_keyed_process_function_with_its_state_and_timers() -> None:
    with OperatorHarness.of(_CountPerKey(), key_selector=lambda word: word) as harness:
        harness.process_rows(["a", "b", "a"], timestamps=[1, 2, 3])
        assert harness.rows() == [("a", 1), ("b", 1), ("a", 2)]
        harness.clear()
        harness.process_watermark(12)
        assert harness.rows() == [("a", "timer", 11), ("b", "timer", 12)]


def test_the_function_is_the_test_s_own_not_a_copy() -> None:
    class Count(MapFunction):
        calls = 0

        def map(self, value: int) -> int:
            self.calls += 1
            return -value

    function = Count()
    with OperatorHarness.of(function) as harness:
        harness.process_rows([1, 2])
        assert harness.rows() == [-1, -2]
    assert function.calls == 2


def test_callables_by_the_method_that_takes_them() -> None:
    def words(line: str) -> list[str]:
        return line.split()

    class Words(FlatMapFunction):
        def flat_map(self, value: str) -> list[str]:
            return words(value)

    cases: list[tuple[Any, dict[str, Any], list[Any], list[Any]]] = [
        (str.upper, {}, ["to be"], ["TO BE"]),
        (words, {"method": "flat_map"}, ["to be"], ["to", "be"]),
        (Words(), {}, ["to be"], ["to", "be"]),
        (lambda x: x > 1, {"method": "filter"}, [1, 2], [2]),
        (lambda a, b: a + b, {"method": "reduce", "key_selector": lambda x: x % 2}, [1, 2, 3], [1, 2, 4]),
    ]
    for function, options, rows, expected in cases:
        with OperatorHarness.of(function, **options) as harness:
            harness.process_rows(rows)
            assert harness.rows() == expected


def test_functions_of_two_streams() -> None:
    class Join(CoMapFunction):
        def map1(self, value: Any) -> Any:
            return "first", value

        def map2(self, value: Any) -> Any:
            return "second", value

    with OperatorHarness.of(Join()) as harness:
        harness.process_rows([1])
        harness.process_rows([2], input_index=1)
        assert harness.rows() == [("first", 1), ("second", 2)]


def test_a_function_with_a_broadcast_stream() -> None:
    rules = MapStateDescriptor("rules", Types.STRING(), Types.LONG())

    class Apply(BroadcastProcessFunction):
        def process_element(self, value: int, ctx: Any) -> Iterator[int]:
            yield value * (ctx.get_broadcast_state(rules).get("factor") or 1)

        def process_broadcast_element(self, value: int, ctx: Any) -> None:
            ctx.get_broadcast_state(rules).put("factor", value)

    with OperatorHarness.of(Apply(), broadcast_states=[rules]) as harness:
        harness.process_rows([3])
        harness.process_rows([10], input_index=1)
        harness.process_rows([3])
        assert harness.rows() == [3, 30]


def test_a_window_function_keyed_and_over_all() -> None:
    class Sum(ProcessWindowFunction):
        def process(self, key: Any, context: ProcessWindowFunction.Context, elements: Iterable[Any]) -> Iterator[Any]:
            yield key, context.window().start, sum(number for _, number in elements)

    window = TumblingEventTimeWindows.of(Time.milliseconds(10))
    with OperatorHarness.of(Sum(), key_selector=lambda row: row[0], window=window) as harness:
        harness.process_rows([("a", 1), ("b", 2), ("a", 3), ("a", 4)], timestamps=[1, 2, 3, 11])
        harness.process_watermark(9)
        assert sorted(harness.rows()) == [("a", 0, 4), ("b", 0, 2)]
    with OperatorHarness.of(lambda a, b: a + b, window=window) as harness:
        harness.process_rows([1, 2, 3], timestamps=[1, 2, 3])
        harness.process_watermark(9)
        assert harness.rows() == [6]


def test_what_is_no_function_is_told() -> None:
    with pytest.raises(UsageError, match="neither callable nor a function object"):
        OperatorHarness.of(object())
