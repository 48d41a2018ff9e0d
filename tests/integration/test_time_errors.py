"""Mistakes with time, windows and state: reported as early as possible, with the operator and the remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shmflink.common import Duration, Time, Types, WatermarkStrategy
from shmflink.core.watermark_strategy import TimestampAssigner
from shmflink.datastream import KeyedProcessFunction, ProcessFunction, ProcessWindowFunction, StreamExecutionEnvironment
from shmflink.datastream.state import ListStateDescriptor, MapStateDescriptor, ValueStateDescriptor
from shmflink.datastream.window import (
    EventTimeSessionWindows,
    EventTimeTrigger,
    MergingWindowAssigner,
    NeverTrigger,
    SlidingEventTimeWindows,
    TimeWindow,
    TumblingEventTimeWindows,
    TumblingProcessingTimeWindows,
)
from shmflink.errors import JobExecutionError, JobGraphError
from shmflink.testing import MiniCluster

TUMBLING = TumblingEventTimeWindows.of(Time.seconds(1))
SESSIONS = EventTimeSessionWindows.with_gap(Time.seconds(1))


class Own(TimestampAssigner):
    def extract_timestamp(self, value: Any, record_timestamp: int) -> int:
        return int(value)


class Size(ProcessWindowFunction):
    def process(self, key: Any, context: Any, elements: Any) -> Iterator[int]:
        yield len(list(elements))


class Nothing(KeyedProcessFunction):
    def process_element(self, value: Any, ctx: Any) -> None:
        pass


@pytest.fixture
def numbers() -> Iterator[Any]:
    with MiniCluster(slots=2):
        yield StreamExecutionEnvironment.get_execution_environment().from_collection([1, 2], Types.LONG())


def same(value: Any) -> Any:
    return value


def stamped(stream: Any) -> Any:
    strategy = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(1))
    return stream.assign_timestamps_and_watermarks(strategy.with_timestamp_assigner(Own()))


def run(stream: Any) -> str:
    with pytest.raises(JobExecutionError) as raised:
        list(stream.execute_and_collect())
    return str(raised.value)


@pytest.mark.parametrize("assigner", [TUMBLING, SESSIONS, SlidingEventTimeWindows.of(Time.seconds(2), Time.seconds(1))])
def test_windows_by_event_time_over_a_stream_without_timestamps_are_refused_when_they_are_written(
    numbers: Any, assigner: Any
) -> None:
    without = numbers.map(same, Types.LONG())
    for make in (lambda: without.key_by(same).window(assigner), lambda: without.window_all(assigner)):
        with pytest.raises(
            JobGraphError, match=r"need timestamps, but the stream of 'Collection Source' has none: call"
        ):
            make()
    no_timestamps = WatermarkStrategy.for_monotonous_timestamps()
    with pytest.raises(JobGraphError, match="with_timestamp_column"):
        without.assign_timestamps_and_watermarks(no_timestamps).window_all(assigner)


def test_streams_that_may_have_timestamps_are_not_refused(numbers: Any) -> None:
    keyed = stamped(numbers).map(same).key_by(same)
    keyed.window(TUMBLING)
    numbers.key_by(same).window(TumblingProcessingTimeWindows.of(Time.seconds(1)))
    numbers.key_by(same).process(Nothing()).window_all(TUMBLING)  # timers have times
    keyed.window(TUMBLING).process(Size()).window_all(TUMBLING)  # windows, too


def test_one_row_without_a_timestamp_is_named_with_its_operator(numbers: Any) -> None:
    both = stamped(numbers).union(numbers.map(lambda n: n + 10, Types.LONG()))
    message = run(both.key_by(same).window(TUMBLING).process(Size()))
    assert "operator 'TumblingEventTimeWindows': the record has no timestamp" in message
    assert "assign_timestamps_and_watermarks()" in message
    assert "\nrecord: 1" in message


def test_one_state_name_with_two_types_is_refused_in_open(numbers: Any) -> None:
    class Twice(Nothing):
        def __init__(self, second: Any) -> None:
            self.second = second

        def open(self, runtime_context: Any) -> None:
            runtime_context.get_state(ValueStateDescriptor("x", Types.LONG()))
            self.second(runtime_context)

    seconds: list[Callable[[Any], Any]] = [
        lambda context: context.get_list_state(ListStateDescriptor("x", Types.LONG())),
        lambda context: context.get_state(ValueStateDescriptor("x", Types.STRING())),
    ]
    for second in seconds:
        message = run(numbers.key_by(same).process(Twice(second)))
        assert "operator 'KEYED PROCESS' (1/2)" in message
        assert "failed in open()" in message
        assert "the state 'x' is requested as" in message
        assert "give states of different kinds or types different names" in message


def test_one_name_for_two_broadcast_states_is_refused_when_it_is_written(numbers: Any) -> None:
    kinds = [MapStateDescriptor("x", Types.LONG(), kind) for kind in (Types.LONG(), Types.STRING())]
    with pytest.raises(Exception, match=r"broadcast\(\): state names must be unique, got \['x', 'x'\]"):
        numbers.broadcast(*kinds)


@pytest.mark.parametrize("method", ["register_event_time_timer", "delete_processing_time_timer"])
def test_a_timer_without_a_key_is_refused_at_its_first_use(numbers: Any, method: str) -> None:
    class Timer(ProcessFunction):
        def process_element(self, value: Any, ctx: Any) -> None:
            getattr(ctx.timer_service(), method)(1)

    message = run(numbers.process(Timer()).name("wait"))
    assert f"operator 'wait': {method}(): timers are only supported on a keyed stream" in message
    assert "call key_by() before process()" in message


def test_a_keyed_function_without_keys_is_refused_when_it_is_written(numbers: Any) -> None:
    with pytest.raises(JobGraphError, match=r"a KeyedProcessFunction needs a keyed stream: call key_by\(\) first"):
        numbers.process(Nothing())


def test_a_trigger_that_cannot_merge_is_refused_for_sessions_when_it_is_written(numbers: Any) -> None:
    class Plain(EventTimeTrigger):
        def can_merge(self) -> bool:
            return False

    class Grown(MergingWindowAssigner):
        """Its default trigger cannot merge."""

        def assign_windows(self, element: Any, timestamp: int, context: Any) -> list[Any]:
            return [TimeWindow(timestamp, timestamp + 1)]

        def get_default_trigger(self, env: Any) -> Any:
            return Plain()

        def merge_windows(self, windows: Any, callback: Any) -> None:
            TimeWindow.merge_windows(windows, callback)

        def is_event_time(self) -> bool:
            return True

    keyed = stamped(numbers).key_by(same)
    for make in (
        lambda: keyed.window(SESSIONS).trigger(NeverTrigger()),
        lambda: keyed.window(SESSIONS).trigger(Plain()),
        lambda: keyed.window(Grown()).process(Size()),
    ):
        with pytest.raises(
            JobGraphError, match=r"cannot be used with .*, whose windows merge: .* define can_merge\(\)"
        ):
            make()


def test_an_aggregate_function_that_cannot_merge_is_refused_for_sessions_when_it_is_written(numbers: Any) -> None:
    class Total:
        def create_accumulator(self) -> int:
            return 0

        def add(self, value: int, accumulator: int) -> int:
            return accumulator + value

        def get_result(self, accumulator: int) -> int:
            return accumulator

    with pytest.raises(JobGraphError, match=r"windows of EventTimeSessionWindows\(1000\) merge, so Total must define"):
        stamped(numbers).key_by(same).window(SESSIONS).aggregate(Total())


def test_a_key_selector_that_fails_names_its_row(numbers: Any) -> None:
    message = run(numbers.key_by(lambda n: 1 // (n - 2)).process(Nothing()))
    assert "operator 'KeyBy'" in message
    assert "failed with ZeroDivisionError" in message
    assert "\nrecord: 2" in message


def test_a_key_without_stable_bytes_is_refused_with_what_may_be_one(numbers: Any) -> None:
    message = run(numbers.key_by(lambda n: {n: n}).process(Nothing()))
    assert "operator 'KeyBy'" in message
    assert "a key of type dict has no stable byte form" in message
    assert "Use a number, string" in message
