"""Types that arguments are brought to before a kernel sees them, shared by families of functions."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from shmflink.expressions.registry import Coercion
from shmflink.expressions.types.rules import are_date_and_timestamp, beside_unsigned, common_type

__all__ = ["alike", "each", "text_where_null"]


def alike(kinds: Sequence[pa.DataType], constants: Sequence[pa.Scalar | None]) -> list[pa.DataType]:
    """All to the type that they have in common."""
    common = None if are_date_and_timestamp(kinds, constants) else common_type(beside_unsigned(kinds, constants))
    if common is None:
        raise TypeError("all must be of one type: cast() some of them")
    return [common] * len(kinds)


def each(*wanted: pa.DataType) -> Coercion:
    """Argument by argument to these types; the last one repeats."""

    def coerce(kinds: Sequence[pa.DataType], _constants: Sequence[pa.Scalar | None]) -> list[pa.DataType]:
        return [wanted[min(index, len(wanted) - 1)] for index in range(len(kinds))]

    return coerce


def text_where_null(kinds: Sequence[pa.DataType], _constants: Sequence[pa.Scalar | None]) -> list[pa.DataType]:
    """Nulls that have no type to strings; others stay."""
    return [pa.utf8() if pa.types.is_null(kind) else kind for kind in kinds]
