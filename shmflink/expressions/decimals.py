"""Arithmetic of decimals with Flink's digits: computed in 256 bits, rounded half up into 38 digits.

Of two decimals declared with 38 digits, which Arrow does not multiply or divide, the left one may have 37.
Source: Flink's `LogicalTypeMerging` (SQL:2003 as SQL Server does it). A result that does not fit is an error; Flink
gives null.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from shmflink.expressions.registry import Values
from shmflink.expressions.type_rules import DECIMAL_DIGITS_MAX, capped_decimal, decimal_of

__all__ = ["add", "divide", "fitted", "multiply", "operand_types", "remainder", "subtract"]

_DIVISION_SCALE_MIN = 6
_WIDE_DIGITS_MAX = 76


def operand_types(left: pa.DataType, right: pa.DataType) -> list[pa.DataType]:
    """Integers beside a decimal become decimals."""
    return [decimal_of(left), decimal_of(right)]


def add(left: Values, right: Values) -> Values:
    """Sum."""
    return fitted(pc.add(_wide(left), _wide(right)), _sum_type(left.type, right.type))


def subtract(left: Values, right: Values) -> Values:
    """Difference."""
    return fitted(pc.subtract(_wide(left), _wide(right)), _sum_type(left.type, right.type))


def multiply(left: Values, right: Values) -> Values:
    """Product."""
    kind = capped_decimal(left.type.precision + right.type.precision, left.type.scale + right.type.scale)
    if left.type.precision + right.type.precision + 1 > _WIDE_DIGITS_MAX:
        left = pc.cast(left, pa.decimal256(_WIDE_DIGITS_MAX - 1 - right.type.precision, left.type.scale))
    return fitted(pc.multiply(_tight(left), _tight(right)), kind)


def divide(left: Values, right: Values) -> Values:
    """Quotient; by zero it is an error."""
    a, b = left.type, right.type
    scale = max(_DIVISION_SCALE_MIN, a.scale + b.precision + 1)
    kind = capped_decimal(a.precision - a.scale + b.scale + scale, scale)
    # Arrow cuts the quotient at scale (dividend's + divisor's precision - its scale + 1): one digit more to round by.
    dividend_scale = max(a.scale, kind.scale - b.precision + b.scale)
    dividend_digits = a.precision - a.scale + dividend_scale
    digits_over = max(0, dividend_digits + b.precision + 1 - _WIDE_DIGITS_MAX)
    dividend = pc.cast(left, pa.decimal256(dividend_digits - digits_over, dividend_scale))
    return fitted(pc.divide(dividend, right), kind)


def remainder(left: Values, right: Values) -> Values:
    """Remainder with the sign of the dividend; by zero it is an error."""
    a, b = left.type, right.type
    scale = max(a.scale, b.scale)
    kind = capped_decimal(min(a.precision - a.scale, b.precision - b.scale) + scale, scale)
    digits = max(a.precision - a.scale, b.precision - b.scale) + scale
    both = pa.decimal256(digits, scale)
    left, right = pc.cast(left, both), pc.cast(right, both)
    if hasattr(pc, "remainder"):
        return fitted(pc.remainder(left, right), kind)
    whole = pc.cast(pc.trunc(pc.divide(left, right)), pa.decimal256(DECIMAL_DIGITS_MAX, 0))
    return fitted(pc.subtract(left, pc.multiply(whole, right)), kind)


def fitted(values: Values, kind: pa.DataType) -> Values:
    """Decimals in this decimal type: rounded half away from zero. Raises `ArrowInvalid` where digits do not fit."""
    if values.type.scale > kind.scale:
        values = pc.round(values, ndigits=kind.scale, round_mode="half_towards_infinity")
    return pc.cast(values, kind)


def _sum_type(left: pa.DataType, right: pa.DataType) -> pa.DataType:
    scale = max(left.scale, right.scale)
    whole = max(left.precision - left.scale, right.precision - right.scale)
    return capped_decimal(whole + scale + 1, scale)


def _wide(values: Values) -> Values:
    kind = values.type
    return values if kind.precision < 30 else pc.cast(values, pa.decimal256(kind.precision, kind.scale))


def _tight(values: Values) -> Values:
    kind = values.type
    return values if kind.precision < 18 else pc.cast(values, pa.decimal256(kind.precision, kind.scale))
