"""Metadata follows rows and columns, call by call."""

from __future__ import annotations

import pyarrow as pa
import pytest
from oracle.plan_writer import PlanWriter

from shmflink.connectors.arrow_tables import ArrowSource
from shmflink.connectors.hybrid_source import HybridSource
from shmflink.core.output_tag import OutputTag
from shmflink.core.ship_strategy import ShipStrategy
from shmflink.core.types.typeinfo import ColumnsTypeInfo, Types
from shmflink.core.watermark_strategy import WatermarkStrategy
from shmflink.expressions import col, count
from shmflink.operators.joins.spec import JoinHow
from shmflink.plan import calls
from shmflink.plan.node import Node
from shmflink.planner.carrying import carried_metadata

USER = pa.field("user", pa.string(), metadata={"comment": "who"})
PRICES = pa.field("prices", pa.list_(pa.int64()), metadata={"comment": "cents"})
TABLE = pa.table(
    [pa.array(["a"]), pa.array([[1]], pa.list_(pa.int64()))], schema=pa.schema([USER, PRICES], {"owner": "me"})
)
ALL = {"user": "who", "prices": "cents"}
SAME = (("user", col("user")), ("prices", col("prices")))


def carried(writer: PlanWriter, node: Node) -> tuple[bool, dict[str, str]]:
    """Whether the table's metadata are there, and the comments of columns."""
    made = carried_metadata(writer.plan)[node.id]
    comments = {field.name: field.metadata[b"comment"].decode() for field in made if field.metadata}
    return made.metadata == {b"owner": b"me"}, comments


@pytest.mark.parametrize(
    "call",
    [
        *(calls.FilterColumns(col("user") == "a"), calls.Filter(bool), calls.Partition(ShipStrategy.REBALANCE)),
        *(calls.KeyBy((("user", col("user")),)), calls.PartitionCustom(lambda key, n: 0, len), calls.EveryUpdate()),
        *(calls.Final(), calls.AssignTimestamps(WatermarkStrategy.no_watermarks()), calls.Select(SAME, "Select", "")),
        calls.AsColumns(ColumnsTypeInfo(pa.schema([("user", pa.large_string()), ("prices", pa.list_(pa.int64()))]))),
    ],
    ids=lambda call: type(call).__name__,
)
def test_calls_that_keep_rows_keep_all(writer: PlanWriter, call: calls.Call) -> None:
    assert carried(writer, writer.call(call, writer.table(TABLE))) == (True, ALL)


@pytest.mark.parametrize(
    "call",
    [
        *(calls.Map(str), calls.FlatMap(list), calls.SideOutput(OutputTag("late", Types.STRING()))),
        calls.MapBatches(list, ColumnsTypeInfo(pa.schema([("user", pa.string())]))),
    ],
    ids=lambda call: type(call).__name__,
)
def test_calls_that_make_other_rows_keep_none(writer: PlanWriter, call: calls.Call) -> None:
    assert carried(writer, writer.call(call, writer.table(TABLE))) == (False, {})


def test_a_projection_renames_copies_and_drops(writer: PlanWriter) -> None:
    named = (("who", col("user").alias("x")), ("again", col("user")), ("upper", col("user").upper_case))
    selected = writer.call(calls.Select(named, "Select", ""), writer.table(TABLE))
    assert carried(writer, selected) == (True, {"who": "who", "again": "who"})


def test_exploded_elements_are_not_the_list(writer: PlanWriter) -> None:
    exploded = writer.call(calls.Explode("prices", col("prices")), writer.table(TABLE))
    assert carried(writer, exploded) == (True, {"user": "who"})


def test_a_union_of_inputs_that_say_the_same_and_of_others(writer: PlanWriter) -> None:
    one, same = writer.table(TABLE), writer.table(TABLE)
    other = writer.table(TABLE.replace_schema_metadata({"owner": "you"}))
    none = writer.table(TABLE.cast(pa.schema([USER.remove_metadata(), PRICES.remove_metadata()])))
    assert carried(writer, writer.call(calls.Union(), one, same)) == (True, ALL)
    assert carried(writer, writer.call(calls.Union(), one, other)) == (False, ALL)
    assert carried(writer, writer.call(calls.Union(), one, none)) == (False, {})


def test_keys_of_aggregates_stay_what_they_are(writer: PlanWriter) -> None:
    keys = (("who", col("user")),)
    total = writer.call(calls.Aggregate(keys, (("n", count()),)), writer.table(TABLE))
    assert carried(writer, total) == (False, {"who": "who"})
    distinct = writer.call(calls.Aggregate(keys, ()), writer.table(TABLE))
    assert carried(writer, distinct) == (True, {"who": "who"})


@pytest.mark.parametrize(
    ("how", "key", "right"),
    [
        ("inner", "who", True),
        ("left", "who", True),
        ("right", "whom", True),
        ("full", None, True),
        ("semi", "who", False),
    ],
)
def test_columns_of_joins_stay_what_they_are(writer: PlanWriter, how: JoinHow, key: str | None, right: bool) -> None:
    users = [USER.with_metadata({"comment": "whom"}), PRICES]
    other = pa.table(TABLE.columns, schema=pa.schema(users, {"owner": "me"}))
    joined = writer.call(
        calls.Join(("user",), ("user",), how, merges_keys=True, suffix="_right"),
        *(writer.table(TABLE), writer.table(other)),
    )
    keys = {} if key is None else {"user": key}
    pairs = {"prices": "cents", "prices_right": "cents"} if right else {"prices": "cents"}
    assert carried(writer, joined) == (not right, {**keys, **pairs})


def test_what_the_program_declares_with_columns(writer: PlanWriter) -> None:
    declared = ColumnsTypeInfo(pa.schema([PRICES.with_metadata({"comment": "mine"})], {"owner": "me"}))
    table = writer.table(TABLE)
    assert carried(writer, writer.call(calls.MapBatches(list, declared), table)) == (True, {"prices": "mine"})
    assert carried(writer, writer.call(calls.AsColumns(declared), table)) == (True, {"prices": "mine"})
    rows = writer.call(calls.Map(str), table)
    assert carried(writer, writer.call(calls.AsColumns(declared), rows)) == (True, {"prices": "mine"})


def test_one_source_after_another_is_like_a_union() -> None:
    same, other = ArrowSource(TABLE), ArrowSource(TABLE.replace_schema_metadata(None))
    assert HybridSource([same, same]).produced_metadata.metadata == {b"owner": b"me"}
    both = HybridSource([same, other]).produced_metadata
    assert (both.metadata, both.field("user").metadata) == (None, {b"comment": b"who"})


def test_types_and_their_equality_know_nothing_of_it(writer: PlanWriter) -> None:
    bare = TABLE.cast(pa.schema([USER.remove_metadata(), PRICES.remove_metadata()]))
    told, silent = writer.table(TABLE), writer.table(bare)
    assert told.output_type == silent.output_type
    assert told.output_type.schema.equals(silent.output_type.schema, check_metadata=True)
