"""Keeps rows or drops them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import compress
from typing import Any

import pyarrow as pa

from shmflink.core.batch import Batch
from shmflink.operators.base import OperatorContext
from shmflink.operators.functions.function_operator import FunctionOperator
from shmflink.operators.functions.record_outputs import isolation_of
from shmflink.operators.functions.user_function import UserFunction
from shmflink.operators.slices import slices_of

__all__ = ["FilterOperator"]


class FilterOperator(FunctionOperator):
    """Keeps the rows for which `function` is true, with their timestamps and type."""

    def __init__(self, function: Any) -> None:
        self._function = UserFunction(function, "filter")

    def open(self, context: OperatorContext) -> None:
        self._isolation = isolation_of(context)
        self._function.open(context)

    def process(self, batch: Batch, input_index: int = 0) -> Iterator[Batch]:
        for piece in slices_of(batch):
            yield from self._process(piece)

    def _process(self, batch: Batch) -> Iterator[Batch]:
        rows = batch.rows()
        iterator = iter(rows)
        try:
            kept, keep = self._kept(rows, iterator)
        except Exception as error:
            self._function.fail_at(error, rows, iterator)
        if len(kept) == len(rows):
            yield Batch.of_rows(kept, batch.row_type, timestamps=batch.timestamps)
        elif kept:
            timestamps = batch.timestamps
            if timestamps is not None:
                timestamps = timestamps.filter(pa.array(keep))
            yield Batch.of_rows(kept, batch.row_type, timestamps=timestamps)

    def _kept(self, rows: list[Any], iterator: Iterator[Any]) -> tuple[list[Any], list[bool]]:
        """Per row: the user's own function. A row that it keeps is taken by value before the next call can
        change it.
        """
        call = self._function.call
        if self._isolation is None:
            # `not not` also calls a result's __bool__ here, where an error counts as the function's.
            keep = [not not call(row) for row in iterator]  # noqa: SIM208 - half the time of bool()
            return list(compress(rows, keep)), keep
        kept, keep = self._isolation.kept_rows(map(call, iterator), rows)
        if len(keep) < len(rows):
            raise RuntimeError("filter() raised StopIteration")  # which ended the iterator
        return kept, keep
