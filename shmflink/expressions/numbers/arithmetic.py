"""Arithmetic with Flink's rules: integer division truncates, integers wrap around, floats overflow to infinity.

Unlike in Flink's SQL, a FLOAT combined with a DOUBLE is first cast to DOUBLE: Flink rounds the DOUBLE to a FLOAT, which
loses half of its digits. Remainders of floating-point numbers, which Flink refuses, are supported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import pyarrow as pa

from shmflink.core.lazy_imports import pc
from shmflink.expressions.node import Node
from shmflink.expressions.numbers import decimals
from shmflink.expressions.registry import TypeFamily, Values, function
from shmflink.expressions.time import moving
from shmflink.expressions.time.intervals import is_interval
from shmflink.expressions.types.rules import beside_unsigned, common_number, is_number, is_text

__all__ = ["ArithmeticMethods"]


class ArithmeticMethods(Node):
    """Operators on numbers; `+` and `-` also on times and intervals, `+` on strings."""

    __slots__ = ()

    def __add__(self, other: Any) -> Self:
        """Sum; of strings, their concatenation; of a time and an interval, the later time. Null if either is null.

        Whole numbers wrap around, as in Java.

        >>> show(col("a") + 1, col("s") + "!", a=[1, None], s=["x", "y"])
        _c0: [2, None]
        _c1: ['x!', 'y!']
        """
        return self.call("plus", self, other)

    def __radd__(self, other: Any) -> Self:
        return self.call("plus", other, self)

    def __sub__(self, other: Any) -> Self:
        """Difference; of two times: the interval between them.

        >>> show(10 - col("a"), a=[1, None])
        _c0: [9, None]
        """
        return self.call("minus", self, other)

    def __rsub__(self, other: Any) -> Self:
        return self.call("minus", other, self)

    def __mul__(self, other: Any) -> Self:
        """Product; whole numbers wrap around, as in Java.

        >>> show(col("a") * 2.5, a=[1, 2])
        _c0: [2.5, 5.0]
        """
        return self.call("times", self, other)

    def __rmul__(self, other: Any) -> Self:
        return self.call("times", other, self)

    def __truediv__(self, other: Any) -> Self:
        """Quotient. Whole numbers give a whole number, truncated toward zero: cast one of them for a fraction.

        Dividing a whole number or decimal by zero is an error; a float gives infinity or NaN.

        >>> show(col("a") / 2, col("a") / 2.0, a=[7, -7])
        _c0: [3, -3]
        _c1: [3.5, -3.5]
        """
        return self.call("divided_by", self, other)

    def __rtruediv__(self, other: Any) -> Self:
        return self.call("divided_by", other, self)

    def __mod__(self, other: Any) -> Self:
        """Remainder, with the sign of the dividend and the type of the divisor; dividing by an integer zero is an
        error.

        >>> show(col("a") % 3, a=[7, -7])
        _c0: [1, -1]
        """
        return self.call("mod", self, other)

    def __rmod__(self, other: Any) -> Self:
        return self.call("mod", other, self)

    def __pow__(self, other: Any) -> Self:
        """Power, as float64.

        >>> show(col("a") ** 2, a=[3, 4])
        _c0: [9.0, 16.0]
        """
        return self.call("power", self, other)

    def __rpow__(self, other: Any) -> Self:
        return self.call("power", other, self)

    def __neg__(self) -> Self:
        """The negated number or interval.

        >>> show(-col("a"), a=[3, None])
        _c0: [-3, None]
        """
        return self.call("negative", self)

    def __pos__(self) -> Self:
        """The same.

        >>> show(+col("a"), a=[3])
        a: [3]
        """
        return self

    def __abs__(self) -> Self:
        """The number without its sign, like the property `abs`.

        >>> show(abs(col("a")), a=[-3, None])
        _c0: [3, None]
        """
        return self.call("abs", self)


def _coerce_numbers(kinds: Sequence[pa.DataType], constants: Sequence[pa.Scalar | None]) -> list[pa.DataType]:
    """Casts both to their common type; decimals are unchanged, because their own rules determine the result's
    digits.
    """
    return _common_numbers(beside_unsigned(kinds, constants))


def _common_numbers(kinds: Sequence[pa.DataType]) -> list[pa.DataType]:
    left, right = _typed(kinds, pa.int32())
    if not (is_number(left) and is_number(right)):
        raise TypeError("it takes two numbers")
    common = common_number(left, right)
    return decimals.operand_types(left, right) if pa.types.is_decimal(common) else [common, common]


def _coerce_sum(kinds: Sequence[pa.DataType], constants: Sequence[pa.Scalar | None]) -> list[pa.DataType]:
    left, right = _typed(kinds, pa.duration("ms"))
    if moving.is_moving(left, right):
        return moving.in_whole_seconds(moving.sum_types(left, right), constants)
    if is_text(left) and is_text(right):
        return [left, right] if left.equals(right) else [pa.large_utf8(), pa.large_utf8()]
    if is_text(left) or is_text(right):
        raise TypeError("a string can be concatenated only with a string: cast() the other value")
    return _coerce_numbers(kinds, constants)


def _coerce_difference(kinds: Sequence[pa.DataType], constants: Sequence[pa.Scalar | None]) -> list[pa.DataType]:
    left, right = _typed(kinds, pa.duration("ms"))
    if moving.is_moving(left, right):
        return moving.in_whole_seconds(moving.difference_types(left, right), constants)
    return _common_numbers(kinds)  # a uint64 minus a constant may be negative, so the constant does not become a uint64


def _coerce_product(kinds: Sequence[pa.DataType], constants: Sequence[pa.Scalar | None]) -> list[pa.DataType]:
    if any(is_interval(kind) for kind in kinds):
        left, right = _typed(kinds, pa.int64())
        return moving.interval_product_types(left, right)
    return _coerce_numbers(kinds, constants)


def _typed(kinds: Sequence[pa.DataType], beside_time: pa.DataType) -> tuple[pa.DataType, pa.DataType]:
    """The types; an untyped null gets a type that fits the other."""
    left, right = kinds
    if pa.types.is_null(left):
        left = _beside(right, beside_time)
    return left, _beside(left, beside_time) if pa.types.is_null(right) else right


def _beside(other: pa.DataType, beside_time: pa.DataType) -> pa.DataType:
    if pa.types.is_null(other):
        return pa.int32()
    return beside_time if pa.types.is_temporal(other) else other


@function("plus", TypeFamily.ANY, TypeFamily.ANY, coerce=_coerce_sum)
def _plus(left: Values, right: Values) -> Values:
    kind = left.type
    if is_number(kind):
        return decimals.add(left, right) if pa.types.is_decimal(kind) else pc.add(left, right)
    if is_text(kind):
        return pc.binary_join_element_wise(left, right, pa.scalar("", kind))
    return moving.later(left, right)


@function("minus", TypeFamily.ANY, TypeFamily.ANY, coerce=_coerce_difference)
def _minus(left: Values, right: Values) -> Values:
    if is_number(left.type):
        return decimals.subtract(left, right) if pa.types.is_decimal(left.type) else pc.subtract(left, right)
    return moving.time_difference(left, right)


@function("times", TypeFamily.ANY, TypeFamily.ANY, coerce=_coerce_product)
def _times(left: Values, right: Values) -> Values:
    if is_interval(left.type) or is_interval(right.type):
        return moving.interval_product(left, right)
    return decimals.multiply(left, right) if pa.types.is_decimal(left.type) else pc.multiply(left, right)


def _coerce_quotient(kinds: Sequence[pa.DataType], constants: Sequence[pa.Scalar | None]) -> list[pa.DataType]:
    wanted = _coerce_numbers(kinds, constants)
    if all(map(pa.types.is_integer, kinds)) and pa.types.is_decimal(wanted[0]):
        raise TypeError(
            f"{kinds[0]} and {kinds[1]} have no common type of whole numbers: cast() one of them, for example to "
            "decimal128(20, 0) for a quotient with a fraction"
        )
    return wanted


@function("divided_by", TypeFamily.NUMBER, TypeFamily.NUMBER, coerce=_coerce_quotient)
def _divided_by(left: Values, right: Values) -> Values:
    if pa.types.is_floating(left.type):
        return pc.divide(left, right)
    if pa.types.is_decimal(left.type):
        return decimals.divide(left, right)
    return _whole(pc.divide_checked, left, right, pc.negate)


def _coerce_remainder(kinds: Sequence[pa.DataType], constants: Sequence[pa.Scalar | None]) -> list[pa.DataType]:
    """Does not cast integers: the result has the divisor's type."""
    if all(pa.types.is_integer(kind) for kind in kinds):
        return list(kinds)
    return _coerce_numbers(kinds, constants)


@function("mod", TypeFamily.NUMBER, TypeFamily.NUMBER, coerce=_coerce_remainder)
def _mod(left: Values, right: Values) -> Values:
    if pa.types.is_floating(left.type):
        return _remainder(left, right)
    if pa.types.is_decimal(left.type):
        return decimals.remainder(left, right)
    if not left.type.equals(right.type):
        common = common_number(left.type, right.type)
        return pc.cast(_mod(pc.cast(left, common), pc.cast(right, common)), right.type, safe=False)
    return _whole(_remainder, left, right, lambda values: pc.subtract(values, values))


def _whole(
    operation: Callable[..., Values], left: Values, right: Values, by_minus_one: Callable[..., Values]
) -> Values:
    """The smallest integer divided by -1 overflows: Arrow raises an error, Java wraps around."""
    try:
        return operation(left, right)
    except pa.ArrowInvalid as error:
        if "overflow" not in str(error):
            raise
    is_minus_one = pc.equal(right, -1)
    safe = pc.if_else(is_minus_one, pa.scalar(1, right.type), right)
    return pc.if_else(is_minus_one, by_minus_one(left), operation(left, safe))


def _remainder(left: Values, right: Values) -> Values:
    if hasattr(pc, "remainder"):
        return pc.remainder(left, right)
    whole = pc.divide(left, right)  # an Arrow without a kernel for the remainder
    if pa.types.is_floating(whole.type):
        whole = pc.trunc(whole)
    return pc.subtract(left, pc.multiply(whole, right))


@function("power", TypeFamily.NUMBER, TypeFamily.NUMBER, coerce=lambda kinds, _: [pa.float64()] * len(kinds))
def _power(left: Values, right: Values) -> Values:
    return pc.power(left, right)


@function("negative", TypeFamily.ANY)
def _negative(values: Values) -> Values:
    if is_interval(values.type):
        return moving.negated_interval(values)
    if not is_number(values.type):
        raise TypeError("it takes a number or an interval")
    if pa.types.is_unsigned_integer(values.type):
        values = pc.cast(values, common_number(values.type, pa.int8()))
    return pc.negate(values)
