"""32-bit columns with differences of more than 31 bits between neighbors: valid, but Arrow's readers cannot read them.

DELTA_BINARY_PACKED stores differences. Differences of 32-bit values may take 33 bits. DuckDB writes them so
(`parquet_version V2`), but pyarrow and the crate `parquet` fail ("InitBlock EOF", "'min_delta' too large"). If Polars
is installed, it reads these columns; the file's first reader reads the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from shmflink.connectors.file_system.file_systems import FileSystem
from shmflink.connectors.file_system.formats.parquet.batched_columns import BatchedColumns
from shmflink.connectors.file_system.formats.parquet.opening import Group, OpenParquet, RunColumns
from shmflink.connectors.file_system.formats.parquet.statistics import GroupStatistics
from shmflink.core.lazy_imports import pq
from shmflink.core.plain_columns import cast_array
from shmflink.errors import DataFormatError

__all__ = ["PolarsFile", "delta_columns", "elsewhere"]


def delta_columns(files: FileSystem, path: str, names: Sequence[str], groups: Sequence[int]) -> dict[str, pa.DataType]:
    """The columns among these that may have wide differences in these row groups, with their types in the file.

    Raises:
        DataFormatError: there are some, and the file has a type that Polars cannot open.
    """
    with files.open_arrow(path) as source, pq.ParquetFile(source) as file:
        metadata, schema = file.metadata, file.schema_arrow
        found: dict[str, pa.DataType] = {}
        for group in groups:
            for index in range(metadata.num_columns):
                chunk = metadata.row_group(group).column(index)
                name = chunk.path_in_schema.split(".", 1)[0]
                if name in names and chunk.physical_type == "INT32" and "DELTA_BINARY_PACKED" in chunk.encodings:
                    found[name] = schema.field(name).type
        if found:
            _refuse_intervals(path, next(iter(found)), metadata)
        return found


def elsewhere(path: str, column: str, error: Exception) -> DataFormatError:
    """The error for a remote file, which Polars cannot open here."""
    return DataFormatError(
        f"{path}: column {column!r} cannot be decoded ({error}): the file is corrupt, or holds 32-bit values as "
        f"DELTA_BINARY_PACKED with differences of more than 32 bits, which can be read only from files of this host; "
        f"copy the file here, or write it again (DuckDB: parquet_version V1)"
    )


class PolarsFile:
    """A local file with columns that `opened` cannot decode; Polars reads them."""

    def __init__(self, opened: OpenParquet, path: str, columns: Mapping[str, pa.DataType]) -> None:
        """Raises DataFormatError, which names what is not supported, if Polars is missing or cannot open the file."""
        try:
            import polars as pl  # an extra of the package
        except ImportError as error:
            raise DataFormatError(
                f"{_unsupported(path, next(iter(columns)))}. Install Polars, which reads it "
                f"(pip install 'shmflink[polars]'), or rewrite the file (DuckDB: parquet_version V1)"
            ) from error
        self._errors: Any = (pl.exceptions.PolarsError, pl.exceptions.PanicException)
        self._scan: Any = pl.scan_parquet(path, glob=False)
        self._opened = opened
        self._columns = columns
        try:
            self._scan.collect_schema()
        except self._errors as error:
            raise DataFormatError(
                f"{_unsupported(path, next(iter(columns)))}. Polars reads such columns, but cannot open this file: "
                f"{error}; rewrite the file (DuckDB: parquet_version V1)"
            ) from error

    @property
    def groups(self) -> Sequence[Group]:
        return self._opened.groups

    @property
    def schema(self) -> pa.Schema:
        return self._opened.schema

    @property
    def names(self) -> list[str]:
        return self._opened.names

    def statistics(self, name: str, groups: Sequence[int]) -> Sequence[GroupStatistics] | None:
        return self._opened.statistics(name, groups)

    def prepare(self, names: Sequence[str], groups: Sequence[int]) -> int:
        return self._opened.prepare(names, groups)

    def columns(
        self, groups: Sequence[int], names: Sequence[str], batch_rows: int, *, keeps_dictionaries: bool = False
    ) -> RunColumns:
        wide = [name for name in names if name in self._columns]
        if not wide:
            return self._opened.columns(groups, names, batch_rows, keeps_dictionaries=keeps_dictionaries)
        rest = [name for name in names if name not in self._columns]
        return BatchedColumns(lambda: self._read(groups, wide, rest, batch_rows))

    def _read(
        self, groups: Sequence[int], wide: Sequence[str], rest: Sequence[str], batch_rows: int
    ) -> Iterator[pa.RecordBatch]:
        run = [group for group in self.groups if group.number in groups]
        at, end = run[0].first_row, run[-1].first_row + run[-1].rows
        others = self._opened.columns(groups, rest, batch_rows) if rest else None
        while at < end:
            rows = min(batch_rows, end - at)
            beside = None if others is None else others.take(rows)
            columns = [] if beside is None else list(zip(beside.schema.names, beside.columns, strict=True))
            columns += zip(wide, self._decode(wide, at, rows), strict=True)
            yield pa.RecordBatch.from_arrays([array for _, array in columns], names=[name for name, _ in columns])
            at += rows

    def _decode(self, names: Sequence[str], first_row: int, rows: int) -> list[pa.Array]:
        """Columns read by Polars, in the file's types."""
        try:
            table = self._scan.select(names).slice(first_row, rows).collect().to_arrow()
        except self._errors as error:
            raise ValueError(str(error)) from error
        arrays = [pa.concat_arrays(column.chunks) if column.num_chunks else None for column in table.columns]
        if any(array is None or len(array) != rows for array in arrays):
            raise ValueError("the column has fewer rows than the footer states")
        return [_typed(array, self._columns[name]) for name, array in zip(names, arrays, strict=True)]

    def close(self) -> None:
        self._opened.close()


def _typed(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """A column from Polars, cast to its type in the file: Polars returns extension types as their storage, times in
    nanoseconds, nulls as integers.
    """
    stored = cast_array(array, _decoded(kind, keeps_extensions=False))
    wanted = _decoded(kind, keeps_extensions=True)
    return stored if stored.type.equals(wanted) else stored.cast(wanted)


def _decoded(kind: pa.DataType, *, keeps_extensions: bool) -> pa.DataType:
    """The type without dictionaries and without extension types that are not kept, also in inner types."""

    def inner(field: pa.Field) -> pa.Field:
        return field.with_type(_decoded(field.type, keeps_extensions=keeps_extensions))

    types = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return kind if keeps_extensions else _decoded(kind.storage_type, keeps_extensions=False)
    if types.is_dictionary(kind):
        return _decoded(kind.value_type, keeps_extensions=keeps_extensions)
    if types.is_struct(kind):
        return pa.struct([inner(field) for field in kind])
    if types.is_map(kind):
        return pa.map_(inner(kind.key_field), inner(kind.item_field), kind.keys_sorted)
    if types.is_fixed_size_list(kind):
        return pa.list_(inner(kind.value_field), kind.list_size)
    if types.is_list(kind):
        return pa.list_(inner(kind.value_field))
    return pa.large_list(inner(kind.value_field)) if types.is_large_list(kind) else kind


def _refuse_intervals(path: str, wide: str, metadata: pq.FileMetaData) -> None:
    """Polars panics at any column of this type, read or not, and prints that."""
    for index in range(metadata.num_columns):
        column = metadata.schema.column(index)
        if column.converted_type == "INTERVAL":
            raise DataFormatError(
                f"{_unsupported(path, wide)}. Polars reads such columns, but cannot open a file with an INTERVAL, as "
                f"{column.path!r} is; rewrite the file (DuckDB: parquet_version V1)"
            )


def _unsupported(path: str, column: str) -> str:
    return (
        f"{path}: the encoding of column {column!r} is not supported (the file is not corrupt): 32-bit values as "
        f"DELTA_BINARY_PACKED with differences of more than 32 bits"
    )
