"""Reading ranges of Parquet files: row groups as record batches of bounded size.

Measured with pyarrow 26 on files of 6 columns, 2 of them strings (`process_time` of a scan, `max_memory` of the pool):

- decoding batch by batch costs as much CPU as whole row groups, but holds 15 MiB instead of 250;
- a buffered stream per column (`buffer_size`) costs nothing and holds pages instead of whole column chunks: 18 MiB
  against 93 for a file of one row group of 5 M rows; a memory map is no faster and its pages count as ours;
- reading dictionary-encoded strings as dictionaries and looking the values up afterwards takes half the time of letting
  pyarrow build strings (14 against 30 ns a row for two columns), rows that a filter drops are never looked up, and a
  filter looks at each value once instead of at each row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import pyarrow as pa

from shmflink import _core
from shmflink.connectors.base import Poll, Split
from shmflink.connectors.file_system.file_systems import FileSystem
from shmflink.connectors.file_system.formats.parquet.opening import (
    Group,
    OpenParquet,
    ParquetReading,
    RunColumns,
)
from shmflink.connectors.file_system.formats.parquet.statistics import prune_groups
from shmflink.connectors.file_system.formats.parquet.wide_deltas import PolarsFile, delta_columns, elsewhere
from shmflink.connectors.file_system.reading.columns.schemas import conform, rows_without_columns
from shmflink.connectors.file_system.reading.splits import FileRange
from shmflink.connectors.split_reader import SplitCursor
from shmflink.core.batch import Batch
from shmflink.core.lazy_dataclass import dataclass
from shmflink.errors import DataFormatError

__all__ = ["ParquetCursor"]

_ARRAYS_HINT: Final = (
    ". DuckDB 2.0 and before write such data for NULLs in ARRAY columns; cast those to lists (x::INTEGER[]) before COPY"
)
_ERRORS: Final = (pa.ArrowException, OSError, ValueError)
_RUN_ROWS_MIN: Final = 1 << 17  # smaller row groups are read several at a time
_FRUITLESS_BATCHES_MAX: Final = 16  # after this many without a row, the slot's other tasks get a turn


@dataclass(frozen=True, slots=True)
class _Run:
    """Row groups that follow each other and are read together.

    `first_row` counts from the start of the file, `position` from the start of the split.
    """

    groups: tuple[int, ...]
    rows: int
    start: int
    first_row: int
    position: int


class ParquetCursor(SplitCursor):
    """The row groups that begin inside a byte range of a file.

    `position` counts the rows of those row groups that are finished: returned, filtered or skipped.
    """

    def __init__(self, split: Split, files: FileSystem, reading: ParquetReading) -> None:
        self._split = split
        self._range: FileRange = split.payload
        self._position = self._range.position
        self._row_numbers = reading.plan.row_numbers
        self._files = files
        self._begun = 0  # rows of the current run before the current batch
        self._open: OpenParquet
        self._open, wanted = reading.open(files, self._range)
        try:
            self._schema, self._tested_schema, self._mask = wanted.schema, wanted.tested, wanted.mask
            held = set(self._open.schema.names)
            self._tested = [name for name in wanted.tested.names if name in held]
            rest = held.difference(self._tested)
            self._rest = [name for name in wanted.schema.names if name in rest]
            kept = prune_groups(self._open, wanted.tested, wanted.limits) if wanted.limits else None
            self._runs = _runs_of(self._open.groups, kept)
            self._rows_in_range = sum(group.rows for group in self._open.groups)
            groups = [group for run in self._runs for group in run.groups]
            self._batch_rows = min(reading.plan.batch_rows, self._open.prepare([*self._tested, *self._rest], groups))
        except BaseException:
            self._open.close()
            raise
        self._batches = self._read()

    @property
    def names(self) -> list[str]:
        """All columns of the file."""
        return self._open.names

    def next_batch(self) -> Batch | Poll | None:
        found = next(self._batches, None)
        return Batch.of_columns(found) if isinstance(found, pa.RecordBatch) else found

    def remaining(self) -> Split:
        rest = replace(self._range, position=self._position)
        return Split(self._split.split_id, rest, self._split.size)

    def close(self) -> None:
        self._batches = iter(())
        self._open.close()

    def _read(self) -> Iterator[pa.RecordBatch | Poll]:
        for run in self._runs:
            if run.position + run.rows <= self._position:
                continue
            self._begun = max(0, self._position - run.position)
            try:
                yield from self._read_run(run, self._begun)
            except _ERRORS as error:
                self._open = self._other_reader(run, error)
                try:
                    yield from self._read_run(run, self._begun)
                except _ERRORS as other:
                    raise self._corrupt(run, other) from other
        self._position = max(self._position, self._rows_in_range)

    def _other_reader(self, run: _Run, error: Exception) -> OpenParquet:
        """Continues with row groups that may still be intact. Raises DataFormatError if there is none."""
        path = self._range.path
        if isinstance(self._open, PolarsFile):
            raise self._corrupt(run, error) from error
        names = [*self._tested, *self._rest]
        try:
            columns = delta_columns(self._files, path, names, [group.number for group in self._open.groups])
        except _ERRORS:
            columns = {}
        if not columns:
            raise self._corrupt(run, error) from error
        if not self._files.is_local(path):
            raise elsewhere(path, next(iter(columns)), error) from error
        return PolarsFile(self._open, path, columns)

    def _corrupt(self, run: _Run, error: Exception) -> DataFormatError:
        hint = _ARRAYS_HINT if "Length spanned by list offsets" in str(error) else ""
        return DataFormatError(f"{self._range.path}: corrupt Parquet data in {self._place(run)}: {error}{hint}")

    def _read_run(self, run: _Run, done: int) -> Iterator[pa.RecordBatch | Poll]:
        """The rows of a run from `done` on. Decodes the filter's columns first, the others only if a row passes."""
        is_tested = self._mask is not None
        tested_names = self._tested if is_tested else self._rest
        first = self._columns(run, tested_names, keeps_dictionaries=is_tested)
        rest = self._columns(run, self._rest if is_tested else [])
        first.skip(done)
        rest.skip(done)
        fruitless = 0
        while done < run.rows:
            rows = min(self._batch_rows, run.rows - done)
            tested, at = first.take(rows), done
            self._begun = at
            done += rows
            self._position = run.position + done
            if self._mask is None:
                yield self._finish([tested], run.first_row + at, rows)
                continue
            plain = conform(tested, self._tested_schema, self._range.path, keeps_dictionaries=True)
            mask = self._mask.evaluate(plain)[0]
            passing = mask.true_count
            if passing == 0:
                rest.skip(rows)
                fruitless += 1
                if fruitless % _FRUITLESS_BATCHES_MAX == 0:
                    yield Poll.AGAIN
                continue
            chosen = None if passing == rows else mask
            kept = self._wanted_of(tested)
            if chosen is not None and kept.num_columns:
                kept = _core.keep_rows(kept, chosen)
            yield self._finish([kept, rest.take(rows, chosen)], run.first_row + at, rows, chosen)

    def _columns(self, run: _Run, names: Sequence[str], *, keeps_dictionaries: bool = False) -> RunColumns:
        if not names:
            return _NoColumns()
        return self._open.columns(run.groups, names, self._batch_rows, keeps_dictionaries=keeps_dictionaries)

    def _wanted_of(self, tested: pa.RecordBatch) -> pa.RecordBatch:
        """Without the columns that only the filter needs."""
        wanted = set(self._schema.names)
        return tested.select([name for name in tested.schema.names if name in wanted])

    def _finish(
        self, parts: list[pa.RecordBatch], first_row: int, rows: int, mask: pa.BooleanArray | None = None
    ) -> pa.RecordBatch:
        """One batch of the requested columns, with the rows that pass `mask`. Decodes dictionaries."""
        numbers, schema = self._row_numbers, self._schema
        if numbers is None and len(parts) == 1:
            return conform(parts[0], schema, self._range.path)
        columns = {name: array for part in parts for name, array in zip(part.schema.names, part.columns, strict=True)}
        if numbers is not None:
            told = pa.array(np.arange(first_row, first_row + rows, dtype=np.int64))
            columns[numbers] = told if mask is None else told.filter(mask)
            schema = schema.append(pa.field(numbers, pa.int64()))
        if not columns:
            return rows_without_columns(rows if mask is None else mask.true_count)
        batch = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
        return conform(batch, schema, self._range.path)

    def _place(self, run: _Run) -> str:
        groups = f"row group {run.groups[0]}"
        if len(run.groups) > 1:
            groups = f"row groups {run.groups[0]} to {run.groups[-1]}"
        return f"{groups}, which begins at byte {run.start}, after row {self._position - run.position} of it"


class _NoColumns:
    """Used if a filter needs all columns, or none."""

    def skip(self, rows: int) -> None:
        """There is nothing to skip."""

    def take(self, rows: int, mask: pa.BooleanArray | None = None) -> pa.RecordBatch:
        return rows_without_columns(rows if mask is None else mask.true_count)


def _runs_of(groups: Sequence[Group], kept: frozenset[int] | None) -> list[_Run]:
    """`kept` None means all rows."""
    runs: list[_Run] = []
    position = 0
    for number, start, first_row, rows in groups:
        if rows and (kept is None or number in kept):
            last = runs[-1] if runs else None
            if last is not None and last.groups[-1] == number - 1 and last.rows + rows <= _RUN_ROWS_MIN:
                runs[-1] = _Run((*last.groups, number), last.rows + rows, last.start, last.first_row, last.position)
            else:
                runs.append(_Run((number,), rows, start, first_row, position))
        position += rows
    return runs
