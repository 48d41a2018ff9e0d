"""Columns of 32 bits whose neighbors differ by more than 31: valid, and beyond the readers of Arrow.

DELTA_BINARY_PACKED keeps differences; of 32-bit values they may take 33 bits, and DuckDB writes them so
(`parquet_version V2`), while pyarrow and the crate `parquet` give up ("InitBlock EOF", "'min_delta' too large"). Polars
reads them, and does it here where it is installed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from shmflink.connectors.file_system.file_systems import FileSystem
from shmflink.connectors.file_system.parquet_reading import Group, OpenParquet
from shmflink.connectors.file_system.parquet_statistics import GroupStatistics
from shmflink.errors import DataFormatError

__all__ = ["PolarsFile", "delta_columns"]


def delta_columns(files: FileSystem, path: str, names: Sequence[str], groups: Sequence[int]) -> list[str]:
    """Those of these columns that may have wide differences in these row groups."""
    with files.open_arrow(path) as source, pq.ParquetFile(source) as file:
        metadata = file.metadata
        found: dict[str, None] = {}
        for group in groups:
            for index in range(metadata.num_columns):
                chunk = metadata.row_group(group).column(index)
                if chunk.physical_type == "INT32" and "DELTA_BINARY_PACKED" in chunk.encodings:
                    found[chunk.path_in_schema.split(".", 1)[0]] = None
    return [name for name in found if name in names]


class PolarsFile:
    """A local file that `opened` cannot decode, by Polars."""

    def __init__(self, opened: OpenParquet, path: str, columns: Sequence[str]) -> None:
        """Raises DataFormatError where Polars is not installed; says what of `columns` is not supported."""
        try:
            import polars as pl  # an extra of the package
        except ImportError as error:
            raise DataFormatError(
                f"{path}: the encoding of column {columns[0]!r} is not supported, the file is not corrupt: 32-bit "
                f"values as DELTA_BINARY_PACKED with differences of more than 32 bits. Install Polars, which reads it "
                f"(pip install 'shmflink[polars]'), or write the file again (DuckDB: parquet_version V1)"
            ) from error
        self._polars: Any = pl
        self._opened = opened
        self._path = path

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

    def read(self, groups: Sequence[int], names: Sequence[str], batch_rows: int) -> Iterator[pa.RecordBatch]:
        """The columns of these row groups, which follow each other."""
        wanted = [group for group in self.groups if group.number in groups]
        scan = self._polars.scan_parquet(self._path, glob=False).select(names)
        try:
            for group in wanted:
                for first in range(0, group.rows, batch_rows):
                    rows = min(batch_rows, group.rows - first)
                    frame = scan.slice(group.first_row + first, rows).collect()
                    yield from frame.to_arrow().combine_chunks().to_batches()
        except self._polars.exceptions.PolarsError as error:
            raise ValueError(str(error)) from error

    def close(self) -> None:
        self._opened.close()
