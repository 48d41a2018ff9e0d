"""Any number of rows out for each row in; suspended between two output batches when it explodes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice, repeat
from typing import Any, Final

import numpy as np
import pyarrow as pa

from shmflink.core.batch import Batch
from shmflink.operators.base import OperatorContext
from shmflink.operators.declared_type import conform_rows
from shmflink.operators.function_operator import FunctionOperator
from shmflink.operators.slices import SLICE_ROWS_MAX
from shmflink.operators.user_function import UserFunction, has_user_frame

__all__ = ["OUTPUT_ROWS_MAX", "FlatMapOperator"]

OUTPUT_ROWS_MAX: Final = SLICE_ROWS_MAX  # rows of one output batch; what an exploding function holds at once


class FlatMapOperator(FunctionOperator):
    """Applies `function`, which yields or returns an iterable, or None for nothing.

    Every output row has the timestamp of its input row. At most OUTPUT_ROWS_MAX rows are held: a generator
    that explodes stands still while its output waits for credit.
    """

    def __init__(self, function: Any, output_type: Any = None) -> None:
        self._function = UserFunction(function, "flat_map")
        self._output_type = output_type

    def open(self, context: OperatorContext) -> None:
        self._name = context.operator_name
        self._function.open(context)

    def process(self, batch: Batch, input_index: int = 0) -> Iterator[Batch]:
        rows = batch.rows()
        iterator = iter(rows)
        stamps = None if batch.timestamps is None else batch.timestamps.to_numpy(zero_copy_only=False)
        call = self._function.call
        # Per row: the user's own function, pulled lazily. In a generator expression a StopIteration that the
        # function lets out becomes an error; in `map` it would end the batch silently.
        results = (() if (result := call(row)) is None else result for row in iterator)
        outputs: Iterator[Any]
        if stamps is None:
            outputs = chain.from_iterable(results)
        else:
            outputs = chain.from_iterable(map(zip, results, map(repeat, range(len(rows)))))
        while True:
            try:
                taken = list(islice(outputs, OUTPUT_ROWS_MAX))
            except Exception as error:
                self._function.fail_at(_explained(error), rows, iterator)
            if taken:
                yield self._batch(taken, stamps)
            if len(taken) < OUTPUT_ROWS_MAX:
                return

    def _batch(self, taken: list[Any], stamps: Any) -> Batch:
        timestamps = None
        if stamps is not None:
            indices = np.fromiter((index for _, index in taken), np.int64, len(taken))
            timestamps = pa.array(stamps[indices])
            taken = [row for row, _ in taken]
        if self._output_type is not None:
            taken = conform_rows(taken, self._output_type, self._name)
        return Batch.of_rows(taken, self._output_type, timestamps=timestamps)


def _explained(error: Exception) -> Exception:
    """Says what flat_map() has to return where the result was not iterable: then no frame is the user's."""
    if not isinstance(error, TypeError) or has_user_frame(error):
        return error
    return TypeError(f"{error}; flat_map() must yield rows, or return an iterable or None").with_traceback(
        error.__traceback__
    )
