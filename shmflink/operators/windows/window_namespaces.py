"""Windows as a column: start and end of time windows, other windows pickled."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa

from shmflink.core.serialization.codec import dumps_value, loads_value
from shmflink.operators.windows.window import TimeWindow
from shmflink.state.namespaces import NamespaceForm, register_namespaces

__all__ = ["WINDOW_NAMESPACES"]

_TYPE: Final = pa.struct([("start", pa.int64()), ("end", pa.int64()), ("other", pa.binary())])


class _Windows:
    name = "window"
    is_single = False

    def encode(self, namespaces: list[Any]) -> pa.Array:
        if all(type(window) is TimeWindow for window in namespaces):
            bounds = np.array(namespaces, np.int64).reshape(-1, 2)
            starts, ends = pa.array(bounds[:, 0]), pa.array(bounds[:, 1])
            others = pa.nulls(len(namespaces), pa.binary())
        else:
            times = [window if type(window) is TimeWindow else (None, None) for window in namespaces]
            starts, ends = (pa.array([bounds[i] for bounds in times], pa.int64()) for i in (0, 1))
            rest = [None if type(window) is TimeWindow else dumps_value(window) for window in namespaces]
            others = pa.array(rest, pa.binary())
        return pa.StructArray.from_arrays([starts, ends, others], fields=list(_TYPE))

    def decode(self, array: pa.Array | None, count: int) -> list[Any]:
        assert array is not None
        starts, ends, others = array.flatten()
        if others.null_count == count:
            return list(map(TimeWindow, starts.to_pylist(), ends.to_pylist()))
        return [
            TimeWindow(start, end) if other is None else loads_value(other)
            for start, end, other in zip(starts.to_pylist(), ends.to_pylist(), others.to_pylist(), strict=True)
        ]


WINDOW_NAMESPACES: Final[NamespaceForm] = register_namespaces(_Windows())
