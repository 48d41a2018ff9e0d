"""Any number of rows out for each row in; suspended between two output batches when it explodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice, repeat
from typing import Any, Final

import numpy as np
import pyarrow as pa

from shmflink.core.batch import Batch
from shmflink.operators.base import Operator, OperatorContext
from shmflink.operators.declared_type import conform_rows
from shmflink.operators.user_function import UserFunction, row_index

__all__ = ["OUTPUT_ROWS_MAX", "FlatMapOperator"]

OUTPUT_ROWS_MAX: Final = 4096  # rows of one output batch; what an exploding function holds at once


class FlatMapOperator(Operator):
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
        # Per row: the user's own function, pulled lazily. Row and index advance together.
        results = map(self._result_of, iterator)
        outputs: Iterator[Any]
        if stamps is None:
            outputs = chain.from_iterable(results)
        else:
            outputs = chain.from_iterable(map(zip, results, map(repeat, range(len(rows)))))
        while True:
            try:
                taken = list(islice(outputs, OUTPUT_ROWS_MAX))
            except Exception as error:
                self._function.fail_at(error, rows, iterator)
            if taken:
                yield self._batch(taken, stamps)
            if len(taken) < OUTPUT_ROWS_MAX:
                self._check_all_read(rows, iterator)
                return

    def close(self) -> None:
        self._function.close()

    def _result_of(self, row: Any) -> Iterable[Any]:
        result = self._function.call(row)
        if result is None:
            return ()
        if not hasattr(result, "__iter__"):
            raise TypeError(
                f"flat_map() must yield rows or return an iterable or None, it returned {type(result).__name__}"
            )
        return result  # type: ignore[no-any-return]

    def _batch(self, taken: list[Any], stamps: Any) -> Batch:
        timestamps = None
        if stamps is not None:
            indices = np.fromiter((index for _, index in taken), np.int64, len(taken))
            timestamps = pa.array(stamps[indices])
            taken = [row for row, _ in taken]
        if self._output_type is not None:
            taken = conform_rows(taken, self._output_type, self._name)
        return Batch.of_rows(taken, self._output_type, timestamps=timestamps)

    def _check_all_read(self, rows: list[Any], iterator: Iterator[Any]) -> None:
        """A StopIteration of the user's would end `map` silently and lose the rest of the batch."""
        index = row_index(rows, iterator)
        if index < len(rows) - 1:
            error = RuntimeError("flat_map() raised StopIteration; return None or an empty list for no rows")
            self._function.fail(error, rows[index])
