"""Strings read as other types, and other types written as strings, as Flink's `CAST` does."""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from shmflink import _core
from shmflink.expressions.decimals import fitted
from shmflink.expressions.natives import null_count, same_for_all
from shmflink.expressions.registry import Values
from shmflink.expressions.type_rules import DECIMAL_DIGITS_MAX, is_bytes, is_text

__all__ = ["from_text", "to_text"]

_TRUE: Final = ("t", "true", "y", "yes", "1")
_FALSE: Final = ("f", "false", "n", "no", "0")
_DECIMAL: Final = r"^[+-]?([0-9]+\.?[0-9]{0,37}|\.[0-9]{1,37})$"
_WIDE: Final = pa.decimal256(76, DECIMAL_DIGITS_MAX - 1)
_PER_SECOND: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def from_text(values: Values, kind: pa.DataType, *, is_strict: bool) -> Values:
    """Strings as another type. What cannot be read raises `ValueError`, or is null where not strict."""
    if is_text(kind) or is_bytes(kind):
        return pc.cast(values, kind)
    if not pa.types.is_string(values.type):
        values = pc.cast(values, pa.utf8())
    result = _read(values, kind)
    if is_strict and null_count(result) != null_count(values):
        raise ValueError(f"it is no {kind}, or does not fit one")
    return result


def to_text(values: Values, kind: pa.DataType) -> Values:
    """Values as strings: floats as Java writes them, TRUE and FALSE, times in ISO 8601 with a space."""
    given = values.type
    if pa.types.is_boolean(given):
        return pc.if_else(values, pa.scalar("TRUE", kind), pa.scalar("FALSE", kind))
    if pa.types.is_floating(given):
        if given.bit_width < 32:
            values = pc.cast(values, pa.float32())
        return pc.cast(same_for_all(_core.format_floats, values), kind)
    if pa.types.is_nested(given):
        raise TypeError(f"{given} cannot become a string: use json_string() or array_join()")
    return pc.cast(values, kind)


def _read(values: Values, kind: pa.DataType) -> Values:
    """The values of those strings that have one; null for the others."""
    if pa.types.is_integer(kind):
        return _within(same_for_all(_core.parse_integers, values), kind)
    if pa.types.is_floating(kind):
        return pc.cast(same_for_all(_core.parse_floats, values), kind, safe=False)
    trimmed = pc.utf8_trim_whitespace(values)
    if pa.types.is_boolean(kind):
        return _boolean(trimmed)
    if pa.types.is_decimal(kind):
        return _decimal(trimmed, kind)
    if pa.types.is_date(kind) or pa.types.is_time(kind) or pa.types.is_timestamp(kind):
        return _moment(trimmed, kind)
    raise TypeError(f"a string cannot become {kind}")


def _within(numbers: Values, kind: pa.DataType) -> Values:
    """int64 as a narrower type, null where it does not fit."""
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
    """Digits beyond the scale are rounded; null for too many before the point, and what is no plain number."""
    plain = pc.match_substring_regex(values, _DECIMAL)
    numbers = same_for_all(_core.parse_floats, values)
    limit = 10.0 ** (kind.precision - kind.scale)
    fits = pc.and_kleene(plain, pc.less(pc.abs(numbers), limit))
    return fitted(pc.cast(pc.if_else(fits, values, pa.scalar(None, values.type)), _WIDE), kind)


def _moment(values: Values, kind: pa.DataType) -> Values:
    if pa.types.is_date(kind):
        seconds = same_for_all(_core.parse_moments, values, 1)
        return pc.cast(pc.cast(pc.cast(seconds, pa.timestamp("s")), pa.date32()), kind)
    per_second = _PER_SECOND[kind.unit]
    if pa.types.is_time(kind):
        ticks = same_for_all(lambda texts: _core.parse_moments(texts, per_second, is_time=True), values)
        return pc.cast(pc.cast(ticks, pa.int32()) if kind.bit_width == 32 else ticks, kind)
    local = pc.cast(same_for_all(_core.parse_moments, values, per_second), pa.timestamp(kind.unit))
    if kind.tz is None:
        return local
    return pc.assume_timezone(local, kind.tz, ambiguous="earliest", nonexistent="latest")
