"""Key columns: the keys of a keyed batch as an Arrow array, and back.

A key column has one of six types. Keys of one simple type are in a typed column (int64, float64, utf8,
binary, bool); all other keys, and mixtures, are *canonical bytes* in a large_binary column, a type that no user's key
has (on the wire: a binary column with the field metadata `shmflink.key` = `canonical`). A null is the key
None in both. Canonical bytes are a tag and a payload::

    n                      None
    t  1 byte              bool
    i  8 bytes LE          int that fits 64 bits          I  digits       any other int
    f  8 bytes LE          float; -0.0 is 0.0, all NaNs are one
    s  UTF-8               str                            b  bytes        bytes
    D  text                Decimal, normalized            d  4 bytes LE   date, its ordinal
    e  text                datetime, ISO 8601; one with a zone in UTC, with the tag E
    m  text                time, ISO 8601
    T  count (4 LE), then for each item its length (4 LE) and canonical bytes             tuple
    R  as T; first the names as a canonical tuple (None without names), then the values   Row
    other objects: see `core.keys.objects`

Keys of different Python types are different keys (1, 1.0 and True are three). The native key hash uses the
same tags, so a key belongs to the same key group whatever its column's type.
"""

from __future__ import annotations

import datetime as dt
import decimal
import math
import struct
import uuid
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

import pyarrow as pa

from shmflink import _core
from shmflink.core.keys.objects import OBJECT_DECODERS, object_bytes
from shmflink.core.lazy_imports import pc
from shmflink.core.row import Row, create_row, field_names_of
from shmflink.core.rows import codec_of
from shmflink.core.types.typeinfo import TypeInformation
from shmflink.errors import TypeMismatchError

__all__ = [
    "canonical_bytes",
    "canonical_column",
    "decode_keys",
    "encode_keys",
    "key_column",
    "key_values",
    "keys_from_wire",
    "keys_to_wire",
    "value_of_canonical",
]

_MARKER: Final = {b"shmflink.key": b"canonical"}
_CANONICAL: Final = pa.large_binary()
_SIMPLE: Final = {int: "i64", str: "str", bytes: "bytes", bool: "bool", float: "f64"}
_NAN_KEY: Final = ("f", "nan")


def encode_keys(keys: Sequence[Any], key_type: TypeInformation | None = None) -> pa.Array:
    """The key column of these Python keys; with a declared type, casts each key to it first.

    Raises:
        TypeMismatchError: a key has no stable byte form (dict, set, object of an unknown class), or does not have the
        declared type.
    """
    values = keys if isinstance(keys, list) else list(keys)
    if key_type is not None:
        values = _conformed(key_type, values)
    simple = _SIMPLE.get(type(next((key for key in values if key is not None), None)))
    if simple is not None:
        # None if the keys are not all of this type, or an int has more than 64 bits.
        columns = codec_of(simple).try_encode(values)
        if columns is not None:
            return columns.column(0)
    return _core.canonical_keys(values, _canonical_at).column(0)


def canonical_column(keys: pa.Array) -> pa.Array:
    """The same keys as canonical bytes: for columns of several types that must become one."""
    if keys.type == _CANONICAL:
        return keys
    return _core.canonical_keys(key_values(keys), _canonical_at).column(0)


def key_column(array: pa.Array) -> pa.Array:
    """A key column from a user's Arrow column, of any type that keys can have.

    Raises:
        TypeMismatchError: the column's type has no stable byte form (lists, maps).
    """
    kind = array.type
    if pa.types.is_dictionary(kind):
        return key_column(array.dictionary_decode())
    target = _key_type_of(kind)
    if target is None:
        return encode_keys(_plain_keys(array))
    return array if kind == target else array.cast(target)


def decode_keys(keys: pa.Array) -> list[Any]:
    """One hashable value per key, for use in a dict: two are equal if and only if the keys are.

    Ints, strings, bytes and None stand for themselves; other keys are wrapped in a tuple with their tag.
    """
    kind = keys.type
    if kind == _CANONICAL:
        return [None if data is None else _hashable(data) for data in _python_values(keys)]
    if pa.types.is_floating(kind):
        return [None if value is None else _float_key(value) for value in _python_values(keys)]
    if pa.types.is_boolean(kind):
        return [None if value is None else ("t", value) for value in _python_values(keys)]
    return _python_values(keys)


def key_values(keys: pa.Array) -> list[Any]:
    """The user's keys."""
    if keys.type == _CANONICAL:
        return [None if data is None else value_of_canonical(data) for data in _python_values(keys)]
    return _python_values(keys)


def keys_to_wire(keys: pa.Array) -> tuple[pa.Array, dict[bytes, bytes] | None]:
    """The key column in its wire form, and the metadata of its field."""
    if keys.type == _CANONICAL:
        return keys.cast(pa.binary()), _MARKER
    return keys, None


def keys_from_wire(storage: pa.Array, metadata: dict[bytes, bytes] | None) -> pa.Array:
    """The inverse of `keys_to_wire`."""
    return storage.cast(_CANONICAL) if metadata and b"shmflink.key" in metadata else storage


def canonical_bytes(key: Any) -> bytes:
    """Bytes that are equal if and only if the keys are; the same on every host and in every release.

    Raises:
        TypeMismatchError: the key's type has no byte form.
    """
    encode = _ENCODERS.get(type(key))
    data = object_bytes(key, _of_items, canonical_bytes) if encode is None else encode(key)
    if data is None:
        raise TypeMismatchError(
            f"a key of type {type(key).__name__} has no stable byte form: {str(key)[:120]}. Use a number, "
            "string, bytes, date, Decimal, UUID, enum member, or a tuple, list, Row, named tuple or dataclass of "
            "these"
        )
    return data


def value_of_canonical(data: bytes) -> Any:
    """The key on which `canonical_bytes` was called."""
    decode = _DECODERS.get(data[:1])
    if decode is not None:
        return decode(data[1:])
    return OBJECT_DECODERS[data[:1]](_items_of(data[1:]))


def _python_values(array: pa.Array) -> list[Any]:
    # The native decoder uses the Arrow type of a single column, whatever the shape.
    return codec_of("bytes").decode(pa.RecordBatch.from_arrays([array], schema=_schema_of(array.type)))


@lru_cache(maxsize=16)
def _schema_of(kind: pa.DataType) -> pa.Schema:
    return pa.schema([("key", kind)])


def _conformed(key_type: TypeInformation, keys: list[Any]) -> list[Any]:
    """The keys in the declared form."""
    try:
        return codec_of(key_type.shape).conform(keys)
    except TypeMismatchError as error:
        raise TypeMismatchError(f"key of {error}") from None


def _canonical_at(index: int, key: Any) -> bytes:
    try:
        return canonical_bytes(key)
    except TypeMismatchError as error:
        raise TypeMismatchError(f"key of record {index} of the batch: {error}") from None


def _key_type_of(kind: pa.DataType) -> pa.DataType | None:
    """The typed key column that holds all values of an Arrow type; None if only canonical bytes can."""
    types = pa.types
    if types.is_integer(kind) and kind != pa.uint64():
        return pa.int64()
    if types.is_floating(kind):
        return pa.float64()
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return pa.utf8()
    if types.is_boolean(kind):
        return pa.bool_()
    is_binary = types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind)
    return pa.binary() if is_binary or types.is_fixed_size_binary(kind) else None


def _plain_keys(array: pa.Array) -> list[Any]:
    kind = array.type
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        if pc.any(pc.not_equal(pc.nanosecond(array), 0)).as_py():
            raise TypeMismatchError("a key with nanoseconds has no Python value; cast the column to int64")
        array = array.cast(pa.timestamp("us", kind.tz), safe=False)
    elif pa.types.is_struct(kind):
        names = [kind.field(i).name for i in range(kind.num_fields)]
        fields = [_plain_keys(part) for part in array.flatten()]
        rows = [create_row(names, values) for values in zip(*fields, strict=True)]
        return [row if valid else None for row, valid in zip(rows, array.is_valid().to_pylist(), strict=True)]
    return list(array.to_pylist())


def _hashable(data: bytes) -> Any:
    tag = data[:1]
    if tag in (b"i", b"I", b"s", b"b"):
        return value_of_canonical(data)
    if tag == b"f":
        return _float_key(value_of_canonical(data))
    if tag == b"t":
        return ("t", data[1:] == b"\x01")
    return None if tag == b"n" else (tag.decode(), data)


def _float_key(value: float) -> tuple[str, Any]:
    return _NAN_KEY if math.isnan(value) else ("f", value)


def _of_int(key: int) -> bytes:
    if -(2**63) <= key < 2**63:
        return b"i" + key.to_bytes(8, "little", signed=True)
    return b"I" + str(key).encode()


def _of_float(key: float) -> bytes:
    normalised = math.nan if math.isnan(key) else key + 0.0
    return b"f" + struct.pack("<d", normalised)


def _of_decimal(key: decimal.Decimal) -> bytes:
    if not key.is_finite():
        return b"D" + str(key).encode()
    sign, digits, exponent = key.as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, digits)).lstrip("0")
    stripped = text.rstrip("0")
    if not stripped:
        return b"D0"
    return b"D" + f"{'-' if sign else ''}{stripped}E{exponent + len(text) - len(stripped)}".encode()


def _of_datetime(key: dt.datetime) -> bytes:
    if key.tzinfo is None:
        return b"e" + key.isoformat().encode()
    return b"E" + key.astimezone(dt.UTC).isoformat().encode()


def _of_items(items: Sequence[Any]) -> bytes:
    parts = [struct.pack("<I", len(items))]
    for item in items:
        data = canonical_bytes(item)
        parts += (struct.pack("<I", len(data)), data)
    return b"".join(parts)


def _items_of(data: bytes) -> list[Any]:
    (count,) = struct.unpack_from("<I", data)
    items, at = [], 4
    for _ in range(count):
        (length,) = struct.unpack_from("<I", data, at)
        items.append(value_of_canonical(data[at + 4 : at + 4 + length]))
        at += 4 + length
    return items


def _of_row(key: Row) -> bytes:
    names = field_names_of(key)
    return b"R" + _of_items([None if names is None else tuple(names), *key])


def _row_of(data: bytes) -> Row:
    names, *values = _items_of(data)
    return create_row(None if names is None else list(names), values)


_ENCODERS: Final[dict[type, Callable[[Any], bytes]]] = {
    type(None): lambda _: b"n",
    bool: lambda key: b"t\x01" if key else b"t\x00",
    int: _of_int,
    float: _of_float,
    str: lambda key: b"s" + key.encode(),
    bytes: lambda key: b"b" + key,
    decimal.Decimal: _of_decimal,
    dt.date: lambda key: b"d" + struct.pack("<i", key.toordinal()),
    dt.datetime: _of_datetime,
    dt.time: lambda key: b"m" + key.isoformat().encode(),
    tuple: lambda key: b"T" + _of_items(key),
    Row: _of_row,
}
_DECODERS: Final[dict[bytes, Callable[[bytes], Any]]] = {
    b"n": lambda _: None,
    b"t": lambda data: data == b"\x01",
    b"i": lambda data: int.from_bytes(data, "little", signed=True),
    b"I": lambda data: int(data.decode()),
    b"f": lambda data: struct.unpack("<d", data)[0],
    b"s": lambda data: data.decode(),
    b"b": lambda data: data,
    b"D": lambda data: decimal.Decimal(data.decode()),
    b"d": lambda data: dt.date.fromordinal(struct.unpack("<i", data)[0]),
    b"e": lambda data: dt.datetime.fromisoformat(data.decode()),
    b"E": lambda data: dt.datetime.fromisoformat(data.decode()),
    b"m": lambda data: dt.time.fromisoformat(data.decode()),
    b"T": lambda data: tuple(_items_of(data)),
    b"R": _row_of,
    b"U": lambda data: uuid.UUID(bytes=data),
}
