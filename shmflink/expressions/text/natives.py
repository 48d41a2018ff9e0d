"""Calls the core's string kernels, which represent a constant as a column with one row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pyarrow as pa

from shmflink.expressions.registry import Values
from shmflink.expressions.types.rules import is_text

__all__ = ["TEXT", "WHOLE", "by_rows", "null_count", "same_for_all"]

TEXT: Final = pa.utf8()
WHOLE: Final = pa.int64()


def by_rows(kernel: Callable[..., pa.Array], *operands: Values, **options: Any) -> Values:
    """Calls a kernel with columns and `rows`; constants alone give a constant. A null constant gives null."""
    arrays = [value for value in operands if isinstance(value, pa.Array)]
    rows = len(arrays[0]) if arrays else 1
    columns = [pa.array([value.as_py()], value.type) if isinstance(value, pa.Scalar) else value for value in operands]
    result = kernel(*columns, rows=rows, **options)
    return result if arrays else result[0]


def same_for_all(kernel: Callable[..., pa.Array], values: Values, *options: Any) -> Values:
    """Calls a kernel with one column, whose other arguments are the same for all rows."""
    if isinstance(values, pa.Scalar):
        return kernel(pa.array([values.as_py()], values.type), *options)[0]
    if is_text(values.type) and not pa.types.is_string(values.type):
        values = values.cast(pa.utf8())
    return kernel(values, *options)


def null_count(values: Values) -> int:
    """The number of nulls in a column or a constant."""
    if isinstance(values, pa.Scalar):
        return int(not values.is_valid)
    return int(values.null_count)
