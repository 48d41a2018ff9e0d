"""Arithmetic of decimals with Flink's digits: computed in 256 bits, rounded half up into 38 digits.

Source: Flink's `LogicalTypeMerging` (SQL:2003 as SQL Server does it). A result that does not fit is null, as in Flink.
"""

from __future__ import annotations

import decimal
from collections.abc import Callable
from typing import Final

import numpy as np
import pyarrow as pa

from shmflink.core.lazy_imports import pc
from shmflink.core.types.decimals import rounded
from shmflink.expressions.registry import Values
from shmflink.expressions.types.rules import DECIMAL_DIGITS_MAX, capped_decimal, decimal_of
from shmflink.expressions.vectors import columnwise

__all__ = ["add", "divide", "fitted", "multiply", "operand_types", "remainder", "subtract"]

_DIVISION_SCALE_MIN: Final = 6
_WIDE_DIGITS_MAX: Final = 76
_DOUBLE_ERROR: Final = 1e-12  # an upper bound of the relative error of a decimal's double
_ZERO: Final = decimal.Decimal(0)
_EXACT: Final = decimal.Context(prec=160, rounding=decimal.ROUND_HALF_UP)


def operand_types(left: pa.DataType, right: pa.DataType) -> list[pa.DataType]:
    """Integers combined with a decimal become decimals."""
    return [decimal_of(left), decimal_of(right)]


def add(left: Values, right: Values) -> Values:
    """Sum."""
    return fitted(pc.add(_wide(left), _wide(right)), _sum_type(left.type, right.type))


def subtract(left: Values, right: Values) -> Values:
    """Difference."""
    return fitted(pc.subtract(_wide(left), _wide(right)), _sum_type(left.type, right.type))


def multiply(left: Values, right: Values) -> Values:
    """Product."""
    kind = capped_decimal(left.type.precision + right.type.precision + 1, left.type.scale + right.type.scale)
    if left.type.precision + right.type.precision + 1 > _WIDE_DIGITS_MAX:
        return one_by_one(left, right, kind, _EXACT.multiply)
    return fitted(pc.multiply(_tight(left), _tight(right)), kind)


def divide(left: Values, right: Values) -> Values:
    """Quotient; dividing by zero is an error."""
    a, b = left.type, right.type
    scale = max(_DIVISION_SCALE_MIN, a.scale + b.precision + 1)
    kind = capped_decimal(a.precision - a.scale + b.scale + scale, scale)
    # Arrow truncates the quotient at scale (dividend's + divisor's precision - its scale + 1): one digit more, for
    # rounding.
    dividend_scale = max(a.scale, kind.scale - b.precision + b.scale)
    dividend_digits = a.precision - a.scale + dividend_scale
    if dividend_digits + b.precision + 1 > _WIDE_DIGITS_MAX:
        return one_by_one(left, right, kind, _EXACT.divide)
    dividend = pc.cast(left, pa.decimal256(dividend_digits, dividend_scale))
    return fitted(pc.divide(dividend, right), kind)


def remainder(left: Values, right: Values) -> Values:
    """Remainder with the sign of the dividend; dividing by zero is an error."""
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
    """Casts decimals to this decimal type: rounds half away from zero; null if digits do not fit."""
    if values.type.scale > kind.scale:
        values = rounded(values, kind.scale)
    elif values.type.scale < kind.scale:
        values = _with_places(values, kind)
    try:
        return pc.cast(values, kind)
    except pa.ArrowInvalid:
        return pc.cast(_fitting(values, kind), kind)


def _with_places(values: Values, kind: pa.DataType) -> Values:
    """Rescales to `kind`, in a type with room for all digits: Arrow (26.0) multiplies in 128 bits and wraps around."""
    digits = values.type.precision + kind.scale - values.type.scale
    if digits <= DECIMAL_DIGITS_MAX:
        return values
    if digits > _WIDE_DIGITS_MAX:
        values, digits = _fitting(values, kind), _WIDE_DIGITS_MAX
    return pc.cast(values, pa.decimal256(digits, kind.scale))


def _fitting(values: Values, kind: pa.DataType) -> Values:
    """Null instead of numbers with more digits before the point than `kind` has."""
    fits = _fits(values, limit=decimal.Decimal(10) ** (kind.precision - kind.scale))
    return pc.if_else(fits, values, pa.scalar(None, values.type))


@columnwise
def _fits(values: pa.Array, *, limit: decimal.Decimal) -> pa.Array:
    """Which numbers are below a limit: compares doubles, and single numbers exactly if they are too near to the
    limit.
    """
    sizes = np.abs(np.asarray(pc.cast(values, pa.float64()).fill_null(0)))
    fits = sizes < float(limit)
    for row in np.flatnonzero(np.abs(sizes - float(limit)) <= float(limit) * _DOUBLE_ERROR):
        fits[row] = (values[int(row)].as_py() or _ZERO).copy_abs() < limit  # abs() would round
    return pa.array(fits)


@columnwise
def one_by_one(
    left: pa.Array,
    right: pa.Array,
    kind: pa.DataType,
    operation: Callable[[decimal.Decimal, decimal.Decimal], decimal.Decimal],
) -> pa.Array:
    """The operation in Python, for operands with more digits together than kernels support: 76 and more."""
    unit = decimal.Decimal(1).scaleb(-kind.scale)
    limit = decimal.Decimal(10) ** (kind.precision - kind.scale)
    results: list[decimal.Decimal | None] = []
    for a, b in zip(left.to_pylist(), right.to_pylist(), strict=True):
        value = None if a is None or b is None else operation(a, b).quantize(unit, context=_EXACT)
        results.append(value if value is not None and value.copy_abs() < limit else None)
    return pa.array(results, kind)


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
