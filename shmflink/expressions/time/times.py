"""Dates, times and timestamps: parts, rounding to units, differences. (Text and parsing: `text`.)

A timestamp without a time zone is SQL's TIMESTAMP; one with a zone is TIMESTAMP_LTZ and has the parts of local time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shmflink.core.lazy_imports import pc
from shmflink.errors import TypeMismatchError
from shmflink.expressions.node import Node
from shmflink.expressions.registry import TypeFamily, Values, function
from shmflink.expressions.time.intervals import (
    MONTHS_PER_YEAR,
    MS_PER_DAY,
    MS_PER_HOUR,
    MS_PER_MINUTE,
    MS_PER_SECOND,
    is_interval,
    month_parts,
    months_later,
    moved,
)
from shmflink.expressions.time.units import TimeIntervalUnit
from shmflink.expressions.time.zones import from_local
from shmflink.expressions.vectors import columnwise, fixed_width, int64_view, typed, with_validity

__all__ = ["MONTHS_OF_UNITS", "MS_OF_UNITS", "TimeMethods"]

_SIMPLE_UNITS: Final = frozenset(["YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND"])
_PARTS: Final = {  # functions of pyarrow.compute
    "YEAR": "year",
    "QUARTER": "quarter",
    "MONTH": "month",
    "WEEK": "iso_week",
    "DAY": "day",
    "HOUR": "hour",
    "MINUTE": "minute",
    "SECOND": "second",
}
_MICROSECONDS: Final = {
    "MICROSECOND": 1,
    "MILLISECOND": 1_000,
    "SECOND": 1_000_000,
    "MINUTE": 60_000_000,
    "HOUR": 3_600_000_000,
    "DAY": 86_400_000_000,
    "WEEK": 604_800_000_000,
}
MONTHS_OF_UNITS: Final = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}
_HOURS_PER_DAY: Final = 24
MS_OF_UNITS: Final = {
    "MILLISECOND": 1,
    "SECOND": MS_PER_SECOND,
    "MINUTE": MS_PER_MINUTE,
    "HOUR": MS_PER_HOUR,
    "DAY": MS_PER_DAY,
    "WEEK": 7 * MS_PER_DAY,
}


class TimeMethods(Node):
    """Functions of points in time. Null if the point is null."""

    __slots__ = ()

    def extract(self, time_interval_unit: TimeIntervalUnit) -> Self:
        """A part of a date, time, timestamp or interval, as int64. Weeks are ISO 8601's.

        >>> show(col("a").to_date.extract(TimeIntervalUnit.DAY), a=["2006-06-05"])
        _c0: [5]
        """
        return self.call("extract", self, parameters=(_unit(time_interval_unit, "extract"),))

    def floor(self, time_interval_unit: TimeIntervalUnit | None = None) -> Self:
        """Start of the unit that contains a point in time; for a number, the greatest whole number not above it.

        Keeps the type. Weeks start on Sunday, as in Flink.

        >>> show(col("a").to_time.floor(TimeIntervalUnit.MINUTE), a=["12:44:31"])
        _c0: [12:44:00]
        >>> show(col("a").floor(), a=[-1.5, 2.0, None])
        _c0: [-2.0, 2.0, None]
        """
        if time_interval_unit is None:
            return self.call("floor", self)
        return self.call("floor_to_unit", self, parameters=(_unit(time_interval_unit, "floor"),))

    def ceil(self, time_interval_unit: TimeIntervalUnit | None = None) -> Self:
        """The first start of a unit that is not before a point in time; for a number, the smallest whole number not
        below it.

        As in Flink, the first day of April, July or October is rounded up to the next quarter.

        >>> show(col("a").to_time.ceil(TimeIntervalUnit.MINUTE), a=["12:44:31"])
        _c0: [12:45:00]
        >>> show(col("a").ceil(), a=[-1.5, 2.0, None])
        _c0: [-1.0, 2.0, None]
        """
        if time_interval_unit is None:
            return self.call("ceil", self)
        return self.call("ceil_to_unit", self, parameters=(_unit(time_interval_unit, "ceil"),))


def _unit(unit: TimeIntervalUnit, method: str) -> str:
    if not isinstance(unit, TimeIntervalUnit) or unit.name not in _SIMPLE_UNITS:
        raise TypeMismatchError(f"{method}() takes one of {', '.join(sorted(_SIMPLE_UNITS))}, got {unit!r}")
    return unit.name


@function("extract", TypeFamily.ANY)
def _extract(point: Values, unit: str) -> Values:
    point = typed(point, pa.timestamp("ms"))
    if pa.types.is_interval(point.type):
        return _part_of_months(point, unit=unit)
    if pa.types.is_duration(point.type):
        return _part_of_duration(point, unit=unit)
    if pa.types.is_date(point.type):
        point = pc.cast(point, pa.timestamp("ms"))
    return pc.cast(getattr(pc, _PARTS[unit])(point), pa.int64())


@columnwise
def _part_of_months(interval: pa.Array, *, unit: str) -> pa.Array:
    months = month_parts(interval)["months"].astype(np.int64)
    sign = np.sign(months)
    years, rest = np.divmod(np.abs(months), MONTHS_PER_YEAR)
    parts = {"YEAR": years, "QUARTER": rest // MONTHS_OF_UNITS["QUARTER"], "MONTH": rest}
    if unit not in parts:
        raise TypeError(f"an interval of months has no {unit}")
    return fixed_width(sign * parts[unit], interval, pa.int64())


@columnwise
def _part_of_duration(interval: pa.Array, *, unit: str) -> pa.Array:
    microseconds = int64_view(pc.cast(interval, pa.duration("us"), safe=False))
    if unit not in ("WEEK", "DAY", "HOUR", "MINUTE", "SECOND"):
        raise TypeError(f"an interval of days has no {unit}")
    wholes = np.abs(microseconds) // _MICROSECONDS[unit]
    if unit in ("MINUTE", "SECOND"):
        wholes %= 60
    elif unit == "HOUR":
        wholes %= _HOURS_PER_DAY
    return fixed_width(np.sign(microseconds) * wholes, interval, pa.int64())


@function("floor_to_unit", TypeFamily.TEMPORAL)
def _floor_to_unit(point: Values, unit: str) -> Values:
    return _rounded(typed(point, pa.timestamp("ms")), lambda local: _floored(local, unit), unit)


@function("ceil_to_unit", TypeFamily.TEMPORAL)
def _ceil_to_unit(point: Values, unit: str) -> Values:
    return _rounded(typed(point, pa.timestamp("ms")), lambda local: _ceiled(local, unit), unit)


def _floored(point: Values, unit: str) -> Values:
    return pc.cast(pc.floor_temporal(point, unit=unit.lower(), week_starts_monday=False), point.type)


def _ceiled(point: Values, unit: str) -> Values:
    later = pc.cast(pc.ceil_temporal(point, unit=unit.lower(), week_starts_monday=False), point.type)
    if unit not in MONTHS_OF_UNITS:
        return later
    # As in Flink (Calcite), the start of a quarter is rounded up to the next one, except for January's.
    start = _floored(point, "YEAR" if unit == "QUARTER" else unit)
    # Arrow's ceil of the first day of a month is the first day of the next one
    return pc.if_else(pc.equal(start, point), point, later)


def _rounded(point: Values, rounding: Callable[[Values], Values], unit: str) -> Values:
    """Rounds local times. Days and longer units begin at midnight of the zone; shorter units keep the moment's offset
    from UTC, so that an hour that occurs twice in the zone counts as two hours."""
    if getattr(point.type, "tz", None) is None:
        return rounding(point)
    local = pc.local_timestamp(point)
    if unit in ("HOUR", "MINUTE", "SECOND"):
        offset = pc.subtract(local, pc.local_timestamp(pc.cast(point, pa.timestamp(point.type.unit, "UTC"))))
        moments = pc.assume_timezone(pc.subtract(rounding(local), offset), "UTC")
    else:
        moments = from_local(rounding(local), point.type.tz)
    return pc.cast(moments, point.type)


@function("timestamp_diff", TypeFamily.TEMPORAL, TypeFamily.TEMPORAL)
@columnwise
def _timestamp_diff(first: pa.Array, second: pa.Array, unit: str) -> pa.Array:
    start, end = _microseconds(first), _microseconds(second)
    difference = _months_between(start, end) if unit in MONTHS_OF_UNITS else end - start
    size = MONTHS_OF_UNITS.get(unit) or _MICROSECONDS[unit]
    wholes = np.sign(difference) * (np.abs(difference) // size)
    result = with_validity(fixed_width(wholes, first, pa.int64()), second)
    if unit in ("MILLISECOND", "MICROSECOND"):
        return result
    try:
        return pc.cast(result, pa.int32())
    except pa.ArrowInvalid:
        raise ValueError("the difference does not fit INT: use MILLISECOND, which gives a BIGINT") from None


@function("temporal_overlaps", TypeFamily.TEMPORAL, TypeFamily.ANY, TypeFamily.TEMPORAL, TypeFamily.ANY)
def _temporal_overlaps(left: Values, left_to: Values, right: Values, right_to: Values) -> Values:
    left_end = moved(left, left_to, 1) if is_interval(left_to.type) else left_to
    right_end = moved(right, right_to, 1) if is_interval(right_to.type) else right_to
    left, left_end = _ordered(left, left_end)
    right, right_end = _ordered(right, right_end)
    return pc.and_kleene(pc.greater_equal(left_end, right), pc.greater_equal(right_end, left))


def _ordered(one: Values, other: Values) -> tuple[Values, Values]:
    earlier = pc.min_element_wise(one, other, skip_nulls=False)
    return earlier, pc.max_element_wise(one, other, skip_nulls=False)


def _microseconds(points: pa.Array) -> npt.NDArray[np.int64]:
    """The integers since 1970 or since midnight; 0 at nulls."""
    points = typed(points, pa.timestamp("us"))
    kind = points.type
    target = pa.time64("us") if pa.types.is_time(kind) else pa.timestamp("us", getattr(kind, "tz", None))
    integers = pc.cast(pc.cast(points, target, safe=False), pa.int64())
    return np.asarray(integers.fill_null(0) if integers.null_count else integers)


def _months_between(start: npt.NDArray[np.int64], end: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Whole months, as Calcite's `DateTimeUtils.subtractMonths` counts them: days first, the time of day at the end."""
    start_days, start_rest = np.divmod(start, _MICROSECONDS["DAY"])
    end_days, end_rest = np.divmod(end, _MICROSECONDS["DAY"])
    is_backwards = end_days < start_days
    earlier, later = np.minimum(start_days, end_days), np.maximum(start_days, end_days)
    months = _month_of(later) - _month_of(earlier)
    months -= months_later(earlier, months) > later
    months = np.where(is_backwards, -months, months)
    months -= (months_later(start_days, months) == end_days) & (end_rest < start_rest)
    return months


def _month_of(days: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
