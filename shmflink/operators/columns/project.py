"""Selects fields of tuples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import itemgetter

from shmflink.core.batch import Batch
from shmflink.errors import TypeMismatchError
from shmflink.operators.base import Operator, OperatorContext
from shmflink.operators.functions.user_function import row_index, shorten_record
from shmflink.operators.slices import slices_of

__all__ = ["ProjectOperator"]


class ProjectOperator(Operator):
    """Rows become tuples of the fields at `indexes`, in this order."""

    def __init__(self, indexes: Sequence[int]) -> None:
        self._indexes = list(indexes)

    def open(self, context: OperatorContext) -> None:
        self._name = context.operator_name

    def process(self, batch: Batch, input_index: int = 0) -> Iterator[Batch]:
        for piece in slices_of(batch):
            yield from self._process(piece)

    def _process(self, batch: Batch) -> Iterator[Batch]:
        rows = batch.rows()
        iterator = iter(rows)
        try:
            if len(self._indexes) == 1:  # itemgetter with one index does not return a tuple
                only = self._indexes[0]
                projected = [(row[only],) for row in iterator]  # per row, over Python rows
            else:
                projected = list(map(itemgetter(*self._indexes), iterator))
        except (LookupError, TypeError) as error:
            record = shorten_record(rows[row_index(rows, iterator)])
            raise TypeMismatchError(
                f"operator '{self._name}': cannot take the fields {self._indexes} of {record}: {error}"
            ) from error
        yield Batch.of_rows(projected, None, timestamps=batch.timestamps)
