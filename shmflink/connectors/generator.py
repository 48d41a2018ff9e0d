"""A source that generates its rows, for tests and measurements."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import pyarrow as pa

from shmflink._core import Isolation
from shmflink.connectors.base import Boundedness, Poll, Source, SourceReader, Split, SplitEnumerator
from shmflink.connectors.split_queue import SplitQueue, even_ranges
from shmflink.connectors.split_reader import SplitCursor, SplitReader
from shmflink.core.batch import Batch
from shmflink.core.coroutines import refuse_coroutines
from shmflink.core.rows import codec_of
from shmflink.core.serialization.codec import dumps_function, loads_trusted
from shmflink.core.types.shapes import is_fixed
from shmflink.core.types.typeinfo import ColumnsTypeInfo, TypeInformation
from shmflink.errors import ConfigurationError, TypeMismatchError, UsageError
from shmflink.operators.base import OperatorContext
from shmflink.operators.functions.record_outputs import isolation_of

__all__ = ["BATCH_ROWS", "GeneratorSource"]

BATCH_ROWS: Final = 8192
COLUMNS_BATCH_ROWS: Final = 1 << 16  # if the function returns columns

_SPLITS_PER_READER: Final = 4
_CATCH_UP_NS: Final = 50_000_000
_BATCHES_PER_SPLIT: Final = 16  # for an unbounded generator
_BATCHES_PER_SECOND: Final = 20  # the smallest batch of a generator with a limited rate

Generate = Callable[[int, int], pa.RecordBatch | list[Any]]


class GeneratorSource(Source):
    """*shmflink only.* Rows 0 to `rows` - 1; `function(start, stop)` generates each batch.

    The function returns a RecordBatch or a list with exactly the rows [start, stop). It must depend on nothing but
    `start` and `stop`: any reader may generate any rows, and after a failure rows are generated again. Without `rows`
    the source is unbounded. If no type is declared, the function is called for the rows [0, 0) immediately: a
    RecordBatch without rows declares the columns.
    """

    gives_timestamps = False
    split_payloads = (tuple,)

    def __init__(
        self,
        function: Generate,
        rows: int | None = None,
        type_info: TypeInformation | pa.Schema | None = None,
        *,
        batch_rows: int | None = None,
        rows_per_second: float | None = None,
    ) -> None:
        """`rows_per_second` limits all readers together."""
        refuse_coroutines(function)
        declared = ColumnsTypeInfo(type_info) if isinstance(type_info, pa.Schema) else type_info
        self._type = declared if declared is not None else _type_of_nothing(function)
        if batch_rows is None:
            batch_rows = COLUMNS_BATCH_ROWS if isinstance(self._type, ColumnsTypeInfo) else BATCH_ROWS
            if rows_per_second is not None:
                batch_rows = min(batch_rows, max(1, int(rows_per_second / _BATCHES_PER_SECOND)))
        if (rows or 0) < 0 or batch_rows < 1 or (rows_per_second is not None and rows_per_second <= 0):
            raise ConfigurationError(
                f"a generator needs rows >= 0, batch_rows >= 1 and rows_per_second > 0, "
                f"got {rows}, {batch_rows} and {rows_per_second}"
            )
        # As bytes, so that the JobManager, which needs only the numbers, does not load user code.
        self._function = dumps_function(function, "the generator's function")
        self._rows = rows
        self._batch_rows = batch_rows
        self._rows_per_second = rows_per_second
        if rows is None:
            self.boundedness = Boundedness.CONTINUOUS_UNBOUNDED

    def create_enumerator(self, parallelism: int, state: Any = None) -> SplitEnumerator:
        if self._rows is None:
            return _EndlessRanges(self._batch_rows * _BATCHES_PER_SPLIT, *(state or (0, ())))
        if state is not None:
            return SplitQueue(state)
        batches = -(-self._rows // self._batch_rows)
        ranges = even_ranges(0, batches, parallelism * _SPLITS_PER_READER)
        size = self._batch_rows
        return SplitQueue(
            Split(str(index), (start * size, min(stop * size, self._rows)), min(stop * size, self._rows) - start * size)
            for index, (start, stop) in enumerate(ranges)
        )

    def create_reader(self, context: OperatorContext) -> SourceReader:
        function: Generate = loads_trusted(self._function)
        rate = None if self._rows_per_second is None else self._rows_per_second / context.parallelism
        pace = None if rate is None else _Pace(rate, context)
        isolation = isolation_of(context)
        return _GeneratorReader(
            lambda split: _GeneratorCursor(split, function, self._type, self._batch_rows, pace, isolation), pace
        )

    @property
    def produced_type(self) -> TypeInformation | None:
        return self._type


def _type_of_nothing(function: Generate) -> TypeInformation | None:
    """The columns that the function returns; None if it returns rows, or fails for an empty range."""
    try:
        made = function(0, 0)
    except Exception:
        return None  # the same error will be raised when rows are requested
    return ColumnsTypeInfo(made.schema) if isinstance(made, pa.RecordBatch) else None


class _EndlessRanges(SplitEnumerator):
    """Endless ranges of `size` rows. Its snapshot: the next row, and the splits that were returned."""

    def __init__(self, size: int, start: int, returned: Sequence[Split]) -> None:
        self._size = size
        self._start = start
        self._returned = deque(returned)

    def next_split(self, subtask: int) -> Split | None:
        if self._returned:
            return self._returned.popleft()
        start = self._start
        self._start += self._size
        return Split(str(start // self._size), (start, self._start))

    @property
    def is_exhausted(self) -> bool:
        return False

    def add_splits_back(self, splits: Sequence[Split]) -> None:
        self._returned.extendleft(reversed(splits))

    def snapshot(self) -> tuple[int, tuple[Split, ...]]:
        return self._start, tuple(self._returned)


class _Pace:
    """Limits one reader to its rate; wakes the mailbox when the next batch is due."""

    def __init__(self, rows_per_second: float, context: OperatorContext) -> None:
        self._ns_per_row = 1e9 / rows_per_second
        self._context = context
        self._due_ns = context.clock.monotonic_ns()
        self._timer: threading.Timer | None = None

    def must_wait(self) -> bool:
        """True when the next batch is not due yet; then a timer is running."""
        ahead_ns = self._due_ns - self._context.clock.monotonic_ns()
        if ahead_ns <= 0:
            self._timer = None
            return False
        if self._timer is None or not self._timer.is_alive():
            self._timer = threading.Timer(ahead_ns / 1e9, self._context.mailbox.wake)
            self._timer.daemon = True
            self._timer.start()
        return True

    def count(self, rows: int) -> None:
        """Called when rows were emitted. Compensates for short delays, such as waking up, but not for longer ones."""
        now = self._context.clock.monotonic_ns()
        self._due_ns = max(self._due_ns, now - _CATCH_UP_NS) + int(rows * self._ns_per_row)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


class _GeneratorReader(SplitReader):
    def __init__(self, open_split: Callable[[Split], SplitCursor], pace: _Pace | None) -> None:
        super().__init__(open_split)
        self._pace = pace

    def close(self) -> None:
        if self._pace is not None:
            self._pace.close()
        super().close()


class _GeneratorCursor(SplitCursor):
    """`payload` of the split is (next row, one past the last)."""

    def __init__(
        self,
        split: Split,
        function: Generate,
        row_type: TypeInformation | None,
        batch_rows: int,
        pace: _Pace | None,
        isolation: Isolation | None,
    ) -> None:
        # Immutable rows of a declared type are values as soon as they conform to it.
        is_fixed_type = row_type is not None and is_fixed(row_type.shape)
        self._own = _as_it_is if isolation is None or is_fixed_type else isolation.owned_items
        self._split_id = split.split_id
        self._size = split.size
        self._next, self._stop = split.payload
        self._function = function
        self._type = row_type
        self._batch_rows = batch_rows
        self._pace = pace

    def next_batch(self) -> Batch | Poll | None:
        if self._next == self._stop:
            return None
        if self._pace is not None and self._pace.must_wait():
            return Poll.WAIT
        start, stop = self._next, min(self._next + self._batch_rows, self._stop)
        made = self._own(self._function(start, stop))  # the function may keep the rows that it returns
        batch = self._batch_of_rows(made) if isinstance(made, list) else Batch.of_columns(made, self._type)
        if batch.num_rows != stop - start:
            raise UsageError(
                f"the generator was asked for rows {start} to {stop - 1} and returned {batch.num_rows} rows"
            )
        self._next = stop
        if self._pace is not None:
            self._pace.count(batch.num_rows)
        return batch

    def _batch_of_rows(self, made: list[Any]) -> Batch:
        if self._type is None:
            return Batch.of_rows(made)
        try:
            return Batch.of_rows(codec_of(self._type.shape).conform(made), self._type)
        except TypeMismatchError as error:
            raise TypeMismatchError(
                f"the generator was asked for rows {self._next} to {self._stop - 1} and returned rows that do not fit "
                f"its type: {error}"
            ) from None

    def remaining(self) -> Split:
        return Split(self._split_id, (self._next, self._stop), self._size)


def _as_it_is(made: Any) -> Any:
    return made
