"""Values with time to live: (time, value), lists of these, maps to these; separate in columns, together in memory."""

from __future__ import annotations

from itertools import chain
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

__all__ = ["Stamped", "stamped", "stamps_of", "with_stamps", "without_stamps"]


Stamped: TypeAlias = tuple[int, Any]
"""(last access in ms, value)."""


def stamps_of(kind: str, values: list[Any]) -> pa.Array:
    """The times, in ms: one per value, or, for lists and maps, a list with one per item."""
    if kind not in ("list", "map"):
        return pa.array([stamp for stamp, _ in values], pa.int64())
    parts = [value if kind == "list" else value.values() for value in values]
    flat = pa.array([stamp for stamp, _ in chain.from_iterable(parts)], pa.int64())
    ends = np.cumsum(np.fromiter(map(len, values), np.int64, len(values)))
    return pa.ListArray.from_arrays(pa.array(np.concatenate(([0], ends)), pa.int32()), flat)


def without_stamps(kind: str, values: list[Any]) -> list[Any]:
    """The values alone."""
    if kind == "list":
        return [[item for _, item in value] for value in values]
    if kind == "map":
        return [{key: item for key, (_, item) in value.items()} for value in values]
    return [value for _, value in values]


def stamped(kind: str, values: list[Any], stamps: list[Any]) -> list[Any]:
    """The inverse of both. For deleted entries both are None."""
    if kind == "list":
        return [None if v is None else list(zip(s, v, strict=True)) for s, v in zip(stamps, values, strict=True)]
    if kind == "map":
        return [
            None if value is None else dict(zip(value, zip(times, value.values(), strict=True), strict=True))
            for times, value in zip(stamps, values, strict=True)
        ]
    return list(zip(stamps, values, strict=True))


def with_stamps(kind: str, value: Any, now_ms: int) -> Stamped | list[Stamped] | dict[Any, Stamped]:
    """A value without a time, as if written now."""
    if kind == "list":
        return [(now_ms, item) for item in value]
    if kind == "map":
        return {key: (now_ms, item) for key, item in value.items()}
    return (now_ms, value)
