"""A source of the rows of a table in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa

from shmflink.connectors.base import Poll, Source, SourceReader, Split, SplitEnumerator
from shmflink.connectors.split_queue import SplitQueue, even_ranges
from shmflink.connectors.split_reader import SplitCursor, SplitReader
from shmflink.core.batch import Batch
from shmflink.core.plain_columns import plain_batch
from shmflink.core.types.typeinfo import ColumnsTypeInfo
from shmflink.errors import TypeMismatchError
from shmflink.operators.base import OperatorContext

__all__ = ["TABLE_BATCH_ROWS", "ArrowSource", "table_of_polars"]

TABLE_BATCH_ROWS: Final = 1 << 16

_SPLITS_PER_READER: Final = 4


class ArrowSource(Source):
    """*shmflink only.* The rows of a table. They are sent with the job, so write large tables to a file instead.

    Views, UUIDs and other extension types become plain columns (`core.plain_columns`).
    """

    gives_timestamps = False
    split_payloads = (tuple,)

    def __init__(self, table: pa.Table) -> None:
        self._type = ColumnsTypeInfo(table.schema)
        schema = self._type.schema
        if table.schema.types != schema.types:
            batches = [plain_batch(batch, keeps_dictionaries=True) for batch in table.to_batches()]
            table = pa.Table.from_batches(batches, schema)
        self._table = table.cast(schema) if table.schema != schema else table.replace_schema_metadata(None)

    def __getstate__(self) -> bytes:
        # As IPC, because a pickled slice of an array includes all of its buffers.
        out = pa.BufferOutputStream()
        with pa.ipc.new_stream(out, self._table.schema) as stream:
            stream.write_table(self._table, TABLE_BATCH_ROWS)
        return bytes(out.getvalue().to_pybytes())

    def __setstate__(self, state: bytes) -> None:
        with pa.ipc.open_stream(state) as stream:
            self._table = stream.read_all()
        self._type = ColumnsTypeInfo(self._table.schema)

    def create_enumerator(self, parallelism: int, state: Any = None) -> SplitEnumerator:
        if state is not None:
            return SplitQueue(state)
        rows = self._table.num_rows
        batches = -(-rows // TABLE_BATCH_ROWS)
        ranges = even_ranges(0, batches, parallelism * _SPLITS_PER_READER)
        cuts = [(start * TABLE_BATCH_ROWS, min(stop * TABLE_BATCH_ROWS, rows)) for start, stop in ranges]
        return SplitQueue(Split(str(i), (start, stop), stop - start) for i, (start, stop) in enumerate(cuts))

    def create_reader(self, context: OperatorContext) -> SourceReader:
        return SplitReader(lambda split: _TableCursor(split, self._table, self._type))

    def with_columns(self, columns: Sequence[str]) -> ArrowSource:
        return ArrowSource(self._table.select(list(columns)))

    @property
    def produced_type(self) -> ColumnsTypeInfo:
        return self._type


def table_of_polars(frame: Any) -> pa.Table:
    """A `polars.DataFrame` as a table. TypeMismatchError names a column for which Arrow has no type."""
    try:
        return frame.to_arrow()
    except pa.ArrowException:
        pass  # convert one column at a time to find the one that fails
    columns = {}
    for series in frame.get_columns():
        try:
            columns[series.name] = _column_of_polars(series)
        except Exception as error:
            raise TypeMismatchError(
                f"from_polars(): column {series.name!r} of type {series.dtype} has no Arrow type: {error}; cast it, "
                f"for example to pl.Decimal(38, 0), pl.Int64 or pl.String"
            ) from error
    return pa.table(columns)


def _column_of_polars(series: Any) -> Any:
    if str(series.dtype) not in ("Int128", "UInt128"):
        return series.to_arrow()
    import polars as pl  # the frame is one of its

    return series.cast(pl.Decimal(38, 0)).to_arrow()


class _TableCursor(SplitCursor):
    """`payload` of the split is (next row, one past the last)."""

    def __init__(self, split: Split, table: pa.Table, row_type: ColumnsTypeInfo) -> None:
        self._split = split
        start, stop = split.payload
        self._batches = table.slice(start, stop - start).to_batches(TABLE_BATCH_ROWS)
        self._next_row = start
        self._type = row_type

    def next_batch(self) -> Batch | Poll | None:
        if not self._batches:
            return None
        columns = self._batches.pop(0)
        self._next_row += columns.num_rows
        return Batch.of_columns(columns, self._type)

    def remaining(self) -> Split:
        _, stop = self._split.payload
        return Split(self._split.split_id, (self._next_row, stop), stop - self._next_row)
