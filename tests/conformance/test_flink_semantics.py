"""Details of Flink that reimplementations get wrong: one test for each, named by its number in the list of them.

Numbers 1 to 26 are of time, timers and windows; 43 to 53 of state, outputs, batch mode and life cycle. Those that
have their test elsewhere:

 1, 3     tests/unit/taskmanager/test_watermarks.py: test_rule_1_*, test_rule_3_*
 4        tests/unit/taskmanager/test_inputs.py: test_rule_4_*
 5        tests/unit/operators/test_timestamps_and_watermarks.py: test_watermarks_leave_at_the_interval_*
 9        the same: test_upstream_watermarks_are_swallowed_but_for_the_last;
          tests/integration/test_time_errors.py: test_one_row_without_a_timestamp_is_named_with_its_operator
 7        tests/integration/test_event_time.py: test_a_fast_source_waits_for_a_slow_one_of_its_group
11        tests/unit/taskmanager/test_task.py: test_rule_11_*
12        tests/unit/state/test_timers.py: test_a_timer_that_is_registered_twice_fires_once_and_a_deleted_one_never
17        tests/unit/operators/windows/test_window_operator.py: test_windows_are_aligned_to_the_epoch_*, test_sliding_*
19        the same: test_an_allowed_late_element_fires_again_with_all_contents_until_the_lateness_is_over
24        the same: test_count_windows_fire_full_and_never_otherwise
43        tests/unit/operators/test_broadcast_process.py
46        tests/unit/state/test_ttl_states.py
53        tests/unit/taskmanager/test_task.py: test_a_failing_open_*, test_a_close_*, test_a_failure_is_reported_once_*

Random programs go through most of the rules at once: tests/property/test_windows.py, test_state_and_timers.py and
test_time_and_state.py, against the oracle in tests/oracle.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from oracle.scripted_source import ScriptedSource, strategy

from shmflink.common import Time, Types, WatermarkStrategy
from shmflink.core.batch import Batch
from shmflink.core.elements import BARRIER_SAVEPOINT, MAX_WATERMARK, MIN_TIMESTAMP_MS, Barrier
from shmflink.core.output_tag import OutputTag
from shmflink.datastream import (
    KeyedProcessFunction,
    ProcessFunction,
    ProcessWindowFunction,
    RuntimeExecutionMode,
    StreamExecutionEnvironment,
)
from shmflink.datastream.functions import ProcessAllWindowFunction
from shmflink.datastream.state import ListStateDescriptor, ReducingStateDescriptor, ValueStateDescriptor
from shmflink.datastream.window import (
    CountTrigger,
    EventTimeSessionWindows,
    EventTimeTrigger,
    GlobalWindows,
    MergingWindowAssigner,
    PurgingTrigger,
    SlidingEventTimeWindows,
    TimeWindow,
    TriggerResult,
    TumblingEventTimeWindows,
    TumblingProcessingTimeWindows,
)
from shmflink.errors import UsageError
from shmflink.operators.functions.process import KeyedProcessOperator
from shmflink.operators.time.watermark_emitter import WatermarkEmitter
from shmflink.operators.windows.window import MAX_TIMESTAMP_MS
from shmflink.operators.windows.window_operator import WINDOW_STATE_NAME, WindowOperator, WindowSpec
from shmflink.state.descriptors import AggregatingStateDescriptor
from shmflink.state.snapshots import restored_from
from shmflink.testing import ManualClock, MiniCluster, OperatorHarness

ANY = Types.PICKLED_BYTE_ARRAY()
TEN = TumblingEventTimeWindows.of(Time.milliseconds(10))


def key(value: Any) -> Any:
    return value[0]


def environment(mode: str = "STREAMING") -> StreamExecutionEnvironment:
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_runtime_mode(RuntimeExecutionMode[mode])
    return env


def script(env: Any, *rows: tuple[Any, int, int, int | None]) -> Any:
    """Rows (key, number, timestamp, watermark that follows or None)."""
    return env.from_source(ScriptedSource(rows, [2], "tuples"), strategy("tuples"), "script")


class Remember(KeyedProcessFunction):
    """Registers the timers that elements name; says what it knows when they fire."""

    def open(self, runtime_context: Any) -> None:
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def process_element(self, value: Any, ctx: Any) -> Iterator[Any]:
        self.count.update((self.count.value() or 0) + 1)
        for timer in value[1:]:
            ctx.timer_service().register_event_time_timer(timer)
        yield ("element", value[0], ctx.timestamp(), self.count.value())

    def on_timer(self, timestamp: int, ctx: Any) -> Iterator[Any]:
        yield ("timer", ctx.get_current_key(), ctx.timestamp(), self.count.value(), ctx.time_domain().name)


class Later(KeyedProcessFunction):
    """A processing-time timer for each element, in so many milliseconds."""

    def process_element(self, value: Any, ctx: Any) -> None:
        timers = ctx.timer_service()
        timers.register_processing_time_timer(timers.current_processing_time() + value[1])

    def on_timer(self, timestamp: int, ctx: Any) -> Iterator[Any]:
        yield ("timer", ctx.get_current_key())


class Contents(ProcessWindowFunction):
    def process(self, key: Any, context: Any, elements: Any) -> Iterator[Any]:
        yield (key, [value[1] for value in elements])


def keyed(function: Any, **options: Any) -> OperatorHarness:
    return OperatorHarness(KeyedProcessOperator(function), key_selector=key, **options)


def windows(
    assigner: Any, trigger: Any = None, contents: Any = None, function: Any = None, **more: Any
) -> OperatorHarness:
    spec = WindowSpec(
        assigner,
        trigger or assigner.get_default_trigger(None),
        contents or ListStateDescriptor(WINDOW_STATE_NAME, ANY),
        **more,
    )
    return OperatorHarness(WindowOperator(spec, function or Contents()), key_selector=key)


def send(bench: OperatorHarness, *rows: Any) -> None:
    """Rows whose second field is their timestamp."""
    bench.process_rows(list(rows), timestamps=[row[1] for row in rows])


def halves_of(old: OperatorHarness) -> list[dict[str, Any]]:
    """The state and the timers of one subtask, for two others."""
    halves = []
    for number, groups in enumerate((range(64), range(64, 128))):
        frozen = old.snapshot(Barrier(number + 1, 0, BARRIER_SAVEPOINT))
        halves.append({"restored": restored_from([frozen], groups, number, 2), "key_groups": groups})
    return halves


# --- time and watermarks ---


@pytest.mark.parametrize("partition", ["rebalance", "shuffle", "rescale", "broadcast", "key_by"])
def test_rule_2_watermarks_reach_every_subtask_whatever_the_partitioner(partition: str) -> None:
    class Seen(ProcessFunction):
        def process_element(self, value: Any, ctx: Any) -> Iterator[Any]:
            yield (value[1], ctx.timer_service().current_watermark())

    rows = [("a", 1, 5, 4), *(("b", n, 10, None) for n in range(2, 30))]
    with MiniCluster(slots=3):
        stream = script(environment(), *rows)
        parted = stream.key_by(lambda row: row[1]) if partition == "key_by" else getattr(stream, partition)()
        got = list(parted.process(Seen()).execute_and_collect())
    assert {watermark for number, watermark in got if number > 1} == {4}


def test_rule_6_each_split_has_a_watermark_of_its_own_which_never_goes_back() -> None:

    def told(emitter: WatermarkEmitter, *stamps: int) -> list[Any]:
        batch = Batch.of_rows(list(stamps), timestamps=pa.array(stamps, pa.int64()))
        list(emitter.through(batch))
        emitter.on_periodic()
        return [element.timestamp_ms for element in emitter.drain()]

    emitter = WatermarkEmitter(WatermarkStrategy.for_monotonous_timestamps(), ManualClock())
    assert told(emitter, 100) == [99]
    emitter.begin(MIN_TIMESTAMP_MS)  # an older split: its rows do not count as late before it says so
    assert told(emitter, 10, 20) == []
    assert told(emitter, 200) == [199]


@pytest.mark.parametrize("rows", [[("a", 1, 5, None), ("b", 2, 105, None)], []])
def test_rule_8_the_end_of_input_fires_all_windows_and_timers(rows: list[Any]) -> None:
    class Timers(KeyedProcessFunction):
        def process_element(self, value: Any, ctx: Any) -> None:
            ctx.timer_service().register_event_time_timer(MAX_TIMESTAMP_MS)

        def on_timer(self, timestamp: int, ctx: Any) -> Iterator[Any]:
            yield (ctx.get_current_key(), ctx.timer_service().current_watermark())

    with MiniCluster(slots=2):
        stream = script(environment(), *rows)
        assert sorted(stream.key_by(key).window(TEN).process(Contents()).execute_and_collect()) == [
            (name, [number]) for name, number, _, _ in rows
        ]
        got = sorted(script(environment(), *rows).key_by(key).process(Timers()).execute_and_collect())
        assert got == [(row[0], MAX_TIMESTAMP_MS) for row in rows]


def test_rule_10_watermarks_are_not_state_and_restored_timers_of_the_past_fire_at_the_first_watermark() -> None:
    class Watermark(Remember):
        def process_element(self, value: Any, ctx: Any) -> Iterator[Any]:
            yield ("watermark", ctx.timer_service().current_watermark())
            yield from super().process_element(value, ctx)

    with keyed(Watermark()) as old:
        old.process_watermark(100)
        send(old, ("a", 50, 120))
        halves = halves_of(old)
    with keyed(Watermark(), **halves[0]) as first, keyed(Watermark(), **halves[1]) as second:
        for bench in (first, second):
            assert bench.operator.timers.watermark_ms == MIN_TIMESTAMP_MS  # type: ignore[attr-defined]
            assert bench.rows() == []
            bench.process_watermark(60)
        assert first.rows() + second.rows() == [("timer", "a", 50, 1, "EVENT_TIME")]


# --- timers ---


def test_rule_13_a_processing_time_timer_of_the_past_fires_as_soon_as_nothing_else_is_under_way() -> None:
    with keyed(Later(), clock=ManualClock(1000)) as bench:
        bench.process_rows([("a", -500)])
        assert bench.rows() == []
        bench.advance_processing_time_ms(0)
        assert bench.rows() == [("timer", "a")]


def test_rule_14_timers_run_under_their_key_with_its_state_and_their_time() -> None:
    with keyed(Remember()) as bench:
        send(bench, ("a", 7), ("b", 3), ("a", 2))
        bench.clear()
        bench.process_watermark(9)
        assert bench.rows() == [
            ("timer", "a", 2, 2, "EVENT_TIME"),
            ("timer", "b", 3, 1, "EVENT_TIME"),
            ("timer", "a", 7, 2, "EVENT_TIME"),
        ]
        assert bench.timestamps() == [2, 3, 7]


def test_rule_15_waiting_processing_time_timers_are_dropped_at_the_end_and_fire_in_batch_mode() -> None:
    hour = 3_600_000
    for mode, expected in (("STREAMING", []), ("BATCH", [("timer", "a"), ("timer", "b")])):
        with MiniCluster(slots=2):
            stream = environment(mode).from_collection([("a", hour), ("b", hour)])
            assert sorted(stream.key_by(key).process(Later()).execute_and_collect()) == expected


def test_rule_15_in_batch_mode_a_timer_that_sets_itself_again_ends_with_its_key() -> None:
    class Again(KeyedProcessFunction):
        def process_element(self, value: Any, ctx: Any) -> None:
            ctx.timer_service().register_event_time_timer(value[1])
            ctx.timer_service().register_processing_time_timer(value[1])

        def on_timer(self, timestamp: int, ctx: Any) -> Iterator[Any]:
            ctx.timer_service().register_event_time_timer(timestamp + 1)
            ctx.timer_service().register_processing_time_timer(timestamp + 1)
            yield (ctx.get_current_key(), timestamp)

    with keyed(Again(), is_batch=True) as bench:
        send(bench, ("a", 5), ("b", 7))
        bench.process_control(MAX_WATERMARK)
        assert bench.rows() == [("a", 5), ("a", 5), ("b", 7), ("b", 7)]


def test_rule_16_timers_move_with_their_key_group_and_those_that_came_due_meanwhile_fire_at_once() -> None:
    keys = [f"key {number}" for number in range(20)]
    with keyed(Later()) as old:
        old.process_rows([(name, 100) for name in keys])
        clock = ManualClock(5000)
        first_half, second_half = halves_of(old)
        with keyed(Later(), clock=clock, **first_half) as first, keyed(Later(), clock=clock, **second_half) as second:
            for bench in (first, second):
                bench.advance_processing_time_ms(0)
                assert 0 < len(bench.rows()) < 20
            assert sorted(first.rows() + second.rows()) == sorted(("timer", name) for name in keys)


# --- windows ---


def test_rule_18_an_element_is_dropped_only_where_all_its_windows_are_over() -> None:
    late = OutputTag("late")
    with windows(SlidingEventTimeWindows.of(Time.milliseconds(10), Time.milliseconds(5)), late_data=late) as bench:
        bench.process_watermark(9)
        send(bench, ("a", 4), ("a", 7))
        bench.process_control(MAX_WATERMARK)
        assert bench.rows() == [("a", [7])]
        assert bench.side_output("late") == [("a", 4)]


def test_rule_18_operators_without_windows_never_drop_late_elements() -> None:
    with keyed(Remember()) as bench:
        bench.process_watermark(1000)
        send(bench, ("a", 3))
        assert bench.rows() == [("element", "a", 3, 1)]


def test_rule_20_clean_up_beyond_the_end_of_time_is_never() -> None:
    with windows(TEN, allowed_lateness_ms=MAX_TIMESTAMP_MS) as bench:
        send(bench, ("a", 1))
        bench.process_watermark(10**15)
        send(bench, ("a", 2))
        assert bench.rows() == [("a", [1]), ("a", [1, 2])]
        assert len(bench.operator.timers.event_timers) == 0  # type: ignore[attr-defined]


def test_rule_20_global_windows_are_never_cleaned_up() -> None:
    with windows(GlobalWindows.create(), CountTrigger.of(2)) as bench:
        send(bench, ("a", 1))
        bench.process_watermark(10**15)
        send(bench, ("a", 2))
        assert bench.rows() == [("a", [1, 2])]


def test_rule_20_purging_keeps_the_state_of_the_trigger_and_the_clean_up() -> None:
    class Thirds(EventTimeTrigger):
        """Counts to three and fires; and purges what is there at two."""

        def on_element(self, element: Any, timestamp: int, window: Any, ctx: Any) -> Any:
            seen = ctx.get_partitioned_state(ReducingStateDescriptor("seen", int.__add__, Types.LONG()))
            seen.add(1)
            return {2: TriggerResult.PURGE, 3: TriggerResult.FIRE}.get(seen.get(), TriggerResult.CONTINUE)

        def clear(self, window: Any, ctx: Any) -> None:
            ctx.get_partitioned_state(ReducingStateDescriptor("seen", int.__add__, Types.LONG())).clear()

    with windows(TEN, Thirds()) as bench:
        send(bench, ("a", 1), ("a", 2), ("a", 3))
        assert bench.rows() == [("a", [3])]
        bench.process_watermark(9)
        state: Any = bench.operator.state  # type: ignore[attr-defined]
        assert {name: entries for name in state.state_names() if (entries := state.table(name).entries())} == {}


def test_rule_21_results_have_the_last_millisecond_of_their_window_by_processing_time_too() -> None:
    with windows(TEN) as bench:
        send(bench, ("a", 12))
        bench.process_control(MAX_WATERMARK)
        assert bench.timestamps() == [19]
    with windows(TumblingProcessingTimeWindows.of(Time.milliseconds(10))) as bench:
        bench.advance_processing_time_ms(25)
        send(bench, ("a", 3))
        bench.advance_processing_time_ms(25)
        assert bench.timestamps() == [29]


def test_rule_22_sessions_that_touch_are_one() -> None:
    with windows(EventTimeSessionWindows.with_gap(Time.milliseconds(10))) as bench:
        send(bench, ("a", 0), ("a", 10), ("a", 21))
        bench.process_control(MAX_WATERMARK)
        assert bench.rows() == [("a", [0, 10]), ("a", [21])]
        assert bench.timestamps() == [19, 30]


def test_rule_22_a_session_that_a_watermark_has_ended_is_not_merged_with_one_that_touches_it() -> None:
    """Found at random: in batch mode, where no watermark comes between, the two are one."""
    sessions = EventTimeSessionWindows.with_gap(Time.milliseconds(10))
    with windows(sessions) as bench:
        send(bench, ("a", 0))
        bench.process_watermark(9)
        send(bench, ("a", 10))  # on time
        bench.process_control(MAX_WATERMARK)
        assert bench.rows() == [("a", [0]), ("a", [10])]


def test_rule_22_merging_into_a_window_that_is_over_is_an_error() -> None:
    class Shrinks(MergingWindowAssigner):
        """Windows of a hundred, which become one of ten when they merge."""

        def assign_windows(self, element: Any, timestamp: int, context: Any) -> list[Any]:
            return [TimeWindow(timestamp, timestamp + 100)]

        def get_default_trigger(self, env: Any) -> Any:
            return EventTimeTrigger()

        def is_event_time(self) -> bool:
            return True

        def merge_windows(self, windows: Any, callback: Any) -> None:
            if len(found := list(windows)) > 1:
                callback.merge(found, TimeWindow(0, 10))

    with windows(Shrinks()) as bench:
        send(bench, ("a", 0))
        bench.process_watermark(50)
        with pytest.raises(UsageError, match=r"TimeWindow\(start=0, end=10\), made by merging, ended before"):
            send(bench, ("a", 60))


def test_rule_23_a_count_trigger_keeps_its_count_when_windows_merge() -> None:
    with windows(
        EventTimeSessionWindows.with_gap(Time.milliseconds(5)), PurgingTrigger.of(CountTrigger.of(3))
    ) as bench:
        send(bench, ("a", 0), ("a", 8))
        assert bench.rows() == []
        send(bench, ("a", 4))  # joins both
        assert [(name, sorted(values)) for name, values in bench.rows()] == [("a", [0, 4, 8])]


def test_rule_25_an_incremental_aggregate_keeps_one_value_which_its_function_sees_and_merges_sessions_alone() -> None:
    class Total:
        merges = 0

        def create_accumulator(self) -> int:
            return 0

        def add(self, value: Any, accumulator: int) -> int:
            return accumulator + int(value[1])

        def get_result(self, accumulator: int) -> Any:
            return ("total", accumulator)

        def merge(self, first: int, second: int) -> int:
            Total.merges += 1
            return first + second

    class Sees(ProcessWindowFunction):
        def process(self, key: Any, context: Any, elements: Any) -> Iterator[Any]:
            yield list(elements)

    def bench_of(assigner: Any) -> OperatorHarness:
        return windows(assigner, contents=AggregatingStateDescriptor(WINDOW_STATE_NAME, Total(), ANY), function=Sees())

    with bench_of(TEN) as bench:
        send(bench, ("a", 1), ("a", 2), ("a", 3))
        assert bench.operator.state.table(WINDOW_STATE_NAME).entries() == {("a", (0, 10)): 6}  # type: ignore[attr-defined]
        bench.process_control(MAX_WATERMARK)
        assert bench.rows() == [[("total", 6)]]
        assert Total.merges == 0
    with bench_of(EventTimeSessionWindows.with_gap(Time.milliseconds(2))) as bench:
        send(bench, ("a", 1), ("a", 4), ("a", 3))
        bench.process_control(MAX_WATERMARK)
        assert bench.rows() == [[("total", 8)]]
        assert Total.merges == 1


def test_rule_26_window_all_has_one_subtask_whatever_the_environment_says() -> None:
    class Count(ProcessAllWindowFunction):
        def open(self, runtime_context: Any) -> None:
            self.subtasks = runtime_context.get_number_of_parallel_subtasks()

        def process(self, context: Any, elements: Any) -> Iterator[Any]:
            yield (self.subtasks, len(list(elements)))

    with MiniCluster(slots=4):
        env = environment().set_parallelism(4)
        counted = script(env, *(("a", n, n, None) for n in range(20))).rebalance().window_all(TEN).process(Count())
        assert sorted(counted.execute_and_collect()) == [(1, 10), (1, 10)]
        with pytest.raises(Exception, match="parallelism"):
            counted.set_parallelism(2)


# --- state, outputs, batch mode, life cycle ---


def test_rule_45_state_is_of_its_key_and_clearing_it_deletes_no_timer() -> None:
    class Clears(Remember):
        def process_element(self, value: Any, ctx: Any) -> Iterator[Any]:
            yield from super().process_element(value, ctx)
            self.count.clear()

    with keyed(Clears()) as bench:
        send(bench, ("a", 5), ("b", 6))
        bench.process_watermark(10)
        assert bench.rows()[2:] == [("timer", "a", 5, None, "EVENT_TIME"), ("timer", "b", 6, None, "EVENT_TIME")]


def test_rule_45_keys_that_are_equal_in_python_and_not_in_flink_are_different() -> None:
    """[U7]"""
    with keyed(Remember()) as bench:
        bench.process_rows([(1,), (1.0,), (True,), ("1",), (None,), (1,), (0.0,), (-0.0,)])
        assert [row[3] for row in bench.rows()] == [1, 1, 1, 1, 1, 2, 1, 2]


def test_rule_48_a_side_output_is_of_its_operator_and_nobody_has_to_read_it() -> None:
    aside = OutputTag("aside", ANY)

    class Odd(ProcessFunction):
        def __init__(self, step: int) -> None:
            self.step = step

        def process_element(self, value: Any, ctx: Any) -> Iterator[Any]:
            if value % 2:
                yield aside, (self.step, value, ctx.timestamp())
            yield value + self.step

    numbers = [("a", n, 100 + n, None) for n in range(4)]
    with MiniCluster(slots=1):
        stream = script(environment(), *numbers).map(lambda row: row[1])
        first = stream.process(Odd(10))
        second = first.process(Odd(20))
        both = first.get_side_output(aside).union(second.get_side_output(aside), first.get_side_output(aside))
        assert sorted(both.execute_and_collect()) == [(10, 1, 101)] * 2 + [(10, 3, 103)] * 2 + [
            (20, 11, 101),
            (20, 13, 103),
        ]
        unread = script(environment(), *numbers).map(lambda row: row[1]).process(Odd(10))
        assert sorted(unread.execute_and_collect()) == [10, 11, 12, 13]


def test_rule_51_batch_mode_emits_the_last_reduction_of_each_key_alone() -> None:
    rows = [("a", 1), ("b", 5), ("a", 2), ("a", 3)]
    for mode, expected in (
        ("STREAMING", [("a", 1), ("a", 3), ("a", 6), ("b", 5)]),
        ("BATCH", [("a", 6), ("b", 5)]),
    ):
        with MiniCluster(slots=2):
            keyed_rows = environment(mode).from_collection(rows).key_by(key)
            reduced = keyed_rows.reduce(lambda first, second: (first[0], first[1] + second[1]))
            assert sorted(reduced.execute_and_collect()) == expected


def test_rule_51_batch_mode_ignores_watermarks_and_takes_a_key_at_a_time_in_order_of_time() -> None:
    with MiniCluster(slots=1):
        rows = [("a", 1, 30, 29), ("b", 2, 20, 40), ("a", 3, 10, None), ("b", 4, 15, None)]
        late_or_not = script(environment("BATCH"), *rows).key_by(key).window(TEN).process(Contents())
        assert sorted(late_or_not.execute_and_collect()) == [("a", [1]), ("a", [3]), ("b", [2]), ("b", [4])]
        seen = script(environment("BATCH"), *rows).map(lambda row: row[:1]).key_by(key).process(Remember())
        order = [(name, time) for what, name, time, *_ in seen.execute_and_collect() if what == "element"]
        assert order in ([("a", 10), ("a", 30), ("b", 15), ("b", 20)], [("b", 15), ("b", 20), ("a", 10), ("a", 30)])


def test_rule_53_functions_are_opened_before_and_closed_after_all_else_even_if_open_failed() -> None:
    calls: list[str] = []

    class Fails(Remember):
        def open(self, runtime_context: Any) -> None:
            calls.append("open")
            if len(calls) > 3:
                raise ValueError("open")
            super().open(runtime_context)

        def process_element(self, value: Any, ctx: Any) -> Iterator[Any]:
            calls.append("element")
            return super().process_element(value, ctx)

        def close(self) -> None:
            calls.append("close")

    with keyed(Fails()) as bench:
        bench.process_rows([("a",)])
    assert calls == ["open", "element", "close"]
    with pytest.raises(UsageError, match="open"), keyed(Fails()):
        pass
    assert calls[3:] == ["open", "close"]
