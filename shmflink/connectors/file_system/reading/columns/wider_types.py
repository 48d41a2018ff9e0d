"""The common type of two types of a column: in the files of a folder, in the lines of a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pyarrow as pa

__all__ = ["changed_type", "same_type", "settled_type", "wider_type"]

_UNITS: Final = ("s", "ms", "us", "ns")
_DECIMAL_DIGITS_MAX: Final = 38
_SIGNED: Final = {8: pa.int8(), 16: pa.int16(), 32: pa.int32(), 64: pa.int64()}
_DIGITS_OF_BITS: Final = {8: 3, 16: 5, 32: 10, 64: 20}
_LARGE: Final = {pa.string(): pa.large_string(), pa.binary(): pa.large_binary()}

_Join = Callable[[pa.DataType, pa.DataType], pa.DataType | None]


def wider_type(
    left: pa.DataType, right: pa.DataType, *, of_text: bool = False, otherwise: pa.DataType | None = None
) -> pa.DataType | None:
    """The type that can represent the values of both, or `otherwise`; also inside lists and structs.

    Null and T: T. Two integers: the wider, signed if one of them is; unsigned 64 bits and a signed one: a decimal. A
    decimal and an integer: a decimal of enough digits. A number and a floating-point number: double. Dates and
    timestamps: the finer timestamp (of one zone). Plain and large strings: large. Decimals: enough digits on both
    sides. Structs: the fields of both. Lists and maps: of the wider inner type. `of_text`: a timestamp with a zone also
    accepts texts without one.
    """

    def join(a: pa.DataType, b: pa.DataType) -> pa.DataType | None:
        made = _same(a, b)
        if made is None:
            made = _wider_scalar(a, b, of_text=of_text)
        if made is None:
            made = _struct(a, b, join) or _nested(a, b, join)
        return otherwise if made is None else made

    return join(left, right)


def same_type(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    """The type of both if they differ only in a way that does not affect values: all nulls, the width of offsets."""

    def join(a: pa.DataType, b: pa.DataType) -> pa.DataType | None:
        made = _same(a, b)
        if made is None and pa.types.is_struct(a) and pa.types.is_struct(b) and _names(a) == _names(b):
            made = _struct(a, b, join)
        return made or _nested(a, b, join)

    return join(left, right)


def settled_type(kind: pa.DataType) -> pa.DataType:
    """The type with null types and objects without fields replaced by strings, which accept any value."""
    return changed_type(kind, _settled)


def changed_type(kind: pa.DataType, change: Callable[[pa.DataType], pa.DataType]) -> pa.DataType:
    """The type with `change` applied to everything that is not a list or a struct with fields."""
    types = pa.types
    if types.is_struct(kind) and kind.num_fields:
        return pa.struct([field.with_type(changed_type(field.type, change)) for field in kind])
    if types.is_list(kind):
        return pa.list_(kind.value_field.with_type(changed_type(kind.value_type, change)))
    if types.is_large_list(kind):
        return pa.large_list(kind.value_field.with_type(changed_type(kind.value_type, change)))
    return change(kind)


def _settled(kind: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_null(kind) or pa.types.is_struct(kind) else kind


def _same(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    if left.equals(right) or pa.types.is_null(right):
        return left
    if pa.types.is_null(left):
        return right
    for plain, large in _LARGE.items():
        if {left, right} == {plain, large}:
            return large
    return None


def _wider_scalar(left: pa.DataType, right: pa.DataType, *, of_text: bool) -> pa.DataType | None:
    types = pa.types
    if _is_number(left) and _is_number(right):
        return _wider_number(left, right)
    if types.is_timestamp(left) and types.is_timestamp(right):
        if left.tz != right.tz and not (of_text and None in (left.tz, right.tz)):
            return None
        return pa.timestamp(max(left.unit, right.unit, key=_UNITS.index), left.tz or right.tz)
    if types.is_date(left) and types.is_date(right):
        return pa.date64()
    return _wider_date(left, right, of_text) or _wider_date(right, left, of_text)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _wider_number(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    types = pa.types
    if types.is_floating(left) or types.is_floating(right):
        return pa.float64()
    if types.is_integer(left) and types.is_integer(right):
        wider = _wider_integer(left, right)
        if wider is not None:
            return wider
    (left_whole, left_scale), (right_whole, right_scale) = _digits(left), _digits(right)
    scale = max(left_scale, right_scale)
    digits = max(left_whole, right_whole) + scale
    return pa.decimal128(digits, scale) if digits <= _DECIMAL_DIGITS_MAX else None


def _digits(kind: pa.DataType) -> tuple[int, int]:
    """The digits of an integer or a decimal, before and after the point."""
    if pa.types.is_decimal(kind):
        return kind.precision - kind.scale, kind.scale
    return _DIGITS_OF_BITS[kind.bit_width], 0


def _wider_integer(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    signed = [kind for kind in (left, right) if pa.types.is_signed_integer(kind)]
    if len(signed) != 1:
        return max(left, right, key=lambda kind: int(kind.bit_width))
    unsigned = right if signed[0] is left else left
    bits = max(signed[0].bit_width, 2 * unsigned.bit_width)
    return _SIGNED.get(bits)


def _wider_date(left: pa.DataType, right: pa.DataType, of_text: bool) -> pa.DataType | None:
    is_pair = pa.types.is_date(left) and pa.types.is_timestamp(right)
    return right if is_pair and (right.tz is None or of_text) else None


def _names(kind: pa.StructType) -> set[str]:
    return {field.name for field in kind}


def _struct(left: pa.DataType, right: pa.DataType, join: _Join) -> pa.DataType | None:
    if not (pa.types.is_struct(left) and pa.types.is_struct(right)):
        return None
    made: dict[str, pa.DataType | None] = {field.name: field.type for field in left}
    for field in right:
        known = made.get(field.name)
        made[field.name] = field.type if known is None else join(known, field.type)
    return None if None in made.values() else pa.struct(list(made.items()))


def _nested(left: pa.DataType, right: pa.DataType, join: _Join) -> pa.DataType | None:
    """Lists and maps."""
    if pa.types.is_map(left) and pa.types.is_map(right):
        key, item = join(left.key_type, right.key_type), join(left.item_type, right.item_type)
        return None if key is None or item is None else pa.map_(key, item)
    if not (_is_list(left) and _is_list(right)):
        return None
    value = join(left.value_type, right.value_type)
    if value is None:
        return None
    field = left.value_field.with_type(value)
    return pa.large_list(field) if pa.types.is_large_list(left) or pa.types.is_large_list(right) else pa.list_(field)


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))
