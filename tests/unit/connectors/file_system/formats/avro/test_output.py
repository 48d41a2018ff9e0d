"""Avro container files: every byte follows the specification; the test has its own reader."""

from __future__ import annotations

import datetime as dt
import io
import json
import pickle
import struct
import zlib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from shmflink.core.batch import Batch
from shmflink.core.row import Row
from shmflink.datastream.formats.avro import AvroBulkWriters, AvroSchema, GenericRecordAvroTypeInfo
from shmflink.errors import ConfigurationError, TypeMismatchError


class Reader:
    """Decodes what the specification describes."""

    def __init__(self, data: bytes) -> None:
        self.stream = io.BytesIO(data)

    def long(self) -> int:
        shift = number = 0
        while True:
            (byte,) = self.stream.read(1)
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return (number >> 1) ^ -(number & 1)

    def value(self, schema: Any) -> Any:
        if isinstance(schema, list):
            return self.value(schema[self.long()])
        kind = schema["type"] if isinstance(schema, dict) else schema
        if kind == "record":
            return {field["name"]: self.value(field["type"]) for field in schema["fields"]}
        if kind in ("array", "map"):
            found = []
            while count := self.long():
                found += [self.item(schema) for _ in range(count)]
            return found if kind == "array" else dict(found)
        return self.scalar(kind, schema)

    def item(self, schema: Any) -> Any:
        if schema["type"] == "array":
            return self.value(schema["items"])
        return self.value("string"), self.value(schema["values"])

    def scalar(self, kind: str, schema: Any) -> Any:
        if kind in ("int", "long"):
            return self.long()
        if kind in ("float", "double"):
            form = "<f" if kind == "float" else "<d"
            return struct.unpack(form, self.stream.read(struct.calcsize(form)))[0]
        if kind == "enum":
            return schema["symbols"][self.long()]
        if kind == "boolean":
            return self.stream.read(1) == b"\x01"
        if kind == "null":
            return None
        data = self.stream.read(schema["size"] if kind == "fixed" else self.long())
        return data.decode() if kind == "string" else data


def read(data: bytes) -> list[Any]:
    reader = Reader(data)
    assert reader.stream.read(4) == b"Obj\x01"
    head = reader.value({"type": "map", "values": "bytes"})
    schema, sync = json.loads(head["avro.schema"]), reader.stream.read(16)
    assert head["avro.codec"] == b"deflate"
    found = []
    while reader.stream.tell() < len(data):
        count, size = reader.long(), reader.long()
        block = Reader(zlib.decompress(reader.stream.read(size), wbits=-15))
        found += [block.value(schema) for _ in range(count)]
        assert reader.stream.read(16) == sync
    return found


def written(schema: str, records: list[Any]) -> list[Any]:
    factory = pickle.loads(pickle.dumps(AvroBulkWriters.for_generic_record(AvroSchema.parse_string(schema))))
    file = io.BytesIO()
    first = factory.encode(Batch.of_rows(records[:1]))
    writer = factory.create(file, first)
    writer.write(first)
    writer.flush()  # a block of its own
    writer.write(factory.encode(Batch.of_rows(records[1:])))
    writer.close()
    return read(file.getvalue())


def record(*fields: tuple[str, Any]) -> str:
    return json.dumps({"type": "record", "name": "r", "fields": [{"name": n, "type": kind} for n, kind in fields]})


KINDS = ("null", "boolean", "int", "long", "float", "double", "string", "bytes")
SUIT = {"type": "enum", "name": "Suit", "symbols": ["SPADES", "HEARTS"]}
POINT = {"type": "record", "name": "p", "fields": [{"name": "x", "type": "int"}, {"name": "y", "type": "double"}]}


@pytest.mark.parametrize(
    ("schema", "records"),
    [
        (
            record(*((kind, kind) for kind in KINDS)),
            [
                dict(zip(KINDS, (None, True, -1, 2**40, 2.5, 1e300, "ü", b"\0"), strict=True)),
                dict(zip(KINDS, (None, False, -(2**31), -(2**63), 0.0, -0.5, "", b""), strict=True)),
            ],
        ),
        (record(("suit", SUIT)), [{"suit": "HEARTS"}, {"suit": "SPADES"}]),
        (record(("u", ["int", "double", "null"])), [{"u": 1}, {"u": 2.0}, {"u": None}]),
        (record(("a", {"type": "array", "items": POINT})), [{"a": [{"x": 1, "y": 2.0}]}, {"a": []}]),
        (record(("m", {"type": "map", "values": "long"})), [{"m": {"a": 1, "b": 2}}, {"m": {}}]),
        (record(("f", {"type": "fixed", "name": "four", "size": 4})), [{"f": b"abcd"}]),
    ],
)
def test_records_come_back(schema: str, records: list[Any]) -> None:
    assert written(schema, records) == records


def test_rows_with_names_are_records_and_logical_types_are_numbers() -> None:
    schema = record(
        ("day", {"type": "int", "logicalType": "date"}),
        ("at", {"type": "long", "logicalType": "timestamp-millis"}),
        ("price", {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}),
    )
    row = Row(day=dt.date(1970, 1, 3), at=dt.datetime(1970, 1, 1, 0, 0, 1, tzinfo=dt.UTC), price=Decimal("-1.25"))
    assert written(schema, [row]) == [{"day": 2, "at": 1000, "price": (-125).to_bytes(1, "big", signed=True)}]


def test_a_record_may_hold_itself() -> None:
    schema = AvroSchema.parse_string(record(("n", "int"), ("next", ["null", "r"])))
    assert schema.encode({"n": 1, "next": {"n": 2, "next": None}}) == b"\x02\x02\x04\x00"


@pytest.mark.parametrize(
    ("value", "reason"),
    [({"x": "1"}, "expected int, got '1'"), ({}, "the field 'x' is missing"), ({"x": 2**31}, "does not fit 32 bits")],
)
def test_a_record_that_does_not_fit_is_an_error(value: Any, reason: str) -> None:
    with pytest.raises(TypeMismatchError, match=reason):
        written(record(("x", "int")), [value])


def test_schemas_are_text(tmp_path: Path) -> None:
    path = tmp_path / "schema.avsc"
    path.write_text(record(("x", "int")))
    schema = AvroSchema.parse_file(str(path))
    assert json.loads(str(schema)) == json.loads(record(("x", "int")))
    assert GenericRecordAvroTypeInfo(schema).shape == "pickle"
    with pytest.raises(ConfigurationError, match="not an Avro schema"):
        AvroSchema.parse_string("{")
