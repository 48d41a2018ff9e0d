"""`cast` and `try_cast` with Flink's rules."""

from __future__ import annotations

from typing import Any, Final, Self

import numpy as np
import pyarrow as pa

from shmflink import _core
from shmflink.core.lazy_imports import pc
from shmflink.expressions.nested.lists import Lists, list_of
from shmflink.expressions.nested.maps import entries_of, map_of_entries
from shmflink.expressions.node import Node
from shmflink.expressions.numbers.decimals import fitted
from shmflink.expressions.numbers.rounding import rounded_doubles
from shmflink.expressions.registry import TypeFamily, Values, function
from shmflink.expressions.text.natives import same_for_all
from shmflink.expressions.time.zones import from_local
from shmflink.expressions.types import parsing
from shmflink.expressions.types.names import data_type_of, length_of
from shmflink.expressions.types.rules import DECIMAL_DIGITS_MAX, is_bytes, is_number, is_text
from shmflink.expressions.vectors import as_double, columnwise, fixed_width

__all__ = ["CastMethods"]

_WIDE_DIGITS: Final = 76
_INT64_DIGITS: Final = 19
_DOUBLE_WHOLE_FROM: Final = 2.0**52  # above, every float64 is a whole number
_FLOAT_DIGITS: Final = 19  # digits of a float after its first one, and two for rounding
_FLOORS: Final = {"s": "second", "ms": "millisecond", "us": "microsecond"}


class CastMethods(Node):
    """Casts to other types."""

    __slots__ = ()

    def cast(self, data_type: Any) -> Self:
        """The value as another type: an Arrow type, one of `Types`, a name like "BIGINT", or int, float, str, bool.

        Casting to a whole number truncates the fraction. Whole numbers that do not fit wrap around, as in Java and
        Flink; from and to uint64, which Java lacks, that is an error. A number with too many digits for a decimal
        becomes null. CHAR(n), VARCHAR(n), BINARY(n) and VARBINARY(n) truncate longer values; CHAR and BINARY pad
        shorter ones. Arrow's strings have no length: the type is STRING. A string that cannot be parsed fails the job;
        `try_cast` gives null instead. Timestamps have the form `2024-02-29 12:34:56.789`; `to_timestamp()` also accepts
        ISO 8601 with `T` and an offset. Null remains null.

        >>> show(col("s").cast("INT"), col("x").cast(str), col("x").cast("CHAR(4)"), s=[" 42 ", None], x=[1.5, 1e10])
        _c0: [42, None]
        _c1: ['1.5', '1.0E10']
        _c2: ['1.5 ', '1.0E']
        """
        return self._cast_to(data_type, "cast")

    def try_cast(self, data_type: Any) -> Self:
        """Like `cast`, with null for a value that cannot be cast.

        >>> show(col("s").try_cast("INT"), s=["42", "many", None])
        _c0: [42, None, None]
        """
        return self._cast_to(data_type, "try_cast")

    def _cast_to(self, data_type: Any, function_name: str) -> Self:
        """The cast, truncated or padded to the length of a type like CHAR(5)."""
        cast = self.call(function_name, self, parameters=(data_type_of(data_type),))
        length = length_of(data_type)
        if length is None:
            return cast
        name, count = length
        return self.call("with_length", cast, parameters=(count, not name.startswith("VAR")))


@function("cast", TypeFamily.ANY)
def _cast_strictly(values: Values, kind: pa.DataType) -> Values:
    return _cast(values, kind, is_strict=True)


@function("try_cast", TypeFamily.ANY)
def _try_cast(values: Values, kind: pa.DataType) -> Values:
    return _cast(values, kind, is_strict=False)


@function("convert", TypeFamily.ANY)
def _convert(values: Values, kind: pa.DataType) -> Values:
    """The cast that the binder inserts before a function that requires another type: also parses ISO 8601."""
    return _cast(values, kind, is_strict=True, is_iso=True)


@function("with_length", TypeFamily.ANY)
def _with_length(values: Values, count: int, is_filled: bool) -> Values:
    if is_text(values.type):
        cut = pc.utf8_slice_codeunits(values, 0, count)
        return pc.utf8_rpad(cut, count, " ") if is_filled else cut
    cut = pc.binary_slice(values, 0, count)
    return _filled(cut, count) if is_filled else cut


@columnwise
def _filled(values: pa.Array, count: int) -> pa.Array:
    """Bytes of one length, padded with zeros."""
    filled = pc.binary_slice(pc.binary_join_element_wise(values, b"\0" * count, b""), 0, count)
    return filled.cast(pa.binary(count))


@function("plain", TypeFamily.ANY)
def _plain(values: Values, kind: pa.DataType) -> Values:
    """Decodes a column (dictionary, runs, views) to its value type."""
    if pa.types.is_run_end_encoded(values.type):
        return pc.run_end_decode(values)
    return values.cast(kind)


def _cast(values: Values, kind: pa.DataType, *, is_strict: bool, is_iso: bool = False) -> Values:
    given = values.type
    if given.equals(kind):
        return values
    if pa.types.is_null(given):
        return pa.scalar(None, kind) if isinstance(values, pa.Scalar) else pa.nulls(len(values), kind)
    if is_text(given):
        return parsing.from_text(values, kind, is_strict=is_strict, is_iso=is_iso)
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
    if pa.types.is_nested(given) and pa.types.is_nested(kind):
        return _nested(values, kind, is_strict=is_strict)
    return pc.cast(values, kind)


@columnwise
def _nested(column: pa.Array, kind: pa.DataType, *, is_strict: bool) -> pa.Array:
    """Casts arrays item by item, maps by keys and values, rows field by field, ignoring the field names."""
    given, types = column.type, pa.types
    if types.is_map(given) and types.is_map(kind):
        lists = Lists.of(entries_of(column))
        keys = _cast(lists.values.field(0), kind.key_type, is_strict=is_strict)
        items = _cast(lists.values.field(1), kind.item_type, is_strict=is_strict)
        return map_of_entries(keys, items, lists.lengths, column)
    if types.is_struct(given) and types.is_struct(kind) and given.num_fields == kind.num_fields:
        fields = [
            _cast(child, kind.field(index).type, is_strict=is_strict) for index, child in enumerate(column.flatten())
        ]
        mask = column.is_null() if column.null_count else None
        return pa.StructArray.from_arrays(fields, fields=list(kind), mask=mask)
    if TypeFamily.LIST.accepts(given) and types.is_list(kind):
        lists = Lists.of(column)
        return list_of(_cast(lists.values, kind.value_type, is_strict=is_strict), lists.lengths, column).cast(kind)
    return pc.cast(column, kind)


def _from_number(values: Values, kind: pa.DataType, *, is_strict: bool) -> Values:
    given = values.type
    if pa.types.is_boolean(kind):
        return pc.not_equal(values, pa.scalar(0, given))
    if pa.types.is_decimal(kind):
        return _to_decimal(values, kind, is_strict=is_strict)
    if pa.types.is_floating(kind):
        return pc.cast(as_double(values) if pa.types.is_decimal(given) else values, kind, safe=False)
    if not pa.types.is_integer(kind):
        raise TypeError(f"a number cannot become {kind}" + _hint(kind))
    if pa.types.is_floating(given):
        return _cut(values, kind)
    if pa.types.is_decimal(given):
        return _whole(values, kind)
    if pa.types.is_uint64(kind):
        return _without_sign(values, kind, is_strict=is_strict)
    return pc.cast(values, kind, safe=False)


def _with_sign(values: Values, kind: pa.DataType, *, is_strict: bool) -> Values:
    """Unsigned integers, which Java lacks, do not wrap around: a value that does not fit is an error, or null."""
    if not is_strict:
        largest = pa.scalar(2 ** (kind.bit_width - 1) - 1, pa.uint64())
        values = pc.if_else(pc.less_equal(pc.cast(values, pa.uint64()), largest), values, pa.scalar(None, values.type))
    return pc.cast(values, kind)


def _without_sign(values: Values, kind: pa.DataType, *, is_strict: bool) -> Values:
    """The reverse: a negative number is an error, or null."""
    if not is_strict:
        values = pc.if_else(pc.greater_equal(values, pa.scalar(0, values.type)), values, pa.scalar(None, values.type))
    return pc.cast(values, kind)


def _whole(values: Values, kind: pa.DataType) -> Values:
    """Decimals without their fraction; one that does not fit wraps around, as `BigDecimal.longValue` does."""
    whole = pc.trunc(values)
    try:
        return pc.cast(whole, kind)
    except pa.ArrowInvalid:
        digits = min(whole.type.precision, DECIMAL_DIGITS_MAX)
        return pc.cast(_low_words(pc.cast(whole, pa.decimal128(digits, 0))), kind, safe=False)


@columnwise
def _low_words(whole: pa.Array) -> pa.Array:
    words = np.frombuffer(whole.buffers()[1], np.int64)[2 * whole.offset :][: 2 * len(whole) : 2]
    return fixed_width(np.ascontiguousarray(words), whole, pa.int64())


def _hint(kind: pa.DataType) -> str:
    return ": use to_timestamp_ltz() or from_unixtime()" if pa.types.is_timestamp(kind) else ""


def _cut(values: Values, kind: pa.DataType) -> Values:
    """Floats as whole numbers, as Java casts them: truncated toward zero, NaN to 0, too large ones to the nearest
    value.
    """
    whole = pc.trunc(values)
    try:
        return pc.cast(whole, kind)
    except pa.ArrowInvalid:
        pass
    if kind.bit_width < 32:  # Java casts to int first
        return pc.cast(_cut(values, pa.int32()), kind, safe=False)
    bits = kind.bit_width - pa.types.is_signed_integer(kind)
    low, high = (-(2**bits) if pa.types.is_signed_integer(kind) else 0), 2**bits - 1
    whole = pc.cast(pc.if_else(pc.is_nan(whole), 0.0, whole), pa.float64())
    is_low, is_high = pc.less_equal(whole, float(low)), pc.greater_equal(whole, float(high))
    inside = pc.cast(pc.if_else(pc.or_(is_low, is_high), 0.0, whole), kind)
    return pc.if_else(is_low, pa.scalar(low, kind), pc.if_else(is_high, pa.scalar(high, kind), inside))


def _to_decimal(values: Values, kind: pa.DataType, *, is_strict: bool) -> Values:
    given = values.type
    if pa.types.is_floating(given):
        doubles = pc.cast(values, pa.float64())
        is_finite = pc.is_finite(doubles)
        if pc.all(is_finite).as_py() is False:
            if is_strict:
                raise ValueError("NaN and infinity have no decimal value")
            doubles = pc.if_else(is_finite, doubles, pa.scalar(None, pa.float64()))
        return _decimals_of_floats(doubles, kind)
    if pa.types.is_integer(given):
        values = pc.cast(values, pa.decimal128(20, 0))
    return fitted(values, kind)


def _decimals_of_floats(values: Values, kind: pa.DataType) -> Values:
    """Uses the digits that Java writes: 0.1 is 0.1 at any scale. All values must be finite."""
    size = pc.abs(values)
    largest = pc.max(size).as_py() if isinstance(size, pa.Array) else size.as_py()
    if largest is not None and largest * 10.0**kind.scale < _DOUBLE_WHOLE_FROM:
        return fitted(_decimals_of_small_floats(values, kind.scale), kind)
    fits = pc.less(size, 10.0 ** (kind.precision - kind.scale))
    values = pc.if_else(fits, values, pa.scalar(None, values.type))
    values = pc.if_else(pc.less(size, 10.0 ** -(kind.scale + 2)), pa.scalar(0.0, values.type), values)
    texts = same_for_all(_core.format_floats, values)
    return fitted(pc.cast(texts, pa.decimal256(_WIDE_DIGITS, kind.scale + _FLOAT_DIGITS)), kind)


@columnwise
def _decimals_of_small_floats(values: pa.Array, scale: int) -> pa.Array:
    """Rounds by their digits, as integers in units of the last digit: 20 times as fast as through text."""
    rounded = rounded_doubles(values, pa.array(np.full(len(values), scale)), is_half_up=True)
    units = np.rint(np.asarray(rounded.fill_null(0)) * 10.0**scale).astype(np.int64)
    whole = fixed_width(units, values, pa.int64()).cast(pa.decimal128(_INT64_DIGITS, 0))
    return pa.Array.from_buffers(pa.decimal128(_INT64_DIGITS, scale), len(whole), whole.buffers(), whole.null_count)


def _from_temporal(values: Values, kind: pa.DataType) -> Values:
    given = values.type
    if not pa.types.is_temporal(kind):
        if pa.types.is_duration(given) and pa.types.is_int64(kind):
            return pc.cast(values, kind)
        raise TypeError(f"{given} cannot become {kind}: use unix_timestamp() or extract()")
    if pa.types.is_time(given) and pa.types.is_timestamp(kind):
        since_midnight = pc.cast(pc.cast(values, pa.time64("ns")), pa.int64())
        return _from_temporal(pc.cast(since_midnight, pa.timestamp("ns")), kind)
    if pa.types.is_timestamp(given) and given.tz is not None and (kind != given):
        if not (pa.types.is_timestamp(kind) and kind.tz is not None):
            return _from_temporal(pc.local_timestamp(values), kind)
    elif pa.types.is_timestamp(kind) and kind.tz is not None:
        local = _from_temporal(values, pa.timestamp(kind.unit))
        return pc.cast(from_local(local, kind.tz), kind)
    if pa.types.is_timestamp(given) and pa.types.is_date(kind):
        return pc.cast(pc.floor_temporal(values, unit="day"), kind)
    if pa.types.is_timestamp(given) and pa.types.is_timestamp(kind) and kind.unit in _FLOORS:
        values = pc.floor_temporal(values, unit=_FLOORS[kind.unit])  # Arrow's cast rounds toward 1970
    return pc.cast(values, kind, safe=False)
