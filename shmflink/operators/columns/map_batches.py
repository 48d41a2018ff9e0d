"""A function from Arrow record batches to Arrow record batches. *shmflink only.*"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shmflink.core.batch import Batch
from shmflink.operators.base import OperatorContext
from shmflink.operators.columns.batch_results import BatchResults, DescribedBatch
from shmflink.operators.functions.function_operator import FunctionOperator
from shmflink.operators.functions.user_function import UserFunction

__all__ = ["MapBatchesOperator"]


class MapBatchesOperator(FunctionOperator):
    """`function(pa.RecordBatch)` returns what `BatchResults` describes.

    The function must copy whatever it keeps beyond the call. Its input batches are not split, so a barrier waits for a
    whole one. A function that yields its results lets barriers and cancellation through between them.
    """

    is_per_record = False
    keeps_batches = True

    def __init__(self, function: Any, output_type: Any = None) -> None:
        self._function = UserFunction(function, "map_batches")
        self._output_type = output_type

    @property
    def insert_only_method(self) -> str:
        return "map_batches()"

    def open(self, context: OperatorContext) -> None:
        self._results = BatchResults("map_batches", context.operator_name, self._output_type, self._function.fail)
        self._function.open(context)

    def process(self, batch: Batch, input_index: int = 0) -> Iterator[Batch]:
        columns = batch.columns()
        try:
            result = self._function.call(columns)
        except Exception as error:
            self._function.fail(error, DescribedBatch(columns))
        yield from self._results.batches(result, batch, columns)
