"""Reads a split of one or several file ranges: the common part of all formats."""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import pyarrow as pa

from shmflink import expressions as ex
from shmflink.connectors.base import Poll, Split
from shmflink.connectors.file_system.file_systems import FileSystem
from shmflink.connectors.file_system.reading.changed_files import range_as_it_is, require_not_cut
from shmflink.connectors.file_system.reading.columns.metadata_columns import file_value
from shmflink.connectors.file_system.reading.columns.partitions import partition_values
from shmflink.connectors.file_system.reading.columns.schemas import conform, rows_without_columns
from shmflink.connectors.file_system.reading.scan import ReadPlan
from shmflink.connectors.file_system.reading.splits import FileRange, FileRanges
from shmflink.connectors.split_reader import SplitCursor
from shmflink.core.batch import Batch
from shmflink.operators.base import SideOutput

__all__ = ["FilesCursor"]

_ROWS_WANTED: Final = 1 << 15  # small batches are joined up to here
_ROWS_ALONE: Final = 1 << 14  # joining copies: a batch with this many rows is not joined
_BYTES_WANTED: Final = 4 << 20
_LOOKS_MAX: Final = 128  # batches and files examined before the slot's other tasks run

_Place: TypeAlias = tuple[FileRange | None, int, int]  # the rest of the current range, ranges begun, rows counted


class FilesCursor(SplitCursor):
    """Reads the ranges of a `FileRanges` one after the other through the format.

    Adds partition and metadata columns, filters rows that the format could not filter, and joins small batches.
    """

    def __init__(self, split: Split, files: FileSystem, plan: ReadPlan) -> None:
        payload: FileRanges = split.payload
        self._split = split
        self._files = files
        self._plan = plan
        self._rows_wanted = _ROWS_WANTED if plan.format.batch_rows_max is None else 1
        self._predicate = None if plan.predicate is None else ex.bind([plan.predicate], plan.working)
        self._ranges = payload.ranges
        self._taken = 0  # ranges begun
        self._row = payload.rows
        self._cursor: SplitCursor | None = None
        self._range: FileRange | None = None
        self._constants: list[pa.Scalar] = []
        self._held: tuple[Batch | SideOutput | Poll, _Place] | None = None

    def next_batch(self) -> Batch | SideOutput | Poll | None:
        if self._held is not None:
            held, self._held = self._held, None
            return held[0]
        joined: list[pa.RecordBatch] = []
        rows = size = 0
        for _ in range(_LOOKS_MAX):
            before = self._place()
            found = self._next()
            if found is None:
                return self._join(joined) if joined else None
            if found is Poll.AGAIN:
                continue
            columns = self._finish(found) if isinstance(found, Batch) else None
            if columns is None:
                if not joined:
                    return found
                self._held = (found, before)  # after the batches that were joined so far
                return self._join(joined)
            if not columns.num_rows:
                continue
            joined.append(columns)
            rows += columns.num_rows
            size += columns.nbytes
            if rows >= self._rows_wanted or size >= _BYTES_WANTED or (len(joined) == 1 and rows >= _ROWS_ALONE):
                break
        return self._join(joined) if joined else Poll.AGAIN

    def remaining(self) -> Split:
        current, taken, row = self._place() if self._held is None else self._held[1]
        waiting = self._ranges[taken:]
        ranges = waiting if current is None else (current, *waiting)
        return Split(self._split.split_id, FileRanges(ranges, row), self._split.size)

    def close(self) -> None:
        self._ranges = self._ranges[: self._taken]
        self._end_range()

    def _place(self) -> _Place:
        return (None if self._cursor is None else self._cursor.remaining().payload, self._taken, self._row)

    def _next(self) -> Batch | SideOutput | Poll | None:
        """The format's next result; AGAIN between two ranges, None after the last."""
        if self._cursor is None:
            if self._taken == len(self._ranges):
                return None
            self._begin_range(self._ranges[self._taken])
            self._taken += 1
        assert self._cursor is not None
        found = self._cursor.next_batch()
        if found is None:
            self._end_range()
            if self._plan.is_watchful and self._range is not None:
                require_not_cut(self._files, self._range)
            self._row = 0
            return Poll.AGAIN
        return found

    def _begin_range(self, part: FileRange) -> None:
        plan = self._plan
        if plan.is_watchful:
            part = range_as_it_is(self._files, part, may_grow=plan.format.is_text)
        told = {}
        if plan.constants:
            folders = pa.schema([field for kind, field in plan.constants if kind is None])
            told = dict(zip(folders.names, partition_values(part.path, folders), strict=True))
        self._constants = [
            told[field.name] if kind is None else file_value(kind, part.path, self._files)
            for kind, field in plan.constants
        ]
        self._cursor = plan.format.open_split(Split(self._split.split_id, part, part.length))
        self._range = part

    def _end_range(self) -> None:
        cursor, self._cursor = self._cursor, None
        if cursor is not None:
            cursor.close()

    def _finish(self, batch: Batch) -> pa.RecordBatch | None:
        """The requested columns of the rows that pass; None if the format's rows are returned unchanged."""
        plan = self._plan
        if plan.schema is None:
            return batch.to_wire() if batch.is_columnar and batch.timestamps is None else None
        assert self._range is not None
        columns = batch.columns()
        rows = columns.num_rows
        arrays, names = list(columns.columns), list(columns.schema.names)
        for (_, field), value in zip(plan.constants, self._constants, strict=True):
            arrays.append(pa.repeat(value, rows))
            names.append(field.name)
        if plan.row_numbers is not None:
            arrays.append(pa.array(np.arange(self._row, self._row + rows, dtype=np.int64)))
            names.append(plan.row_numbers)
        self._row += rows
        if len(names) != columns.num_columns:
            columns = pa.RecordBatch.from_arrays(arrays, names=names)
        if self._predicate is not None:
            (mask,) = self._predicate.evaluate(conform(columns, plan.working, self._range.path))
            if mask.true_count != rows:
                columns = columns.filter(mask)
        return conform(columns, plan.schema, self._range.path)

    def _join(self, parts: list[pa.RecordBatch]) -> Batch:
        if len(parts) == 1:
            return Batch.of_columns(parts[0], self._plan.row_type)
        if not parts[0].num_columns:
            rows = sum(part.num_rows for part in parts)
            return Batch.of_columns(rows_without_columns(rows), self._plan.row_type)
        table = pa.Table.from_batches(parts).combine_chunks()
        return Batch.of_columns(table.to_batches()[0], self._plan.row_type)
