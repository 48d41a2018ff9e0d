"""The common type of several: Flink's rules for numbers, strings, dates (`LogicalTypeMerging`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pyarrow as pa

__all__ = [
    "DECIMAL_DIGITS_MAX",
    "are_date_and_timestamp",
    "beside_unsigned",
    "capped_decimal",
    "common_number",
    "common_type",
    "decimal_of",
    "is_bytes",
    "is_number",
    "is_text",
    "plain_type",
]

DECIMAL_DIGITS_MAX: Final = 38
_SCALE_KEPT_MIN: Final = 6  # digits after the point that survive when a result has too many digits (Flink, Calcite)

_SIGNED: Final = {8: pa.int8(), 16: pa.int16(), 32: pa.int32(), 64: pa.int64()}
_DIGITS: Final = {8: 3, 16: 5, 32: 10, 64: 20}
_LONG_DIGITS: Final = 19


def common_type(kinds: Sequence[pa.DataType]) -> pa.DataType | None:
    """The type that can represent the values of all; None if there is none. The null type is compatible with any."""
    merged: pa.DataType | None = pa.null()
    for kind in kinds:
        merged = None if merged is None else _merged(merged, kind)
    return merged


def common_number(left: pa.DataType, right: pa.DataType) -> pa.DataType:
    """The common type of two numbers: double before float before decimal before integers; the wider of two integers.

    A decimal and a float give a double; a signed and an unsigned integer give the next wider signed type. A signed
    integer and uint64, for which no wider type exists, give DECIMAL(20, 0), which represents all values of either.
    """
    if left.equals(right):
        return left
    if pa.types.is_floating(left) or pa.types.is_floating(right):
        return _common_float(left, right)
    if pa.types.is_decimal(left) or pa.types.is_decimal(right):
        return _common_decimal(decimal_of(left), decimal_of(right))
    if pa.types.is_signed_integer(left) == pa.types.is_signed_integer(right):
        return left if left.bit_width >= right.bit_width else right
    signed, unsigned = (left, right) if pa.types.is_signed_integer(left) else (right, left)
    if unsigned.bit_width == 64:
        return pa.decimal128(_DIGITS[64], 0)
    return _SIGNED[max(signed.bit_width, 2 * unsigned.bit_width)]


def beside_unsigned(kinds: Sequence[pa.DataType], constants: Sequence[pa.Scalar | None]) -> list[pa.DataType]:
    """The types, with a constant integer counted as uint64 if all columns are uint64 and its value fits."""
    columns = [kind for kind, constant in zip(kinds, constants, strict=True) if constant is None]
    if not columns or not all(pa.types.is_uint64(kind) for kind in columns):
        return list(kinds)
    return [
        pa.uint64() if constant is not None and _is_natural(constant) else kind
        for kind, constant in zip(kinds, constants, strict=True)
    ]


def _is_natural(constant: pa.Scalar) -> bool:
    return bool(pa.types.is_integer(constant.type)) and constant.is_valid and constant.as_py() >= 0


def decimal_of(kind: pa.DataType) -> pa.DataType:
    """The decimal type that represents every value of an integer type; a decimal type unchanged."""
    if pa.types.is_decimal(kind):
        return pa.decimal128(min(kind.precision, DECIMAL_DIGITS_MAX), kind.scale)
    return pa.decimal128(_LONG_DIGITS if pa.types.is_int64(kind) else _DIGITS[kind.bit_width], 0)


def capped_decimal(precision: int, scale: int) -> pa.DataType:
    """A decimal with this many digits. Beyond 38, digits after the point are dropped first, down to 6 (as in Flink)."""
    if precision <= DECIMAL_DIGITS_MAX:
        return pa.decimal128(max(precision, 1), scale)
    whole = precision - scale
    return pa.decimal128(DECIMAL_DIGITS_MAX, max(DECIMAL_DIGITS_MAX - whole, min(scale, _SCALE_KEPT_MIN)))


def are_date_and_timestamp(kinds: Sequence[pa.DataType], constants: Sequence[pa.Scalar | None]) -> bool:
    """Whether date columns are combined with timestamp columns, which Flink refuses; constants of either are
    allowed.
    """
    columns = [kind for kind, constant in zip(kinds, constants, strict=True) if constant is None]
    return any(map(pa.types.is_date, columns)) and any(map(pa.types.is_timestamp, columns))


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The type without encodings (dictionary, runs, views), for which kernels exist."""
    if pa.types.is_dictionary(kind):
        return plain_type(kind.value_type)
    if pa.types.is_run_end_encoded(kind):
        return plain_type(kind.value_type)
    if pa.types.is_string_view(kind):
        return pa.utf8()
    return pa.binary() if pa.types.is_binary_view(kind) else kind


def _merged(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    if left.equals(right) or pa.types.is_null(right):
        return left
    if pa.types.is_null(left):
        return right
    if is_number(left) and is_number(right):
        return common_number(left, right)
    if is_text(left) and is_text(right):
        return pa.large_utf8()
    if is_bytes(left) and is_bytes(right):
        both_short = not (pa.types.is_large_binary(left) or pa.types.is_large_binary(right))
        return pa.binary() if both_short else pa.large_binary()
    if _is_instant(left) and _is_instant(right):
        return _common_instant(left, right)
    if pa.types.is_duration(left) and pa.types.is_duration(right):
        return pa.duration(_finer(left.unit, right.unit))
    if pa.types.is_time(left) and pa.types.is_time(right):
        return left if left.bit_width >= right.bit_width and left.unit == _finer(left.unit, right.unit) else right
    if pa.types.is_list(left) and pa.types.is_list(right):
        inner = _merged(left.value_type, right.value_type)
        return None if inner is None else pa.list_(inner)
    return None


def _common_float(left: pa.DataType, right: pa.DataType) -> pa.DataType:
    is_single = all(
        pa.types.is_integer(kind) or (pa.types.is_floating(kind) and kind.bit_width <= 32) for kind in (left, right)
    )
    return pa.float32() if is_single else pa.float64()


def _common_decimal(left: pa.DataType, right: pa.DataType) -> pa.DataType:
    scale = max(left.scale, right.scale)
    whole = max(left.precision - left.scale, right.precision - right.scale)
    return capped_decimal(whole + scale, scale)


def _common_instant(left: pa.DataType, right: pa.DataType) -> pa.DataType:
    if pa.types.is_date(left) and pa.types.is_date(right):
        return pa.date32()
    if pa.types.is_date(left):
        left, right = right, left
    if pa.types.is_date(right):
        return left
    # without a zone: local time in the other's zone
    return pa.timestamp(_finer(left.unit, right.unit), left.tz or right.tz)


def _finer(left: str, right: str) -> str:
    order = ("s", "ms", "us", "ns")
    return order[max(order.index(left), order.index(right))]


def is_number(kind: pa.DataType) -> bool:
    """Integer, float or decimal."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def is_text(kind: pa.DataType) -> bool:
    """A string, with 32 or 64 bit offsets."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_bytes(kind: pa.DataType) -> bool:
    """Binary, of variable or fixed length."""
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _is_instant(kind: pa.DataType) -> bool:
    return bool(pa.types.is_date(kind) or pa.types.is_timestamp(kind))
