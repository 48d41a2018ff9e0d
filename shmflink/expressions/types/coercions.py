"""Types to which arguments are cast before a kernel is called, shared by families of functions."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from shmflink.expressions.registry import Coercion
from shmflink.expressions.types.rules import are_date_and_timestamp, beside_unsigned, common_type

__all__ = ["alike", "each", "text_where_null"]


def alike(kinds: Sequence[pa.DataType], constants: Sequence[pa.Scalar | None]) -> list[pa.DataType]:
    """Casts all arguments to their common type."""
    common = None if are_date_and_timestamp(kinds, constants) else common_type(beside_unsigned(kinds, constants))
    if common is None:
        raise TypeError("all must have one type: cast() some of them")
    return [common] * len(kinds)


def each(*wanted: pa.DataType) -> Coercion:
    """Casts each argument to its type in the list; the last type repeats."""

    def coerce(kinds: Sequence[pa.DataType], _constants: Sequence[pa.Scalar | None]) -> list[pa.DataType]:
        return [wanted[min(index, len(wanted) - 1)] for index in range(len(kinds))]

    return coerce


def text_where_null(kinds: Sequence[pa.DataType], _constants: Sequence[pa.Scalar | None]) -> list[pa.DataType]:
    """Casts untyped nulls to strings; other arguments are unchanged."""
    return [pa.utf8() if pa.types.is_null(kind) else kind for kind in kinds]
