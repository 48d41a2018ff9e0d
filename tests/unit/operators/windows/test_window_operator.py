"""Windows, one of Flink's rules per test (WindowOperatorTest, WindowOperatorContractTest)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from shmflink.core.elements import MAX_WATERMARK
from shmflink.core.output_tag import OutputTag
from shmflink.core.time_units import Time
from shmflink.core.types.typeinfo import Types
from shmflink.errors import UsageError, UserFunctionError
from shmflink.operators.windows.assigners import (
    CountSlidingWindowAssigner,
    CountTumblingWindowAssigner,
    EventTimeSessionWindows,
    GlobalWindows,
    ProcessingTimeSessionWindows,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
    TumblingProcessingTimeWindows,
    WindowAssigner,
)
from shmflink.operators.windows.evictors import CountEvictor
from shmflink.operators.windows.triggers import (
    ContinuousEventTimeTrigger,
    CountTrigger,
    PurgingTrigger,
    Trigger,
)
from shmflink.operators.windows.window_operator import WINDOW_STATE_NAME, WindowOperator, WindowSpec
from shmflink.state.descriptors import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    ReducingStateDescriptor,
    ValueStateDescriptor,
)
from shmflink.testing.operator_harness import OperatorHarness

ANY = Types.PICKLED_BYTE_ARRAY()
LATE = OutputTag("late")


class Contents:
    """Emits (key, start, end, values) of a window."""

    def process(self, key: Any, context: Any, elements: Any) -> Iterator[Any]:
        window = context.window()
        bounds = (window.start, window.end) if hasattr(window, "start") else (window,)
        yield (key, *bounds, [value for _, value in elements])

    def clear(self, context: Any) -> None:
        pass


def bench_of(
    assigner: WindowAssigner,
    trigger: Trigger | None = None,
    function: Any = None,
    contents: Any = None,
    **options: Any,
) -> OperatorHarness:
    mode = {"is_batch": options.pop("is_batch", False)}
    spec = WindowSpec(
        assigner,
        trigger or assigner.get_default_trigger(None),
        contents or ListStateDescriptor(WINDOW_STATE_NAME, ANY),
        **options,
    )
    operator = WindowOperator(spec, Contents() if contents is None and function is None else function)
    return OperatorHarness(operator, key_selector=lambda row: row[0], **mode)


def send(bench: OperatorHarness, *rows: tuple[Any, int]) -> None:
    """Rows (key, timestamp): the value is the timestamp."""
    bench.process_rows(list(rows), timestamps=[stamp for _, stamp in rows])


def tumbling(size: int = 10) -> TumblingEventTimeWindows:
    return TumblingEventTimeWindows.of(Time.milliseconds(size))


def test_a_window_fires_when_the_watermark_passes_its_last_millisecond() -> None:
    with bench_of(tumbling()) as bench:
        send(bench, ("a", 1), ("a", 9), ("a", 10), ("b", 5))
        bench.process_watermark(8)
        assert bench.rows() == []
        bench.process_watermark(9)
        assert sorted(bench.rows()) == [("a", 0, 10, [1, 9]), ("b", 0, 10, [5])]
        assert bench.timestamps() == [9, 9]  # a result's time is the window's last
        bench.process_control(MAX_WATERMARK)
        assert bench.rows()[2:] == [("a", 10, 20, [10])]
        assert bench.operator.state.table(WINDOW_STATE_NAME).entries() == {}  # type: ignore[attr-defined]
        assert len(bench.operator.timers.event_timers) == 0  # type: ignore[attr-defined]


def test_windows_are_aligned_to_the_epoch_and_the_offset_also_before_1970() -> None:
    with bench_of(TumblingEventTimeWindows.of(Time.milliseconds(10), Time.milliseconds(3))) as bench:
        send(bench, ("a", -8), ("a", -7), ("a", 2), ("a", 3))
        bench.process_control(MAX_WATERMARK)
        assert [row[1:3] for row in bench.rows()] == [(-17, -7), (-7, 3), (3, 13)]


def test_sliding_windows_may_begin_before_zero() -> None:
    with bench_of(SlidingEventTimeWindows.of(Time.milliseconds(5), Time.milliseconds(2))) as bench:
        send(bench, ("a", 1), ("a", 2))
        bench.process_control(MAX_WATERMARK)
        assert bench.rows() == [("a", -2, 3, [1, 2]), ("a", 0, 5, [1, 2]), ("a", 2, 7, [2])]


def test_an_element_is_late_only_where_all_its_windows_are_over() -> None:
    with bench_of(SlidingEventTimeWindows.of(Time.milliseconds(10), Time.milliseconds(5)), late_data=LATE) as bench:
        bench.process_watermark(12)
        send(bench, ("a", 7), ("a", 4))  # 7 is in [0, 10), which is over, and in [5, 15)
        bench.process_control(MAX_WATERMARK)
        assert bench.rows() == [("a", 5, 15, [7])]
        assert bench.side_output("late") == [("a", 4)]


def test_an_allowed_late_element_fires_again_with_all_contents_until_the_lateness_is_over() -> None:
    with bench_of(tumbling(), allowed_lateness_ms=5, late_data=LATE) as bench:
        send(bench, ("a", 1))
        bench.process_watermark(9)
        send(bench, ("a", 2))
        assert bench.rows() == [("a", 0, 10, [1]), ("a", 0, 10, [1, 2])]
        bench.process_watermark(14)
        send(bench, ("a", 3))
        assert len(bench.rows()) == 2
        assert bench.side_output("late") == [("a", 3)]


def test_late_elements_without_a_side_output_are_counted() -> None:
    """[T7]"""
    with bench_of(tumbling()) as bench:
        bench.process_watermark(100)
        send(bench, ("a", 3), ("b", 4))
        assert bench.rows() == []
        assert bench.operator._late_dropped.get_count() == 2  # type: ignore[attr-defined]


def test_sessions_that_touch_are_one_and_a_late_element_may_join_two() -> None:
    with bench_of(EventTimeSessionWindows.with_gap(Time.milliseconds(10))) as bench:
        send(bench, ("a", 0), ("a", 10), ("a", 30), ("b", 0))  # exactly the gap: one session
        send(bench, ("a", 20))
        bench.process_control(MAX_WATERMARK)
        by_key = sorted((key, start, end, sorted(values)) for key, start, end, values in bench.rows())
        assert by_key == [("a", 0, 40, [0, 10, 20, 30]), ("b", 0, 10, [0])]
        assert bench.operator.state.table("merging-window-set").entries() == {}  # type: ignore[attr-defined]
        assert len(bench.operator.timers.event_timers) == 0  # type: ignore[attr-defined]


def test_a_session_by_processing_time_ends_after_the_gap() -> None:
    with bench_of(ProcessingTimeSessionWindows.with_gap(Time.milliseconds(10))) as bench:
        send(bench, ("a", 1))
        bench.advance_processing_time_ms(8)
        send(bench, ("a", 2))
        bench.advance_processing_time_ms(9)
        assert bench.rows() == []
        bench.advance_processing_time_ms(1)
        assert bench.rows() == [("a", 0, 18, [1, 2])]


def test_processing_time_windows_fire_by_the_clock() -> None:
    with bench_of(TumblingProcessingTimeWindows.of(Time.milliseconds(10))) as bench:
        bench.advance_processing_time_ms(3)
        send(bench, ("a", 1))
        bench.advance_processing_time_ms(6)
        send(bench, ("a", 2))
        assert bench.rows() == []
        bench.advance_processing_time_ms(1)
        assert bench.rows() == [("a", 0, 10, [1, 2])]
        assert bench.operator.state.table(WINDOW_STATE_NAME).entries() == {}  # type: ignore[attr-defined]


def test_reduce_keeps_one_value_and_its_function_sees_one_element() -> None:
    total = ReducingStateDescriptor(WINDOW_STATE_NAME, lambda a, b: (a[0], a[1] + b[1]), ANY)
    with bench_of(tumbling(), contents=total) as bench:
        send(bench, ("a", 1), ("a", 2), ("a", 3))
        assert list(bench.operator.state.table(WINDOW_STATE_NAME).entries().values()) == [("a", 6)]  # type: ignore[attr-defined]
        bench.process_control(MAX_WATERMARK)
        assert bench.rows() == [("a", 6)]


class Average:
    def create_accumulator(self) -> tuple[int, int]:
        return 0, 0

    def add(self, value: Any, accumulator: tuple[int, int]) -> tuple[int, int]:
        return accumulator[0] + value[1], accumulator[1] + 1

    def get_result(self, accumulator: tuple[int, int]) -> float:
        return accumulator[0] / accumulator[1]

    def merge(self, a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
        return a[0] + b[0], a[1] + b[1]


def test_aggregate_with_a_process_function_and_merging_sessions() -> None:
    class Named:
        def process(self, key: Any, context: Any, elements: Any) -> Iterator[Any]:
            (average,) = elements
            yield (key, context.window().start, average)

        def clear(self, context: Any) -> None:
            pass

    contents = AggregatingStateDescriptor(WINDOW_STATE_NAME, Average(), ANY)
    gap = EventTimeSessionWindows.with_gap(Time.milliseconds(10))
    with bench_of(gap, contents=contents, function=Named()) as bench:
        send(bench, ("a", 0), ("a", 16), ("a", 8))
        bench.process_control(MAX_WATERMARK)
        assert bench.rows() == [("a", 0, 8.0)]


def test_count_windows_fire_full_and_never_otherwise() -> None:
    with bench_of(CountTumblingWindowAssigner.of(2)) as bench:
        send(bench, ("a", 1), ("b", 2), ("a", 3), ("a", 4), ("b", 5))
        bench.process_control(MAX_WATERMARK)
        bench.finish()
        assert [(row[0], row[-1]) for row in bench.rows()] == [("a", [1, 3]), ("b", [2, 5])]
    with bench_of(CountSlidingWindowAssigner.of(3, 1)) as bench:
        send(bench, *(("a", stamp) for stamp in range(5)))
        assert [row[-1] for row in bench.rows()] == [[0, 1, 2], [1, 2, 3], [2, 3, 4]]


def test_a_global_window_fires_by_its_trigger_alone_and_purging_empties_it() -> None:
    for trigger, expected in (
        (CountTrigger(2), [[1, 2], [1, 2, 3, 4]]),
        (PurgingTrigger(CountTrigger(2)), [[1, 2], [3, 4]]),
    ):
        with bench_of(GlobalWindows.create(), trigger) as bench:
            send(bench, *(("a", stamp) for stamp in (1, 2, 3, 4, 5)))
            bench.process_control(MAX_WATERMARK)
            assert [row[-1] for row in bench.rows()] == expected


def test_a_continuous_trigger_fires_early_with_what_there_is() -> None:
    with bench_of(tumbling(), ContinuousEventTimeTrigger.of(Time.milliseconds(4))) as bench:
        send(bench, ("a", 1))
        bench.process_watermark(4)
        send(bench, ("a", 6))
        bench.process_control(MAX_WATERMARK)
        assert bench.rows() == [("a", 0, 10, [1]), ("a", 0, 10, [1, 6]), ("a", 0, 10, [1, 6])]


def test_an_evictor_keeps_the_last_elements() -> None:
    with bench_of(GlobalWindows.create(), CountTrigger(2), evictor=CountEvictor.of(3)) as bench:
        send(bench, *(("a", stamp) for stamp in range(1, 7)))
        assert [row[-1] for row in bench.rows()] == [[1, 2], [2, 3, 4], [4, 5, 6]]


def test_state_of_the_window_goes_with_it_and_state_of_the_key_stays() -> None:
    class Counting:
        def process(self, key: Any, context: Any, elements: Any) -> Iterator[Any]:
            fired = context.window_state().get_state(ValueStateDescriptor("fired", Types.LONG()))
            total = context.global_state().get_state(ValueStateDescriptor("total", Types.LONG()))
            fired.update((fired.value() or 0) + 1)
            total.update((total.value() or 0) + 1)
            yield (context.window().start, fired.value(), total.value())

        def clear(self, context: Any) -> None:
            context.window_state().get_state(ValueStateDescriptor("fired", Types.LONG())).clear()

    with bench_of(tumbling(), function=Counting(), allowed_lateness_ms=5) as bench:
        send(bench, ("a", 1), ("a", 11))
        bench.process_watermark(9)
        send(bench, ("a", 2))
        bench.process_control(MAX_WATERMARK)
        assert bench.rows() == [(0, 1, 1), (0, 2, 2), (10, 1, 3)]
        assert bench.operator.state.table("fired").entries() == {}  # type: ignore[attr-defined]
        assert bench.operator.state.table("total").entries() == {"a": 3}  # type: ignore[attr-defined]


def test_batch_mode_fires_once_for_each_window_of_a_key() -> None:
    with bench_of(SlidingEventTimeWindows.of(Time.milliseconds(10), Time.milliseconds(5)), is_batch=True) as bench:
        send(bench, ("a", 12), ("b", 3), ("a", 1))
        bench.process_control(MAX_WATERMARK)
        bench.finish()
        assert bench.rows() == [
            ("a", -5, 5, [1]),
            ("a", 0, 10, [1]),
            ("a", 5, 15, [12]),
            ("a", 10, 20, [12]),
            ("b", -5, 5, [3]),
            ("b", 0, 10, [3]),
        ]


def test_event_time_windows_need_timestamps() -> None:
    with bench_of(tumbling()) as bench, pytest.raises(UsageError, match=r"no timestamp.*assign_timestamps"):
        bench.process_rows([("a", 1)])


def test_a_window_function_that_fails_names_window_and_key() -> None:
    class Fails:
        def process(self, key: Any, context: Any, elements: Any) -> Iterator[Any]:
            raise ValueError("bad window")

    with bench_of(tumbling(), function=Fails()) as bench:
        send(bench, ("a", 1))
        with pytest.raises(UserFunctionError, match=r"TimeWindow\(start=0, end=10\) of key 'a'"):
            bench.process_watermark(20)
