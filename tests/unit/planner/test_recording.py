"""A call becomes a node: its name, numbers, settings, and whether its rows may have event times."""

from __future__ import annotations

from typing import Any

import pytest
from oracle.plan_writer import PlanWriter

from shmflink.common import WatermarkStrategy
from shmflink.connectors.collection import CollectionSource
from shmflink.connectors.discard import DiscardSink
from shmflink.core.ship_strategy import ShipStrategy
from shmflink.datastream import KeyedProcessFunction
from shmflink.errors import TypeMismatchError
from shmflink.expressions import col, count
from shmflink.plan.calls import (
    Aggregate,
    AssignTimestamps,
    FilterColumns,
    KeyBy,
    Map,
    Partition,
    Process,
    Read,
    Union,
    Write,
)
from shmflink.plan.settings import ChainingStrategy, Settings

COUNTS = Aggregate((("user", col("user")),), (("n", count()),))


class Nothing(KeyedProcessFunction):
    def process_element(self, value: Any, ctx: Any) -> Any:
        """Emits nothing."""


def test_a_node_has_the_number_of_its_first_operator(writer: PlanWriter) -> None:
    table = writer.table()
    counts = writer.call(COUNTS, table)  # a local half, the way to the keys, a global half
    assert [node.id for node in (table, counts, writer.call(Map(len), counts))] == [1, 2, 5]


def test_both_branches_of_a_union_count(writer: PlanWriter) -> None:
    both = writer.call(Union(), writer.call(Union(), writer.table(), writer.table()), writer.table())
    counts = writer.call(COUNTS, both)
    assert (both.branches, both.unions, counts.id) == (3, 2, 6)
    assert writer.following == counts.id + 3 + 2 + 2  # a local half in each branch, the unions of these, the rest


@pytest.mark.parametrize(
    ("call", "settings"),
    [
        (Map(len), Settings(4)),
        (Write(DiscardSink(), "Nowhere"), Settings(4)),
        (COUNTS, Settings(4)),
        (Aggregate((), (("n", count()),)), Settings(1, is_parallelism_fixed=True)),
        (Partition(ShipStrategy.SHUFFLE), Settings()),
        (KeyBy(len), Settings()),
    ],
)
def test_settings_are_the_environments_or_those_that_the_operator_allows(
    writer: PlanWriter, call: Any, settings: Settings
) -> None:
    assert writer.call(call, writer.table()).settings == settings


def test_a_source_begins_a_chain_with_the_parallelism_that_it_can_have(writer: PlanWriter) -> None:
    assert writer.table().settings == Settings(4, chaining=ChainingStrategy.HEAD)
    one = writer.call(Read(CollectionSource([1]), "one"))
    assert one.settings == Settings(1, chaining=ChainingStrategy.HEAD, is_parallelism_fixed=True)


def test_rows_have_event_times_behind_what_may_set_them(writer: PlanWriter) -> None:
    table = writer.table()
    timed = writer.call(
        AssignTimestamps(WatermarkStrategy.for_monotonous_timestamps().with_timestamp_column("price")), table
    )
    untimed = writer.call(AssignTimestamps(WatermarkStrategy.for_monotonous_timestamps()), table)
    keyed = writer.call(KeyBy(len), table)
    assert not table.has_timestamps
    assert not writer.call(Map(len), table).has_timestamps
    assert not untimed.has_timestamps
    assert timed.has_timestamps
    assert writer.call(Map(len), timed).has_timestamps
    assert writer.call(Process(Nothing()), keyed).has_timestamps  # its timers have times


def test_a_refused_call_takes_no_number(writer: PlanWriter) -> None:
    table = writer.table()
    with pytest.raises(TypeMismatchError):
        writer.call(FilterColumns(col("nobody") > 1), table)
    assert writer.call(Map(len), table).id == 2
