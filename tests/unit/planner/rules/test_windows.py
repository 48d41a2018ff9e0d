"""Windows: which call a function per record, which are native, and which are refused."""

from __future__ import annotations

from typing import Any

import pytest
from oracle.plan_writer import PlanWriter

from shmflink.common import Time, WatermarkStrategy
from shmflink.datastream import AggregateFunction
from shmflink.errors import JobGraphError, TypeMismatchError
from shmflink.expressions import col, count
from shmflink.operators.windows.assigners import (
    CountTumblingWindowAssigner,
    EventTimeSessionWindows,
    TumblingEventTimeWindows,
)
from shmflink.operators.windows.evictors import CountEvictor
from shmflink.operators.windows.triggers import CountTrigger, DeltaTrigger, EventTimeTrigger
from shmflink.plan.calls import AssignTimestamps, WindowAggregate, WindowApply, Windows
from shmflink.plan.node import Node
from shmflink.planner.lowered import Subtasks
from shmflink.planner.rules import lowered
from shmflink.planner.rules.windows import check_timestamps

SECONDS = TumblingEventTimeWindows.of(Time.seconds(1))
SESSIONS = EventTimeSessionWindows.with_gap(Time.seconds(1))
USER = (("user", col("user")),)
COUNT = (("n", count()),)


class WithoutMerge(AggregateFunction):
    merge = None  # type: ignore[assignment]

    def create_accumulator(self) -> int:
        return 0

    def add(self, value: Any, accumulator: int) -> int:
        return accumulator

    def get_result(self, accumulator: int) -> int:
        return accumulator


def timed(writer: PlanWriter) -> Node:
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_column("price")
    node: Node = writer.call(AssignTimestamps(strategy), writer.table())
    return node


def test_windows_of_all_elements_run_in_one_subtask_for_good(writer: PlanWriter) -> None:
    call = WindowApply(Windows(SECONDS, is_all=True), EventTimeTrigger(), "reduce", min)
    windows = writer.call(call, timed(writer))
    made = lowered(call, [timed(writer)])
    assert made.operators[0].subtasks is Subtasks.ONE_FOR_GOOD
    assert writer.block(windows)[0] == (
        "WindowApply AllWindow(TumblingEventTimeWindows(1000, 0), EventTimeTrigger) ◀ [2] job.py:3"
    )
    assert writer.block(windows)[-1] == "becomes KeyBy (4) ─ HASH ▶ TumblingEventTimeWindows (1)"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            WindowApply(Windows(SECONDS, evictor=CountEvictor.of(1)), EventTimeTrigger(), "reduce", min),
            "an evictor needs the elements",
        ),
        (WindowApply(Windows(SESSIONS), DeltaTrigger.of(1, min), "reduce", min), r"can_merge\(\) is False"),
        (WindowApply(Windows(SESSIONS), EventTimeTrigger(), "aggregate", WithoutMerge()), "must define merge"),
        (WindowAggregate(Windows(SECONDS, CountTrigger(1)), USER, COUNT, "s", "e"), "default trigger, not with Count"),
        (WindowAggregate(Windows(CountTumblingWindowAssigner(2)), USER, COUNT, "s", "e"), "works with tumbling"),
    ],
)
def test_windows_that_cannot_be_are_refused(writer: PlanWriter, call: Any, message: str) -> None:
    with pytest.raises(JobGraphError, match=message):
        lowered(call, [timed(writer)])


def test_columns_of_the_window_have_names_of_their_own(writer: PlanWriter) -> None:
    with pytest.raises(TypeMismatchError, match="`n` is the window's column"):
        lowered(WindowAggregate(Windows(SECONDS), USER, COUNT, "n", None), [timed(writer)])


def test_event_time_windows_need_rows_that_may_have_times(writer: PlanWriter) -> None:
    table = writer.table()
    with pytest.raises(JobGraphError, match="the stream of 'a' and 'b' has none"):
        check_timestamps(table, SECONDS, lambda: ["a", "b", "a"])
    check_timestamps(timed(writer), SECONDS, list)
