"""A function from Arrow record batches to Arrow record batches. *shmflink only.*"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa

from shmflink.core.batch import Batch
from shmflink.core.plain_columns import plain_batch
from shmflink.errors import TypeMismatchError
from shmflink.operators.base import OperatorContext
from shmflink.operators.columns.declared_type import check_columns
from shmflink.operators.functions.function_operator import FunctionOperator
from shmflink.operators.functions.user_function import UserFunction

__all__ = ["MapBatchesOperator"]

_END: Final = object()


class MapBatchesOperator(FunctionOperator):
    """`function(pa.RecordBatch)` returns one `pa.RecordBatch` or `pa.Table`, an iterable of them, or None.

    Timestamps are kept if one batch with the same number of rows is returned; otherwise the rows have none. The
    function must copy whatever it keeps beyond the call. Its input batches are not split, so a barrier waits for a
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
        self._name = context.operator_name
        self._function.open(context)

    def process(self, batch: Batch, input_index: int = 0) -> Iterator[Batch]:
        columns = batch.columns()
        try:
            result = self._function.call(columns)
        except Exception as error:
            self._function.fail(error, _Described(columns))
        if result is None:
            return
        if isinstance(result, pa.RecordBatch):
            timestamps = batch.timestamps if result.num_rows == batch.num_rows else None
            yield self._batch(result, timestamps)
            return
        for part in self._parts(result, columns):
            if part.num_rows:
                yield self._batch(part, None)

    def _parts(self, result: Any, columns: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """The record batches of a Table or an iterable, pulled lazily."""
        if isinstance(result, pa.Table):
            yield from result.to_batches()
            return
        if not hasattr(result, "__iter__") or _remedy(result):
            raise self._wrong_result(result)
        iterator = iter(result)
        while True:
            try:
                part = next(iterator, _END)
            except Exception as error:
                self._function.fail(error, _Described(columns))
            if part is _END:
                return
            if isinstance(part, pa.Table):
                yield from part.to_batches()
            elif isinstance(part, pa.RecordBatch):
                yield part
            elif part is not None:
                raise self._wrong_result(part)

    def _batch(self, columns: pa.RecordBatch, timestamps: Any) -> Batch:
        columns = plain_batch(columns, keeps_dictionaries=True)  # most kernels do not accept views
        if self._output_type is not None:
            columns = check_columns(columns, self._output_type, self._name)
        return Batch.of_columns(columns, self._output_type, timestamps=timestamps)

    def _wrong_result(self, result: Any) -> TypeMismatchError:
        remedy = _remedy(result)
        if remedy:
            return TypeMismatchError(
                f"operator '{self._name}': map_batches() returned a {type(result).__module__.partition('.')[0]} "
                f"{type(result).__name__}: return a pyarrow.RecordBatch or pyarrow.Table, e.g. {remedy}"
            )
        return TypeMismatchError(
            f"operator '{self._name}': map_batches() must return a pyarrow.RecordBatch, a pyarrow.Table, an iterable "
            f"of them or None, but it returned {type(result).__module__}.{type(result).__qualname__}"
        )


def _remedy(result: Any) -> str:
    """How a data frame becomes columns; empty for anything else."""
    if type(result).__name__ != "DataFrame":
        return ""
    return {"pandas": "pa.RecordBatch.from_pandas(df, preserve_index=False)", "polars": "df.to_arrow()"}.get(
        type(result).__module__.partition(".")[0], ""
    )


class _Described:
    """Stands for a record batch in an error message: shape and first row instead of all values."""

    def __init__(self, columns: pa.RecordBatch) -> None:
        self._columns = columns

    def __repr__(self) -> str:
        fields = ", ".join(f"{field.name}: {field.type}" for field in self._columns.schema)
        first = self._columns.slice(0, 1).to_pylist()
        return f"RecordBatch of {self._columns.num_rows} rows ({fields}), first row: {first[0] if first else None}"
