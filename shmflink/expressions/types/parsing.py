"""Parses strings as other types and writes other types as strings, like Flink's `CAST`."""

from __future__ import annotations

import functools
from typing import Final

import pyarrow as pa

from shmflink import _core
from shmflink.core.lazy_imports import pc
from shmflink.expressions.nested.text import nested_text
from shmflink.expressions.numbers.decimals import fitted
from shmflink.expressions.registry import Values
from shmflink.expressions.text.natives import null_count, same_for_all
from shmflink.expressions.time.zones import from_local
from shmflink.expressions.types.rules import DECIMAL_DIGITS_MAX, is_bytes, is_text

__all__ = ["from_text", "to_text"]

_TRUE: Final = ("t", "true", "y", "yes", "1")
_FALSE: Final = ("f", "false", "n", "no", "0")
_DECIMAL: Final = r"^[+-]?([0-9]+\.?[0-9]{0,37}|\.[0-9]{1,37})([eE][+-]?[0-9]{1,2})?$"
# Without an exponent, or with one that leaves at most 37 digits after the point.
_EXPONENT: Final = r"^[^eE]*$|^[+-]?[0-9]*\.?[0-9]{0,18}[eE](-(0?[0-9]|1[0-8])|\+?[0-9]{1,2})$"
_WIDE: Final = pa.decimal256(76, DECIMAL_DIGITS_MAX - 1)
_PER_SECOND: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def from_text(values: Values, kind: pa.DataType, *, is_strict: bool, is_iso: bool = False) -> Values:
    """Strings as another type. Invalid text raises `ValueError`; it is null if not strict.

    Moments are parsed as by Flink's CAST; `is_iso` also accepts any form of ISO 8601.
    """
    if is_text(kind) or is_bytes(kind):
        return pc.cast(values, kind)
    if not pa.types.is_string(values.type):
        values = pc.cast(values, pa.utf8())
    result = _read(values, kind, is_iso=is_iso)
    if is_strict and null_count(result) != null_count(values):
        hint = ": to_timestamp() takes ISO 8601 with T and an offset" if pa.types.is_timestamp(kind) else ""
        raise ValueError(f"it is not a valid {kind}{hint}")
    return result


def to_text(values: Values, kind: pa.DataType) -> Values:
    """Values as strings: floats as Java writes them, TRUE and FALSE, times in ISO 8601 with a space and in the local
    time of their zone; bytes as UTF-8, with U+FFFD for invalid bytes."""
    given = values.type
    if pa.types.is_boolean(given):
        return pc.if_else(values, pa.scalar("TRUE", kind), pa.scalar("FALSE", kind))
    if pa.types.is_floating(given):
        if given.bit_width < 32:
            values = pc.cast(values, pa.float32())
        return pc.cast(same_for_all(_core.format_floats, values), kind)
    if pa.types.is_nested(given):
        return pc.cast(nested_text(values, lambda items: to_text(items, pa.utf8())), kind)
    if pa.types.is_timestamp(given) and given.tz is not None:
        return pc.cast(pc.local_timestamp(values), kind)
    if is_bytes(given):
        return _decoded(values, kind)
    return pc.cast(values, kind)


def _decoded(values: Values, kind: pa.DataType) -> Values:
    try:
        return pc.cast(values, kind)
    except pa.ArrowInvalid:
        return pc.cast(same_for_all(_core.decode_charset, pc.cast(values, pa.binary()), "UTF-8"), kind)


def _read(values: Values, kind: pa.DataType, *, is_iso: bool) -> Values:
    """The values of valid strings; null for the others."""
    if pa.types.is_integer(kind):
        return _within(same_for_all(_core.parse_integers, values), kind)
    if pa.types.is_floating(kind):
        return pc.cast(same_for_all(_core.parse_floats, values), kind, safe=False)
    if pa.types.is_boolean(kind):
        return _boolean(values)
    if pa.types.is_decimal(kind):
        # A letter after the digits, as in Java's 1d and 1f, is ignored, as in Flink.
        return _decimal(pc.replace_substring_regex(pc.utf8_trim_whitespace(values), "([0-9.])[eEdDfF]$", r"\1"), kind)
    if pa.types.is_date(kind) or pa.types.is_time(kind) or pa.types.is_timestamp(kind):
        return _moment(pc.utf8_trim_whitespace(values) if is_iso else values, kind, is_iso=is_iso)
    raise TypeError(f"a string cannot become {kind}")


def _within(numbers: Values, kind: pa.DataType) -> Values:
    """int64 as a narrower type, null if it does not fit."""
    if pa.types.is_int64(kind):
        return numbers
    if pa.types.is_uint64(kind):
        low, high = 0, 2**63 - 1
    else:
        bits = kind.bit_width - pa.types.is_signed_integer(kind)
        low, high = (-(2**bits) if pa.types.is_signed_integer(kind) else 0), 2**bits - 1
    try:
        return pc.cast(numbers, kind)
    except pa.ArrowInvalid:
        fits = pc.and_(pc.greater_equal(numbers, low), pc.less_equal(numbers, high))
        return pc.cast(pc.if_else(fits, numbers, pa.scalar(None, numbers.type)), kind)


def _boolean(values: Values) -> Values:
    lower = pc.utf8_lower(values)
    is_true = pc.is_in(lower, value_set=pa.array(_TRUE, lower.type))
    is_known = pc.or_(is_true, pc.is_in(lower, value_set=pa.array(_FALSE, lower.type)))
    return pc.if_else(is_known, is_true, pa.scalar(None, pa.bool_()))


def _decimal(values: Values, kind: pa.DataType) -> Values:
    """Rounds to the scale; null if there are too many digits before the point or the text is not a number (in Flink, a
    single letter is 0)."""
    plain = pc.match_substring_regex(values, _DECIMAL)
    numbers = same_for_all(_core.parse_floats, values)
    limit = 10.0 ** (kind.precision - kind.scale)
    # For 38 digits before the point, a double is too inexact to decide whether they fit: `fitted` decides.
    fits = pc.and_kleene(plain, pc.less_equal(pc.abs(numbers), limit))
    small_enough = pc.and_kleene(fits, pc.match_substring_regex(values, _EXPONENT))
    return fitted(pc.cast(pc.if_else(small_enough, values, pa.scalar(None, values.type)), _WIDE), kind)


def _moment(values: Values, kind: pa.DataType, *, is_iso: bool) -> Values:
    read = functools.partial(_core.parse_moments, cast=None if is_iso else _form_of(kind))
    if pa.types.is_date(kind):
        seconds = same_for_all(read, values, 1)
        return pc.cast(pc.cast(pc.cast(seconds, pa.timestamp("s")), pa.date32()), kind)
    per_second = _PER_SECOND[kind.unit]
    if pa.types.is_time(kind):
        ticks = same_for_all(lambda texts: read(texts, per_second, is_time=True), values)
        return pc.cast(pc.cast(ticks, pa.int32()) if kind.bit_width == 32 else ticks, kind)
    local = pc.cast(same_for_all(read, values, per_second), pa.timestamp(kind.unit))
    return local if kind.tz is None else pc.cast(from_local(local, kind.tz), kind)


def _form_of(kind: pa.DataType) -> str:
    if pa.types.is_date(kind):
        return "date"
    return "time" if pa.types.is_time(kind) else "timestamp"
