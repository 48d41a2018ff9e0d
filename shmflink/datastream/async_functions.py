"""AsyncFunction (`pyflink.datastream.functions`)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from shmflink.datastream.record_functions import Function

__all__ = ["AsyncBatchFunction", "AsyncFunction"]


class AsyncFunction(Function):
    """One value in, any number out, by a coroutine: many calls are in flight at the same time.

    All calls of a subtask, `open` and `close` included, run on one event loop in a separate thread. A call that blocks
    delays the others. Calls whose results were not yet emitted at a checkpoint are repeated after a restore.
    """

    @abstractmethod
    async def async_invoke(self, value: Any) -> Iterable[Any]:
        """The outputs for `value`: a list, a tuple, a set or another iterable, empty for none."""

    def timeout(self, value: Any) -> Iterable[Any]:
        """The outputs for a value whose call took too long and was canceled; raises TimeoutError by default."""
        raise TimeoutError(f"Async function call has timed out for input: {value}")


class AsyncBatchFunction(Function):
    """*shmflink only.* Whole record batches in and out, by a coroutine: bulk lookups, model inference.

    shmflink chooses the sizes of batches; results must not depend on them. `capacity` counts batches. Timestamps are
    kept if the result is one batch with the same number of rows. Calls whose results were not yet emitted at a
    checkpoint are repeated after a restore.
    """

    @abstractmethod
    async def async_invoke(self, batch: pa.RecordBatch) -> pa.RecordBatch | pa.Table | Iterable[pa.RecordBatch] | None:
        """The outputs for `batch`; None for none."""

    def timeout(self, batch: pa.RecordBatch) -> pa.RecordBatch | pa.Table | Iterable[pa.RecordBatch] | None:
        """The outputs for a batch whose call took too long and was canceled; raises TimeoutError by default."""
        raise TimeoutError(f"Async function call has timed out for a batch of {batch.num_rows} rows")
