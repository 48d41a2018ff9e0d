"""Types as users write them: Arrow's, those of `Types`, and the names of Flink SQL."""

from __future__ import annotations

import re
from typing import Any, Final

import pyarrow as pa

from shmflink.errors import TypeMismatchError

__all__ = ["data_type_of"]

_NAMES: Final[dict[str, pa.DataType]] = {
    "BOOLEAN": pa.bool_(),
    "TINYINT": pa.int8(),
    "SMALLINT": pa.int16(),
    "INT": pa.int32(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "FLOAT": pa.float32(),
    "REAL": pa.float32(),
    "DOUBLE": pa.float64(),
    "DOUBLE PRECISION": pa.float64(),
    "STRING": pa.utf8(),
    "VARCHAR": pa.utf8(),
    "CHAR": pa.utf8(),
    "BYTES": pa.binary(),
    "VARBINARY": pa.binary(),
    "BINARY": pa.binary(),
    "DATE": pa.date32(),
    "NULL": pa.null(),
}
_PYTHON: Final[dict[type, pa.DataType]] = {
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    str: pa.utf8(),
    bytes: pa.binary(),
}
_FRACTION_UNITS: Final = ("s", "ms", "ms", "ms", "us", "us", "us", "ns", "ns", "ns")  # by digits of a fraction
_TIME_DIGITS: Final = 0
_TIMESTAMP_DIGITS: Final = 6
_WITH_DIGITS: Final = re.compile(r"([A-Z_ ]+?)\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)\s*(.*)")
_NESTED: Final = re.compile(r"ARRAY\s*<(.+)>")


def data_type_of(declared: Any) -> pa.DataType:
    """The Arrow type that is meant: itself, that of a `Types` type, a name such as "DECIMAL(10, 2)" or "int64", or one
    of Python's bool, int (64 bits), float, str, bytes.

    Raises:
        TypeMismatchError: there is no such type.
    """
    if isinstance(declared, pa.DataType):
        return declared
    if isinstance(declared, type) and declared in _PYTHON:
        return _PYTHON[declared]
    if isinstance(declared, str):
        return _named(declared)
    kind = getattr(declared, "arrow_type", None)
    if isinstance(kind, pa.DataType):
        return kind
    raise TypeMismatchError(f"{declared!r} is no type: give an Arrow type, one of Types, or a name such as 'BIGINT'")


def _named(name: str) -> pa.DataType:
    upper = " ".join(name.upper().split()).removesuffix(" NOT NULL")
    if upper in _NAMES:
        return _NAMES[upper]
    nested = _NESTED.fullmatch(upper)
    if nested is not None:
        return pa.list_(_named(nested[1]))
    parts = _WITH_DIGITS.fullmatch(upper)
    head, first, second, tail = parts.groups() if parts else (upper, None, None, "")
    kind = _with_digits(f"{head} {tail}".strip(), first, second)
    if kind is not None:
        return kind
    try:
        return pa.type_for_alias(name)
    except ValueError:
        raise TypeMismatchError(
            f"{name!r} is no type that is known; such as BIGINT, DECIMAL(10, 2), TIMESTAMP(3)"
        ) from None


def _with_digits(head: str, first: str | None, second: str | None) -> pa.DataType | None:
    if head in ("DECIMAL", "DEC", "NUMERIC"):
        return pa.decimal128(int(first or 10), int(second or 0))
    if head in ("VARCHAR", "CHAR", "VARBINARY", "BINARY"):
        return _NAMES[head]
    if head == "TIME":
        unit = _FRACTION_UNITS[min(9, int(first or _TIME_DIGITS))]
        return pa.time32(unit) if unit in ("s", "ms") else pa.time64(unit)
    is_zoned = head in ("TIMESTAMP_LTZ", "TIMESTAMP WITH LOCAL TIME ZONE")
    if is_zoned or head in ("TIMESTAMP", "TIMESTAMP WITHOUT TIME ZONE"):
        unit = _FRACTION_UNITS[min(9, int(first or _TIMESTAMP_DIGITS))]
        return pa.timestamp(unit, "UTC" if is_zoned else None)
    return None
