"""Event time through whole jobs in one process: sources with watermarks, windows, timers, late data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from shmflink.common import Duration, Time, Types, WatermarkStrategy
from shmflink.connectors.generator import GeneratorSource
from shmflink.datastream import (
    KeyedProcessFunction,
    OutputTag,
    ProcessWindowFunction,
    RuntimeExecutionMode,
    StreamExecutionEnvironment,
)
from shmflink.datastream.functions import CoProcessFunction, KeyedBroadcastProcessFunction
from shmflink.datastream.state import MapStateDescriptor, ValueStateDescriptor
from shmflink.datastream.window import EventTimeSessionWindows, TumblingEventTimeWindows
from shmflink.testing import MiniCluster

ROWS = 2000


def events(start: int, stop: int) -> pa.RecordBatch:
    """One event a millisecond, ten keys, out of order by up to 7 ms."""
    numbers = list(range(start, stop))
    return pa.record_batch({"key": [n % 10 for n in numbers], "at": [n + (n * 7) % 8 for n in numbers]})


class Bounds(ProcessWindowFunction):
    def process(self, key: Any, context: Any, elements: Any) -> Iterator[Any]:
        yield (key, context.window().start, len(list(elements)))


def environment(mode: str) -> StreamExecutionEnvironment:
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_runtime_mode(RuntimeExecutionMode[mode])
    env.get_config().set_auto_watermark_interval(0)
    return env


def timed_events(env: StreamExecutionEnvironment, bound_ms: int) -> Any:
    strategy = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(bound_ms)).with_timestamp_column("at")
    return env.from_source(GeneratorSource(events, ROWS, batch_rows=64), strategy, "events")


@pytest.mark.parametrize("mode", ["STREAMING", "BATCH"])
@pytest.mark.parametrize("parallelism", [1, 3])
def test_windows_of_columns_with_watermarks_of_each_split(mode: str, parallelism: int) -> None:
    with MiniCluster(slots=parallelism):
        env = environment(mode)
        windows = (
            timed_events(env, ROWS)
            .key_by(lambda row: row["key"])
            .window(TumblingEventTimeWindows.of(Time.milliseconds(100)))
        )
        got = list(windows.process(Bounds()).execute_and_collect())
    expected: dict[tuple[int, int], int] = {}
    for number in range(ROWS):
        at = number + (number * 7) % 8
        place = (number % 10, at // 100 * 100)
        expected[place] = expected.get(place, 0) + 1
    assert {(key, start): count for key, start, count in got} == expected
    assert len(got) == len(expected)


def test_late_rows_are_counted_or_go_aside_and_none_is_lost() -> None:
    """[T7]"""
    late = OutputTag("late", Types.PICKLED_BYTE_ARRAY())
    with MiniCluster(slots=1):
        env = environment("STREAMING")
        windowed = (
            timed_events(env, 0)
            .key_by(lambda row: row["key"])
            .window(TumblingEventTimeWindows.of(Time.milliseconds(10)))
        )
        counted = windowed.side_output_late_data(late).process(Bounds())
        both = counted.map(lambda one: one[2]).union(counted.get_side_output(late).map(lambda _: 1))
        assert sum(both.execute_and_collect()) == ROWS


def test_sessions_by_key_with_an_incremental_reduce() -> None:
    rows = [("a", 0), ("a", 40), ("b", 10), ("a", 200), ("b", 35)]
    with MiniCluster(slots=2):
        env = environment("STREAMING")
        strategy = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_seconds(1)).with_timestamp_column("f1")
        kind = Types.TUPLE([Types.STRING(), Types.LONG()])
        stream = env.from_collection(rows, kind).assign_timestamps_and_watermarks(strategy)
        sessions = stream.key_by(lambda row: row[0]).window(EventTimeSessionWindows.with_gap(Time.milliseconds(50)))
        got = list(sessions.reduce(lambda a, b: (a[0], a[1] + b[1])).execute_and_collect())
    assert sorted(got) == [("a", 40), ("a", 200), ("b", 45)]


class Latest(KeyedProcessFunction):
    """Emits each key's count when nothing came for 100 ms."""

    def open(self, runtime_context: Any) -> None:
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))
        self.timer = runtime_context.get_state(ValueStateDescriptor("timer", Types.LONG()))

    def process_element(self, value: Any, ctx: Any) -> None:
        if self.timer.value() is not None:
            ctx.timer_service().delete_event_time_timer(self.timer.value())
        self.timer.update(max(self.timer.value() or 0, ctx.timestamp() + 100))
        ctx.timer_service().register_event_time_timer(self.timer.value())
        self.count.update((self.count.value() or 0) + 1)

    def on_timer(self, timestamp: int, ctx: Any) -> Iterator[Any]:
        yield (ctx.get_current_key(), timestamp, self.count.value())


@pytest.mark.parametrize("mode", ["STREAMING", "BATCH"])
def test_timers_that_are_moved_fire_once_for_each_key(mode: str) -> None:
    with MiniCluster(slots=2):
        env = environment(mode)
        got = list(timed_events(env, ROWS).key_by(lambda row: row["key"]).process(Latest()).execute_and_collect())
    last = {key: max(n + (n * 7) % 8 for n in range(key, ROWS, 10)) for key in range(10)}
    assert sorted(got) == [(key, last[key] + 100, ROWS // 10) for key in range(10)]


def test_two_streams_and_a_broadcast_one() -> None:
    rules = MapStateDescriptor("rules", Types.STRING(), Types.LONG())

    class Scale(KeyedBroadcastProcessFunction):
        def process_element(self, value: Any, ctx: Any) -> Iterator[Any]:
            yield value * ctx.get_broadcast_state(rules).get("factor")

        def process_broadcast_element(self, value: Any, ctx: Any) -> None:
            ctx.get_broadcast_state(rules)["factor"] = value

    class Both(CoProcessFunction):
        def process_element1(self, value: Any, ctx: Any) -> Iterator[Any]:
            yield ("left", value)

        def process_element2(self, value: Any, ctx: Any) -> Iterator[Any]:
            yield ("right", value)

    with MiniCluster(slots=2):
        env = environment("BATCH")
        numbers = env.from_collection([1, 2, 3], Types.LONG())
        scaled = numbers.key_by(lambda n: n % 2).connect(env.from_collection([10], Types.LONG()).broadcast(rules))
        got = scaled.process(Scale(), Types.LONG()).connect(env.from_collection(["x"])).process(Both())
        assert sorted(got.execute_and_collect()) == [("left", 10), ("left", 20), ("left", 30), ("right", "x")]


def test_a_fast_source_waits_for_a_slow_one_of_its_group() -> None:
    """Both have the same times; one gives a row at a time, the other 64: without alignment it would be far ahead."""
    rows = 600
    seen: list[tuple[str, int]] = []

    def source(env: StreamExecutionEnvironment, name: str, batch_rows: int) -> Any:
        strategy = (
            WatermarkStrategy.for_monotonous_timestamps()
            .with_timestamp_column("at")
            .with_watermark_alignment("both", Duration.of_millis(50), Duration.of_millis(1))
        )
        generated = GeneratorSource(
            lambda start, stop: pa.record_batch({"at": list(range(start, stop))}), rows, batch_rows=batch_rows
        )
        return env.from_source(generated, strategy, name).map(lambda row: seen.append((name, row[0])) or row[0])

    with MiniCluster(slots=1):
        env = environment("STREAMING")
        fast, slow = source(env, "fast", 64), source(env, "slow", 1)
        got = sorted(fast.union(slow).execute_and_collect())
    assert got == sorted([*range(rows)] * 2)
    slowest = -1
    for name, at in seen:
        if name == "slow":
            slowest = at
        elif slowest >= 0:
            # A batch that is in progress goes on, and up to two are read before the next news of the group.
            assert at <= slowest + 50 + 3 * 64, (at, slowest)
