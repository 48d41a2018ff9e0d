"""Rows as JSON objects: what Flink's JSON row schemas write and read."""

from __future__ import annotations

import datetime as dt
import pickle
from decimal import Decimal
from typing import Any

import pytest

from shmflink.common import Row, Types
from shmflink.datastream.formats.json import JsonRowDeserializationSchema, JsonRowSerializationSchema
from shmflink.errors import ConfigurationError, DataFormatError

EVENT = Types.ROW_NAMED(
    ["svt", "ops", "ids"],
    [Types.STRING(), Types.ROW_NAMED(["id"], [Types.STRING()]), Types.PRIMITIVE_ARRAY(Types.INT())],
)
ALL = Types.ROW_NAMED(
    ["i", "big", "f", "dec", "flag", "data", "day", "at", "ts", "tags"],
    [
        Types.INT(),
        Types.BIG_INT(),
        Types.DOUBLE(),
        Types.BIG_DEC(),
        Types.BOOLEAN(),
        Types.PRIMITIVE_ARRAY(Types.BYTE()),
        Types.SQL_DATE(),
        Types.SQL_TIME(),
        Types.SQL_TIMESTAMP(),
        Types.MAP(Types.STRING(), Types.INT()),
    ],
)
ROW = Row(
    i=1,
    big=2**70,
    f=1.5,
    dec=Decimal("1000000000000000000.05"),
    flag=True,
    data=b"flink",
    day=dt.date(2020, 1, 2),
    at=dt.time(12),
    ts=dt.datetime(2020, 1, 2, 3, 4, 5, 600_000),
    tags={"a": 1},
)
TEXT = (
    b'{"i":1,"big":1180591620717411303424,"f":1.5,"dec":1000000000000000000.05,"flag":true,"data":"Zmxpbms=",'
    b'"day":"2020-01-02","at":"12:00:00Z","ts":"2020-01-02T03:04:05.600000Z","tags":{"a":1}}'
)


def reader(kind: Any = EVENT) -> JsonRowDeserializationSchema:
    return JsonRowDeserializationSchema.builder().type_info(kind).build()


def writer(kind: Any = EVENT) -> JsonRowSerializationSchema:
    return JsonRowSerializationSchema.builder().with_type_info(kind).build()


def test_a_row_has_all_its_fields() -> None:
    read = reader().deserialize(b'{"svt":"2020", "ops":{"id":"x"},"ids":[1, 2, 3]}')
    assert read == Row(svt="2020", ops=Row(id="x"), ids=[1, 2, 3])
    assert writer().serialize(read) == b'{"svt":"2020","ops":{"id":"x"},"ids":[1,2,3]}'
    assert writer().serialize(reader().deserialize(b'{"svt":1}')) == b'{"svt":"1","ops":null,"ids":null}'


def test_every_kind_of_value_goes_out_and_comes_back_exact() -> None:
    assert writer(ALL).serialize(ROW) == TEXT
    assert pickle.loads(pickle.dumps(reader(ALL))).deserialize(TEXT) == ROW


@pytest.mark.parametrize("message", [b"{", b"[1]", b'{"ids": 5}', b'{"ids": ["x"]}'])
def test_what_is_no_such_row_is_an_error_or_left_out(message: bytes) -> None:
    with pytest.raises(DataFormatError, match=r"cannot read a JSON row: .*the message: b"):
        reader().deserialize(message)
    lenient = JsonRowDeserializationSchema.builder().type_info(EVENT).ignore_parse_errors().build()
    assert lenient.deserialize(message) is None


def test_a_missing_field_can_be_an_error() -> None:
    strict = JsonRowDeserializationSchema.builder().type_info(EVENT).fail_on_missing_field().build()
    with pytest.raises(DataFormatError, match="could not find field with name 'ops'"):
        strict.deserialize(b'{"svt": "a"}')
    with pytest.raises(ConfigurationError, match="cannot be combined"):
        JsonRowDeserializationSchema.builder().type_info(EVENT).fail_on_missing_field().ignore_parse_errors().build()


def test_a_json_schema_is_a_type() -> None:
    text = (
        '{"type": "object", "properties": {"n": {"type": ["integer", "null"]}, "x": {"type": "number"}, '
        '"day": {"type": "string", "format": "date"}, "tags": {"type": "array", "items": {"type": "string"}}}}'
    )
    schema = JsonRowDeserializationSchema.builder().json_schema(text).build()
    read = schema.deserialize(b'{"n": 5, "x": 0.1, "day": "2020-01-02", "tags": ["a"]}')
    assert read == Row(n=5, x=Decimal("0.1"), day=dt.date(2020, 1, 2), tags=["a"])
    with pytest.raises(ConfigurationError, match="cannot derive a type from the JSON schema"):
        JsonRowDeserializationSchema.builder().json_schema('{"type": ["string", "integer"]}')


def test_a_type_is_needed() -> None:
    with pytest.raises(ConfigurationError, match="give the rows' type"):
        JsonRowSerializationSchema.builder().build()
    with pytest.raises(ConfigurationError, match=r"a JSON row needs a type Types.ROW_NAMED"):
        reader(Types.INT())
