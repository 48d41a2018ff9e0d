"""Writes Avro container files (Apache Avro 1.12, "Object Container Files") of generic records.

Records are dicts or rows with names; enums are symbols. A union's value is written as the first branch that accepts it.
The loop over records is in Python because records are Python objects and the schema describes each of their parts.
"""

from __future__ import annotations

import datetime as dt
import decimal
import json
import os
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, Final

from shmflink.connectors.file_system.file_systems import FileSystem
from shmflink.connectors.file_system.writing.encoders import BulkWriter, BulkWriterFactory
from shmflink.core.batch import Batch
from shmflink.core.row import Row
from shmflink.core.types.typeinfo import TypeInformation
from shmflink.errors import ConfigurationError, TypeMismatchError

__all__ = ["AvroBulkWriters", "AvroSchema", "GenericRecordAvroTypeInfo"]

_MAGIC: Final = b"Obj\x01"
_BLOCK_BYTES: Final = 64_000
_EPOCH: Final = dt.datetime(1970, 1, 1)  # noqa: DTZ001  a moment without a zone
Encode = Callable[[Any, bytearray], None]


class AvroSchema:
    """An Avro schema. Created by `parse_string` and `parse_file`."""

    def __init__(self, text: str) -> None:
        """Raises ConfigurationError if the text is not a schema."""
        try:
            self.definition: Any = json.loads(text)
            self._encode = _Compiler().encoder(self.definition)
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(f"not an Avro schema: {error!r}; the text: {text[:200]!r}") from error

    @staticmethod
    def parse_string(json_schema: str) -> AvroSchema:
        return AvroSchema(json_schema)

    @staticmethod
    def parse_file(file_path: str) -> AvroSchema:
        """The schema in a file, on any file system that file sources can read.

        Raises:
            ResourceError: it cannot be read.
            ConfigurationError: it is not a schema.
        """
        files = FileSystem()
        with files.open(files.absolute(file_path)) as file:
            return AvroSchema(file.read().decode())

    def encode(self, record: Any) -> bytes:
        """*shmflink only.* The record's bytes in Avro's binary form.

        Raises:
            TypeMismatchError: the record does not fit the schema.
        """
        out = bytearray()
        try:
            self._encode(record, out)
        except (TypeMismatchError, KeyError, TypeError, ValueError, AttributeError, struct.error) as error:
            raise TypeMismatchError(
                f"a record does not fit the Avro schema: {error!r}; the record: {record!r}"
            ) from error
        return bytes(out)

    def __reduce__(self) -> tuple[Any, ...]:
        return AvroSchema, (str(self),)

    def __str__(self) -> str:
        return json.dumps(self.definition, separators=(",", ":"))


class GenericRecordAvroTypeInfo(TypeInformation):
    """Records of an Avro schema: dicts, which are sent unchanged."""

    def __init__(self, schema: AvroSchema) -> None:
        super().__init__("pickle", f"GenericRecordAvroTypeInfo({schema})")


class AvroBulkWriters:
    """Makes BulkWriterFactory instances for Avro."""

    @staticmethod
    def for_generic_record(schema: AvroSchema) -> BulkWriterFactory:
        """Container files of records of `schema`: dicts, or rows with names."""
        return _AvroFactory(schema)


class _AvroFactory(BulkWriterFactory):
    extension = ".avro"
    is_bulk = False

    def __init__(self, schema: AvroSchema) -> None:
        super().__init__(None)
        self._avro = schema

    def encode(self, batch: Batch) -> list[bytes]:
        return [self._avro.encode(record) for record in batch.rows()]

    def create(self, file: BinaryIO, first: list[bytes]) -> BulkWriter:
        return _AvroWriter(file, self._avro)


class _AvroWriter:
    expected_bytes: Final = 0

    def __init__(self, file: BinaryIO, schema: AvroSchema) -> None:
        self._file = file
        self._sync = os.urandom(16)
        self._block: list[bytes] = []
        self.buffered_bytes = 0
        head = bytearray(_MAGIC)
        _map_of(_bytes)({"avro.codec": b"deflate", "avro.schema": str(schema).encode()}, head)
        file.write(bytes(head) + self._sync)

    def write(self, encoded: list[bytes]) -> None:
        for record in encoded:
            self._block.append(record)
            self.buffered_bytes += len(record)
            if self.buffered_bytes >= _BLOCK_BYTES:
                self.flush()

    def flush(self) -> None:
        if self._block:
            codec = zlib.compressobj(wbits=-15)
            data = codec.compress(b"".join(self._block)) + codec.flush()
            head = bytearray()
            _long(len(self._block), head)
            _long(len(data), head)
            self._file.write(bytes(head) + data + self._sync)
        self._block, self.buffered_bytes = [], 0

    def close(self) -> None:
        self.flush()

    def abandon(self) -> None:
        self._block.clear()


# --- the binary form ---


def _long(value: int, out: bytearray) -> None:
    """Variable-length zig-zag."""
    rest = (value << 1) ^ (value >> 63)
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)


def _bytes(value: Any, out: bytearray) -> None:
    _long(len(value), out)
    out += value


def _map_of(encode: Encode) -> Encode:
    def write(value: Any, out: bytearray) -> None:
        if value:
            _long(len(value), out)
            for key, item in value.items():
                _bytes(str(key).encode(), out)
                encode(item, out)
        _long(0, out)

    return write


def _array_of(encode: Encode) -> Encode:
    def write(value: Any, out: bytearray) -> None:
        if value:
            _long(len(value), out)
            for item in value:
                encode(item, out)
        _long(0, out)

    return write


def _checked(kinds: tuple[type, ...], encode: Encode, bound: int = 0) -> Encode:
    def write(value: Any, out: bytearray) -> None:
        is_wanted = isinstance(value, kinds)
        if not is_wanted or (isinstance(value, bool) and bool not in kinds):
            raise TypeMismatchError(f"expected {' or '.join(kind.__name__ for kind in kinds)}, got {value!r}")
        if bound and not -bound <= value < bound:
            raise TypeMismatchError(f"{value} does not fit {bound.bit_length()} bits")
        encode(value, out)

    return write


_PRIMITIVES: Final[Mapping[str, Encode]] = {
    "null": _checked((type(None),), lambda *_: None),
    "boolean": _checked((bool,), lambda value, out: out.append(value)),
    "int": _checked((int,), _long, 2**31),
    "long": _checked((int,), _long, 2**63),
    "float": _checked((float, int), lambda value, out: out.extend(struct.pack("<f", value))),
    "double": _checked((float, int), lambda value, out: out.extend(struct.pack("<d", value))),
    "bytes": _checked((bytes, bytearray), _bytes),
    "string": _checked((str,), lambda value, out: _bytes(value.encode(), out)),
}


def _micros(value: dt.datetime) -> int:
    plain = value if value.tzinfo is None else value.astimezone(dt.UTC).replace(tzinfo=None)
    return (plain - _EPOCH) // dt.timedelta(microseconds=1)


def _time_micros(value: dt.time) -> int:
    return (value.hour * 3600 + value.minute * 60 + value.second) * 1_000_000 + value.microsecond


_LOGICAL: Final[Mapping[str, tuple[tuple[type, ...], Callable[[Any], int]]]] = {
    "date": ((dt.date,), lambda value: (value - _EPOCH.date()).days),
    "time-millis": ((dt.time,), lambda value: _time_micros(value) // 1000),
    "time-micros": ((dt.time,), _time_micros),
    "timestamp-millis": ((dt.datetime,), lambda value: _micros(value) // 1000),
    "timestamp-micros": ((dt.datetime,), _micros),
    "local-timestamp-millis": ((dt.datetime,), lambda value: _micros(value) // 1000),
    "local-timestamp-micros": ((dt.datetime,), _micros),
}


class _Compiler:
    """Compiles a schema into a function that appends a value's bytes."""

    def __init__(self) -> None:
        self._named: dict[str, Encode] = {}

    def encoder(self, schema: Any) -> Encode:
        if isinstance(schema, list):
            return self._union([self.encoder(branch) for branch in schema])
        if isinstance(schema, str):
            # Looked up late: a record may contain itself.
            return _PRIMITIVES.get(schema) or (lambda value, out: self._named[schema.rpartition(".")[2]](value, out))
        logical = schema.get("logicalType")
        if logical in _LOGICAL:
            kinds, number = _LOGICAL[logical]
            plain = self.encoder(schema["type"])
            return lambda value, out: plain(number(value) if isinstance(value, kinds) else value, out)
        if logical == "decimal":
            return self._decimal(schema)
        kind = schema["type"]
        compound = {"record": self._record, "enum": self._enum, "fixed": self._fixed}.get(kind)
        if compound is not None:
            return compound(schema)
        if kind == "array":
            return _checked((list, tuple), _array_of(self.encoder(schema["items"])))
        if kind == "map":
            return _checked((dict,), _map_of(self.encoder(schema["values"])))
        return self.encoder(kind)

    def _record(self, schema: Any) -> Encode:
        def write(value: Any, out: bytearray) -> None:
            record = value.as_dict() if isinstance(value, Row) else value
            if not isinstance(record, dict):
                raise TypeMismatchError(f"expected a dict or a Row with names, got {value!r}")
            for name, encode, *default in fields:
                if name not in record and not default:
                    raise TypeMismatchError(f"the field {name!r} is missing")
                encode(record.get(name, *default), out)

        self._named[schema["name"]] = write
        fields = [
            (field["name"], self.encoder(field["type"]), *([field["default"]] if "default" in field else []))
            for field in schema["fields"]
        ]
        return write

    def _enum(self, schema: Any) -> Encode:
        places = {symbol: index for index, symbol in enumerate(schema["symbols"])}

        def write(value: Any, out: bytearray) -> None:
            if value not in places:
                raise TypeMismatchError(f"{value!r} is not one of {list(places)}")
            _long(places[value], out)

        self._named[schema["name"]] = write
        return write

    def _fixed(self, schema: Any) -> Encode:
        def write(value: Any, out: bytearray) -> None:
            if not isinstance(value, (bytes, bytearray)) or len(value) != schema["size"]:
                raise TypeMismatchError(f"expected {schema['size']} bytes, got {value!r}")
            out += value

        self._named[schema["name"]] = write
        return write

    def _decimal(self, schema: Any) -> Encode:
        scale = schema.get("scale", 0)

        def write(value: Any, out: bytearray) -> None:
            number = int(decimal.Decimal(value).scaleb(scale).to_integral_exact(decimal.ROUND_HALF_UP))
            size = schema["size"] if schema["type"] == "fixed" else (number.bit_length() // 8) + 1
            data = number.to_bytes(size, "big", signed=True)
            if schema["type"] == "fixed":
                out += data
            else:
                _bytes(data, out)

        return write

    @staticmethod
    def _union(branches: list[Encode]) -> Encode:
        def write(value: Any, out: bytearray) -> None:
            size = len(out)
            for index, encode in enumerate(branches):
                try:
                    _long(index, out)
                    encode(value, out)
                    return
                except (TypeMismatchError, TypeError, KeyError, AttributeError, ValueError):
                    del out[size:]
            raise TypeMismatchError(f"no branch of the union accepts {value!r}")

        return write
