"""Dates, times and timestamps: current time, parsing, formatting, differences."""

from __future__ import annotations

from typing import Any

from shmflink.errors import TypeMismatchError
from shmflink.expressions.expression import Expression
from shmflink.expressions.time.text import DEFAULT_PATTERN, DIGITS_MAX, pattern_of
from shmflink.expressions.time.times import MONTHS_OF_UNITS, MS_OF_UNITS
from shmflink.expressions.time.units import TimePointUnit
from shmflink.expressions.time.zones import zone_of
from shmflink.expressions.vectors import literal_value

__all__ = [
    "convert_tz",
    "current_date",
    "current_time",
    "current_timestamp",
    "date_format",
    "from_unixtime",
    "local_time",
    "local_timestamp",
    "temporal_overlaps",
    "timestamp_add",
    "timestamp_diff",
    "to_date",
    "to_timestamp",
    "to_timestamp_ltz",
    "unix_timestamp",
]


def current_timestamp() -> Expression:
    """The current time as a timestamp in UTC (TIMESTAMP_LTZ), in milliseconds; read once per batch.

    >>> show(current_timestamp() == current_timestamp(), a=[0])
    _c0: [True]
    """
    return Expression.call("current_timestamp")


def local_timestamp(zone: str = "UTC") -> Expression:
    """The current time in a zone, as a timestamp without zone (TIMESTAMP).

    >>> show(local_timestamp().floor_to(days=1) <= local_timestamp(), a=[0])
    _c0: [True]
    """
    return Expression.call("local_timestamp", current_timestamp(), parameters=(zone,))


def current_date(zone: str = "UTC") -> Expression:
    """The current date in a zone.

    >>> show(current_date() == local_timestamp().to_date, a=[0])
    _c0: [True]
    """
    return Expression.call("to_date", local_timestamp(zone))


def current_time(zone: str = "UTC") -> Expression:
    """The current time of day in a zone.

    >>> show(current_time() == local_time(), a=[0])
    _c0: [True]
    """
    return Expression.call("to_time", local_timestamp(zone))


def local_time(zone: str = "UTC") -> Expression:
    """The same as `current_time`.

    >>> show(local_time() == local_timestamp().to_time, a=[0])
    _c0: [True]
    """
    return current_time(zone)


def to_date(date_str: Any, format: Any = None) -> Expression:  # noqa: A002 - PyFlink's name
    """Parses a date by a pattern (default: `yyyy-MM-dd`); null if the text does not match.

    >>> show(to_date(col("a"), "dd.MM.yyyy"), a=["15.06.2016", "2016", None])
    _c0: [2016-06-15, None, None]
    """
    return Expression.call("parse_date", date_str, parameters=(pattern_of(format),))


def to_timestamp(timestamp_str: Any, format: Any = None) -> Expression:  # noqa: A002 - PyFlink's name
    """Parses a timestamp without zone by a pattern (default: ISO 8601); null if the text does not match.

    In milliseconds; finer if the pattern has more than three `S`, so that no digit is lost (Flink truncates).

    >>> show(to_timestamp(col("a"), "dd/MM/yyyy HH:mm"), a=["15/06/2016 03:30", "today"])
    _c0: [2016-06-15 03:30:00, None]
    """
    return Expression.call("parse_timestamp", timestamp_str, parameters=(pattern_of(format), None))


def to_timestamp_ltz(*args: Any) -> Expression:
    """A timestamp in UTC from a number or from text.

    `(number)`, `(number, precision)`: units of 10^-precision seconds since 1970, by default milliseconds; null outside
    the years 1 to 9999.
    `(text)`, `(text, pattern)`, `(text, pattern, zone)`: local time in the zone; null if the text does not match.

    >>> show(to_timestamp_ltz(col("a"), 0), a=[1234567890])
    _c0: [2009-02-13 23:31:30+00:00]
    >>> show(to_timestamp_ltz(col("a"), "yyyy-MM-dd HH:mm:ss", "Asia/Shanghai"), a=["2023-01-01 00:00:00"])
    _c0: [2022-12-31 16:00:00+00:00]
    """
    if not 1 <= len(args) <= 3:
        raise TypeMismatchError(f"to_timestamp_ltz() takes 1 to 3 arguments, got {len(args)}")
    value, *rest = args
    detail = literal_value(rest[0], "the precision or pattern") if rest else None
    zone = zone_of(rest[1]) if len(rest) > 1 else "UTC"
    if isinstance(detail, int):
        if not 0 <= detail <= DIGITS_MAX:
            raise TypeMismatchError(f"to_timestamp_ltz(): a precision is from 0 to 9, got {detail}")
    else:
        pattern_of(detail)
    return Expression.call("to_timestamp_ltz", value, parameters=(detail, zone))


def date_format(timestamp: Any, format: Any) -> Expression:  # noqa: A002 - PyFlink's name
    """Formats a date, time or timestamp (or its text) by a pattern of Java's `DateTimeFormatter`, with English names.

    Text has the form `yyyy-MM-dd HH:mm:ss`, optionally with a fraction. (Unlike Flink, accepts dates and times.)

    A timestamp with a zone is shown in local time of that zone.

    >>> show(date_format(col("a").to_timestamp, "EEE dd MMM yyyy, HH:mm"), a=["2017-05-05 13:30:00", None])
    _c0: ['Fri 05 May 2017, 13:30', None]
    """
    return Expression.call(
        "date_format", timestamp, parameters=(pattern_of(DEFAULT_PATTERN if format is None else format),)
    )


def from_unixtime(unixtime: Any, format: Any = None) -> Expression:  # noqa: A002 - PyFlink's name
    """Formats seconds since 1970 as text in UTC, by a pattern (default: `yyyy-MM-dd HH:mm:ss`).

    Milliseconds beyond 64 bits wrap around, as in Flink.

    >>> show(from_unixtime(col("a")), a=[44, None])
    _c0: ['1970-01-01 00:00:44', None]
    """
    return Expression.call("from_unixtime", unixtime, parameters=(pattern_of(format) or DEFAULT_PATTERN,))


def unix_timestamp(date_str: Any = None, format: Any = None) -> Expression:  # noqa: A002 - PyFlink's name
    """Seconds since 1970 of text in UTC, parsed by a pattern; without arguments, of the current time (once per batch).

    The default pattern is `yyyy-MM-dd HH:mm:ss`; a fraction is ignored. Text that does not match gives the smallest
    64-bit integer, as in Flink; `null_if` turns it into null.

    >>> show(unix_timestamp(col("a")), a=["1970-01-01 00:01:00", "soon", None])
    _c0: [60, -9223372036854775808, None]
    """
    if date_str is None:
        return Expression.call("unix_timestamp", current_timestamp())
    return Expression.call("parse_seconds", date_str, parameters=(pattern_of(format),))


def convert_tz(date_str: Any, tz_from: Any, tz_to: Any) -> Expression:
    """Converts the text of a local time from one zone to another; null unless it has the form `yyyy-MM-dd HH:mm:ss`.

    A fraction of a second is dropped. A local time that occurs twice in the zone means the later moment.

    >>> show(convert_tz(col("a"), "UTC", "America/Los_Angeles"), a=["1970-01-01 00:00:00"])
    _c0: ['1969-12-31 16:00:00']
    """
    return Expression.call("convert_tz", date_str, parameters=(zone_of(tz_from), zone_of(tz_to)))


def timestamp_diff(time_point_unit: TimePointUnit, time_point1: Any, time_point2: Any) -> Expression:
    """Whole units from the first point in time to the second, as int32; negative if the second is earlier.

    Months are counted as in Calcite: from the last day of a month to the last day of a shorter one is one month.
    Milliseconds and microseconds are int64; Flink's INT wraps around after 24 days.

    >>> show(timestamp_diff(TimePointUnit.DAY, col("a").to_date, col("b").to_date), a=["2016-06-15"], b=["2016-06-18"])
    _c0: [3]
    """
    if not isinstance(time_point_unit, TimePointUnit):
        raise TypeMismatchError(f"the first argument of timestamp_diff() is a TimePointUnit, got {time_point_unit!r}")
    return Expression.call("timestamp_diff", time_point1, time_point2, parameters=(time_point_unit.name,))


def timestamp_add(time_point_unit: TimePointUnit, count: Any, time_point: Any) -> Expression:
    """*shmflink only* (SQL's TIMESTAMPADD). The point in time this many units later; earlier if the number is negative.

    A month later is the same day of the month, or its last day. Does not support microseconds.

    >>> show(timestamp_add(TimePointUnit.MONTH, 1, col("a").to_date), a=["2024-01-31"])
    _c0: [2024-02-29]
    """
    unit = getattr(time_point_unit, "name", None)
    if not isinstance(time_point_unit, TimePointUnit) or unit not in (*MONTHS_OF_UNITS, *MS_OF_UNITS):
        raise TypeMismatchError(
            f"the first argument of timestamp_add() is a TimePointUnit from YEAR to MILLISECOND, got {unit!r}"
        )
    if unit in MONTHS_OF_UNITS:
        return Expression.call(
            "plus", time_point, Expression.call("interval_of_months", count, parameters=(MONTHS_OF_UNITS[unit],))
        )
    return Expression.call(
        "plus", time_point, Expression.call("interval_of_ms", count, parameters=(MS_OF_UNITS[unit],))
    )


def temporal_overlaps(
    left_time_point: Any, left_temporal: Any, right_time_point: Any, right_temporal: Any
) -> Expression:
    """Whether two periods overlap; each is a start and either an end or an interval. Both ends are inclusive.

    >>> left, right = col("a").to_time, col("b").to_time
    >>> show(temporal_overlaps(left, lit(1).hours, right, lit(2).hours), a=["2:55:00"], b=["3:30:00"])
    _c0: [True]
    """
    return Expression.call("temporal_overlaps", left_time_point, left_temporal, right_time_point, right_temporal)
