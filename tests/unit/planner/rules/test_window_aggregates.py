"""Aggregates by key and window: a local half before the exchange, a global half after it, both by panes."""

from __future__ import annotations

from typing import Any

import pytest
from oracle.plan_writer import PlanWriter

from shmflink.common import Time, WatermarkStrategy
from shmflink.expressions import col, count
from shmflink.operators.windows.assigners import (
    EventTimeSessionWindows,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
)
from shmflink.plan.calls import AssignTimestamps, WindowAggregate, Windows
from shmflink.plan.node import Node
from shmflink.planner.lowered import Subtasks
from shmflink.planner.rules import lowered

SECONDS = TumblingEventTimeWindows.of(Time.seconds(1))
USER = (("user", col("user")),)
COUNT = (("n", count()),)


def timed(writer: PlanWriter) -> Node:
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_column("price")
    node: Node = writer.call(AssignTimestamps(strategy), writer.table())
    return node


@pytest.mark.parametrize(
    "assigner",
    [SECONDS, SlidingEventTimeWindows.of(Time.seconds(4), Time.seconds(1)), EventTimeSessionWindows(1000)],
)
def test_windows_of_fixed_times_are_two_native_operators(writer: PlanWriter, assigner: Any) -> None:
    windows = writer.call(WindowAggregate(Windows(assigner), USER, COUNT, "start", "end"), timed(writer))
    assert writer.drawn()[2:] == ["2 FORWARD > 3 LocalWindowAggregate", "3 HASH > 5 WindowAggregate"]
    assert writer.block(windows) == [
        f"WindowAggregate WindowAggregate({assigner}; by user; count() AS n) ◀ [2] job.py:3",
        "columns user: string, start: timestamp[ms], end: timestamp[ms], n: int64",
        "why native: pre-aggregated by window in the tasks that produce the rows, then merged by key and window",
        "becomes LocalWindowAggregate (4) ─ HASH user ▶ WindowAggregate (4)",
    ]


def test_windows_of_all_rows_end_in_one_subtask(writer: PlanWriter) -> None:
    windows = writer.call(WindowAggregate(Windows(SECONDS, is_all=True), (), COUNT, None, None), timed(writer))
    made = lowered(windows.call, [timed(writer)])
    assert made.operators[-1].subtasks is Subtasks.ONE
    assert writer.block(windows)[1] == "columns n: int64"
    assert writer.block(windows)[-1] == "becomes LocalWindowAggregate (4) ─ GLOBAL ▶ WindowAggregate (1)"


def test_expressions_over_several_aggregates_are_part_of_the_global_half(writer: PlanWriter) -> None:
    mean = (("mean", col("price").sum / col("price").count),)
    windows = writer.call(WindowAggregate(Windows(SECONDS), USER, mean, None, "end"), timed(writer))
    assert [piece.name for piece in lowered(windows.call, [timed(writer)]).pieces] == [
        "LocalWindowAggregate",
        "WindowAggregate",
    ]
    assert windows.output_type is not None
    assert "user: string, end: timestamp[ms], mean: " in writer.block(windows)[1]
