"""Constants: converts Python values to Arrow's, with the type that PyFlink would give them."""

from __future__ import annotations

import decimal
from typing import Any, Final

import pyarrow as pa

from shmflink.errors import TypeMismatchError
from shmflink.expressions.types.names import data_type_of
from shmflink.expressions.types.rules import DECIMAL_DIGITS_MAX

__all__ = ["scalar_of"]

_INT32_LIMIT: Final = 2**31
_INT64_LIMIT: Final = 2**63


def scalar_of(value: Any, data_type: Any = None) -> pa.Scalar:
    """The constant of this type (in any form that `cast` accepts), or of the type that follows from the value.

    Raises:
        TypeMismatchError: the value does not fit the type, or no type fits the value.
    """
    kind = None if data_type is None else data_type_of(data_type)
    exact = value
    if kind is None and type(value) is int:
        exact, kind = _sized(value)
    try:
        return pa.scalar(exact, kind)
    except (pa.ArrowException, OverflowError, TypeError) as error:
        raise TypeMismatchError(f"lit({value!r}): the value does not fit the type: {error}") from None


def _sized(value: int) -> tuple[int | decimal.Decimal, pa.DataType | None]:
    """A whole number, and its type unless it is a BIGINT, which Arrow infers."""
    if -_INT32_LIMIT <= value < _INT32_LIMIT:
        return value, pa.int32()
    if value < -_INT64_LIMIT or value >= 2 * _INT64_LIMIT:
        return decimal.Decimal(value), pa.decimal128(DECIMAL_DIGITS_MAX, 0)
    return value, pa.uint64() if value >= _INT64_LIMIT else None
