"""The logical plan as `shmflink info --logical` prints it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from oracle.plan_writer import PlanWriter

from shmflink.common import Time, Types, WatermarkStrategy
from shmflink.connectors.discard import DiscardSink
from shmflink.core.ship_strategy import ShipStrategy
from shmflink.expressions import col, count
from shmflink.operators.windows.assigners import TumblingEventTimeWindows
from shmflink.operators.windows.triggers import CountTrigger, EventTimeTrigger
from shmflink.plan.calls import (
    Aggregate,
    AssignTimestamps,
    FilterColumns,
    Final,
    KeyBy,
    Map,
    Partition,
    Select,
    Union,
    WindowAggregate,
    WindowApply,
    Windows,
    Write,
)

SECONDS = TumblingEventTimeWindows.of(Time.seconds(1))
USER = (("user", col("user")),)


def double(value: Any) -> Any:
    return value * 2


class Mine(EventTimeTrigger):
    """A trigger of the user's own."""


def test_each_call_says_what_it_reads_where_it_stands_and_what_becomes_of_it(writer: PlanWriter) -> None:
    table = writer.table()
    aggregated = writer.call(Aggregate(USER, (("n", count()), ("top", col("price").max + 1))), table)
    writer.nodes[-1] = replace(aggregated, name="totals", settings=replace(aggregated.settings, uid="totals"))
    writer.call(Write(DiscardSink(), "Nowhere"), aggregated)
    text = writer.explained()
    assert text.startswith("job\nstreaming · 3 calls · 5 operators\n\n[1] Read  table ")
    assert writer.block(aggregated) == [
        "Aggregate Aggregate(by user; count() AS n, max(price) + 1 AS top) ◀ [1] job.py:2",
        "name totals",
        "uid totals",
        "columns user: string, n: int64, top: int64",
        "why native: pre-aggregated in the tasks that produce the rows, then merged by key",
        "becomes LocalAggregate (4) ─ HASH user ▶ Aggregate (4): updates by user → totals (4): updates by user",
    ]


def test_a_call_that_is_no_operator_says_so(writer: PlanWriter) -> None:
    table = writer.table()
    both = writer.call(Union(), table, writer.table())
    spread = writer.call(Partition(ShipStrategy.REBALANCE), both)
    mapped = writer.call(Map(double, Types.INT()), spread)
    assert writer.block(both)[0] == "Union Union ◀ [1], [2] job.py:3"
    assert writer.block(both)[2] == "why no operator: its consumers read all inputs"
    assert writer.block(spread)[2] == "why no operator: REBALANCE edge"
    assert "why per record: calls" in writer.block(mapped)[2]
    assert writer.block(mapped)[3] == "becomes ─ REBALANCE ▶ Map (4)"


def test_what_moved_into_the_source_is_told_and_what_runs_as_one(writer: PlanWriter) -> None:
    table = writer.table(pa.table({"user": ["a"], "price": [1], "more": [2]}))
    kept = writer.call(FilterColumns(col("price") > 1), table)
    chosen = writer.call(Select((("user", col("user")),), "Select", "user"), kept)
    writer.call(Write(DiscardSink(), "Nowhere"), chosen)
    assert writer.block(table)[2] == "why source; reads less: columns=[user, price]"
    assert writer.block(kept)[-1] == "fused one operator with [3]"
    assert writer.block(chosen)[-1] == "fused one operator with [2]"


@pytest.mark.parametrize(
    ("windows", "why"),
    [
        (Windows(SECONDS, Mine()), "per record: the trigger is a user's class, Mine"),
        (Windows(SECONDS, CountTrigger(2)), "per record: the trigger is a CountTrigger"),
        (Windows(SECONDS), "double"),
    ],
)
def test_windows_say_what_keeps_them_from_being_native(writer: PlanWriter, windows: Windows, why: str) -> None:
    strategy = WatermarkStrategy.for_monotonous_timestamps()
    keyed = writer.call(KeyBy(USER), writer.call(AssignTimestamps(strategy), writer.table()))
    trigger = windows.trigger or EventTimeTrigger()
    made = writer.call(WindowApply(windows, trigger, "reduce", double), keyed)
    assert why in writer.block(made)[2]


def test_windows_over_expressions_are_native(writer: PlanWriter) -> None:
    timed = writer.call(AssignTimestamps(WatermarkStrategy.for_monotonous_timestamps()), writer.table())
    made = writer.call(WindowAggregate(Windows(SECONDS), USER, (("n", count()),), "start", None), timed)
    lines = writer.block(made)
    assert lines[1:] == [
        "columns user: string, start: timestamp[ms], n: int64",
        "why native: pre-aggregated by window in the tasks that produce the rows, then merged by key and window",
        "becomes LocalWindowAggregate (4) ─ HASH user ▶ WindowAggregate (4)",
    ]


def test_an_operator_that_exists_twice_is_told_twice(writer: PlanWriter) -> None:
    counts = writer.call(Aggregate(USER, (("n", count()),)), writer.table())
    writer.call(Map(double), counts)
    writer.call(Map(double), writer.call(Final(), counts))
    lines = writer.block(counts)
    assert lines[-1].endswith("▶ Aggregate (4): final rows")
    assert "Aggregate (4): updates by user" in lines[-1]
