"""Which row groups of a Parquet file cannot hold a row that passes a filter, by their statistics.

pyarrow offers the statistics of row groups; page indexes and Bloom filters it does not.
"""

from __future__ import annotations

import datetime as dt
import struct
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["Bound", "prune_groups"]

Bound = tuple[str, str, Any]
"""As `shmflink.expressions.bounds` makes them: column, operator, Python value."""


def prune_groups(
    metadata: pq.FileMetaData, file_schema: pa.Schema, schema: pa.Schema, groups: Sequence[int], bounds: Sequence[Bound]
) -> list[int]:
    """Those of `groups` that may hold a row for which all bounds are true.

    `file_schema` is the file's own Arrow schema, `schema` the one its columns are cast to before they are compared.
    """
    tests = []
    for name, operator, value in bounds:
        index = file_schema.get_field_index(name)
        if index < 0:
            if operator != "is_null":
                return []  # the file lacks the column: it is null in every row
        elif _keeps_order(file_schema.field(index).type, schema.field(name).type):
            tests.append((name, operator, value, file_schema.field(index).type))
    if not tests or not groups:
        return list(groups)
    leaves = _leaves(metadata, {test[0] for test in tests})
    known = [(leaves[test[0]], *test[1:]) for test in tests if test[0] in leaves]
    return [group for group in groups if all(_may_pass(metadata.row_group(group), *test) for test in known)]


def _keeps_order(kind: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether casting from one to the other leaves comparisons as they are."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if kind.equals(wanted):
        return True
    return bool(
        (pa.types.is_integer(kind) and (pa.types.is_integer(wanted) or pa.types.is_float64(wanted)))
        or (pa.types.is_float32(kind) and pa.types.is_float64(wanted))
    )


def _leaves(metadata: pq.FileMetaData, names: set[str]) -> dict[str, int]:
    """Columns that are a leaf themselves, by name."""
    group = metadata.row_group(0)
    found = {}
    for index in range(metadata.num_columns):
        path = group.column(index).path_in_schema
        if path in names:
            found[path] = index
    return found


def _may_pass(group: pq.RowGroupMetaData, leaf: int, operator: str, value: Any, kind: pa.DataType) -> bool:
    statistics = group.column(leaf).statistics
    if statistics is None:
        return True
    nulls = statistics.null_count if statistics.has_null_count else None
    if operator == "is_null":
        return nulls != 0
    if nulls is not None and nulls == group.num_rows:
        return False
    if operator == "is_not_null" or not statistics.has_min_max:
        return True
    low, high = _comparable(statistics, kind)
    values = [_literal(one, kind) for one in (value if operator == "in" else (value,))]
    if low is None or high is None or any(one is None for one in values):
        return True
    try:
        return any(_is_within(operator, low, high, one) for one in values)
    except TypeError:
        return True


def _is_within(operator: str, low: Any, high: Any, value: Any) -> bool:
    if operator in ("=", "in"):
        return bool(low <= value <= high)
    if operator == "<":
        return bool(low < value)
    if operator == "<=":
        return bool(low <= value)
    return bool(high > value if operator == ">" else high >= value)


_UNIT_NS: Final = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
_EXACT_FLOAT_MAX: Final = 1 << 53


def _comparable(statistics: pq.Statistics, kind: pa.DataType) -> tuple[Any, Any]:
    """Smallest and largest value in the form that `_literal` makes, or None."""
    if pa.types.is_timestamp(kind):
        low, high = statistics.min_raw, statistics.max_raw
        if not isinstance(low, int):
            return None, None  # the old 96-bit timestamps
        unit = _physical_unit_ns(statistics, kind)
        return low * unit, high * unit
    low, high = statistics.min, statistics.max
    if isinstance(low, float) and (low != low or high != high):
        return None, None
    return low, high


def _physical_unit_ns(statistics: pq.Statistics, kind: pa.DataType) -> int:
    """The file's own unit: an Arrow schema in the footer may say another one."""
    unit = {"milliseconds": "ms", "microseconds": "us", "nanoseconds": "ns"}
    text = str(statistics.logical_type).lower()
    return next((_UNIT_NS[short] for name, short in unit.items() if name in text), _UNIT_NS[kind.unit])


def _literal(value: Any, kind: pa.DataType) -> Any:
    """A constant as it compares with values of a column, or None where that cannot be told safely."""
    types = pa.types
    if types.is_timestamp(kind):
        return _nanoseconds(value) if isinstance(value, dt.datetime) else None
    if isinstance(value, bool) or types.is_boolean(kind):
        return value if isinstance(value, bool) and types.is_boolean(kind) else None
    if types.is_integer(kind):
        is_exact = isinstance(value, int) or (isinstance(value, float) and abs(value) < _EXACT_FLOAT_MAX)
        return value if is_exact else None
    if types.is_floating(kind):
        return value if _is_exact_float(value, kind) else None
    if types.is_decimal(kind):
        return value if isinstance(value, int | Decimal) else None
    if types.is_date(kind):
        return value if isinstance(value, dt.date) and not isinstance(value, dt.datetime) else None
    if types.is_string(kind) or types.is_large_string(kind):
        return value if isinstance(value, str) else None
    return value if isinstance(value, bytes) and _is_binary(kind) else None


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_exact_float(value: Any, kind: pa.DataType) -> bool:
    """Comparing may round the constant to the column's type: only one that stays itself is safe."""
    if not isinstance(value, int | float) or abs(value) >= _EXACT_FLOAT_MAX:
        return False  # also infinities; NaN compares false here
    if value != value:
        return False
    return pa.types.is_float64(kind) or (
        pa.types.is_float32(kind) and bool(struct.unpack("f", struct.pack("f", value))[0] == value)
    )


_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)


def _nanoseconds(value: dt.datetime) -> int:
    zoned = value if value.tzinfo is not None else value.replace(tzinfo=dt.UTC)
    return (zoned - _EPOCH) // _MICROSECOND * 1000 + int(getattr(value, "nanosecond", 0))
