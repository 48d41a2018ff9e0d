"""Parquet in and out, by pyarrow: row groups as record batches of bounded size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq

from shmflink.connectors.base import Poll, Split
from shmflink.connectors.file_system.splits import FileRange
from shmflink.connectors.split_reader import SplitCursor
from shmflink.core.batch import Batch
from shmflink.core.typeinfo import RowTypeInfo
from shmflink.errors import DataFormatError, ResourceError, TypeMismatchError

__all__ = ["BATCH_ROWS", "ParquetCursor", "ParquetFileWriter", "read_schema", "schema_of"]

BATCH_ROWS: Final = 8192
"""Rows of a batch where the program does not say."""

ROW_GROUP_ROWS: Final = 1 << 20
"""Rows of a row group that is written: large groups compress and skip better.

They are buffered by the writer.
"""


def read_schema(path: str, columns: Sequence[str] | None = None) -> pa.Schema:
    """The schema in a file's footer, with the chosen columns in the chosen order.

    Raises:
        DataFormatError: not a Parquet file, cut short, or a column is missing.
    """
    with _open(path) as file:
        schema = file.schema_arrow
    _require_columns(path, schema, columns)
    return schema if columns is None else pa.schema([schema.field(name) for name in columns])


def schema_of(row_type: RowTypeInfo) -> pa.Schema:
    """The Arrow schema of a row type."""
    fields = zip(row_type.get_field_names(), row_type.get_field_types(), strict=True)
    return pa.schema([(name, field_type.arrow_type) for name, field_type in fields])


class ParquetCursor(SplitCursor):
    """The row groups that begin inside a byte range of a file.

    `position` counts the rows handed out of them.
    """

    def __init__(
        self, split: Split, columns: Sequence[str] | None, batch_rows: int, row_type: RowTypeInfo | None = None
    ) -> None:
        self._split = split
        self._range: FileRange = split.payload
        self._columns = None if columns is None else list(columns)
        self._batch_rows = batch_rows
        self._row_type = row_type
        self._schema = None if row_type is None else schema_of(row_type)
        self._rows_read = 0
        self._file = _open(self._range.path)
        try:
            _require_columns(self._range.path, self._file.schema_arrow, columns)
            self._batches = self._read_groups()
        except BaseException:
            self._file.close()
            raise

    def next_batch(self) -> Batch | Poll | None:
        try:
            for columns in self._batches:
                already = max(0, min(columns.num_rows, self._range.position - self._rows_read))
                self._rows_read += columns.num_rows
                if columns.num_rows > already:
                    return Batch.of_columns(self._typed(columns.slice(already)), self._row_type)
        except (pa.ArrowException, OSError) as error:
            raise DataFormatError(f"{self._range.path}: corrupt Parquet data: {error}") from error
        return None

    def _typed(self, columns: pa.RecordBatch) -> pa.RecordBatch:
        if self._schema is None:
            return columns
        try:
            return columns.cast(self._schema)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise TypeMismatchError(f"{self._range.path}: not of the declared type: {error}") from error

    def remaining(self) -> Split:
        rows = max(self._rows_read, self._range.position)
        return Split(self._split.split_id, FileRange(self._range.path, self._range.offset, self._range.length, rows))

    def close(self) -> None:
        self._batches = iter(())
        self._file.close()

    def _read_groups(self) -> Iterator[pa.RecordBatch]:
        metadata = self._file.metadata
        end = self._range.offset + self._range.length
        groups = [
            group
            for group in range(metadata.num_row_groups)
            if self._range.offset <= _group_start(metadata.row_group(group)) < end
        ]
        if not groups:
            return iter(())
        order = self._columns
        batches: Iterator[pa.RecordBatch] = self._file.iter_batches(
            batch_size=self._batch_rows, row_groups=groups, columns=order, use_threads=False
        )
        return batches if order is None else (batch.select(order) for batch in batches)


class ParquetFileWriter:
    """Writes record batches of one schema into one open file; the caller owns the file."""

    def __init__(self, file: BinaryIO, schema: pa.Schema, compression: str) -> None:
        self._schema = schema
        self._writer = pq.ParquetWriter(file, schema, compression=compression)
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = 0
        self._waiting_bytes = 0

    @property
    def buffered_bytes(self) -> int:
        """Bytes in memory that no row group holds yet."""
        return self._waiting_bytes

    def write(self, columns: pa.RecordBatch) -> None:
        """Takes over a batch whose memory is its own."""
        self._waiting.append(columns)
        self._waiting_rows += columns.num_rows
        self._waiting_bytes += columns.nbytes
        if self._waiting_rows >= ROW_GROUP_ROWS or self._waiting_bytes >= _ROW_GROUP_BYTES:
            self._write_group()

    def close(self) -> None:
        """Writes the rest and the footer."""
        self._write_group()
        self._writer.close()

    def abandon(self) -> None:
        """Gives up; the file is not complete and may be closed."""
        self._waiting.clear()
        self._writer.is_open = False  # else its finaliser would write a footer into the closed file

    def _write_group(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.Table.from_batches(self._waiting, self._schema), row_group_size=ROW_GROUP_ROWS)
        self._waiting, self._waiting_rows, self._waiting_bytes = [], 0, 0


_ROW_GROUP_BYTES: Final = 64 << 20


def _group_start(group: Any) -> Any:
    """Where the first page of a row group lies in the file."""
    column = group.column(0) if group.num_columns else None
    if column is None:
        return 4  # right after the magic bytes
    starts = (column.dictionary_page_offset, column.data_page_offset)
    return min(start for start in starts if start)


def _open(path: str) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except FileNotFoundError as error:
        raise ResourceError(f"{path}: no such file") from error
    except (pa.ArrowException, OSError) as error:
        raise DataFormatError(f"{path}: not a readable Parquet file: {error}") from error


def _require_columns(path: str, schema: pa.Schema, columns: Sequence[str] | None) -> None:
    missing = [name for name in columns or () if name not in schema.names]
    if missing:
        raise DataFormatError(f"{path}: no column {missing[0]!r}; it has {', '.join(schema.names)}")
