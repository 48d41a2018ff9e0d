"""How the bytes of an input file become batches (PyFlink: StreamFormat, BulkFormat)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from shmflink.connectors.base import Split
from shmflink.connectors.file_system.parquet import BATCH_ROWS, ParquetCursor, read_schema
from shmflink.connectors.file_system.splits import COMPRESSIONS
from shmflink.connectors.file_system.text import RangeCursor, StreamCursor, canonical_charset, is_byte_lined
from shmflink.connectors.split_reader import SplitCursor
from shmflink.core.typeinfo import RowTypeInfo, TypeInformation, Types
from shmflink.errors import ConfigurationError

__all__ = ["BulkFormat", "FileFormat", "ParquetColumnarRowInputFormat", "ParquetFormat", "StreamFormat"]


class FileFormat(ABC):
    """What stream and bulk formats have in common. Picklable."""

    is_splittable: bool = True

    @abstractmethod
    def open_split(self, split: Split) -> SplitCursor:
        """Opens a split whose payload is a `FileRange`."""

    def check(self, first_file: str) -> None:  # noqa: B027  not every format can tell
        """Looks, where the program runs, whether the input can be of this format."""

    @property
    def produced_type(self) -> Any:
        """The TypeInformation of the rows, or None where only the files know it."""
        return None


class StreamFormat(FileFormat):
    """Reads records one after the other from a file's bytes, decompressing by the file's name."""

    @staticmethod
    def text_line_format(charset_name: str = "UTF-8") -> StreamFormat:
        """Text lines as strings, without their ends (LF, CR LF or CR)."""
        return _TextLineFormat(canonical_charset(charset_name))


class _TextLineFormat(StreamFormat):
    def __init__(self, charset: str) -> None:
        self._charset = charset
        self.is_splittable = is_byte_lined(charset)

    def open_split(self, split: Split) -> SplitCursor:
        name: str = split.payload.path
        if self.is_splittable and not name.endswith(tuple(COMPRESSIONS)):
            return RangeCursor(split, self._charset)
        return StreamCursor(split, self._charset)

    @property
    def produced_type(self) -> Any:
        return Types.STRING()


class BulkFormat(FileFormat):
    """Reads batches of records at a time, each file knowing its own structure."""


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
