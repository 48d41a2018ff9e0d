"""Types as users write them: Arrow's, those of `Types`, and the names of Flink SQL."""

from __future__ import annotations

import re
from typing import Any, Final

import pyarrow as pa

from shmflink.errors import TypeMismatchError

__all__ = ["data_type_of", "length_of", "sql_name"]

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
_FRACTION_UNITS: Final = ("s", "ms", "ms", "ms", "us", "us", "us", "ns", "ns", "ns")  # by number of fractional digits
_UNIT_DIGITS: Final = {"s": 0, "ms": 3, "us": 6, "ns": 9}
_OTHER_NAMES: Final = {
    "large_string": "STRING",
    "large_binary": "BYTES",
    "duration[s]": "INTERVAL SECOND(3)",
    "duration[ms]": "INTERVAL SECOND(3)",
    "duration[us]": "INTERVAL SECOND(3)",
    "duration[ns]": "INTERVAL SECOND(3)",
    "month_day_nano_interval": "INTERVAL MONTH",
}
_TIME_DIGITS: Final = 0
_TIMESTAMP_DIGITS: Final = 6
_WITH_DIGITS: Final = re.compile(r"([A-Z_ ]+?)\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)\s*(.*)")
_NESTED: Final = re.compile(r"(ARRAY|MULTISET|MAP|ROW)\s*<(.+)>", re.IGNORECASE)
_FIELD: Final = re.compile(r"(`[^`]+`|\w+)\s+(.+)")


def data_type_of(declared: Any) -> pa.DataType:
    """The Arrow type of the argument: an Arrow type itself, that of a `Types` type, a name like "DECIMAL(10, 2)" or
    "int64", or one of Python's bool, int (64 bits), float, str, bytes.

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
    raise TypeMismatchError(f"{declared!r} is not a type: give an Arrow type, one of Types, or a name like 'BIGINT'")


def sql_name(kind: pa.DataType) -> str:
    """The name of an Arrow type in Flink's SQL, without NOT NULL."""
    simple = next((name for name, known in _NAMES.items() if known.equals(kind)), None)
    if simple is not None:
        return simple
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision}, {kind.scale})"
    if pa.types.is_time(kind):
        return f"TIME({_UNIT_DIGITS[kind.unit]})"
    if pa.types.is_timestamp(kind):
        return f"TIMESTAMP{'' if kind.tz is None else '_LTZ'}({_UNIT_DIGITS[kind.unit]})"
    if pa.types.is_map(kind):
        return f"MAP<{sql_name(kind.key_type)}, {sql_name(kind.item_type)}>"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return f"ARRAY<{sql_name(kind.value_type)}>"
    if pa.types.is_struct(kind):
        fields = (kind.field(index) for index in range(kind.num_fields))
        return f"ROW<{', '.join(f'`{field.name}` {sql_name(field.type)}' for field in fields)}>"
    return _OTHER_NAMES.get(str(kind), str(kind).upper())


def length_of(declared: Any) -> tuple[str, int] | None:
    """The name and the length of a type like "CHAR(5)", which Arrow does not have; None for all other types."""
    parts = _WITH_DIGITS.fullmatch(" ".join(declared.upper().split())) if isinstance(declared, str) else None
    if parts is None or parts[1] not in ("CHAR", "VARCHAR", "BINARY", "VARBINARY"):
        return None
    return parts[1], int(parts[2])


def _named(name: str) -> pa.DataType:
    upper = " ".join(name.upper().split()).removesuffix(" NOT NULL")
    if upper in _NAMES:
        return _NAMES[upper]
    nested = _NESTED.fullmatch(" ".join(name.split())[: len(upper)])
    if nested is not None:
        return _nested(nested[1].upper(), _divided(nested[2]), name)
    parts = _WITH_DIGITS.fullmatch(upper)
    head, first, second, tail = parts.groups() if parts else (upper, None, None, "")
    kind = _with_digits(f"{head} {tail}".strip(), first, second)
    if kind is not None:
        return kind
    try:
        return pa.type_for_alias(name)
    except ValueError:
        raise TypeMismatchError(
            f"unknown type {name!r}; known types include BIGINT, DECIMAL(10, 2) and TIMESTAMP(3)"
        ) from None


def _nested(head: str, parts: list[str], name: str) -> pa.DataType:
    if head == "ROW":
        fields = [_FIELD.fullmatch(part) for part in parts]
        if all(fields):
            return pa.struct([(field[1].strip("`"), _named(field[2])) for field in fields if field is not None])
    elif head == "MAP" and len(parts) == 2:
        return pa.map_(_named(parts[0]), _named(parts[1]))
    elif head in ("ARRAY", "MULTISET") and len(parts) == 1:
        item = _named(parts[0])
        return pa.list_(item) if head == "ARRAY" else pa.map_(item, pa.int32())
    raise TypeMismatchError(
        f"{name!r} is not a type: write ARRAY<INT>, MULTISET<INT>, MAP<STRING, INT> or ROW<name STRING, age INT>"
    )


def _divided(inside: str) -> list[str]:
    """The parts between commas that are not in brackets."""
    parts, depth = [""], 0
    for letter in inside:
        depth += (letter in "<(") - (letter in ">)")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


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
