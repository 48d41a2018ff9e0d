"""Any number of output rows per input row; suspended between two output batches if there are many."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from typing import Any, Final

from shmflink import _core
from shmflink.core.batch import Batch
from shmflink.core.elements import MIN_TIMESTAMP_MS
from shmflink.operators.base import OperatorContext
from shmflink.operators.columns.declared_type import conform_rows
from shmflink.operators.functions.function_operator import FunctionOperator
from shmflink.operators.functions.moments import Moments
from shmflink.operators.functions.record_outputs import isolation_of
from shmflink.operators.functions.user_function import UserFunction, has_user_frame
from shmflink.operators.slices import SLICE_ROWS_MAX

__all__ = ["OUTPUT_ROWS_MAX", "FlatMapOperator"]

OUTPUT_ROWS_MAX: Final = SLICE_ROWS_MAX  # rows of one output batch; the most that a function's output occupies at once


class FlatMapOperator(FunctionOperator):
    """Applies `function`, which yields, or returns an iterable, or None for nothing.

    Every output row has the timestamp of its input row. At most OUTPUT_ROWS_MAX rows are held: a generator with many
    results is suspended while its output waits for credit.
    """

    def __init__(self, function: Any, output_type: Any = None) -> None:
        self._function = UserFunction(function, "flat_map")
        self._output_type = output_type

    def open(self, context: OperatorContext) -> None:
        self._name = context.operator_name
        self._buffer = _core.RecordBuffer(OUTPUT_ROWS_MAX, isolation_of(context))
        self._moments = Moments(self._buffer.extend, context.clock)
        self._function.open(context)

    def process(self, batch: Batch, input_index: int = 0) -> Iterator[Batch]:
        rows = batch.rows()
        stamps: Any = repeat(MIN_TIMESTAMP_MS) if batch.timestamps is None else batch.timestamps.to_pylist()
        call, extend = self._function.call, self._moments.begin()
        iterator = iter(rows)
        for row, stamp in zip(iterator, stamps, strict=False):  # per row: the user's own function, pulled lazily
            try:
                rest = extend(call(row), stamp)
                while rest is not None:
                    yield self._batch()
                    rest = extend(rest, stamp)
            except Exception as error:
                self._function.fail_at(_explained(error), rows, iterator)
        self._moments.end(max(len(rows), len(self._buffer)))
        if len(self._buffer):
            yield self._batch()

    def _batch(self) -> Batch:
        rows, timestamps = self._buffer.take(MIN_TIMESTAMP_MS)
        if self._output_type is not None:
            rows = conform_rows(rows, self._output_type, self._name)
        return Batch.of_rows(rows, self._output_type, timestamps=timestamps)


def _explained(error: Exception) -> Exception:
    """Explains what flat_map() must return if the result was not iterable: the traceback then has no frame of
    the user.
    """
    if not isinstance(error, TypeError) or has_user_frame(error):
        return error
    return TypeError(f"{error}; flat_map() must yield rows, or return an iterable or None").with_traceback(
        error.__traceback__
    )
