"""Dates, times and timestamps as text: parsing and formatting by patterns of Java's `DateTimeFormatter`.

Patterns and time zones are constants. The properties `to_date`, `to_time`, `to_timestamp` are casts: text that is no
date is an error. The functions of the same names give null for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from shmflink import _core
from shmflink.errors import TypeMismatchError
from shmflink.expressions.node import call
from shmflink.expressions.registry import Kind, Values, function
from shmflink.expressions.time.clocks import current_timestamp
from shmflink.expressions.time.zones import from_local, zone_of
from shmflink.expressions.types.rules import is_text
from shmflink.expressions.vectors import as_double, as_int64, as_strings, columnwise, literal_value, typed

if TYPE_CHECKING:
    from shmflink.expressions.expression import Expression

__all__ = [
    "TimeTextMethods",
    "convert_tz",
    "date_format",
    "from_unixtime",
    "to_date",
    "to_timestamp",
    "to_timestamp_ltz",
    "unix_timestamp",
]

_PER_SECOND: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_DEFAULT_PATTERN: Final = "yyyy-MM-dd HH:mm:ss"
_LOCAL_PATTERN: Final = "yyyy-MM-dd HH:mm:ss[.SSSSSSSSS][.SSSSSSSS][.SSSSSSS][.SSSSSS][.SSSSS][.SSSS][.SSS][.SS][.S]"
_NO_MOMENT: Final = -(2**63)  # Flink's UNIX_TIMESTAMP of text that is none
_SECONDS_LIMITS: Final = (-62_135_596_800, 253_402_300_800)  # of the years 1 and 10000
_DIGITS_MAX: Final = 9
_DIGITS_DEFAULT: Final = 3


class TimeTextMethods:
    """Text as points in time. Null where the text is null; text that is none is an error when the job runs."""

    __slots__ = ()

    @property
    def to_date(self) -> Expression:
        """A date from text such as `2016-06-15`, or of a timestamp.

        >>> show(col("a").to_date, a=["2016-06-15", None])
        _c0: [2016-06-15, None]
        """
        return call("to_date", self)

    @property
    def to_time(self) -> Expression:
        """A time from text such as `3:30:00`, or of a timestamp; in milliseconds, where Flink cuts to seconds.

        >>> show(col("a").to_time, a=["3:30:00"])
        _c0: [03:30:00]
        """
        return call("to_time", self)

    @property
    def to_timestamp(self) -> Expression:
        """A timestamp from text such as `2016-06-15 3:30:00.001`, or of a date; in milliseconds, without zone.

        >>> show(col("a").to_timestamp, a=["2016-06-15 3:30:00"])
        _c0: [2016-06-15 03:30:00]
        """
        return call("to_timestamp", self)


def to_date(date_str: Any, format: Any = None) -> Expression:  # noqa: A002 - PyFlink's name
    """A date from text, by a pattern (`yyyy-MM-dd` where none is given); null where the text does not fit.

    >>> show(to_date(col("a"), "dd.MM.yyyy"), a=["15.06.2016", "2016", None])
    _c0: [2016-06-15, None, None]
    """
    return call("parse_date", date_str, parameters=(_pattern(format),))


def to_timestamp(timestamp_str: Any, format: Any = None) -> Expression:  # noqa: A002 - PyFlink's name
    """A timestamp without zone from text, by a pattern (ISO 8601 where none is given); null where it does not fit.

    In milliseconds; finer where the pattern has more than three `S`, so that no digit is lost (Flink cuts them off).

    >>> show(to_timestamp(col("a"), "dd/MM/yyyy HH:mm"), a=["15/06/2016 03:30", "today"])
    _c0: [2016-06-15 03:30:00, None]
    """
    return call("parse_timestamp", timestamp_str, parameters=(_pattern(format), None))


def to_timestamp_ltz(*args: Any) -> Expression:
    """A timestamp in UTC from a number or from text.

    `(number)`, `(number, precision)`: units of 10^-precision seconds since 1970, milliseconds where none is given; null
    outside of the years 1 to 9999.
    `(text)`, `(text, pattern)`, `(text, pattern, zone)`: local time of the zone; null where the text does not fit.

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
        if not 0 <= detail <= _DIGITS_MAX:
            raise TypeMismatchError(f"to_timestamp_ltz(): a precision is within 0 to 9, got {detail}")
    else:
        _pattern(detail)
    return call("to_timestamp_ltz", value, parameters=(detail, zone))


def date_format(timestamp: Any, format: Any) -> Expression:  # noqa: A002 - PyFlink's name
    """A date, time or timestamp (or text of one) by a pattern of Java's `DateTimeFormatter`, with English names.

    Text is `yyyy-MM-dd HH:mm:ss`, perhaps with a fraction. (Dates and times are accepted, other than in Flink.)

    A timestamp with a zone shows the time of that zone.

    >>> show(date_format(col("a").to_timestamp, "EEE dd MMM yyyy, HH:mm"), a=["2017-05-05 13:30:00", None])
    _c0: ['Fri 05 May 2017, 13:30', None]
    """
    return call("date_format", timestamp, parameters=(_pattern(_DEFAULT_PATTERN if format is None else format),))


def from_unixtime(unixtime: Any, format: Any = None) -> Expression:  # noqa: A002 - PyFlink's name
    """Seconds since 1970 as text, in UTC, by a pattern (`yyyy-MM-dd HH:mm:ss` where none is given).

    Milliseconds of more than 64 bits wrap around, as in Flink.

    >>> show(from_unixtime(col("a")), a=[44, None])
    _c0: ['1970-01-01 00:00:44', None]
    """
    return call("from_unixtime", unixtime, parameters=(_pattern(format) or _DEFAULT_PATTERN,))


def unix_timestamp(date_str: Any = None, format: Any = None) -> Expression:  # noqa: A002 - PyFlink's name
    """Seconds since 1970: of text in UTC, by a pattern; of now (once for each batch) without arguments.

    The pattern is `yyyy-MM-dd HH:mm:ss`, a fraction left out, where none is given. Text that does not fit gives the
    least number of 64 bits, as in Flink; `null_if` makes it null.

    >>> show(unix_timestamp(col("a")), a=["1970-01-01 00:01:00", "soon", None])
    _c0: [60, -9223372036854775808, None]
    """
    if date_str is None:
        return call("unix_timestamp", current_timestamp())
    return call("parse_seconds", date_str, parameters=(_pattern(format),))


def convert_tz(date_str: Any, tz_from: Any, tz_to: Any) -> Expression:
    """Text of a local time in one zone as that of another; null where the text is no `yyyy-MM-dd HH:mm:ss`.

    A fraction of a second is left out. Of a local time that a zone has twice, the later moment is meant.

    >>> show(convert_tz(col("a"), "UTC", "America/Los_Angeles"), a=["1970-01-01 00:00:00"])
    _c0: ['1969-12-31 16:00:00']
    """
    return call("convert_tz", date_str, parameters=(zone_of(tz_from), zone_of(tz_to)))


def _pattern(given: Any) -> str | None:
    """Checked where the program writes it."""
    pattern = literal_value(given, "a date pattern")
    if pattern is None:
        return None
    if not isinstance(pattern, str):
        raise TypeMismatchError(f"a date pattern is a string such as 'yyyy-MM-dd', got {pattern!r}")
    try:
        _core.parse_moments(pa.array([], pa.string()), 1, pattern=pattern)
    except TypeError as error:
        raise TypeMismatchError(str(error)) from None
    return pattern


@function("to_date", Kind.ANY)
def _to_date(value: Values) -> Values:
    value = typed(value, pa.date32())
    if is_text(value.type):
        return pc.cast(_parsed(value, "ms", is_strict=True), pa.date32())
    return pc.cast(_local(value), pa.date32())


@function("to_time", Kind.ANY)
def _to_time(value: Values) -> Values:
    value = typed(value, pa.time32("ms"))
    if is_text(value.type):
        return _parsed_time(value)
    if pa.types.is_timestamp(value.type):
        value = pc.cast(_local(value), pa.timestamp("ms"), safe=False)
    return pc.cast(value, pa.time32("ms"), safe=False)


@function("to_timestamp", Kind.ANY)
def _to_timestamp(value: Values) -> Values:
    value = typed(value, pa.timestamp("ms"))
    if is_text(value.type):
        return _parsed(value, "ms", is_strict=True)
    return pc.cast(_local(value), pa.timestamp("ms"), safe=False)


@function("parse_date", Kind.STRING)
def _parse_date(text: Values, pattern: str | None) -> Values:
    return pc.cast(_parsed(text, "ms", pattern=pattern), pa.date32())


@function("parse_timestamp", Kind.STRING)
def _parse_timestamp(text: Values, pattern: str | None, zone: str | None) -> Values:
    local = _parsed(text, _unit_of(pattern), pattern=pattern)
    return local if zone is None else from_local(local, zone)


@function("parse_seconds", Kind.STRING)
def _parse_seconds(text: Values, pattern: str | None) -> Values:
    seconds = pc.cast(_parsed(text, "s", pattern=pattern or _LOCAL_PATTERN), pa.int64())
    return pc.if_else(pc.is_valid(text), pc.fill_null(seconds, _NO_MOMENT), pa.scalar(None, pa.int64()))


@function("unix_timestamp", Kind.TIMESTAMP)
def _unix_timestamp(moment: Values) -> Values:
    return pc.divide(pc.cast(moment, pa.int64()), _PER_SECOND["ms"])


@function("to_timestamp_ltz", Kind.ANY)
def _to_timestamp_ltz(value: Values, detail: int | str | None, zone: str) -> Values:
    value = typed(value, pa.int64())
    if is_text(value.type):
        if isinstance(detail, int):
            raise TypeError("it takes a pattern with text, not a precision")
        return _parse_timestamp(value, detail, zone)
    if isinstance(detail, str):
        raise TypeError(f"it takes a precision from 0 to 9 with a number, not the pattern '{detail}'")
    digits = _DIGITS_DEFAULT if detail is None else detail
    unit = _unit_for_digits(digits)
    factor = _PER_SECOND[unit] // 10**digits
    limits = [pa.scalar(float(bound) * 10**digits) for bound in _SECONDS_LIMITS]
    numbers = as_double(value)
    is_inside = pc.and_(pc.greater_equal(numbers, limits[0]), pc.less(numbers, limits[1]))
    value = pc.if_else(is_inside, value, pa.scalar(None, value.type))
    if pa.types.is_integer(value.type):
        whole = pc.multiply_checked(as_int64(value), factor)
    else:
        whole = pc.cast(pc.floor(pc.multiply(as_double(value), factor)), pa.int64())
    return pc.cast(whole, pa.timestamp(unit, "UTC"))


@function("date_format", Kind.ANY)
def _date_format(value: Values, pattern: str) -> Values:
    value = typed(value, pa.timestamp("ms"))
    if is_text(value.type):
        value = _parsed(value, "ns" if "S" * 4 in pattern else "ms", pattern=_LOCAL_PATTERN)
    if not pa.types.is_temporal(value.type) or pa.types.is_duration(value.type):
        raise TypeError("it takes a date, time or timestamp, or text of one")
    if pa.types.is_date(value.type):
        value = pc.cast(value, pa.timestamp("ms"))
    value = _local(value)
    return _formatted(pc.cast(value, _integer_type(value.type)), _PER_SECOND[value.type.unit], pattern)


@function("from_unixtime", Kind.INTEGER)
def _from_unixtime(seconds: Values, pattern: str) -> Values:
    return _formatted(pc.multiply(as_int64(seconds), _PER_SECOND["ms"]), _PER_SECOND["ms"], pattern)


@function("convert_tz", Kind.STRING)
def _convert_tz(text: Values, zone_from: str, zone_to: str) -> Values:
    moments = from_local(_parsed(text, "s", pattern=_LOCAL_PATTERN), zone_from, is_later=True)
    local = pc.local_timestamp(pc.cast(moments, pa.timestamp("s", zone_to)))
    return _formatted(pc.cast(local, pa.int64()), 1, _DEFAULT_PATTERN)


@columnwise
def _parsed(text: pa.Array, unit: str, *, pattern: str | None = None, is_strict: bool = False) -> pa.Array:
    moments = _core.parse_moments(as_strings(text), _PER_SECOND[unit], pattern=pattern, is_strict=is_strict)
    return moments.cast(pa.timestamp(unit))


@columnwise
def _parsed_time(text: pa.Array) -> pa.Array:
    milliseconds = _core.parse_moments(as_strings(text), _PER_SECOND["ms"], is_time=True, is_strict=True)
    return milliseconds.cast(pa.int32()).cast(pa.time32("ms"))


@columnwise
def _formatted(ticks: pa.Array, per_second: int, pattern: str) -> pa.Array:
    return _core.format_moments(as_int64(ticks), per_second, pattern)


def _local(value: Values) -> Values:
    """Timestamps as their zone shows them; others as they are."""
    return pc.local_timestamp(value) if getattr(value.type, "tz", None) else value


def _integer_type(kind: pa.DataType) -> pa.DataType:
    return pa.int32() if kind.bit_width <= 32 else pa.int64()


def _unit_of(pattern: str | None) -> str:
    """Milliseconds, or the unit that holds the fraction of a second that the pattern has."""
    return _unit_for_digits(0 if pattern is None else pattern.count("S"))


def _unit_for_digits(digits: int) -> str:
    return "ms" if digits <= 3 else "us" if digits <= 6 else "ns"
