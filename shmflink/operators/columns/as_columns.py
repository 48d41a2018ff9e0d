"""Converts elements of any kind to columns of a given schema."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from shmflink.core.batch import Batch
from shmflink.core.columns import cast_columns
from shmflink.core.row import Row
from shmflink.core.rows import codec_of
from shmflink.core.types.typeinfo import ColumnsTypeInfo
from shmflink.errors import TypeMismatchError
from shmflink.operators.base import Operator, OperatorContext

__all__ = ["AsColumnsOperator"]


class AsColumnsOperator(Operator):
    """Matches record batches by column name, tuples and rows without names by position, rows and dicts by name."""

    def __init__(self, declared: ColumnsTypeInfo) -> None:
        self._declared = declared

    def open(self, context: OperatorContext) -> None:
        self._name = context.operator_name

    def process(self, batch: Batch, input_index: int = 0) -> Iterator[Batch]:
        try:
            made = self._of_rows(batch.rows()) if batch.is_of_rows else self._of_columns(batch.columns())
            columns = made.columns()  # here, so that this operator reports values that do not fit
        except TypeMismatchError as error:
            raise TypeMismatchError(f"operator '{self._name}': {error}") from None
        yield Batch.of_columns(columns, self._declared, timestamps=batch.timestamps)

    def _of_columns(self, columns: pa.RecordBatch) -> Batch:
        names = self._declared.schema.names
        held = set(columns.schema.names)
        missing = [name for name in names if name not in held]
        if missing:
            raise TypeMismatchError(f"as_columns(): a batch has the columns {columns.schema.names}, not {missing}")
        return Batch.of_columns(cast_columns(columns.select(names), self._declared.schema))

    def _of_rows(self, rows: list[Any]) -> Batch:
        if len(self._declared.schema) == 1 and not isinstance(rows[0], (Row, tuple, dict)):
            rows = [(value,) for value in rows]  # per row: they are Python objects already
        return Batch.of_rows(codec_of(self._declared.shape).conform(rows), self._declared)
