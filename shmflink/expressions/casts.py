"""`cast` and `try_cast` with Flink's rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from shmflink.expressions import parsing
from shmflink.expressions.decimals import fitted
from shmflink.expressions.node import call
from shmflink.expressions.registry import Kind, Values, function
from shmflink.expressions.type_names import data_type_of
from shmflink.expressions.type_rules import is_bytes, is_number, is_text

if TYPE_CHECKING:
    from shmflink.expressions.expression import Expression

__all__ = ["CastMethods"]

_FLOORS: Final = {"s": "second", "ms": "millisecond", "us": "microsecond"}


class CastMethods:
    """Other types for a value."""

    __slots__ = ()

    def cast(self, data_type: Any) -> Expression:
        """The value as another type: an Arrow type, one of `Types`, a name such as "BIGINT", or int, float, str, bool.

        Strings are read without the spaces around them; a fraction is cut where a whole number is wanted; whole
        numbers that do not fit wrap around as in Java and Flink. What cannot be read, or has too many digits for a
        decimal, fails the job: `try_cast` gives null instead. Null stays null.

        >>> show(col("s").cast("INT"), col("x").cast(str), s=[" 42 ", None], x=[1.5, 1e10])
        _c0: [42, None]
        _c1: ['1.5', '1.0E10']
        """
        return call("cast", self, parameters=(data_type_of(data_type),))

    def try_cast(self, data_type: Any) -> Expression:
        """Like `cast`, with null for a value that cannot be cast.

        >>> show(col("s").try_cast("INT"), s=["42", "many", None])
        _c0: [42, None, None]
        """
        return call("try_cast", self, parameters=(data_type_of(data_type),))


@function("cast", Kind.ANY)
def cast_values(values: Values, kind: pa.DataType) -> Values:
    """Values as another type; raises `ArrowInvalid` or `ValueError` for one that does not go."""
    return _cast(values, kind, is_strict=True)


@function("try_cast", Kind.ANY)
def _try_cast(values: Values, kind: pa.DataType) -> Values:
    return _cast(values, kind, is_strict=False)


@function("plain", Kind.ANY)
def _plain(values: Values, kind: pa.DataType) -> Values:
    """An encoded column (dictionary, runs, views) as one of its values' type."""
    if pa.types.is_run_end_encoded(values.type):
        return pc.run_end_decode(values)
    return values.cast(kind)


def _cast(values: Values, kind: pa.DataType, *, is_strict: bool) -> Values:
    given = values.type
    if given.equals(kind):
        return values
    if pa.types.is_null(given):
        return pa.scalar(None, kind) if isinstance(values, pa.Scalar) else pa.nulls(len(values), kind)
    if is_text(given):
        return parsing.from_text(values, kind, is_strict=is_strict)
    if is_text(kind):
        return parsing.to_text(values, kind)
    if pa.types.is_unsigned_integer(given) and pa.types.is_signed_integer(kind):
        return _with_sign(values, kind, is_strict=is_strict)
    if is_number(given):
        return _from_number(values, kind, is_strict=is_strict)
    if pa.types.is_boolean(given) and is_number(kind):
        return pc.cast(pc.cast(values, pa.int8()), kind)
    if pa.types.is_temporal(given):
        return _from_temporal(values, kind)
    if is_bytes(given) and not is_bytes(kind):
        raise TypeError(f"bytes cannot become {kind}")
    return pc.cast(values, kind)


def _from_number(values: Values, kind: pa.DataType, *, is_strict: bool) -> Values:
    given = values.type
    if pa.types.is_boolean(kind):
        return pc.not_equal(values, pa.scalar(0, given))
    if pa.types.is_decimal(kind):
        return _to_decimal(values, kind, is_strict=is_strict)
    if pa.types.is_floating(kind):
        return pc.cast(values, kind, safe=False)
    if not pa.types.is_integer(kind):
        raise TypeError(f"a number cannot become {kind}" + _hint(kind))
    if pa.types.is_floating(given):
        return _cut(values, kind)
    if pa.types.is_decimal(given):
        return pc.cast(pc.trunc(values), kind)
    return pc.cast(values, kind, safe=False)


def _with_sign(values: Values, kind: pa.DataType, *, is_strict: bool) -> Values:
    """Integers without a sign, which Java has not, do not wrap around: what does not fit is an error, or null."""
    if not is_strict:
        largest = pa.scalar(2 ** (kind.bit_width - 1) - 1, pa.uint64())
        values = pc.if_else(pc.less_equal(pc.cast(values, pa.uint64()), largest), values, pa.scalar(None, values.type))
    return pc.cast(values, kind)


def _hint(kind: pa.DataType) -> str:
    return ": use to_timestamp_ltz() or from_unixtime()" if pa.types.is_timestamp(kind) else ""


def _cut(values: Values, kind: pa.DataType) -> Values:
    """Floats as whole numbers, as Java casts them: towards zero, nan to 0, what is too large to the nearest one."""
    whole = pc.trunc(values)
    try:
        return pc.cast(whole, kind)
    except pa.ArrowInvalid:
        pass
    if kind.bit_width < 32:  # Java goes through int
        return pc.cast(_cut(values, pa.int32()), kind, safe=False)
    bits = kind.bit_width - pa.types.is_signed_integer(kind)
    low, high = (-(2**bits) if pa.types.is_signed_integer(kind) else 0), 2**bits - 1
    whole = pc.cast(pc.if_else(pc.is_nan(whole), 0.0, whole), pa.float64())
    is_low, is_high = pc.less_equal(whole, float(low)), pc.greater_equal(whole, float(high))
    inside = pc.cast(pc.if_else(pc.or_(is_low, is_high), 0.0, whole), kind)
    return pc.if_else(is_low, pa.scalar(low, kind), pc.if_else(is_high, pa.scalar(high, kind), inside))


def _to_decimal(values: Values, kind: pa.DataType, *, is_strict: bool) -> Values:
    given = values.type
    if not is_strict:
        limit = 10.0 ** (kind.precision - kind.scale)
        size = pc.abs(pc.cast(values, pa.float64(), safe=False))
        values = pc.if_else(pc.less(size, limit), values, pa.scalar(None, given))
    if pa.types.is_floating(given):
        return pc.cast(pc.round(values, ndigits=kind.scale, round_mode="half_towards_infinity"), kind)
    if pa.types.is_integer(given):
        return pc.cast(pc.cast(values, pa.decimal128(20, 0)), kind)
    return fitted(values, kind)


def _from_temporal(values: Values, kind: pa.DataType) -> Values:
    given = values.type
    if not pa.types.is_temporal(kind):
        if pa.types.is_duration(given) and pa.types.is_int64(kind):
            return pc.cast(values, kind)
        raise TypeError(f"{given} cannot become {kind}: use unix_timestamp() or extract()")
    if pa.types.is_timestamp(given) and given.tz is not None and (kind != given):
        if not (pa.types.is_timestamp(kind) and kind.tz is not None):
            return _from_temporal(pc.local_timestamp(values), kind)
    elif pa.types.is_timestamp(kind) and kind.tz is not None:
        local = _from_temporal(values, pa.timestamp(kind.unit))
        return pc.assume_timezone(local, kind.tz, ambiguous="earliest", nonexistent="latest")
    if pa.types.is_timestamp(given) and pa.types.is_date(kind):
        return pc.cast(pc.floor_temporal(values, unit="day"), kind)
    if pa.types.is_timestamp(given) and pa.types.is_timestamp(kind) and kind.unit in _FLOORS:
        values = pc.floor_temporal(values, unit=_FLOORS[kind.unit])  # Arrow's cast goes towards 1970
    return pc.cast(values, kind, safe=False)
