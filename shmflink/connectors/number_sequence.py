"""A source of consecutive integers (`pyflink.datastream.connectors.number_seq`)."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa

from shmflink.connectors.base import Poll, Source, SourceReader, Split, SplitEnumerator
from shmflink.connectors.formats.scalar_rows import scalar_schema
from shmflink.connectors.split_queue import SplitQueue, even_ranges
from shmflink.connectors.split_reader import SplitCursor, SplitReader
from shmflink.core.batch import Batch
from shmflink.core.types.typeinfo import TypeInformation, Types
from shmflink.errors import ConfigurationError
from shmflink.operators.base import OperatorContext

__all__ = ["BATCH_ROWS", "NumberSequenceSource"]

BATCH_ROWS: Final = 16384

_TYPE: Final = Types.LONG()
_SCHEMA: Final = scalar_schema(_TYPE)
_INT64: Final = np.iinfo(np.int64)


class NumberSequenceSource(Source):
    """The integers from `start` to `end`, both inclusive; one ascending run per reader."""

    gives_timestamps = False
    split_payloads = (tuple,)

    def __init__(self, start: int, end: int) -> None:
        """Raises ConfigurationError if `start` > `end` or a bound does not fit into 64 bits."""
        if not _INT64.min <= start <= end <= _INT64.max:
            raise ConfigurationError(f"a number sequence needs 64-bit bounds with start <= end, got {start} to {end}")
        self._start = start
        self._end = end

    @property
    def bounds(self) -> tuple[int, int]:
        """The first and the last number."""
        return self._start, self._end

    def create_enumerator(self, parallelism: int, state: Any = None) -> SplitEnumerator:
        if state is not None:
            return SplitQueue(state)
        ranges = even_ranges(self._start, self._end + 1, parallelism)
        return SplitQueue(Split(str(index), bounds, bounds[1] - bounds[0]) for index, bounds in enumerate(ranges))

    def create_reader(self, context: OperatorContext) -> SourceReader:
        return SplitReader(_RangeCursor)

    @property
    def produced_type(self) -> TypeInformation:
        return _TYPE


class _RangeCursor(SplitCursor):
    """`payload` of the split is (next number, one past the last)."""

    def __init__(self, split: Split) -> None:
        self._split_id = split.split_id
        self._size = split.size
        self._next, self._stop = split.payload

    def next_batch(self) -> Batch | Poll | None:
        count = min(BATCH_ROWS, self._stop - self._next)
        if count == 0:
            return None
        # The first number is added afterwards: `arange` cannot express the end of a range up to 2**63 - 1.
        numbers = np.arange(count, dtype=np.int64) + np.int64(self._next)
        self._next += count
        return Batch.of_columns(pa.record_batch([pa.array(numbers)], schema=_SCHEMA), _TYPE)

    def remaining(self) -> Split:
        return Split(self._split_id, (self._next, self._stop), self._size)
