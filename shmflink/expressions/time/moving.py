"""Operators on dates, times, timestamps and intervals: `+`, `-`, `*` by a number, and the sign."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from shmflink.core.lazy_imports import pc
from shmflink.expressions.registry import Values
from shmflink.expressions.time.intervals import is_interval, month_parts, moved
from shmflink.expressions.types.rules import common_type
from shmflink.expressions.vectors import as_int64, columnwise, fixed_width, with_validity

__all__ = [
    "difference_types",
    "in_whole_seconds",
    "interval_product",
    "interval_product_types",
    "is_moving",
    "later",
    "negated_interval",
    "sum_types",
    "time_difference",
]


def is_moving(left: pa.DataType, right: pa.DataType) -> bool:
    """Whether one of them is a time or an interval."""
    return any(_is_point(kind) or is_interval(kind) for kind in (left, right))


def sum_types(left: pa.DataType, right: pa.DataType) -> list[pa.DataType]:
    """The types to cast to before `later`. Raises `TypeError` if they cannot be added."""
    if is_interval(left) and is_interval(right):
        return _both_intervals(left, right)
    if (_is_point(left) and is_interval(right)) or (is_interval(left) and _is_point(right)):
        return [left, right]
    raise TypeError("a time and an interval can be added, as in col('t') + lit(3).days")


def in_whole_seconds(kinds: list[pa.DataType], constants: Sequence[pa.Scalar | None]) -> list[pa.DataType]:
    """A constant interval of whole seconds that is added to timestamps in seconds becomes an interval in seconds, so
    that the timestamps keep their unit.
    """
    if not any(pa.types.is_timestamp(kind) and kind.unit == "s" for kind in kinds):
        return kinds
    return [
        pa.duration("s") if pa.types.is_duration(kind) and _is_whole(constant) else kind
        for kind, constant in zip(kinds, constants, strict=True)
    ]


def _is_whole(constant: pa.Scalar | None) -> bool:
    try:
        return constant is not None and constant.is_valid and bool(constant.cast(pa.duration("s")))
    except pa.ArrowInvalid:
        return False


def difference_types(left: pa.DataType, right: pa.DataType) -> list[pa.DataType]:
    """The types to cast to before `time_difference`. Raises `TypeError` if they cannot be subtracted."""
    if is_interval(left) and is_interval(right):
        return _both_intervals(left, right)
    if _is_point(left) and is_interval(right):
        return [left, right]
    common = common_type([left, right]) if _is_point(left) and _is_point(right) else None
    if common is None:
        raise TypeError("it takes two times of the same kind, or a time and an interval, for example lit(3).days")
    return [common, common]


def interval_product_types(left: pa.DataType, right: pa.DataType) -> list[pa.DataType]:
    """The types to cast to before `interval_product`. Raises `TypeError` unless one is a whole number."""
    number = right if is_interval(left) else left
    if not pa.types.is_integer(number):
        raise TypeError("an interval can be multiplied by a whole number")
    return [kind if is_interval(kind) else pa.int64() for kind in (left, right)]


def later(left: Values, right: Values) -> Values:
    """A time or interval moved by an interval; either may come first."""
    point, interval = (right, left) if _is_point(right.type) else (left, right)
    return moved(point, interval, 1)


def time_difference(left: Values, right: Values) -> Values:
    """An earlier time, or the interval between two times."""
    return moved(left, right, -1) if is_interval(right.type) else pc.subtract(left, right)


def interval_product(left: Values, right: Values) -> Values:
    """An interval multiplied by a number."""
    interval, number = (left, right) if is_interval(left.type) else (right, left)
    if pa.types.is_duration(interval.type):
        return pc.multiply(interval, number)
    product: Values = _months_times(interval, number)
    return product


def negated_interval(interval: Values) -> Values:
    """The negated interval."""
    if pa.types.is_duration(interval.type):
        return pc.cast(pc.negate(pc.cast(interval, pa.int64())), interval.type)
    return interval_product(interval, pa.scalar(-1, pa.int64()))


@columnwise
def _months_times(interval: pa.Array, number: pa.Array) -> pa.Array:
    parts = month_parts(interval).copy()
    factors = np.asarray(as_int64(number).fill_null(0))
    for name in parts.dtype.names or ():
        parts[name] *= factors.astype(parts.dtype[name])
    return with_validity(fixed_width(parts, interval, interval.type), number)


def _both_intervals(left: pa.DataType, right: pa.DataType) -> list[pa.DataType]:
    common = common_type([left, right])
    if common is None:
        raise TypeError("months and shorter intervals cannot be combined: a month has no fixed length")
    return [common, common]


def _is_point(kind: pa.DataType) -> bool:
    return bool(pa.types.is_date(kind) or pa.types.is_time(kind) or pa.types.is_timestamp(kind))
