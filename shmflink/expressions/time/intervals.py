"""Intervals, and adding them to points in time.

An interval of days, hours, ... is `pa.duration("ms")`; one of months or years is `pa.month_day_nano_interval()`.
"""

from __future__ import annotations

from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shmflink import _core
from shmflink.core.lazy_imports import pc
from shmflink.expressions.node import Node
from shmflink.expressions.registry import TypeFamily, Values, function
from shmflink.expressions.vectors import (
    as_int64,
    columnwise,
    fixed_width,
    int64_view,
    with_validity,
)

__all__ = ["IntervalMethods", "is_interval", "month_parts", "months_later", "moved"]

MS_PER_SECOND: Final = 1_000
MS_PER_MINUTE: Final = 60_000
MS_PER_HOUR: Final = 3_600_000
MS_PER_DAY: Final = 86_400_000
MS_PER_WEEK: Final = 7 * MS_PER_DAY
MONTHS_PER_QUARTER: Final = 3
MONTHS_PER_YEAR: Final = 12

_MONTHS: Final = pa.month_day_nano_interval()
_MONTH_LAYOUT: Final = np.dtype([("months", np.int32), ("days", np.int32), ("nanos", np.int64)])
_PER_SECOND: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_SECONDS_PER_DAY: Final = 86_400


class IntervalMethods(Node):
    """Whole numbers as intervals, to add to and subtract from points in time."""

    __slots__ = ()

    @property
    def year(self) -> Self:
        """An interval of this many years.

        >>> show(col("a").to_date + lit(1).year, a=["2024-02-29"])
        _c0: [2025-02-28]
        """
        return self.call("interval_of_months", self, parameters=(MONTHS_PER_YEAR,))

    @property
    def years(self) -> Self:
        """The same as `year`.

        >>> show(col("a").to_date + lit(4).years, a=["2024-02-29"])
        _c0: [2028-02-29]
        """
        return self.year

    @property
    def quarter(self) -> Self:
        """An interval of this many quarters.

        >>> show(col("a").to_date + lit(1).quarter, a=["2024-11-30"])
        _c0: [2025-02-28]
        """
        return self.call("interval_of_months", self, parameters=(MONTHS_PER_QUARTER,))

    @property
    def quarters(self) -> Self:
        """The same as `quarter`.

        >>> show(col("a").to_date + lit(2).quarters, a=["2024-01-15"])
        _c0: [2024-07-15]
        """
        return self.quarter

    @property
    def month(self) -> Self:
        """An interval of this many months. If the new month lacks the day, the result is its last day.

        >>> show(col("a").to_date + lit(1).month, a=["2024-01-31"])
        _c0: [2024-02-29]
        """
        return self.call("interval_of_months", self, parameters=(1,))

    @property
    def months(self) -> Self:
        """The same as `month`.

        >>> show(col("a").to_date - lit(2).months, a=["2024-01-31"])
        _c0: [2023-11-30]
        """
        return self.month

    @property
    def week(self) -> Self:
        """An interval of this many weeks.

        >>> show(col("a").to_date + lit(1).week, a=["2024-02-26"])
        _c0: [2024-03-04]
        """
        return self.call("interval_of_ms", self, parameters=(MS_PER_WEEK,))

    @property
    def weeks(self) -> Self:
        """The same as `week`.

        >>> show(col("a").to_date + lit(2).weeks, a=["2024-02-26"])
        _c0: [2024-03-11]
        """
        return self.week

    @property
    def day(self) -> Self:
        """An interval of this many days.

        >>> show(col("a").to_date + lit(1).day, a=["2024-02-29"])
        _c0: [2024-03-01]
        """
        return self.call("interval_of_ms", self, parameters=(MS_PER_DAY,))

    @property
    def days(self) -> Self:
        """The same as `day`.

        >>> show(col("a").to_date + col("n").days, a=["2024-02-29"], n=[2])
        _c0: [2024-03-02]
        """
        return self.day

    @property
    def hour(self) -> Self:
        """An interval of this many hours.

        >>> show(col("a").to_timestamp + lit(1).hour, a=["2024-02-29 23:30:00"])
        _c0: [2024-03-01 00:30:00]
        """
        return self.call("interval_of_ms", self, parameters=(MS_PER_HOUR,))

    @property
    def hours(self) -> Self:
        """The same as `hour`.

        >>> show(col("a").to_time + lit(2).hours, a=["23:30:00"])
        _c0: [01:30:00]
        """
        return self.hour

    @property
    def minute(self) -> Self:
        """An interval of this many minutes.

        >>> show(col("a").to_time + lit(1).minute, a=["10:30:00"])
        _c0: [10:31:00]
        """
        return self.call("interval_of_ms", self, parameters=(MS_PER_MINUTE,))

    @property
    def minutes(self) -> Self:
        """The same as `minute`.

        >>> show(col("a").to_time - lit(31).minutes, a=["10:30:00"])
        _c0: [09:59:00]
        """
        return self.minute

    @property
    def second(self) -> Self:
        """An interval of this many seconds.

        >>> show(col("a").to_time + lit(1).second, a=["10:30:00"])
        _c0: [10:30:01]
        """
        return self.call("interval_of_ms", self, parameters=(MS_PER_SECOND,))

    @property
    def seconds(self) -> Self:
        """The same as `second`.

        >>> show(col("a").to_time + lit(90).seconds, a=["10:30:00"])
        _c0: [10:31:30]
        """
        return self.second

    @property
    def milli(self) -> Self:
        """An interval of this many milliseconds.

        >>> show(lit(1).milli, a=[0])
        _c0: [0:00:00.001000]
        """
        return self.call("interval_of_ms", self, parameters=(1,))

    @property
    def millis(self) -> Self:
        """The same as `milli`.

        >>> show(lit(1500).millis, a=[0])
        _c0: [0:00:01.500000]
        """
        return self.milli


def is_interval(kind: pa.DataType) -> bool:
    """Whether a value of this type is an interval."""
    return bool(pa.types.is_duration(kind) or pa.types.is_interval(kind))


def moved(point: Values, interval: Values, sign: int) -> Values:
    """A date, time, timestamp or interval, moved later (sign 1) or earlier (-1) by an interval; keeps its type.

    Timestamps get the finer unit of both. A date moves by whole days; a time wraps around at midnight. Months are
    counted in UTC, also for timestamps with another zone.

    Raises:
        TypeError: the types cannot be combined.
    """
    kind = point.type
    if pa.types.is_interval(interval.type):
        return _moved_by_months(point, interval, sign=sign)
    if pa.types.is_timestamp(kind) or pa.types.is_duration(kind):
        return pc.add(point, interval) if sign > 0 else pc.subtract(point, interval)
    if pa.types.is_date(kind):
        return _date_moved(point, interval, sign=sign)
    if pa.types.is_time(kind):
        return _time_moved(point, interval, sign=sign)
    raise TypeError(f"{kind} cannot be moved by {interval.type}")


def month_parts(array: pa.Array) -> npt.NDArray[Any]:
    """Months, days and nanoseconds of an array of month intervals: a structured view, undefined at nulls."""
    data = array.buffers()[1]
    if data is None or len(array) == 0:
        return np.empty(0, _MONTH_LAYOUT)
    return np.frombuffer(data, _MONTH_LAYOUT, len(array), array.offset * _MONTH_LAYOUT.itemsize)


@function("interval_of_ms", TypeFamily.INTEGER)
def _interval_of_ms(number: Values, milliseconds: int) -> Values:
    return pc.cast(pc.multiply_checked(as_int64(number), milliseconds), pa.duration("ms"))


@function("interval_of_months", TypeFamily.INTEGER)
@columnwise
def _interval_of_months(number: pa.Array, months: int) -> pa.Array:
    parts = np.zeros(len(number), _MONTH_LAYOUT)
    parts["months"] = np.asarray(pc.multiply_checked(as_int64(number).fill_null(0), months).cast(pa.int32()))
    return fixed_width(parts, number, _MONTHS)


@columnwise
def _date_moved(point: pa.Array, interval: pa.Array, *, sign: int) -> pa.Array:
    per_day = _SECONDS_PER_DAY * _PER_SECOND[interval.type.unit]
    days = pc.cast(pc.cast(point, pa.date32()), pa.int32())
    shift = np.floor_divide(int64_view(interval) * sign, per_day)
    moved_days = pc.add(pc.cast(days, pa.int64()), fixed_width(shift, interval, pa.int64()))
    return pc.cast(moved_days, pa.int32()).cast(pa.date32()).cast(point.type)


@columnwise
def _time_moved(point: pa.Array, interval: pa.Array, *, sign: int) -> pa.Array:
    nanoseconds = pc.cast(pc.cast(point, pa.time64("ns")), pa.int64())
    shift = pc.cast(interval, pa.duration("ns")).cast(pa.int64())
    total = pc.add(nanoseconds, shift) if sign > 0 else pc.subtract(nanoseconds, shift)
    wrapped = int64_view(total) % (_SECONDS_PER_DAY * _PER_SECOND["ns"])
    return fixed_width(wrapped, total, pa.time64("ns")).cast(point.type, safe=False)


@columnwise
def _moved_by_months(point: pa.Array, interval: pa.Array, *, sign: int) -> pa.Array:
    kind = point.type
    parts = month_parts(interval)
    if pa.types.is_interval(kind):
        total = month_parts(point).copy()
        for name in _MONTH_LAYOUT.fields or ():
            total[name] += sign * parts[name]
        return with_validity(fixed_width(total, interval, kind), point)
    if pa.types.is_date(kind):
        days = np.asarray(pc.cast(pc.cast(point, pa.date32()), pa.int32()).fill_null(0)).astype(np.int64)
        shifted = months_later(days, sign * parts["months"]) + sign * parts["days"]
        result = fixed_width(shifted.astype(np.int32), interval, pa.date32())
        return with_validity(result.cast(kind), point)
    if not pa.types.is_timestamp(kind):
        raise TypeError(f"{kind} cannot be moved by months")
    per_second = _PER_SECOND[kind.unit]
    days, rest = np.divmod(int64_view(point), _SECONDS_PER_DAY * per_second)
    if point.null_count:
        days[np.asarray(point.is_null())] = 0
    shifted = months_later(days, sign * parts["months"]) + sign * parts["days"]
    shifted = shifted * (_SECONDS_PER_DAY * per_second) + rest
    shifted += sign * parts["nanos"] // (_PER_SECOND["ns"] // per_second)
    return with_validity(fixed_width(shifted, interval, kind), point)


def months_later(days: npt.NDArray[np.int64], months: npt.NDArray[np.signedinteger]) -> npt.NDArray[np.int64]:
    """Days since 1970 of the same day some months later; the last day if that month is too short."""
    return np.asarray(_core.months_later(pa.array(days), pa.array(months.astype(np.int64))))
