"""Common code of kernels: constants and columns, untyped nulls, numpy views of Arrow's buffers."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shmflink.core.lazy_imports import pc
from shmflink.errors import TypeMismatchError
from shmflink.expressions.node import LITERAL, Node
from shmflink.expressions.registry import Values

__all__ = [
    "as_double",
    "as_int64",
    "as_strings",
    "columnwise",
    "constant_of",
    "fixed_width",
    "int64_view",
    "literal_value",
    "repeated",
    "text_columns",
    "typed",
    "validity_of",
    "with_validity",
]

_EXACT_INTEGERS: Final = 1 << 53  # up to here, every integer is a float64
_EXACT_POWERS_OF_TEN: Final = 22  # 10**22 is the last that is a float64
_STRING_BYTES_MAX: Final = 2**31 - 1  # offsets of strings are 32 bits wide


def columnwise(compute: Callable[..., pa.Array]) -> Callable[..., Values]:
    """For kernels that require arrays of equal length: repeats constants; constants alone give a constant."""

    @functools.wraps(compute)
    def whole(*values: Any, **options: Any) -> Values:
        lengths = {len(value) for value in values if isinstance(value, pa.Array)}
        rows = lengths.pop() if lengths else 1
        is_constant = not any(isinstance(value, pa.Array) for value in values)
        arrays = [repeated(value, rows) if isinstance(value, pa.Scalar) else value for value in values]
        result = compute(*arrays, **options)
        return result[0] if is_constant else result

    return whole


def repeated(value: pa.Scalar, rows: int) -> pa.Array:
    """The constant, repeated for each row."""
    # Arrow repeats nested values at least once, so zero rows need a slice.
    return pa.repeat(value, rows) if rows else pa.repeat(value, 1).slice(1)


def typed(value: Values, kind: pa.DataType) -> Values:
    """The value; untyped nulls get this type."""
    return value.cast(kind) if pa.types.is_null(value.type) else value


def as_double(value: Values) -> Values:
    """Any number as the nearest float64."""
    if pa.types.is_float64(value.type):
        return value
    if pa.types.is_decimal(value.type):
        return _doubles_of_decimals(value)
    return pc.cast(value, pa.float64(), safe=False)


@columnwise
def _doubles_of_decimals(column: pa.Array) -> pa.Array:
    """Rounds once, like `BigDecimal.doubleValue`. Arrow's cast (26.0) multiplies by a power of ten that is itself
    rounded, and turns 10.04 into 10.040000000000001.
    """
    scale = column.type.scale
    if len(column) and pa.types.is_decimal128(column.type) and 0 <= scale <= _EXACT_POWERS_OF_TEN:
        words = np.frombuffer(column.buffers()[1], np.int64)[2 * column.offset :][: 2 * len(column)]
        low, high = words[0::2], words[1::2]
        if column.null_count:
            valid = np.asarray(column.is_valid())
            low, high = low * valid, high * valid
        if np.array_equal(high, low >> 63) and not np.any((low > _EXACT_INTEGERS) | (low < -_EXACT_INTEGERS)):
            return fixed_width(low / 10.0**scale, column, pa.float64())
    return pc.cast(pc.cast(column, pa.string()), pa.float64())


def as_int64(value: Values) -> Values:
    """Any whole number as int64."""
    return value if pa.types.is_int64(value.type) else pc.cast(value, pa.int64())


def as_strings(value: Values) -> Values:
    """Any string type, or nulls, as `pa.string()`."""
    return value if pa.types.is_string(value.type) else pc.cast(value, pa.string())


def constant_of(value: Values, what: str) -> Any:
    """The Python value of an argument that must be the same for all rows.

    Raises:
        TypeError: it is a column.
    """
    if isinstance(value, pa.Scalar):
        return value.as_py()
    raise TypeError(f"{what} must be a constant, not a column")


def literal_value(value: Any, what: str) -> Any:
    """The Python value of a constant given when an expression is built: itself or a `lit`.

    Raises:
        TypeMismatchError: any other expression.
    """
    if not isinstance(value, Node):
        return value
    if value.function == LITERAL:
        return value.parameters[0].as_py()
    raise TypeMismatchError(f"{value.place}: {what} must be a constant, got `{value}`")


def int64_view(array: pa.Array) -> npt.NDArray[np.int64]:
    """The integers of a 64-bit type, without a copy; undefined at nulls. Read-only."""
    data = array.buffers()[1]
    if data is None or len(array) == 0:
        return np.empty(0, np.int64)
    return np.frombuffer(data, np.int64, len(array), array.offset * 8)


def fixed_width(numbers: npt.NDArray[Any], like: pa.Array, kind: pa.DataType) -> pa.Array:
    """An array of `kind` over these values, null where `like` is null."""
    validity = validity_of(like)
    nulls = like.null_count if validity is not None else 0
    return pa.Array.from_buffers(kind, len(numbers), [validity, pa.py_buffer(numbers)], nulls)


def validity_of(array: pa.Array) -> pa.Buffer | None:
    """The validity bits from the first row on (a copy if a slice does not start at a byte); None: no nulls."""
    if array.null_count == 0:
        return None
    if array.offset == 0 and not pa.types.is_null(array.type):
        return array.buffers()[0]
    return pc.is_valid(array).buffers()[1]


def with_validity(array: pa.Array, *others: pa.Array) -> pa.Array:
    """The array, null also where one of the others is null."""
    for other in others:
        if other.null_count:
            array = pc.if_else(pc.is_valid(other), array, pa.scalar(None, array.type))
    return array


def text_columns(letters: npt.NDArray[np.uint8], like: pa.Array | None = None) -> pa.Array:
    """Strings of one width from a matrix of ASCII letters (rows, width); null where `like` is null."""
    rows, width = letters.shape
    if rows * width > _STRING_BYTES_MAX:
        raise ValueError(f"{rows} strings of {width} bytes do not fit into one batch: use smaller batches")
    offsets = np.arange(0, (rows + 1) * width, width, dtype=np.int32)[: rows + 1]
    validity = None if like is None else validity_of(like)
    data = pa.py_buffer(np.ascontiguousarray(letters))
    return pa.Array.from_buffers(pa.string(), rows, [validity, pa.py_buffer(offsets), data])
