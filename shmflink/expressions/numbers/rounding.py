"""Rounding of numbers: half up, down, to integers; by the decimal digits, not by the binary fraction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shmflink.core.lazy_imports import pc
from shmflink.core.types.decimals import rounded, with_room
from shmflink.expressions.node import Node
from shmflink.expressions.numbers.decimals import fitted
from shmflink.expressions.registry import TypeFamily, Values, function
from shmflink.expressions.vectors import columnwise, constant_of, fixed_width, typed, with_validity

__all__ = ["RoundingMethods", "rounded_doubles"]

_DOUBLE_WHOLE_FROM: Final = 2.0**52  # above, every float64 is a whole number
_PLACES_MAX: Final = 308  # above this, a power of ten does not fit float64
_INT64_DIGITS: Final = 18
_DECIMAL_DIGITS: Final = 38


class RoundingMethods(Node):
    """Rounding of numbers to decimal places."""

    __slots__ = ()

    def round(self, places: Any = 0) -> Self:
        """Rounds to this many decimal places, half away from zero, in the number's type; negative places round to tens.

        Floating-point numbers are rounded by their decimal digits: 2.675 to two places is 2.68, although its binary
        fraction is smaller. For a decimal, the number of places must be a constant, because its type depends on it.

        >>> show(col("a").round(2), a=[2.675, -2.675, None])
        _c0: [2.68, -2.68, None]
        """
        return self.call("round", self, places)

    def truncate(self, n: Any = 0) -> Self:
        """Truncates to this many decimal places, toward zero, in the number's type.

        >>> show(col("a").truncate(2), a=[42.345, -42.345])
        _c0: [42.34, -42.34]
        """
        return self.call("truncate", self, n)


@function("round", TypeFamily.NUMBER, TypeFamily.INTEGER)
def _round(value: Values, places: Values) -> Values:
    value = typed(value, pa.float64())
    if pa.types.is_decimal(value.type):
        return _decimals(value, constant_of(places, "the number of places of a decimal"), rounded)
    return (
        _integers(value, places, is_half_up=True)
        if pa.types.is_integer(value.type)
        else rounded_doubles(value, places, is_half_up=True)
    )


@function("truncate", TypeFamily.NUMBER, TypeFamily.INTEGER)
def _truncate(value: Values, places: Values) -> Values:
    value = typed(value, pa.float64())
    if pa.types.is_decimal(value.type):
        return _decimals(value, constant_of(places, "the number of places of a decimal"), _cut_to)
    return (
        _integers(value, places, is_half_up=False)
        if pa.types.is_integer(value.type)
        else rounded_doubles(value, places, is_half_up=False)
    )


@function("floor", TypeFamily.NUMBER)
def _floor(value: Values) -> Values:
    return _whole(typed(value, pa.float64()), pc.floor)


@function("ceil", TypeFamily.NUMBER)
def _ceil(value: Values) -> Values:
    return _whole(typed(value, pa.float64()), pc.ceil)


def _whole(value: Values, cut: Any) -> Values:
    if pa.types.is_integer(value.type):
        return value
    if pa.types.is_decimal(value.type):
        return fitted(cut(with_room(value)), pa.decimal128(value.type.precision, 0))
    return cut(value)


def _whole_digits(kind: pa.Decimal128Type) -> int:
    """Digits before the point, and one for a carry."""
    return int(min(_DECIMAL_DIGITS, kind.precision - kind.scale + 1))


def _cut_to(value: Values, places: int) -> Values:
    return pc.round(with_room(value, places), places, "towards_zero")


def _decimals(value: Values, places: int | None, cut: Callable[[Values, int], Values]) -> Values:
    kind = value.type
    if places is None:
        return pa.scalar(None, kind)
    if places >= kind.scale:
        return value
    scale = max(places, 0)
    places = max(places, kind.scale - kind.precision - 1)  # beyond, all are 0
    result = pa.decimal128(min(_DECIMAL_DIGITS, _whole_digits(kind) + scale), scale)
    return fitted(cut(value, places), result)


@columnwise
def rounded_doubles(array: pa.Array, places: pa.Array, *, is_half_up: bool) -> pa.Array:
    """Floats rounded or truncated by their decimal digits, each to its number of places."""
    numbers = np.asarray(array.fill_null(0) if array.null_count else array)
    power = _powers(places)
    with np.errstate(over="ignore", invalid="ignore"):
        magnitude = np.abs(numbers)
        scaled = _times(magnitude, power)
        kept = np.floor(scaled + 0.5 if is_half_up else scaled)
        # A number may be just below `next` in binary although its shortest decimal digits equal it.
        next_one = _divided(kept + (0.5 if is_half_up else 1.0), power).astype(numbers.dtype)
        kept += next_one == magnitude
        result = np.copysign(_divided(kept, power), numbers).astype(numbers.dtype) + numbers.dtype.type(0)
        is_unchanged = ~(scaled < _DOUBLE_WHOLE_FROM)
    return with_validity(fixed_width(np.where(is_unchanged, numbers, result), array, array.type), places)


@columnwise
def _integers(array: pa.Array, places: pa.Array, *, is_half_up: bool) -> pa.Array:
    digits = np.asarray(places.fill_null(0).cast(pa.int64()))
    if not np.any(digits < 0):
        return with_validity(array, places)
    numbers = np.asarray(array.fill_null(0).cast(pa.int64()))
    unit = np.power(10, np.clip(-digits, 0, _INT64_DIGITS), dtype=np.int64)
    magnitude = np.abs(numbers)
    kept = magnitude // unit * unit
    if is_half_up:
        kept += unit * (magnitude - kept >= unit - unit // 2) * (unit > 1)
    kept[-digits > _INT64_DIGITS] = 0
    result = fixed_width(np.sign(numbers) * kept, array, pa.int64())
    return with_validity(result.cast(array.type, safe=False), places)


def _powers(places: pa.Array) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Ten to the power of the number of places, exact up to 22, and which of the powers are divisors."""
    digits = np.asarray(places.fill_null(0).cast(pa.int64()))
    if len(digits) and np.all(digits == digits[0]):
        digits = digits[:1]  # the usual constant: one power for all rows
    return np.power(10.0, np.minimum(np.abs(digits), _PLACES_MAX)), digits < 0


def _times(
    numbers: npt.NDArray[Any], power: tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]
) -> npt.NDArray[np.float64]:
    if not power[1].any():
        return numbers * power[0]
    return np.where(power[1], numbers / power[0], numbers * power[0])


def _divided(
    numbers: npt.NDArray[Any], power: tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]
) -> npt.NDArray[np.float64]:
    if not power[1].any():
        return numbers / power[0]
    return np.where(power[1], numbers * power[0], numbers / power[0])
