"""Starts of buckets of time: the integer arithmetic of tumbling windows."""

from __future__ import annotations

from typing import Final, Self

import numpy as np
import pyarrow as pa

from shmflink.errors import TypeMismatchError
from shmflink.expressions.node import Node
from shmflink.expressions.registry import TypeFamily, Values, function
from shmflink.expressions.time.intervals import MS_PER_DAY, MS_PER_HOUR, MS_PER_MINUTE, MS_PER_SECOND
from shmflink.expressions.vectors import as_int64, columnwise, fixed_width, int64_view, typed

__all__ = ["BucketMethods"]

_PER_SECOND: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


class BucketMethods(Node):
    """Buckets of time."""

    __slots__ = ()

    def floor_to(
        self,
        *,
        days: int = 0,
        hours: int = 0,
        minutes: int = 0,
        seconds: int = 0,
        milliseconds: int = 0,
        offset_ms: int = 0,
    ) -> Self:
        """*shmflink only.* Start of the bucket of this size that contains the timestamp, in the timestamp's type.

        Buckets are those of Flink's tumbling windows: they begin at 1970-01-01 UTC plus `offset_ms`. Integers are
        milliseconds since 1970. Costs as much as an integer division.

        >>> show(col("ts").to_timestamp.floor_to(seconds=10), ts=["2024-05-01 10:00:19", None])
        _c0: [2024-05-01 10:00:10, None]
        """
        size = days * MS_PER_DAY + hours * MS_PER_HOUR + minutes * MS_PER_MINUTE + seconds * MS_PER_SECOND
        size += milliseconds
        if size <= 0:
            raise TypeMismatchError(f"floor_to() needs a size above 0, as in floor_to(seconds=10); got {size} ms")
        return self.call("floor_to", self, parameters=(size, offset_ms))


@function("floor_to", TypeFamily.ANY)
@columnwise
def _floor_to(points: pa.Array, size_ms: int, offset_ms: int) -> Values:
    points = typed(points, pa.timestamp("ms"))
    kind = points.type
    if pa.types.is_integer(kind):
        unit, points = "ms", as_int64(points)
    elif pa.types.is_timestamp(kind):
        unit = kind.unit
    else:
        raise TypeError(f"buckets need timestamps or integers, not {kind}")
    size, offset = _in_unit(size_ms, unit), _in_unit(offset_ms, unit)
    values = int64_view(points)
    starts = (values - offset if offset else values) // np.int64(size)
    starts *= size
    if offset:
        starts += offset
    return fixed_width(starts, points, points.type).cast(kind)


def _in_unit(milliseconds: int, unit: str) -> int:
    ticks, rest = divmod(milliseconds * _PER_SECOND[unit], MS_PER_SECOND)
    if rest:
        raise TypeError(f"buckets of {milliseconds} ms of timestamps in {unit}")
    return ticks
