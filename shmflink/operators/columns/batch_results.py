"""What a user's function of whole batches returned, as batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, NoReturn

import pyarrow as pa

from shmflink.core.batch import Batch
from shmflink.core.plain_columns import plain_batch
from shmflink.core.types.typeinfo import TypeInformation
from shmflink.errors import TypeMismatchError
from shmflink.operators.columns.declared_type import check_columns

__all__ = ["BatchResults", "DescribedBatch"]

_END: Final = object()


class BatchResults:
    """One `pa.RecordBatch` or `pa.Table`, an iterable of them, or None. Timestamps are kept if one batch with the same
    number of rows is returned; otherwise the rows have none.
    """

    def __init__(
        self,
        method: str,
        operator: str,
        output_type: TypeInformation | None,
        fail: Callable[[Exception, DescribedBatch], NoReturn],
    ) -> None:
        """`method()` is what messages call the function; `fail` reports what its generator raised."""
        self._method = method
        self._operator = operator
        self._output_type = output_type
        self._fail = fail

    def batches(self, result: Any, batch: Batch, columns: pa.RecordBatch) -> Iterator[Batch]:
        """The results for `batch`, whose columns are `columns`. Iterables are pulled lazily.

        Raises:
            TypeMismatchError: something else was returned, or columns that differ from the declared ones.
        """
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
                self._fail(error, DescribedBatch(columns))
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
            columns = check_columns(columns, self._output_type, self._operator)
        return Batch.of_columns(columns, self._output_type, timestamps=timestamps)

    def _wrong_result(self, result: Any) -> TypeMismatchError:
        remedy = _remedy(result)
        if remedy:
            return TypeMismatchError(
                f"operator '{self._operator}': {self._method}() returned a "
                f"{type(result).__module__.partition('.')[0]} {type(result).__name__}: return a pyarrow.RecordBatch or "
                f"pyarrow.Table, e.g. {remedy}"
            )
        return TypeMismatchError(
            f"operator '{self._operator}': {self._method}() must return a pyarrow.RecordBatch, a pyarrow.Table, an "
            f"iterable of them or None, but it returned {type(result).__module__}.{type(result).__qualname__}"
        )


def _remedy(result: Any) -> str:
    """How a data frame becomes columns; empty for anything else."""
    if type(result).__name__ != "DataFrame":
        return ""
    return {"pandas": "pa.RecordBatch.from_pandas(df, preserve_index=False)", "polars": "df.to_arrow()"}.get(
        type(result).__module__.partition(".")[0], ""
    )


class DescribedBatch:
    """Stands for a record batch in an error message: shape and first row instead of all values."""

    def __init__(self, columns: pa.RecordBatch) -> None:
        self._columns = columns

    def __repr__(self) -> str:
        fields = ", ".join(f"{field.name}: {field.type}" for field in self._columns.schema)
        first = self._columns.slice(0, 1).to_pylist()
        return f"RecordBatch of {self._columns.num_rows} rows ({fields}), first row: {first[0] if first else None}"
