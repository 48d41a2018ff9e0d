"""Sources and sinks: one node each, at the parallelism that their connector allows."""

from __future__ import annotations

from typing import Any

import pytest
from oracle.plan_writer import PlanWriter

from shmflink.common import Types, WatermarkStrategy
from shmflink.connectors.collection import CollectionSource
from shmflink.connectors.discard import DiscardSink
from shmflink.core.types.typeinfo import TypeInformation
from shmflink.errors import TypeMismatchError
from shmflink.plan.calls import Map, Read, Write
from shmflink.planner.rules import lowered


class Typed(DiscardSink):
    """A sink that wants to know the type of its rows."""

    rows: TypeInformation | None = None

    def with_input_type(self, declared: Any) -> Typed:
        if declared is None:
            raise TypeMismatchError("Typed needs a declared type")
        made = Typed()
        made.rows = declared
        return made


def test_a_source_is_one_node_with_its_own_type(writer: PlanWriter) -> None:
    table = writer.table()
    made = lowered(table.call, [])
    assert (made.name, made.output_type, made.pieces, made.routing) == ("table", table.output_type, (), None)
    assert writer.following == 2
    writer.call(Write(DiscardSink(), "Nowhere"), table)
    assert writer.drawn() == ["1 Source: table", "1 FORWARD > 2 Sink: Nowhere"]
    assert writer.block(table) == [
        "Read table job.py:1",
        "columns user: string, price: int64",
        "why source",
        "becomes Source: table (4)",
    ]


def test_a_source_that_one_subtask_reads_feeds_all_subtasks_behind_it(writer: PlanWriter) -> None:
    items = writer.call(Read(CollectionSource([1, 2], Types.INT()), "items", Types.INT()))
    writer.call(Write(DiscardSink(), "Nowhere"), items)
    assert items.settings.is_parallelism_fixed
    assert writer.drawn() == ["1 Source: items", "1 REBALANCE > 2 Sink: Nowhere"]
    assert writer.block(items)[1:] == ["columns value: int32", "why source", "becomes Source: items (1)"]


def test_the_watermarks_of_a_source_are_made_in_it(writer: PlanWriter) -> None:
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_column("price")
    source = writer.table().call.source
    timed = writer.call(Read(source, "timed", source.produced_type, strategy))
    writer.call(Write(DiscardSink(), "Nowhere"), timed)
    assert timed.has_timestamps
    assert writer.graph().nodes[timed.id].watermark_strategy is strategy


def test_a_sink_learns_the_type_of_its_rows_and_the_plan_keeps_the_one_that_was_given(writer: PlanWriter) -> None:
    sink, table = Typed(), writer.table()
    written = writer.call(Write(sink, "Typed"), table)
    payload = writer.graph().nodes[written.id].payload
    assert (payload.rows, written.call.sink, sink.rows) == (table.output_type, sink, None)
    assert writer.block(written) == [
        "Write Typed ◀ [1] job.py:2",
        "columns user: string, price: int64",
        "why sink",
        "becomes Sink: Typed (4)",
    ]
    with pytest.raises(TypeMismatchError, match="Typed needs a declared type"):
        lowered(Write(sink, "Typed"), [writer.call(Map(len), table)])
