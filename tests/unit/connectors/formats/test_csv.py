"""Rows as lines of CSV: what Flink's CSV row schemas write and read."""

from __future__ import annotations

import datetime as dt
import pickle
from decimal import Decimal
from typing import Any

import pytest

from shmflink.common import Row, Types
from shmflink.datastream.formats.csv import CsvRowDeserializationSchema, CsvRowSerializationSchema
from shmflink.errors import ConfigurationError, DataFormatError


def schemas(field: Any) -> tuple[Any, Any]:
    """Both directions, with characters of their own, of three fields of which the middle one has this type."""
    kind = Types.ROW([Types.STRING(), field, Types.STRING()])
    return tuple(
        builder(kind)
        .set_escape_character("*")
        .set_quote_character("'")
        .set_array_element_delimiter(":")
        .set_field_delimiter(";")
        .build()
        for builder in (CsvRowSerializationSchema.Builder, CsvRowDeserializationSchema.Builder)
    )


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        (Types.STRING(), "'123''4**'", "123'4*"),
        (Types.STRING(), "'a;b''c'", "a;b'c"),
        (Types.STRING(), "null", "null"),
        (Types.STRING(), f"'{'x' * 25}'", "x" * 25),  # longer than what is looked at
        (Types.INT(), "12", 12),
        (Types.BIG_DEC(), "1.50", Decimal("1.50")),
        (Types.BOOLEAN(), "true", True),
        (Types.SQL_DATE(), "'2020-01-02'", dt.date(2020, 1, 2)),
        (Types.ROW([Types.STRING(), Types.STRING()]), "'1:hello world'", Row(f0="1", f1="hello world")),
        (Types.PRIMITIVE_ARRAY(Types.INT()), "'1:2:3'", [1, 2, 3]),
    ],
)
def test_a_field_as_flink_writes_it(field: Any, text: str, value: Any) -> None:
    out, back = schemas(field)
    line = f"BEGIN;{text};END\n".encode()
    assert out.serialize(Row("BEGIN", value, "END")) == line
    assert pickle.loads(pickle.dumps(back)).deserialize(line) == Row(f0="BEGIN", f1=value, f2="END")


def test_the_defaults_quote_what_has_a_blank() -> None:
    schema = CsvRowSerializationSchema.Builder(
        Types.ROW([Types.STRING(), Types.DOUBLE(), Types.SQL_TIMESTAMP()])
    ).build()
    row = Row("two words", 3e38, dt.datetime(2020, 1, 2, 3, 4, 5))
    assert schema.serialize(row) == b'"two words",3.0E38,"2020-01-02 03:04:05.0"\n'
    assert schema.serialize(Row(None, None, None)) == b",,\n"


def test_null_has_a_literal_and_lines_an_end() -> None:
    kind = Types.ROW_NAMED(["a", "b"], [Types.STRING(), Types.INT()])
    out = CsvRowSerializationSchema.Builder(kind).set_null_literal("n/a").set_line_delimiter("").build()
    assert out.serialize(Row(a=None, b=1)) == b"n/a,1"
    back = CsvRowDeserializationSchema.Builder(kind).set_null_literal("n/a").build()
    assert back.deserialize(b"x,n/a") == Row(a="x", b=None)
    with pytest.raises(ConfigurationError, match="CSV line delimiter 'x'"):
        CsvRowSerializationSchema.Builder(kind).set_line_delimiter("x")


@pytest.mark.parametrize(("line", "reason"), [(b"a,1,2", "2 fields expected but was 3"), (b"a,x", "invalid literal")])
def test_a_line_that_does_not_fit_is_an_error_or_left_out(line: bytes, reason: str) -> None:
    kind = Types.ROW([Types.STRING(), Types.INT()])
    with pytest.raises(DataFormatError, match=reason):
        CsvRowDeserializationSchema.Builder(kind).build().deserialize(line)
    lenient = CsvRowDeserializationSchema.Builder(kind).set_ignore_parse_errors(True).set_allow_comments(True).build()
    assert lenient.deserialize(line) is None
    assert lenient.deserialize(b"# a, 1") is None
