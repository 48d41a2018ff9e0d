"""Checks output rows and columns against their declared type."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from shmflink.core.columns import check_finite
from shmflink.core.rows import codec_of
from shmflink.core.types.shapes import arrow_type_of, describe, field_names
from shmflink.core.types.typeinfo import TypeInformation
from shmflink.errors import TypeMismatchError

__all__ = ["check_columns", "conform_rows"]


def conform_rows(rows: list[Any], declared: TypeInformation, operator: str) -> list[Any]:
    """The rows in the declared form; the same list if all fit.

    Raises:
        TypeMismatchError: names operator, record, declared type and value.
    """
    try:
        return codec_of(declared.shape).conform(rows)
    except TypeMismatchError as error:
        raise TypeMismatchError(f"operator '{operator}': the result does not fit output_type: {error}") from None


def check_columns(columns: pa.RecordBatch, declared: TypeInformation, operator: str) -> pa.RecordBatch:
    """The columns with the declared types; Arrow types that differ only in width are cast if no value is
    lost.

    Raises:
        TypeMismatchError: other column names, or a type that cannot be cast to the declared one without loss.
    """
    shape = declared.shape
    names = list(field_names(shape))
    parts = shape[-1] if isinstance(shape, tuple) and shape[0] in ("tuple", "row") else (shape,)
    if columns.schema.names != names:
        raise TypeMismatchError(
            f"operator '{operator}': output_type {describe(shape)} has the columns {names}, but the batch that "
            f"map_batches() returned has {columns.schema.names}"
        )
    arrays = [
        _cast(array, part, name, operator) for array, part, name in zip(columns.columns, parts, names, strict=True)
    ]
    if all(new is old for new, old in zip(arrays, columns.columns, strict=True)):
        return columns
    return pa.RecordBatch.from_arrays(arrays, names=names)


def _cast(array: pa.Array, part: Any, name: str, operator: str) -> pa.Array:
    wanted = array.type if part == "arrow" else arrow_type_of(part)
    if array.type == wanted:
        return array
    try:
        return check_finite(array, array.cast(wanted, safe=True))
    except (pa.ArrowException, pa.ArrowNotImplementedError) as error:
        raise TypeMismatchError(
            f"operator '{operator}': column '{name}' is declared as {describe(part)} ({wanted}), but "
            f"map_batches() returned "
            f"{array.type}: {error}"
        ) from None
