from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from shmflink.connectors.formats.text import java_lines, join_lines, print_lines
from shmflink.core.batch import Batch
from shmflink.core.row import Row, RowKind
from shmflink.core.types.typeinfo import TypeInformation, Types
from shmflink.errors import DataFormatError

DOUBLES = [
    (1.0, "1.0"),
    (-0.0, "-0.0"),
    (0.001, "0.001"),
    (0.0001, "1.0E-4"),
    (9999999.0, "9999999.0"),
    (1e7, "1.0E7"),
    (1.5e300, "1.5E300"),
    (0.1, "0.1"),
    (float("nan"), "NaN"),
    (float("-inf"), "-Infinity"),
]
DECLARED: list[tuple[TypeInformation, Any, str]] = [
    (Types.STRING(), "a", "a"),
    (Types.INT(), 5, "5"),
    (Types.BOOLEAN(), True, "true"),
    (Types.TUPLE([Types.STRING(), Types.INT()]), ("a", 1), "(a,1)"),
    (Types.TUPLE([Types.STRING(), Types.DOUBLE()]), (None, 1.0), "(null,1.0)"),
    (Types.TUPLE([Types.ROW([Types.INT()]), Types.BOOLEAN()]), (Row(1), False), "(+I[1],false)"),
    (Types.LIST(Types.INT()), [1, 2], "[1, 2]"),
    (Types.MAP(Types.STRING(), Types.INT()), {"a": 1, "b": 2}, "{a=1, b=2}"),
    (Types.BIG_DEC(), Decimal("1.50"), "1.50"),
    (Types.FLOAT(), 0.10000000149011612, "0.1"),
    (Types.SQL_DATE(), dt.date(2024, 1, 2), "2024-01-02"),
    (Types.SQL_TIMESTAMP(), dt.datetime.fromisoformat("2024-01-02T03:04:05"), "2024-01-02 03:04:05.0"),
    (
        Types.SQL_TIMESTAMP(),
        dt.datetime.fromisoformat("2024-01-02T03:04:05.120"),
        "2024-01-02 03:04:05.12",
    ),
    (Types.PRIMITIVE_ARRAY(Types.BYTE()), b"\x01\xff", "[1, -1]"),
]


@pytest.mark.parametrize(("value", "text"), DOUBLES)
def test_doubles_as_java_writes_them(value: float, text: str) -> None:
    assert java_lines(Batch.of_rows([value], Types.DOUBLE())) == [text]


@pytest.mark.parametrize(("row_type", "value", "text"), DECLARED)
def test_declared_types_as_java_writes_them(row_type: TypeInformation, value: Any, text: str) -> None:
    batch = Batch.of_rows([value], row_type)
    assert print_lines(batch) == [text]
    assert java_lines(batch) == [text]


def test_rows_print_as_pyflink_prints_them_and_write_as_java_does() -> None:
    row_type = Types.ROW_NAMED(["a", "b"], [Types.STRING(), Types.INT()])
    batch = Batch.of_rows([Row("x", 1), Row.of_kind(RowKind.DELETE, "y", None)], row_type)
    assert print_lines(batch) == ["+I[x,1]", "-D[y,None]"]
    assert java_lines(batch) == ["+I[x, 1]", "-D[y, null]"]


@pytest.mark.parametrize("value", [("a", 1), [1], {"a": None}, 1.5, True, None, Row(a=1), "text"])
def test_undeclared_objects_print_by_python(value: Any) -> None:
    assert print_lines(Batch.of_rows([value])) == [str(value)]
    assert print_lines(Batch.from_wire(Batch.of_rows([value]).to_wire())) == [str(value)]


def test_columns_of_a_file_print_as_rows() -> None:
    batch = Batch.of_columns(pa.record_batch({"a": ["x", None], "b": [1, 2]}))
    assert print_lines(batch) == ["+I[x,1]", "+I[None,2]"]
    assert java_lines(batch) == ["+I[x, 1]", "+I[null, 2]"]


def test_string_columns_need_no_rows() -> None:
    batch = Batch.of_rows(["a", None], Types.STRING())
    assert print_lines(Batch.from_wire(batch.to_wire(), Types.STRING())) == ["a", "null"]


def test_lines_are_joined_with_their_prefix() -> None:
    assert join_lines(["a", "b"], "2> ", "utf-8") == b"2> a\n2> b\n"
    assert join_lines([], "2> ", "utf-8") == b""


def test_a_character_that_the_charset_has_not() -> None:
    with pytest.raises(DataFormatError, match="'€' cannot be written in ascii"):
        join_lines(["€"], "", "ascii")
