"""The common part of Arrow IPC and ORC: files of numbered pieces (batches, stripes), which are read one at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np
import pyarrow as pa

from shmflink.connectors.base import Poll, Split
from shmflink.connectors.file_system.reading.columns.schemas import conform
from shmflink.connectors.file_system.reading.splits import FileRange
from shmflink.connectors.split_reader import SplitCursor
from shmflink.core.batch import Batch
from shmflink.errors import DataFormatError

__all__ = ["PieceFile", "PiecesCursor", "pieces_of_range"]

BATCH_ROWS: Final = 1 << 16


class PieceFile(ABC):
    """An open file of `num_pieces` pieces."""

    schema: pa.Schema
    num_pieces: int
    size: int

    @abstractmethod
    def rows_before(self, piece: int) -> int:
        """Number of rows of the file before a piece."""

    @abstractmethod
    def read(self, piece: int) -> Iterator[pa.RecordBatch]:
        """The rows of a piece."""

    @abstractmethod
    def close(self) -> None: ...


def pieces_of_range(file: PieceFile, part: FileRange) -> range:
    """The pieces that belong to a byte range, in proportion to its size: every piece belongs to exactly one range."""
    first = -(-part.offset * file.num_pieces // max(1, file.size))
    after = -(-(part.offset + part.length) * file.num_pieces // max(1, file.size))
    return range(first, min(after, file.num_pieces))


class PiecesCursor(SplitCursor):
    """The pieces of a byte range, as batches of the requested schema. `position` counts the returned rows."""

    def __init__(
        self, split: Split, file: PieceFile, pieces: range, schema: pa.Schema | None, row_numbers: str | None
    ) -> None:
        self._split = split
        self._range: FileRange = split.payload
        self._file = file
        self._schema = schema
        self._row_numbers = row_numbers
        self._position = self._range.position
        self._batches = self._read(pieces)

    def next_batch(self) -> Batch | Poll | None:
        columns = next(self._batches, None)
        return None if columns is None else Batch.of_columns(columns)

    def remaining(self) -> Split:
        rest = replace(self._range, position=self._position)
        return Split(self._split.split_id, rest, self._split.size)

    def close(self) -> None:
        self._batches = iter(())
        self._file.close()

    def _read(self, pieces: range) -> Iterator[pa.RecordBatch]:
        if not pieces:
            return
        number = self._file.rows_before(pieces.start) if self._row_numbers is not None else 0
        seen = 0
        for piece in pieces:
            try:
                for batch in self._file.read(piece):
                    for at in range(0, batch.num_rows, BATCH_ROWS):
                        part = batch.slice(at, BATCH_ROWS)
                        rows = part.num_rows
                        skipped = min(rows, max(0, self._position - seen))
                        seen += rows
                        if skipped < rows:
                            self._position = seen
                            yield self._finish(part.slice(skipped), number + skipped)
                        number += rows
            except (pa.ArrowException, OSError) as error:
                raise DataFormatError(f"{self._range.path}: corrupt data in piece {piece}: {error}") from error

    def _finish(self, columns: pa.RecordBatch, first_row: int) -> pa.RecordBatch:
        finished = columns if self._schema is None else conform(columns, self._schema, self._range.path)
        if self._row_numbers is None:
            return finished
        numbers = pa.array(np.arange(first_row, first_row + columns.num_rows, dtype=np.int64))
        names = [*finished.schema.names, self._row_numbers]
        return pa.RecordBatch.from_arrays([*finished.columns, numbers], names=names)
