"""Opens Parquet files with the native core if it supports the file, otherwise with pyarrow.

The core reads common local files: flat columns of the expected types, uncompressed or compressed by snappy. For small
files and for footers with many columns it costs half as much as pyarrow, and it decodes only rows that pass the filter.
pyarrow reads the rest: other codecs and types, nested columns, files with missing columns or columns to cast, other
file systems.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import pyarrow as pa

from shmflink import _core
from shmflink import expressions as ex
from shmflink.connectors.file_system.file_systems import FileSystem
from shmflink.connectors.file_system.formats.parquet.batched_columns import BatchedColumns
from shmflink.connectors.file_system.formats.parquet.statistics import (
    GroupStatistics,
    arrow_statistics,
    core_statistics,
)
from shmflink.connectors.file_system.reading.columns.schemas import described_schema, plain_schema
from shmflink.connectors.file_system.reading.splits import FileRange
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.lazy_imports import pq
from shmflink.errors import DataFormatError

if TYPE_CHECKING:
    from shmflink.expressions import BoundExpressions, Expression

__all__ = ["BATCH_ROWS", "CoreFile", "Group", "OpenParquet", "ParquetPlan", "ParquetReading", "RunColumns", "Wanted"]

BATCH_ROWS: Final = 1 << 16
"""The default number of rows of a batch."""

BATCH_BYTES: Final = 8 << 20
"""The approximate maximum size of a batch; long rows make shorter batches. With many columns the limit is larger."""

_COLUMN_BYTES: Final = 64 << 10
"""Bytes per column of a batch; amortizes the cost per batch and column. Measured on 500 columns of numbers, filter to
Parquet: 8 MiB 4.6 s, 16 MiB 3.5 s, 32 MiB (this) 2.5 s, 64 MiB 2.3 s."""

_BATCH_ROWS_MIN: Final = 1024
_PAGE_BUFFER_BYTES: Final = 64 << 10
_DICTIONARY_BYTES_MAX: Final = 64 << 10  # larger ones cost more per batch than they save
_DICTIONARY_BYTES_PER_VALUE_MAX: Final = 4.0
_DICTIONARY_ROWS_MIN: Final = 1 << 15  # a shorter split does not pay for opening the file again
_TEXT_BYTES: Final = 16  # assumed size of a dictionary-encoded text; the footer does not state it
_FOOTERS_KEPT: Final = 4


@dataclass(frozen=True, slots=True)
class ParquetPlan:
    """What to read. If `schema` is None, the file's own columns. `predicate` may use other columns."""

    schema: pa.Schema | None = None
    predicate: Expression | None = None
    predicate_schema: pa.Schema | None = None
    row_numbers: str | None = None
    batch_rows: int = BATCH_ROWS


@dataclass(frozen=True, slots=True)
class Wanted:
    """A plan for files with certain columns. `schema` is returned; `mask`, over `tested`, selects the rows."""

    schema: pa.Schema
    tested: pa.Schema
    mask: BoundExpressions | None
    limits: tuple[tuple[str, str, Any], ...]

    @staticmethod
    def of(plan: ParquetPlan, schema: pa.Schema) -> Wanted:
        """`schema` has the plan's columns, or the file's if the plan has none."""
        if plan.predicate is None:
            return Wanted(schema, pa.schema([]), None, ())
        told = plan.predicate_schema or schema
        names = ex.bind([plan.predicate], told).columns
        # Bound only to the columns that it uses: the others are decoded later, if at all.
        tested = pa.schema([field for field in told if field.name in names])
        return Wanted(schema, tested, ex.bind([plan.predicate], tested), tuple(ex.bounds(plan.predicate)))


class Group(NamedTuple):
    """A row group; bytes and rows are counted from the start of the file."""

    number: int
    start: int
    first_row: int
    rows: int


class RunColumns(Protocol):
    """Some columns of consecutive row groups, from front to back.

    Reading raises pa.ArrowException, OSError or ValueError if the file is corrupt.
    """

    def skip(self, rows: int) -> None: ...

    def take(self, rows: int, mask: pa.BooleanArray | None = None) -> pa.RecordBatch:
        """The next `rows` rows; with a mask, only those for which it is true (not null)."""


class OpenParquet(Protocol):
    """The row groups of an open file that begin inside a range."""

    @property
    def groups(self) -> Sequence[Group]: ...

    @property
    def schema(self) -> pa.Schema:
        """The columns of the file; all, or at least the requested ones."""

    @property
    def names(self) -> list[str]:
        """All columns of the file."""

    def statistics(self, name: str, groups: Sequence[int]) -> Sequence[GroupStatistics] | None:
        """The statistics of a column in each of these row groups; None if they cannot be trusted."""

    def prepare(self, names: Sequence[str], groups: Sequence[int]) -> int:
        """Rows of a batch, none larger than about `BATCH_BYTES`. Called once, before `read`."""

    def columns(
        self, groups: Sequence[int], names: Sequence[str], batch_rows: int, *, keeps_dictionaries: bool = False
    ) -> RunColumns:
        """These columns of consecutive row groups. `keeps_dictionaries`: strings may be returned as dictionaries."""

    def close(self) -> None: ...


class ParquetReading:
    """Opens the files of one plan. Caches what they share: footers, the bound predicate."""

    def __init__(self, plan: ParquetPlan) -> None:
        self.plan = plan
        self._kept: dict[str, pq.FileMetaData] = {}
        self._described: tuple[pa.Schema, pa.Schema] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"plan": self.plan, "_kept": {}, "_described": None}

    def described(self, schema: pa.Schema, path: str) -> pa.Schema:
        """Like `described_schema`, but computed once for consecutive files with equal metadata."""
        if self._described is None or not schema.equals(self._described[0], check_metadata=True):
            self._described = schema, described_schema(schema, path)
        return self._described[1]

    def open(self, files: FileSystem, part: FileRange) -> tuple[OpenParquet, Wanted]:
        """Raises ResourceError or DataFormatError, naming the file."""
        if self._wanted is not None and self._reader is not None and files.is_local(part.path):
            opened = self._reader.open(part.path, part.offset, part.length)
            if opened is not None:
                return CoreFile(opened, self._expected), self._wanted
        made = _ArrowFile(self, files, part)
        return made, self._wanted or Wanted.of(self.plan, made.schema)

    def open_whole(self, files: FileSystem, path: str, **options: Any) -> pq.ParquetFile:
        """Opens the file with pyarrow. Raises ResourceError or DataFormatError, naming the file."""
        source = files.open_arrow(path)
        try:
            opened = pq.ParquetFile(
                source,
                metadata=self._kept.get(path),
                pre_buffer=not files.is_local(path),
                buffer_size=_PAGE_BUFFER_BYTES if files.is_local(path) else 0,
                coerce_int96_timestamp_unit="us",  # nanoseconds end in 2262, and pyarrow lets them wrap silently
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

    @cached_property
    def _wanted(self) -> Wanted | None:
        """None if it depends on the file."""
        return None if self.plan.schema is None else Wanted.of(self.plan, self.plan.schema)

    @cached_property
    def _expected(self) -> pa.Schema:
        """All columns that are read."""
        wanted = self._wanted
        assert wanted is not None
        names = set(wanted.tested.names)
        return pa.schema([*wanted.tested, *(field for field in wanted.schema if field.name not in names)])

    @cached_property
    def _reader(self) -> _core.ParquetReader | None:
        """None if the core cannot execute this plan: no column at all, or one column in two types."""
        wanted = self._wanted
        if wanted is None or not len(self._expected):
            return None
        names = set(wanted.schema.names)
        if any(field.name in names and wanted.schema.field(field.name) != field for field in wanted.tested):
            return None
        return _core.ParquetReader(self._expected, has_bounds=bool(wanted.limits))


class CoreFile:
    """A file opened by the core; has only the row groups of the range."""

    def __init__(self, opened: _core.ParquetRange, schema: pa.Schema) -> None:
        self._opened = opened
        self.schema = schema
        self.groups = [Group(*group) for group in opened.groups]

    @property
    def names(self) -> list[str]:
        return self._opened.names

    def statistics(self, name: str, groups: Sequence[int]) -> Sequence[GroupStatistics] | None:
        found = self._opened.bounds(name)
        if found is None:
            return None
        known = core_statistics(*found, [group.rows for group in self.groups])
        return [one for group, one in zip(self.groups, known, strict=True) if group.number in groups]

    def prepare(self, names: Sequence[str], groups: Sequence[int]) -> int:
        return _rows_of(self._opened.row_bytes, len(names))

    def columns(
        self, groups: Sequence[int], names: Sequence[str], batch_rows: int, *, keeps_dictionaries: bool = False
    ) -> RunColumns:
        return self._opened.read(names, groups, batch_rows, keeps_dictionaries=keeps_dictionaries)

    def close(self) -> None:
        """Does nothing: the descriptor is closed with the object and its readers."""


class _ArrowFile:
    """By pyarrow."""

    def __init__(self, reading: ParquetReading, files: FileSystem, part: FileRange) -> None:
        self._reopen: Callable[..., pq.ParquetFile] = partial(reading.open_whole, files, part.path)
        self._file = self._reopen()
        try:
            self.schema = plain_schema(self._file.schema_arrow, part.path)
            self.groups = _groups_in(self._file.metadata, part)
        except pa.ArrowInvalid as error:
            self.close()
            raise DataFormatError(f"{part.path}: not a readable Parquet file: {error}") from error
        except BaseException:
            self.close()
            raise

    @property
    def names(self) -> list[str]:
        return list(self.schema.names)

    def statistics(self, name: str, groups: Sequence[int]) -> Sequence[GroupStatistics] | None:
        return arrow_statistics(self._file.metadata, name, self.schema.field(name).type, groups)

    def prepare(self, names: Sequence[str], groups: Sequence[int]) -> int:
        batch_rows, dictionaries = _batch_shape(self._file.metadata, groups, self.schema, set(names))
        if dictionaries and sum(group.rows for group in self.groups) >= _DICTIONARY_ROWS_MIN:
            self.close()
            self._file = self._reopen(read_dictionary=dictionaries)
        return batch_rows

    def columns(
        self,
        groups: Sequence[int],
        names: Sequence[str],
        batch_rows: int,
        *,
        keeps_dictionaries: bool = False,
    ) -> RunColumns:
        return BatchedColumns(
            lambda: self._file.iter_batches(batch_rows, row_groups=groups, columns=names, use_threads=False)
        )

    def close(self) -> None:
        self._file.close(force=True)


def _groups_in(metadata: pq.FileMetaData, part: FileRange) -> list[Group]:
    found = []
    first_row = 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        start = _group_start(group)
        if part.offset <= start < part.offset + part.length:
            found.append(Group(number, start, first_row, group.num_rows))
        first_row += group.num_rows
    return found


def _group_start(group: pq.RowGroupMetaData) -> int:
    """The offset of a row group's first page in the file."""
    column = group.column(0) if group.num_columns else None
    if column is None:
        return 4  # right after the magic bytes
    starts = [start for start in (column.dictionary_page_offset, column.data_page_offset) if start]
    if not starts and not group.num_rows:
        return 4  # it has no pages
    if not starts or min(starts) < 0:
        raise pa.ArrowInvalid("the footer does not state where a row group begins")
    return int(min(starts))


def _batch_shape(
    metadata: pq.FileMetaData, groups: Sequence[int], schema: pa.Schema, names: set[str]
) -> tuple[int, list[str]]:
    """Rows of a batch, and the columns that are better read as dictionaries."""
    if not groups:
        return BATCH_ROWS, []
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
    return _rows_of(row_bytes, len(names)), dictionaries


def _rows_of(row_bytes: float, columns: int) -> int:
    batch_bytes = max(BATCH_BYTES, columns * _COLUMN_BYTES)
    return min(BATCH_ROWS, max(_BATCH_ROWS_MIN, int(batch_bytes / max(1.0, row_bytes))))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_binary(kind))


def _has_small_dictionary(column: pq.ColumnChunkMetaData) -> bool:
    start = column.dictionary_page_offset
    if not column.has_dictionary_page or start is None:
        return False
    per_value = column.total_uncompressed_size / max(1, column.num_values)
    small = column.data_page_offset - start <= _DICTIONARY_BYTES_MAX
    return bool(small and per_value <= _DICTIONARY_BYTES_PER_VALUE_MAX)
