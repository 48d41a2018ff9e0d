"""Reading ranges of Parquet files, by pyarrow: row groups as record batches of bounded size.

Measured with pyarrow 26 on files of 6 columns, 2 of them strings (`process_time` of a scan, `max_memory` of the pool):

- decoding batch by batch costs the same as whole row groups, and holds 15 MiB where those hold 250;
- a buffered stream per column (`buffer_size`) costs nothing and holds pages instead of whole column chunks: 18 MiB
  against 93 for a file of one row group of 5 M rows; a memory map is no faster and its pages count as ours;
- reading dictionary-encoded strings as dictionaries and looking the values up afterwards takes half the time of letting
  the reader build strings (14 against 30 ns a row for two columns), and rows that a filter drops are never looked up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shmflink.connectors.base import Poll, Split
from shmflink.connectors.file_system.file_systems import FileSystem
from shmflink.connectors.file_system.parquet_statistics import prune_groups
from shmflink.connectors.file_system.schemas import conform, plain_schema, rows_without_columns
from shmflink.connectors.file_system.splits import FileRange
from shmflink.connectors.split_reader import SplitCursor
from shmflink.core.batch import Batch
from shmflink.errors import DataFormatError
from shmflink.expressions import Expression, bind, bounds

__all__ = ["BATCH_ROWS", "ParquetCursor", "ParquetFooters", "ParquetPlan"]

BATCH_ROWS: Final = 1 << 16
"""Rows of a batch where the program does not say."""

BATCH_BYTES: Final = 8 << 20
"""About so many bytes a batch has at most; wide rows make shorter batches."""

_BATCH_ROWS_MIN: Final = 1024
_RUN_ROWS_MIN: Final = 1 << 17  # smaller row groups are read several at a time
_PAGE_BUFFER_BYTES: Final = 64 << 10
_DICTIONARY_BYTES_MAX: Final = 64 << 10  # larger ones cost more per batch than they save
_DICTIONARY_BYTES_PER_VALUE_MAX: Final = 4.0
_TEXT_BYTES: Final = 16  # what a value of a dictionary-encoded text may have, for want of knowing
_FOOTERS_KEPT: Final = 4
_FRUITLESS_BATCHES_MAX: Final = 16  # after so many without a row, the slot's other tasks have a turn
_DICTIONARY_ROWS_MIN: Final = 1 << 15  # a shorter split does not pay for opening the file again


@dataclass(frozen=True, slots=True)
class ParquetPlan:
    """What to hand out. `schema` None: the file's own columns. `predicate` may use others than those."""

    schema: pa.Schema | None = None
    predicate: Expression | None = None
    predicate_schema: pa.Schema | None = None
    row_numbers: str | None = None
    batch_rows: int = BATCH_ROWS


class ParquetFooters:
    """Footers of the files read last: the splits of one file need it again and again."""

    def __init__(self) -> None:
        self._kept: dict[str, pq.FileMetaData] = {}

    def open(self, files: FileSystem, path: str, **options: Any) -> pq.ParquetFile:
        """Raises ResourceError or DataFormatError, naming the file."""
        source = files.open_arrow(path)
        try:
            opened = pq.ParquetFile(
                source,
                metadata=self._kept.get(path),
                pre_buffer=not files.is_local(path),
                buffer_size=_PAGE_BUFFER_BYTES if files.is_local(path) else 0,
                **options,
            )
        except (pa.ArrowException, OSError) as error:
            source.close()
            raise DataFormatError(f"{path}: not a readable Parquet file: {error}") from error
        if path not in self._kept:
            while len(self._kept) >= _FOOTERS_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[path] = opened.metadata
        return opened


@dataclass(frozen=True, slots=True)
class _Run:
    """Row groups that follow each other and are read together.

    `first_row` counts from the start of the file, `position` from the start of the split.
    """

    groups: tuple[int, ...]
    rows: int
    first_row: int
    position: int


class ParquetCursor(SplitCursor):
    """The row groups that begin inside a byte range of a file.

    `position` counts the rows of those row groups that are done with: handed out, filtered or skipped.
    """

    def __init__(self, split: Split, files: FileSystem, plan: ParquetPlan, footers: ParquetFooters) -> None:
        self._split = split
        self._range: FileRange = split.payload
        self._plan = plan
        self._position = self._range.position
        self._open = footers.open(files, self._range.path)
        try:
            self._prepare(files, footers)
        except BaseException:
            self._open.close(force=True)
            raise

    def _prepare(self, files: FileSystem, footers: ParquetFooters) -> None:
        path, plan = self._range.path, self._plan
        metadata = self._open.metadata
        file_schema = plain_schema(self._open.schema_arrow, path)
        self._schema = file_schema if plan.schema is None else plan.schema
        self._mask = None
        tested: frozenset[str] = frozenset()
        self._tested_schema = pa.schema([])
        limits = []
        if plan.predicate is not None:
            schema = plan.predicate_schema or self._schema
            tested = bind([plan.predicate], schema).columns
            # Bound to its own columns alone: the others are decoded later, if at all.
            self._tested_schema = pa.schema([field for field in schema if field.name in tested])
            self._mask = bind([plan.predicate], self._tested_schema)
            limits = bounds(plan.predicate)
        self._tested = [name for name in file_schema.names if name in tested]
        wanted = set(self._schema.names) - tested
        self._rest = [name for name in file_schema.names if name in wanted]
        groups = _groups_in(metadata, self._range)
        starts = _row_starts(metadata, groups)
        kept = prune_groups(metadata, file_schema, self._tested_schema, [group for group, _, _ in starts], limits)
        self._runs = _runs_of(metadata, starts, frozenset(kept))
        self._rows_in_range = sum(metadata.row_group(group).num_rows for group in groups)
        names = {*self._tested, *self._rest}
        self._batch_rows, dictionaries = _batch_shape(metadata, kept, file_schema, names, plan.batch_rows)
        if dictionaries and self._rows_in_range >= _DICTIONARY_ROWS_MIN:
            self._open.close(force=True)
            self._open = footers.open(files, path, read_dictionary=dictionaries)
        self._batches = self._read()

    def next_batch(self) -> Batch | Poll | None:
        found = next(self._batches, None)
        return Batch.of_columns(found) if isinstance(found, pa.RecordBatch) else found

    def remaining(self) -> Split:
        whole = self._range
        rest = FileRange(whole.path, whole.offset, whole.length, self._position)
        return Split(self._split.split_id, rest, self._split.size)

    def close(self) -> None:
        self._batches = iter(())
        self._open.close(force=True)

    def _read(self) -> Iterator[pa.RecordBatch | Poll]:
        for run in self._runs:
            if run.position + run.rows <= self._position:
                continue
            try:
                yield from self._read_run(run, max(0, self._position - run.position))
            except (pa.ArrowException, OSError) as error:
                raise DataFormatError(
                    f"{self._range.path}: corrupt Parquet data in {self._place(run)}: {error}"
                ) from error
        self._position = max(self._position, self._rows_in_range)

    def _read_run(self, run: _Run, done: int) -> Iterator[pa.RecordBatch | Poll]:
        """The rows of a run from `done` on. The filter's columns go first, the others follow where a row passes."""
        first = _Columns(self._open, run, self._tested if self._mask is not None else self._rest, self._batch_rows)
        rest = _Columns(self._open, run, self._rest, self._batch_rows)
        first.skip(done)
        rest.skip(done)
        fruitless = 0
        while done < run.rows:
            tested = first.take(min(self._batch_rows, run.rows - done))
            rows, at = tested.num_rows, done
            done += rows
            self._position = run.position + done
            if self._mask is None:
                yield self._finish([tested], run.first_row + at, None)
                continue
            plain = conform(tested, self._tested_schema, self._range.path)
            mask = self._mask.evaluate(plain)[0]
            passing = mask.true_count
            if passing == 0:
                rest.skip(rows)
                fruitless += 1
                if fruitless % _FRUITLESS_BATCHES_MAX == 0:
                    yield Poll.AGAIN
                continue
            parts = [plain, rest.take(rows)] if self._rest else [plain]
            yield self._finish(parts, run.first_row + at, None if passing == rows else mask)

    def _finish(self, parts: list[pa.RecordBatch], first_row: int, mask: pa.BooleanArray | None) -> pa.RecordBatch:
        """One batch of the wanted columns and rows. Dictionaries are looked up last, for the rows that are left."""
        rows = parts[0].num_rows
        arrays = [array for part in parts for array in part.columns]
        names = [name for part in parts for name in part.schema.names]
        numbers = self._plan.row_numbers
        schema = self._schema
        if numbers is not None:
            arrays.append(pa.array(np.arange(first_row, first_row + rows, dtype=np.int64)))
            names.append(numbers)
            schema = schema.append(pa.field(numbers, pa.int64()))
        if not arrays:
            return rows_without_columns(rows)
        columns = pa.RecordBatch.from_arrays(arrays, names=names)
        kept = columns if mask is None else columns.filter(mask)
        return conform(kept, schema, self._range.path)

    def _place(self, run: _Run) -> str:
        groups = f"row group {run.groups[0]}"
        if len(run.groups) > 1:
            groups = f"row groups {run.groups[0]} to {run.groups[-1]}"
        start = _group_start(self._open.metadata.row_group(run.groups[0]))
        return f"{groups}, which begins at byte {start}, after row {self._position - run.position} of it"


class _Columns:
    """Some columns of a run, batch by batch; opened when a row of them is wanted first, skipped rows being decoded
    then, because pyarrow cannot skip inside a row group.
    """

    def __init__(self, file: pq.ParquetFile, run: _Run, names: Sequence[str], batch_rows: int) -> None:
        self._file = file
        self._run = run
        self._names = list(names)
        self._batch_rows = batch_rows
        self._batches: Iterator[pa.RecordBatch] | None = None
        self._behind = 0
        self._held: pa.RecordBatch | None = None

    def skip(self, rows: int) -> None:
        self._behind += rows

    def take(self, rows: int) -> pa.RecordBatch:
        """Exactly the next `rows` rows."""
        if not self._names:
            return rows_without_columns(rows)
        while self._behind:
            self._behind -= self._next(self._behind).num_rows
        taken = [self._next(rows)]
        missing = rows - taken[0].num_rows
        while missing:
            taken.append(self._next(missing))
            missing -= taken[-1].num_rows
        if len(taken) == 1:
            return taken[0]
        return pa.Table.from_batches(taken).combine_chunks().to_batches()[0]

    def _next(self, rows_max: int) -> pa.RecordBatch:
        held = self._held
        if held is None:
            if self._batches is None:
                self._batches = self._file.iter_batches(
                    self._batch_rows, row_groups=self._run.groups, columns=self._names, use_threads=False
                )
            held = next(self._batches, None)
            if held is None:
                raise pa.ArrowInvalid("the column ends before the rows that the footer promises")
        self._held = held.slice(rows_max) if held.num_rows > rows_max else None
        return held.slice(0, rows_max)


def _groups_in(metadata: pq.FileMetaData, part: FileRange) -> list[int]:
    end = part.offset + part.length
    return [
        group
        for group in range(metadata.num_row_groups)
        if part.offset <= _group_start(metadata.row_group(group)) < end
    ]


def _group_start(group: pq.RowGroupMetaData) -> int:
    """Where the first page of a row group lies in the file."""
    column = group.column(0) if group.num_columns else None
    if column is None:
        return 4  # right after the magic bytes
    starts = (column.dictionary_page_offset, column.data_page_offset)
    return int(min(start for start in starts if start))


def _row_starts(metadata: pq.FileMetaData, groups: Sequence[int]) -> list[tuple[int, int, int]]:
    """For each group: its number, its first row in the file, its first row in the split."""
    wanted = frozenset(groups)
    found = []
    in_file = in_split = 0
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group).num_rows
        if group in wanted:
            found.append((group, in_file, in_split))
            in_split += rows
        in_file += rows
    return found


def _runs_of(metadata: pq.FileMetaData, starts: list[tuple[int, int, int]], kept: frozenset[int]) -> list[_Run]:
    runs: list[_Run] = []
    for group, first_row, position in starts:
        rows = metadata.row_group(group).num_rows
        if group not in kept or not rows:
            continue
        last = runs[-1] if runs else None
        if last is not None and last.groups[-1] == group - 1 and last.rows + rows <= _RUN_ROWS_MIN:
            runs[-1] = _Run((*last.groups, group), last.rows + rows, last.first_row, last.position)
        else:
            runs.append(_Run((group,), rows, first_row, position))
    return runs


def _batch_shape(
    metadata: pq.FileMetaData, groups: Sequence[int], schema: pa.Schema, names: set[str], rows_max: int
) -> tuple[int, list[str]]:
    """Rows of a batch, and the columns that are better read as dictionaries."""
    if not groups:
        return rows_max, []
    text = {name for name in names if _is_text(schema.field(name).type)}
    row_bytes = 0.0
    dictionaries = []
    for index in range(metadata.num_columns):
        first = metadata.row_group(groups[0]).column(index)
        path = first.path_in_schema
        if path.split(".", 1)[0] not in names and path not in names:
            continue
        encoded = first.total_uncompressed_size / max(1, metadata.row_group(groups[0]).num_rows)
        row_bytes += max(encoded, _TEXT_BYTES if path in text else 8)
        if path in text and all(_has_small_dictionary(metadata.row_group(group).column(index)) for group in groups):
            dictionaries.append(path)
    rows = int(BATCH_BYTES / max(1.0, row_bytes))
    return min(rows_max, max(_BATCH_ROWS_MIN, rows)), dictionaries


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_binary(kind))


def _has_small_dictionary(column: pq.ColumnChunkMetaData) -> bool:
    start = column.dictionary_page_offset
    if not column.has_dictionary_page or start is None:
        return False
    per_value = column.total_uncompressed_size / max(1, column.num_values)
    small = column.data_page_offset - start <= _DICTIONARY_BYTES_MAX
    return bool(small and per_value <= _DICTIONARY_BYTES_PER_VALUE_MAX)
