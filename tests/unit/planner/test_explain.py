"""The logical plan as `shmflink info --logical` prints it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

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
from shmflink.planner.explain import explain
from shmflink.planner.lowering import lower
from shmflink.planner.stream_graph_builder import StreamGraphOptions, build_stream_graph

SECONDS = TumblingEventTimeWindows.of(Time.seconds(1))
USER = (("user", col("user")),)


def double(value: Any) -> Any:
    return value * 2


class Mine(EventTimeTrigger):
    """A trigger of the user's own."""


def explained(writer: Any, **options: Any) -> str:
    plan = writer.plan
    return explain(plan, build_stream_graph(lower(plan), "job", StreamGraphOptions(4, **options)))


def block(text: str, number: int) -> list[str]:
    """The lines of one call, without what is in front of them."""
    (found,) = [part for part in text.split("\n\n") if part.startswith(f"[{number}] ")]
    return [" ".join(line.split()) for line in found.splitlines()]


def test_each_call_says_what_it_reads_where_it_stands_and_what_becomes_of_it(writer: Any) -> None:
    table = writer.table()
    aggregated = writer.call(Aggregate(USER, (("n", count()), ("top", col("price").max + 1))), table)
    writer.nodes[-1] = replace(aggregated, name="totals", settings=replace(aggregated.settings, uid="totals"))
    writer.call(Write(DiscardSink(), "Nowhere"), aggregated)
    text = explained(writer)
    assert text.startswith("job\nstreaming · 3 calls · 5 operators\n\n[1] Read  table ")
    assert block(text, 2) == [
        "[2] Aggregate Aggregate(by user; count() AS n, max(price) + 1 AS top) ◀ [1] job.py:2",
        "name totals",
        "uid totals",
        "columns user: string, n: int64, top: int64",
        "why native: aggregated where the rows are made, then once more for each key",
        "becomes LocalAggregate (4) ─ HASH user ▶ Aggregate (4): updates by user → totals (4): updates by user",
    ]


def test_a_call_that_is_no_operator_says_so(writer: Any) -> None:
    table = writer.table()
    both = writer.call(Union(), table, writer.table())
    spread = writer.call(Partition(ShipStrategy.REBALANCE), both)
    writer.call(Map(double, Types.INT()), spread)
    text = explained(writer)
    assert block(text, 3)[0] == "[3] Union Union ◀ [1], [2] job.py:3"
    assert block(text, 3)[2] == "why no operator: its consumers read all inputs"
    assert block(text, 4)[2] == "why no operator: REBALANCE edge"
    assert "why per record: calls" in block(text, 5)[2]
    assert block(text, 5)[3] == "becomes ─ REBALANCE ▶ Map (4)"


def test_what_moved_into_the_source_is_told_and_what_runs_as_one(writer: Any) -> None:
    table = writer.table(pa.table({"user": ["a"], "price": [1], "more": [2]}))
    kept = writer.call(FilterColumns(col("price") > 1), table)
    chosen = writer.call(Select((("user", col("user")),), "Select", "user"), kept)
    writer.call(Write(DiscardSink(), "Nowhere"), chosen)
    text = explained(writer)
    assert block(text, 1)[2] == "why source; reads less: columns=[user, price]"
    assert block(text, 2)[-1] == "fused one operator with [3]"
    assert block(text, 3)[-1] == "fused one operator with [2]"


@pytest.mark.parametrize(
    ("windows", "why"),
    [
        (Windows(SECONDS, Mine()), "per record: the trigger is a user's class, Mine"),
        (Windows(SECONDS, CountTrigger(2)), "per record: the trigger is a CountTrigger"),
        (Windows(SECONDS), "double"),
    ],
)
def test_windows_say_what_keeps_them_from_being_native(writer: Any, windows: Windows, why: str) -> None:
    strategy = WatermarkStrategy.for_monotonous_timestamps()
    keyed = writer.call(KeyBy(USER), writer.call(AssignTimestamps(strategy), writer.table()))
    trigger = windows.trigger or EventTimeTrigger()
    made = writer.call(WindowApply(windows, trigger, "reduce", double), keyed)
    assert why in block(explained(writer), made.id)[2]


def test_windows_over_expressions_are_native(writer: Any) -> None:
    timed = writer.call(AssignTimestamps(WatermarkStrategy.for_monotonous_timestamps()), writer.table())
    made = writer.call(WindowAggregate(Windows(SECONDS), USER, (("n", count()),), "start", None), timed)
    lines = block(explained(writer), made.id)
    assert lines[1:] == [
        "columns user: string, start: timestamp[ms], n: int64",
        "why native: aggregated by window where the rows are made, then once more for each key and window",
        "becomes LocalWindowAggregate (4) ─ HASH user ▶ WindowAggregate (4)",
    ]


def test_an_operator_that_exists_twice_is_told_twice(writer: Any) -> None:
    counts = writer.call(Aggregate(USER, (("n", count()),)), writer.table())
    writer.call(Map(double), counts)
    writer.call(Map(double), writer.call(Final(), counts))
    lines = block(explained(writer), counts.id)
    assert lines[-1].endswith("▶ Aggregate (4): final rows")
    assert "Aggregate (4): updates by user" in lines[-1]
