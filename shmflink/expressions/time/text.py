"""Parses and formats dates, times and timestamps by patterns of Java's `DateTimeFormatter`.

Patterns and time zones are constants. The properties `to_date`, `to_time`, `to_timestamp` are casts: invalid text is an
error. The functions of the same names return null for it.
"""

from __future__ import annotations

from typing import Any, Final, Self

import pyarrow as pa

from shmflink import _core
from shmflink.core.lazy_imports import pc
from shmflink.errors import TypeMismatchError
from shmflink.expressions.node import Node
from shmflink.expressions.registry import TypeFamily, Values, function
from shmflink.expressions.time.zones import from_local
from shmflink.expressions.types.rules import is_text
from shmflink.expressions.vectors import as_double, as_int64, as_strings, columnwise, literal_value, typed

__all__ = ["DEFAULT_PATTERN", "DIGITS_MAX", "TimeTextMethods", "pattern_of"]

_PER_SECOND: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
DEFAULT_PATTERN: Final = "yyyy-MM-dd HH:mm:ss"
_LOCAL_PATTERN: Final = "yyyy-MM-dd HH:mm:ss[.SSSSSSSSS][.SSSSSSSS][.SSSSSSS][.SSSSSS][.SSSSS][.SSSS][.SSS][.SS][.S]"
_NO_MOMENT: Final = -(2**63)  # Flink's UNIX_TIMESTAMP of invalid text
_SECONDS_LIMITS: Final = (-62_135_596_800, 253_402_300_800)  # the beginnings of the years 1 and 10000
DIGITS_MAX: Final = 9
_DIGITS_DEFAULT: Final = 3


class TimeTextMethods(Node):
    """Text as points in time. Null if the text is null; invalid text fails the job."""

    __slots__ = ()

    @property
    def to_date(self) -> Self:
        """The date of text like `2016-06-15`, or of a timestamp.

        >>> show(col("a").to_date, a=["2016-06-15", None])
        _c0: [2016-06-15, None]
        """
        return self.call("to_date", self)

    @property
    def to_time(self) -> Self:
        """The time of text like `3:30:00`, or of a timestamp; in milliseconds, whereas Flink truncates to seconds.

        >>> show(col("a").to_time, a=["3:30:00"])
        _c0: [03:30:00]
        """
        return self.call("to_time", self)

    @property
    def to_timestamp(self) -> Self:
        """The timestamp of text like `2016-06-15 3:30:00.001`, or of a date; in milliseconds, without zone.

        >>> show(col("a").to_timestamp, a=["2016-06-15 3:30:00"])
        _c0: [2016-06-15 03:30:00]
        """
        return self.call("to_timestamp", self)


def pattern_of(given: Any) -> str | None:
    """A date pattern, checked when the program is built; None if none is given."""
    pattern = literal_value(given, "a date pattern")
    if pattern is None:
        return None
    if not isinstance(pattern, str):
        raise TypeMismatchError(f"a date pattern is a string, for example 'yyyy-MM-dd', got {pattern!r}")
    try:
        _core.parse_moments(pa.array([], pa.string()), 1, pattern=pattern)
    except TypeError as error:
        raise TypeMismatchError(str(error)) from None
    return pattern


@function("to_date", TypeFamily.ANY)
def _to_date(value: Values) -> Values:
    value = typed(value, pa.date32())
    if is_text(value.type):
        return pc.cast(_parsed(value, "ms", is_strict=True), pa.date32())
    return pc.cast(_local(value), pa.date32())


@function("to_time", TypeFamily.ANY)
def _to_time(value: Values) -> Values:
    value = typed(value, pa.time32("ms"))
    if is_text(value.type):
        return _parsed_time(value)
    if pa.types.is_timestamp(value.type):
        value = pc.cast(_local(value), pa.timestamp("ms"), safe=False)
    return pc.cast(value, pa.time32("ms"), safe=False)


@function("to_timestamp", TypeFamily.ANY)
def _to_timestamp(value: Values) -> Values:
    value = typed(value, pa.timestamp("ms"))
    if is_text(value.type):
        return _parsed(value, "ms", is_strict=True)
    return pc.cast(_local(value), pa.timestamp("ms"), safe=False)


@function("parse_date", TypeFamily.STRING)
def _parse_date(text: Values, pattern: str | None) -> Values:
    return pc.cast(_parsed(text, "ms", pattern=pattern), pa.date32())


@function("parse_timestamp", TypeFamily.STRING)
def _parse_timestamp(text: Values, pattern: str | None, zone: str | None) -> Values:
    local = _parsed(text, _unit_of(pattern), pattern=pattern)
    return local if zone is None else from_local(local, zone)


@function("parse_seconds", TypeFamily.STRING)
def _parse_seconds(text: Values, pattern: str | None) -> Values:
    seconds = pc.cast(_parsed(text, "s", pattern=pattern or _LOCAL_PATTERN), pa.int64())
    return pc.if_else(pc.is_valid(text), pc.fill_null(seconds, _NO_MOMENT), pa.scalar(None, pa.int64()))


@function("unix_timestamp", TypeFamily.TIMESTAMP)
def _unix_timestamp(moment: Values) -> Values:
    return pc.divide(pc.cast(moment, pa.int64()), _PER_SECOND["ms"])


@function("to_timestamp_ltz", TypeFamily.ANY)
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


@function("date_format", TypeFamily.ANY)
def _date_format(value: Values, pattern: str) -> Values:
    value = typed(value, pa.timestamp("ms"))
    if is_text(value.type):
        value = _parsed(value, "ns" if "S" * 4 in pattern else "ms", pattern=_LOCAL_PATTERN)
    if not pa.types.is_temporal(value.type) or pa.types.is_duration(value.type):
        raise TypeError("it takes a date, time or timestamp, or its text")
    if pa.types.is_date(value.type):
        value = pc.cast(value, pa.timestamp("ms"))
    value = _local(value)
    return _formatted(pc.cast(value, _integer_type(value.type)), _PER_SECOND[value.type.unit], pattern)


@function("from_unixtime", TypeFamily.INTEGER)
def _from_unixtime(seconds: Values, pattern: str) -> Values:
    return _formatted(pc.multiply(as_int64(seconds), _PER_SECOND["ms"]), _PER_SECOND["ms"], pattern)


@function("convert_tz", TypeFamily.STRING)
def _convert_tz(text: Values, zone_from: str, zone_to: str) -> Values:
    moments = from_local(_parsed(text, "s", pattern=_LOCAL_PATTERN), zone_from, is_later=True)
    local = pc.local_timestamp(pc.cast(moments, pa.timestamp("s", zone_to)))
    return _formatted(pc.cast(local, pa.int64()), 1, DEFAULT_PATTERN)


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
    """Timestamps in the local time of their zone; other values unchanged."""
    return pc.local_timestamp(value) if getattr(value.type, "tz", None) else value


def _integer_type(kind: pa.DataType) -> pa.DataType:
    return pa.int32() if kind.bit_width <= 32 else pa.int64()


def _unit_of(pattern: str | None) -> str:
    """Milliseconds, or the unit that can represent the pattern's fraction of a second."""
    return _unit_for_digits(0 if pattern is None else pattern.count("S"))


def _unit_for_digits(digits: int) -> str:
    return "ms" if digits <= 3 else "us" if digits <= 6 else "ns"
