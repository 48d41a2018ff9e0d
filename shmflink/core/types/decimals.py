"""Rounding of Arrow's decimals, exact for every number of digits."""

from __future__ import annotations

import decimal
from typing import Any, Final

import pyarrow as pa

from shmflink.core.lazy_imports import pc

__all__ = ["rounded", "with_room"]

_DIGITS_MAX: Final = 38  # in 128 bits
_WIDE_DIGITS_MAX: Final = 76
_ROUNDED_DIGITS_MAX: Final = (
    _WIDE_DIGITS_MAX - 3
)  # one digit for a carry, one for places before the point, one for a difference
_EXACT: Final = decimal.Context(prec=160, rounding=decimal.ROUND_HALF_UP)


def rounded(values: pa.Array | pa.Scalar, places: int) -> pa.Array | pa.Scalar:
    """Rounds a decimal array or scalar to this many places, half away from zero, in a type with room for the result.

    `places` may be negative, down to one place more than the type has digits before the point.
    """
    if values.type.scale > _ROUNDED_DIGITS_MAX:
        return _one_by_one(values, places)
    if values.type.precision > _ROUNDED_DIGITS_MAX:
        try:
            return rounded(pc.cast(values, pa.decimal256(_ROUNDED_DIGITS_MAX, values.type.scale)), places)
        except pa.ArrowInvalid:
            return _one_by_one(values, places)
    values = with_room(values, places)
    result = pc.round(values, ndigits=places, round_mode="half_towards_infinity")
    if pa.types.is_decimal256(values.type) and pc.any(_is_far(values, result, places)).as_py():
        return _one_by_one(values, places)
    return result


def with_room(values: pa.Array | pa.Scalar, places: int = 0) -> pa.Array | pa.Scalar:
    """Decimals in a type with one digit more, and with digits for these places before the point.

    Arrow (26.0) rounds within the type. If a digit is missing for 9.99 to become 10.0, it fails if that is the last
    value, and otherwise returns 0.
    """
    digits = max(values.type.precision, values.type.scale - places) + 1
    wider = pa.decimal128 if digits <= _DIGITS_MAX else pa.decimal256
    return pc.cast(values, wider(digits, values.type.scale))


def _is_far(values: Any, result: Any, places: int) -> Any:
    """Where a result is not the nearest number: in 256 bits, Arrow (26.0) silently truncates some numbers of only
    nines.
    """
    half = decimal.Decimal(5).scaleb(-places - 1)
    bound = pa.scalar(half, pa.decimal256(_WIDE_DIGITS_MAX, max(values.type.scale, 0)))
    return pc.greater(pc.abs(pc.subtract(values, result)), bound)


def _one_by_one(values: Any, places: int) -> Any:
    """Rounds in Python: for numbers with more digits than Arrow can round."""
    unit = decimal.Decimal(1).scaleb(-places)
    numbers = [values.as_py()] if isinstance(values, pa.Scalar) else values.to_pylist()
    exact = [None if number is None else number.quantize(unit, context=_EXACT) for number in numbers]
    array = pa.array(exact, pa.decimal256(_WIDE_DIGITS_MAX, max(places, 0)))
    return array[0] if isinstance(values, pa.Scalar) else array
