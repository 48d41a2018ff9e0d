"""Expressions over columns: one operator each; filters and column selection reach the source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from oracle.plan_writer import PlanWriter

from shmflink.common import Types
from shmflink.connectors.discard import DiscardSink
from shmflink.connectors.file_system.reading.source import FileSource
from shmflink.core.types.typeinfo import ColumnsTypeInfo
from shmflink.errors import TypeMismatchError
from shmflink.expressions import col, lit
from shmflink.plan.calls import AsColumns, Explode, FilterColumns, Map, Read, Select, Write
from shmflink.planner.rules import lowered
from shmflink.planner.rules.columns import described, without_parentheses

DOUBLED = Select((("user", col("user")), ("twice", col("price") * 2)), "WithColumns", "price * 2 AS twice")
LISTS = pa.table({"user": ["a"], "prices": pa.array([[1, 2]], pa.list_(pa.int64()))})
NUMBERS = AsColumns(ColumnsTypeInfo(pa.schema([("n", pa.int32())])))


def test_each_call_is_one_operator_that_stays_where_the_rows_are(writer: PlanWriter) -> None:
    doubled = writer.call(DOUBLED, writer.table())
    kept = writer.call(FilterColumns(col("twice") > 2), doubled)
    writer.call(Write(DiscardSink(), "Nowhere"), kept)
    assert writer.drawn() == [
        "1 Source: table",
        "1 FORWARD > 2 WithColumns",
        "2 FORWARD > 3 Filter",
        "3 FORWARD > 4 Sink: Nowhere",
    ]
    assert writer.block(doubled) == [
        "Select WithColumns(price * 2 AS twice) ◀ [1] job.py:2",
        "columns user: string, twice: int64",
        "why on columns",
        "becomes WithColumns (4)",
        "fused one operator with [3]",
    ]
    assert writer.block(kept) == [
        "FilterColumns Filter(twice > 2) ◀ [2] job.py:3",
        "columns user: string, twice: int64",
        "why on columns",
        "becomes Filter (4)",
        "fused one operator with [2]",
    ]


def test_a_filter_that_the_source_applies_says_so(writer: PlanWriter, tmp_path: Path) -> None:
    pq.write_table(pa.table({"user": ["a"], "price": [1]}), tmp_path / "rows.parquet")
    source = FileSource.parquet(str(tmp_path / "rows.parquet"))
    rows = writer.call(Read(source, "files", source.produced_type))
    kept = writer.call(FilterColumns(col("price") > 1), rows)
    chosen = writer.call(Select((("user", col("user")),), "Select", "user"), kept)
    writer.call(Write(DiscardSink(), "Nowhere"), chosen)
    assert "why source; reads less: columns=[user], filter=(price > 1)" in writer.block(rows)
    assert "why on columns; the source filters" in writer.block(kept)
    assert "why on columns" in writer.block(kept, is_pushdown_enabled=False)
    assert "why source" in writer.block(rows, is_pushdown_enabled=False)


@pytest.mark.parametrize(
    ("call", "shown", "columns"),
    [
        (Explode("prices", col("prices")), "Explode(prices)", "user: string, prices: int64"),
        (
            Explode("price", col("prices")),
            "Explode(prices AS price)",
            "user: string, prices: list<item: int64>, price: int64",
        ),
        (
            Explode("word", col("user").split("-"), is_outer=True),
            "Explode(split(user, '-') AS word, outer)",
            "user: string, prices: list<item: int64>, word: string",
        ),
    ],
)
def test_an_array_becomes_rows(writer: PlanWriter, call: Any, shown: str, columns: str) -> None:
    exploded = writer.call(call, writer.table(LISTS))
    assert writer.block(exploded) == [
        f"Explode {shown} ◀ [1] job.py:2",
        f"columns {columns}",
        "why on columns",
        "becomes Explode (4)",
    ]


def test_records_of_no_declared_type_become_columns(writer: PlanWriter) -> None:
    records = writer.call(Map(len), writer.table())
    columns = writer.call(NUMBERS, records)
    writer.call(FilterColumns(col("n") > 1), columns)
    assert writer.block(columns) == [
        "AsColumns AsColumns ◀ [2] job.py:3",
        "columns n: int32",
        "why rows become columns, checked and cast",
        "becomes AsColumns (4)",
    ]
    with pytest.raises(TypeMismatchError, match=r"^Filter: the columns of this stream are not known \(no type was"):
        lowered(FilterColumns(col("n") > 1), [records])
    texts = writer.call(Map(str, Types.PICKLED_BYTE_ARRAY()), records)
    with pytest.raises(TypeMismatchError, match=r"^Select: the columns .* \(its type is "):
        lowered(Select((("n", col("n")),), "Select", "n"), [texts])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (FilterColumns(col("prize") > 1), r"test_columns\.py:\d+: .*no column `prize`.*`price`"),
        (FilterColumns(col("price") + 1), r"test_columns\.py:\d+: filter\(\) takes a condition"),
        (Explode("price", col("price")), r"test_columns\.py:\d+: .*(array|list)"),
        (Select((("n", col("user") + lit(1)),), "Select", "n"), r"test_columns\.py:\d+: "),
    ],
)
def test_what_does_not_fit_is_named_with_its_line(writer: PlanWriter, call: Any, message: str) -> None:
    with pytest.raises(TypeMismatchError, match=message):
        lowered(call, [writer.table()])


def test_expressions_stand_alone_without_parentheses() -> None:
    assert without_parentheses((col("a") + 1) * 2) == "(a + 1) * 2"
    assert without_parentheses((col("a") + 1) * (col("b") + 2)) == "(a + 1) * (b + 2)"
    assert without_parentheses(col("a")) == "a"


def test_of_many_expressions_the_first_are_shown() -> None:
    pairs = {f"c{index}": col("a") if index else col("c0") for index in range(14)}
    assert described(pairs).startswith("c0, a AS c1, ")
    assert described(pairs).endswith("a AS c11, ... 2 more")
