"""Calls that are not operators: edges of their consumers, `final()` and `updates()`."""

from __future__ import annotations

import pytest
from oracle.plan_writer import PlanWriter

from shmflink.common import Types
from shmflink.connectors.collection import CollectionSource
from shmflink.connectors.discard import DiscardSink
from shmflink.core.output_tag import OutputTag
from shmflink.core.ship_strategy import ShipStrategy
from shmflink.core.types.typeinfo import TypeInformation
from shmflink.errors import TypeMismatchError
from shmflink.expressions import col, count
from shmflink.plan.calls import Aggregate, EveryUpdate, Final, Map, Partition, Read, SideOutput, Union, Write
from shmflink.planner.rules import lowered

COUNTS = Aggregate((("user", col("user")),), (("n", count()),))


class Telling(CollectionSource):
    """A source with a side output whose type it knows."""

    def side_output_type(self, tag: str) -> TypeInformation | None:
        return Types.LONG() if tag == "malformed" else None


@pytest.mark.parametrize("strategy", [s for s in ShipStrategy if s not in (ShipStrategy.HASH, ShipStrategy.CUSTOM)])
def test_a_partitioning_is_the_edge_of_its_consumer(writer: PlanWriter, strategy: ShipStrategy) -> None:
    spread = writer.call(Partition(strategy), writer.table())
    doubled = writer.call(Map(len), spread)
    assert writer.drawn() == ["1 Source: table", f"1 {strategy} > 3 Map"]
    assert not spread.call.is_operator
    assert writer.block(spread)[-1] == f"why no operator: {strategy} edge"
    way = "" if strategy is ShipStrategy.FORWARD else f"─ {strategy} ▶ "
    assert writer.block(doubled)[-1] == f"becomes {way}Map (4)"


def test_of_several_partitionings_the_last_one_counts(writer: PlanWriter) -> None:
    table = writer.table()
    twice = writer.call(Partition(ShipStrategy.SHUFFLE), writer.call(Partition(ShipStrategy.REBALANCE), table))
    writer.call(Map(len), twice)
    assert writer.drawn() == ["1 Source: table", "1 SHUFFLE > 4 Map"]


def test_consumers_of_a_union_read_all_of_it(writer: PlanWriter) -> None:
    first, second = writer.table(), writer.table()
    both = writer.call(Union(), first, writer.call(Partition(ShipStrategy.REBALANCE), second))
    mapped = writer.call(Map(len), both)
    assert writer.drawn() == ["1 Source: table", "2 Source: table", "1 FORWARD, 2 REBALANCE > 5 Map"]
    assert writer.block(both) == [
        "Union Union ◀ [1], [3] job.py:4",
        "columns user: string, price: int64",
        "why no operator: its consumers read all inputs",
    ]
    assert (both.branches, both.unions) == (2, 1)
    assert writer.block(mapped)[-1] == "becomes ─ REBALANCE ▶ Map (4)"
    with pytest.raises(TypeMismatchError, match=r"different types: Columns.* and None"):
        lowered(Union(), [first, mapped])


def test_a_side_output_is_an_edge_with_the_tags_type(writer: PlanWriter) -> None:
    table = writer.table()
    late = writer.call(SideOutput(OutputTag("late", Types.STRING())), table)
    writer.call(Map(len), late)
    writer.call(Write(DiscardSink(), "Nowhere"), table)
    (edge,) = writer.graph().nodes[3].in_edges
    assert (edge.source, edge.output_tag, edge.row_type) == (table.id, "late", Types.STRING())
    assert writer.block(late) == [
        "SideOutput side output 'late' ◀ [1] job.py:2",
        "columns value: string",
        "why no operator: a separate edge",
    ]


def test_a_source_knows_the_types_of_its_side_outputs(writer: PlanWriter) -> None:
    rows = writer.call(Read(Telling([1], Types.INT()), "rows", Types.INT()))
    assert lowered(SideOutput(OutputTag("malformed")), [rows]).output_type == Types.LONG()
    assert lowered(SideOutput(OutputTag("other")), [rows]).output_type is None
    assert lowered(SideOutput(OutputTag("malformed", Types.STRING())), [rows]).output_type == Types.STRING()


def test_final_rows_are_made_by_the_aggregate_in_front(writer: PlanWriter) -> None:
    counts = writer.call(COUNTS, writer.table())
    last = writer.call(Final(), counts)
    read = writer.call(Map(len), last)
    assert writer.drawn() == [
        "1 Source: table",
        "1 FORWARD > 2 LocalAggregate",
        "2 HASH > 4 Aggregate",
        f"4 FORWARD > {read.id} Map",
    ]
    assert writer.block(last) == [
        "Final final() ◀ [2] job.py:3",
        "columns user: string, n: int64",
        "why no operator: the aggregates before it emit at the end of their input",
    ]
    assert writer.block(counts)[-1].endswith("▶ Aggregate (4): final rows")


def test_every_update_is_a_row_of_its_own(writer: PlanWriter) -> None:
    counts = writer.call(COUNTS, writer.table())
    log = writer.call(EveryUpdate(), counts)
    again = writer.call(Aggregate((), (("updates", count()),)), log)
    assert writer.block(log)[-1] == "why no operator: every update is a row"
    assert writer.block(counts)[-1].endswith("▶ Aggregate (4): updates by user")
    assert writer.drawn()[-2:] == [f"4 FORWARD > {again.id} LocalAggregate", f"{again.id} GLOBAL > 8 Aggregate"]
