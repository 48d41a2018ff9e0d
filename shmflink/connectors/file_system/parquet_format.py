"""Parquet as an input format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shmflink.connectors.base import Split
from shmflink.connectors.file_system.formats import BulkFormat
from shmflink.connectors.file_system.parquet import BATCH_ROWS, ParquetCursor, read_schema
from shmflink.connectors.split_reader import SplitCursor
from shmflink.core.typeinfo import RowTypeInfo, TypeInformation
from shmflink.errors import ConfigurationError

__all__ = ["ParquetColumnarRowInputFormat", "ParquetFormat"]


class ParquetFormat(BulkFormat):
    """*shmflink only.* Parquet files as rows of the files' own types.

    With all columns, or the chosen ones in their order.
    """

    def __init__(self, columns: Sequence[str] | None = None, batch_size: int = BATCH_ROWS) -> None:
        """`batch_size` is the largest number of rows of one batch."""
        if batch_size < 1:
            raise ConfigurationError(f"batch_size must be at least 1, got {batch_size}")
        self._columns = None if columns is None else tuple(columns)
        self._batch_size = batch_size

    def open_split(self, split: Split) -> SplitCursor:
        return ParquetCursor(split, self._columns, self._batch_size)

    def check(self, first_file: str) -> None:
        """Raises DataFormatError where the first file is no Parquet file or lacks a column."""
        read_schema(first_file, self._columns)


class ParquetColumnarRowInputFormat(ParquetFormat):
    """Parquet files as rows of a declared type; columns are found by name and brought into the field's type.

    `row_type` is a row type of `Types`. There is no Hadoop here, timestamps are read as they are, and names are
    compared with their case.
    """

    def __init__(
        self,
        row_type: RowTypeInfo,
        hadoop_config: Any = None,
        batch_size: int = 2048,
        is_utc_timestamp: bool = False,
        is_case_sensitive: bool = True,
    ) -> None:
        """Raises ConfigurationError for names without their case, and for a Hadoop configuration."""
        if hadoop_config is not None:
            raise ConfigurationError("ParquetColumnarRowInputFormat(): no Hadoop here; leave hadoop_config out")
        if not is_case_sensitive:
            raise ConfigurationError("is_case_sensitive=False is not supported; name the columns as the files do")
        super().__init__(row_type.get_field_names(), batch_size)
        self._row_type = row_type

    def open_split(self, split: Split) -> SplitCursor:
        return ParquetCursor(split, self._columns, self._batch_size, self._row_type)

    @property
    def produced_type(self) -> TypeInformation:
        return self._row_type
