"""Shapes: how Python rows are stored in Arrow columns. Plain data: hashable, comparable, representable as JSON.

A shape is a *kind* (a string) for one value, or a tuple::

    "i8" "i16" "i32" "i64"          int of a width           "f32" "f64"       float
    "str" "char" "bytes" "bool"     as they are              "null"            None and nothing else
    "date" "time" "ts"              datetime.date, .time, .datetime without a zone
    "dec" "big" "inst"              decimal.Decimal, int without limit, Instant
    "pickle"                        anything, as pickled bytes
    "arrow"                         the column's own Arrow type, as Python values
    ("list", item)   ("map", key, value)   ("tuple", (item, ...))   ("row", (name, ...) | None, (item, ...))

None is a value of every shape. A batch of tuples or rows has a column for each field, a batch of anything
else one column named `value`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, TypeAlias

import orjson
import pyarrow as pa

__all__ = [
    "PICKLE",
    "VALUE_COLUMN",
    "Shape",
    "arrow_type_of",
    "describe",
    "field_names",
    "from_json",
    "is_fixed",
    "shape_of_arrow",
    "to_json",
]

Shape: TypeAlias = str | tuple[Any, ...]

PICKLE: Final = "pickle"
VALUE_COLUMN: Final = "value"

_ARROW: Final[dict[str, pa.DataType]] = {
    "i8": pa.int8(),
    "i16": pa.int16(),
    "i32": pa.int32(),
    "i64": pa.int64(),
    "f32": pa.float32(),
    "f64": pa.float64(),
    "str": pa.utf8(),
    "char": pa.utf8(),
    "bytes": pa.binary(),
    "bool": pa.bool_(),
    "null": pa.null(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "ts": pa.timestamp("us"),
    # Text, because a Decimal keeps its own scale and has no largest value: every decimal type would change it.
    "dec": pa.utf8(),
    "big": pa.utf8(),
    "inst": pa.timestamp("us", tz="UTC"),
    "pickle": pa.binary(),
}

_NAMES: Final = {
    "i8": "BYTE",
    "i16": "SHORT",
    "i32": "INT",
    "i64": "LONG",
    "f32": "FLOAT",
    "f64": "DOUBLE",
    "str": "STRING",
    "char": "CHAR",
    "bytes": "PRIMITIVE_ARRAY(BYTE)",
    "bool": "BOOLEAN",
    "null": "None",
    "date": "SQL_DATE",
    "time": "SQL_TIME",
    "ts": "SQL_TIMESTAMP",
    "dec": "BIG_DEC",
    "big": "BIG_INT",
    "inst": "INSTANT",
    "pickle": "PICKLED_BYTE_ARRAY",
}


def arrow_type_of(shape: Shape) -> pa.DataType:
    """The Arrow type of one value of this shape, for example as a field of another."""
    if isinstance(shape, str):
        return _ARROW[shape]
    match shape[0]:
        case "list":
            return pa.list_(arrow_type_of(shape[1]))
        case "map":
            return pa.map_(arrow_type_of(shape[1]), arrow_type_of(shape[2]))
        case _:
            names = zip(field_names(shape), shape[-1], strict=True)
            return pa.struct([pa.field(name, arrow_type_of(item)) for name, item in names])


@lru_cache(maxsize=1024)
def is_fixed(shape: Shape) -> bool:
    """Whether all values of this shape are immutable: scalars, and tuples of them."""
    if isinstance(shape, str):
        return shape not in (PICKLE, "arrow")
    return shape[0] == "tuple" and all(map(is_fixed, shape[1]))


_OF_ARROW: Final[dict[pa.DataType, Shape]] = {
    **{_ARROW[kind]: kind for kind in ("i8", "i16", "i32", "i64", "f32", "f64", "str", "bytes", "bool", "null")},
    **{_ARROW[kind]: kind for kind in ("date", "time", "ts")},
    # Values fit; code that makes columns of them again casts.
    **dict.fromkeys((pa.uint8(), pa.uint16(), pa.uint32()), "i64"),
    **dict.fromkeys((pa.large_utf8(), pa.string_view()), "str"),
    **dict.fromkeys((pa.large_binary(), pa.binary_view()), "bytes"),
}


def shape_of_arrow(kind: pa.DataType) -> Shape:
    """The shape of the Python values of an Arrow column; "arrow" if no other shape describes it fully."""
    known = _OF_ARROW.get(kind)
    if known is not None:
        return known
    inner: tuple[Shape, ...] = ()
    if pa.types.is_list(kind):
        inner = (shape_of_arrow(kind.value_type),)
    elif pa.types.is_map(kind):
        inner = (shape_of_arrow(kind.key_type), shape_of_arrow(kind.item_type))
    elif pa.types.is_struct(kind):
        inner = tuple(shape_of_arrow(kind.field(index).type) for index in range(kind.num_fields))
    if not inner or "arrow" in inner:
        return "arrow"
    if pa.types.is_struct(kind):
        return ("row", tuple(kind.field(index).name for index in range(kind.num_fields)), inner)
    return ("list" if pa.types.is_list(kind) else "map", *inner)


def field_names(shape: Shape) -> tuple[str, ...]:
    """The column names of a batch of this shape."""
    if isinstance(shape, str) or shape[0] in ("list", "map"):
        return (VALUE_COLUMN,)
    if shape[0] == "row" and shape[1] is not None:
        return tuple(shape[1])
    return tuple(f"f{index}" for index in range(len(shape[-1])))


def describe(shape: Shape) -> str:
    """The shape in the terms of `Types`, for messages."""
    if isinstance(shape, str):
        return _NAMES.get(shape, shape)
    match shape[0]:
        case "list":
            return f"LIST({describe(shape[1])})"
        case "map":
            return f"MAP({describe(shape[1])}, {describe(shape[2])})"
        case _:
            return f"{shape[0].upper()}({', '.join(map(describe, shape[-1]))})"


@lru_cache(maxsize=1024)
def to_json(shape: Shape) -> bytes:
    """For the schema metadata of a batch on the wire."""
    return orjson.dumps(shape)


@lru_cache(maxsize=1024)
def from_json(data: bytes) -> Shape:
    """The inverse of `to_json`."""
    shape: Shape = _tuples(orjson.loads(data))
    return shape


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
