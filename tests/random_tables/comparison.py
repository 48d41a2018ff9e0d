"""Whether two tables have the same rows, in any order."""

from __future__ import annotations

import datetime as dt
import math
import uuid
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa

from shmflink.core.plain_columns import plain_array

__all__ = ["difference"]

_CLOSE: Final = 1e-9


def difference(ours: pa.Table, theirs: pa.Table) -> str | None:
    """What is different, in words; None where nothing is. A table without columns has no rows."""
    left, right = _rows(ours), _rows(theirs)
    if len(left) != len(right):
        return f"{len(left)} rows, {len(right)} by DuckDB"
    for mine, other in zip(left, right, strict=True):
        if len(mine) != len(other) or not all(map(_same, mine, other)):
            return f"row {mine}, by DuckDB {other}"
    return None


def _rows(table: pa.Table) -> list[tuple[Any, ...]]:
    columns = [[_plain(value) for value in _values(column)] for column in table.columns]
    return sorted(zip(*columns, strict=True), key=repr_key)


def _values(column: pa.ChunkedArray) -> list[Any]:
    array = plain_array(column.combine_chunks()) if not isinstance(column, pa.Array) else column
    if pa.types.is_timestamp(array.type) and array.type.unit == "ns":
        array = array.cast(pa.timestamp("us", array.type.tz), safe=False)
    return array.to_pylist()


def repr_key(row: tuple[Any, ...]) -> tuple[str, ...]:
    """Numbers of different types are ordered alike."""
    return tuple(_key(value) for value in row)


def _key(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return repr(value)
    return f"{float(value):.6e}"


def _plain(value: Any) -> Any:
    match value:
        case dt.datetime() if value.tzinfo is not None:
            return value.astimezone(dt.UTC).replace(tzinfo=None)
        case uuid.UUID():
            return str(value)
        case list():
            return [_plain(item) for item in value]
        case dict():
            return {name: _plain(item) for name, item in value.items()}
        case _:
            return value


def _step(average: Any) -> float:
    """How far an average of DuckDB, a double, may be from ours: that of whole numbers and decimals has fewer digits."""
    if isinstance(average, Decimal):
        return 10.0 ** int(average.as_tuple().exponent)
    return 1.0 if isinstance(average, int) else 0.0


def _same(mine: Any, other: Any) -> bool:
    numbers = (int, float, Decimal)
    if isinstance(mine, numbers) and isinstance(other, numbers) and not isinstance(mine, bool):
        if isinstance(mine, float) or isinstance(other, float):
            return math.isclose(float(mine), float(other), rel_tol=_CLOSE, abs_tol=_step(mine))
        return mine == other
    return bool(mine == other)
