"""One output row per input row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shmflink.core.batch import Batch
from shmflink.operators.base import OperatorContext
from shmflink.operators.columns.declared_type import conform_rows
from shmflink.operators.functions.function_operator import FunctionOperator
from shmflink.operators.functions.record_outputs import isolation_of, results_of
from shmflink.operators.functions.user_function import UserFunction
from shmflink.operators.slices import slices_of

__all__ = ["MapOperator"]


class MapOperator(FunctionOperator):
    """Applies `function` to each row; timestamps stay with their rows, keys do not."""

    def __init__(self, function: Any, output_type: Any = None) -> None:
        self._function = UserFunction(function, "map")
        self._output_type = output_type

    def open(self, context: OperatorContext) -> None:
        self._name = context.operator_name
        self._isolation = isolation_of(context)
        self._function.open(context)

    def process(self, batch: Batch, input_index: int = 0) -> Iterator[Batch]:
        for piece in slices_of(batch):
            yield from self._process(piece)

    def _process(self, batch: Batch) -> Iterator[Batch]:
        rows = batch.rows()
        iterator = iter(rows)
        try:
            mapped = results_of(self._function.call, rows, iterator, self._isolation, "map")
        except Exception as error:
            self._function.fail_at(error, rows, iterator)
        if self._output_type is not None:
            mapped = conform_rows(mapped, self._output_type, self._name)
        yield Batch.of_rows(mapped, self._output_type, timestamps=batch.timestamps)
