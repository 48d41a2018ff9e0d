"""Finds, by statistics, the row groups of a Parquet file that cannot contain a row that passes a filter.

pyarrow exposes the statistics of row groups, but neither page indexes nor Bloom filters.
"""

from __future__ import annotations

import datetime as dt
import struct
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple, Protocol

import pyarrow as pa

from shmflink.core.lazy_imports import pq

__all__ = ["Bound", "GroupStatistics", "HasStatistics", "arrow_statistics", "core_statistics", "prune_groups"]

Bound = tuple[str, str, Any]
"""As `shmflink.expressions.bounds` makes them: column, operator, Python value."""


class GroupStatistics(NamedTuple):
    """Statistics of a column in one row group. `low` and `high` have the form that `_literal` returns, or are None."""

    low: Any
    high: Any
    nulls: int | None
    rows: int


class HasStatistics(Protocol):
    """An open file (`parquet_reading.OpenParquet`)."""

    @property
    def groups(self) -> Sequence[Any]: ...

    @property
    def schema(self) -> pa.Schema: ...

    def statistics(self, name: str, groups: Sequence[int]) -> Sequence[GroupStatistics] | None: ...


def prune_groups(file: HasStatistics, schema: pa.Schema, bounds: Sequence[Bound]) -> frozenset[int]:
    """Numbers of the row groups that may contain a row for which all bounds are true.

    `schema` has the types that the file's columns are cast to before they are compared.
    """
    kept = [group.number for group in file.groups]
    for name, operator, value in bounds:
        index = file.schema.get_field_index(name)
        if index < 0:
            if operator != "is_null":
                return frozenset()  # the file lacks the column: it is null in every row
            continue
        kind = file.schema.field(index).type
        known = file.statistics(name, kept) if kept and _keeps_order(kind, schema.field(name).type) else None
        if known is not None:
            kept = [number for number, one in zip(kept, known, strict=True) if _may_pass(one, operator, value, kind)]
    return frozenset(kept)


def arrow_statistics(
    metadata: pq.FileMetaData, name: str, kind: pa.DataType, groups: Sequence[int]
) -> Sequence[GroupStatistics] | None:
    """pyarrow's statistics of a column that is itself a leaf; None for other columns."""
    schema = metadata.schema
    # The path of field `b` of a struct `a` is that of a column `a.b`; its name is not.
    leaf = next(
        (i for i in range(metadata.num_columns) if schema.column(i).name == schema.column(i).path == name), None
    )
    if leaf is None:
        return None
    return [_of_group(metadata.row_group(group), leaf, kind) for group in groups]


def core_statistics(
    lows: pa.Array, highs: pa.Array, null_counts: pa.Array, rows: Sequence[int]
) -> Sequence[GroupStatistics]:
    """The core's statistics: one element per row group."""
    low, high = (_plain_values(values) for values in (lows, highs))
    return [
        GroupStatistics(*_ordered(*both), nulls, count)
        for *both, nulls, count in zip(low, high, null_counts.to_pylist(), rows, strict=True)
    ]


def _plain_values(values: pa.Array) -> list[Any]:
    if pa.types.is_timestamp(values.type):
        unit = _UNIT_NS[values.type.unit]
        return [None if value is None else value * unit for value in values.cast(pa.int64()).to_pylist()]
    return list(values.to_pylist())


def _of_group(group: pq.RowGroupMetaData, leaf: int, kind: pa.DataType) -> GroupStatistics:
    statistics = group.column(leaf).statistics
    if statistics is None:
        return GroupStatistics(None, None, None, group.num_rows)
    low, high = _comparable(statistics, kind) if statistics.has_min_max else (None, None)
    nulls = statistics.null_count if statistics.has_null_count else None
    return GroupStatistics(low, high, nulls, group.num_rows)


def _keeps_order(kind: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether casting from one to the other preserves comparisons."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if kind.equals(wanted):
        return True
    return bool(
        (pa.types.is_integer(kind) and (pa.types.is_integer(wanted) or pa.types.is_float64(wanted)))
        or (pa.types.is_float32(kind) and pa.types.is_float64(wanted))
    )


def _may_pass(known: GroupStatistics, operator: str, value: Any, kind: pa.DataType) -> bool:
    if operator == "is_null":
        return known.nulls != 0
    if known.nulls is not None and known.nulls == known.rows:
        return False
    if operator == "is_not_null":
        return True
    low, high = known.low, known.high
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
    """Smallest and largest value in the form that `_literal` returns, or None."""
    if pa.types.is_timestamp(kind):
        low, high = statistics.min_raw, statistics.max_raw
        if not isinstance(low, int):
            return None, None  # the old 96-bit timestamps
        unit = _physical_unit_ns(statistics, kind)
        return low * unit, high * unit
    return _ordered(statistics.min, statistics.max)


def _ordered(low: Any, high: Any) -> tuple[Any, Any]:
    """None, None if one is NaN."""
    return (None, None) if low != low or high != high else (low, high)


def _physical_unit_ns(statistics: pq.Statistics, kind: pa.DataType) -> int:
    """The file's own unit: an Arrow schema in the footer may state another unit."""
    unit = {"milliseconds": "ms", "microseconds": "us", "nanoseconds": "ns"}
    text = str(statistics.logical_type).lower()
    return next((_UNIT_NS[short] for name, short in unit.items() if name in text), _UNIT_NS[kind.unit])


def _literal(value: Any, kind: pa.DataType) -> Any:
    """A constant in the form that compares with values of a column, or None if there is no safe form."""
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
    """Comparing may round the constant to the column's type: only a constant that stays unchanged is safe."""
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
