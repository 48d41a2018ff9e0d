"""Parquet files out, by pyarrow."""

from __future__ import annotations

import inspect
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from functools import cache
from typing import Any, BinaryIO, Final, Literal

import pyarrow as pa

from shmflink.connectors.file_system.formats.parquet.encodings import SAMPLE_ROWS, EncodingChoice, choose_encodings
from shmflink.connectors.file_system.writing.encoders import (
    BulkWriter,
    BulkWriterFactory,
    check_each,
    columns_of,
    conform,
)
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.lazy_imports import pq
from shmflink.core.types.data_types import RowType
from shmflink.core.types.typeinfo import RowTypeInfo
from shmflink.errors import ConfigurationError, TypeMismatchError

__all__ = ["ParquetBulkWriters", "ParquetOptions", "ParquetWriterFactory"]

_LEVELS: Final = {"gzip": (1, 9), "brotli": (0, 11), "zstd": (1, 22)}
_SCHEMA_KEY: Final = "ARROW:schema"
_BLOOM_FALSE_SHARE: Final = 0.01
# Rows that an encoder takes at a time: against pyarrow's 1024, numbers and texts are written in a twentieth less CPU.
# Pages of more rows than pyarrow's 20,000 would save another twentieth, and DuckDB would read them in a fifth more.
_WRITE_BATCH_ROWS: Final = 1 << 14
_COMPRESSIONS: Final = ("none", "snappy", "gzip", "brotli", "zstd", "lz4")


@dataclass(frozen=True, slots=True)
class ParquetOptions:
    """How Parquet files are written.

    A row group is written when it has `row_group_rows` rows, or when its columns take `row_group_bytes` of memory,
    which is the buffer of each open file.

    - `dictionary`: the columns with a dictionary: all, none, a list, or `auto` for those whose first rows repeat
    values.
    - `encodings`: `plain` uses the encodings of Parquet 1, which every reader supports, Flink's included. `compact`
      stores integers and times without a dictionary as differences (DELTA_BINARY_PACKED): smaller, faster to write,
      and supported by DuckDB, Polars, pyarrow, Trino and Spark since 3.3.
    - `statistics`: for all columns, none, or those named; readers use them to skip row groups.
    - `page_index`: statistics of each page; readers use them to skip pages.
    - `bloom_filters`: the columns with a Bloom filter; readers use it to skip row groups that lack a value. It takes
      1 to 2 bytes per row of `row_group_rows` and passes one absent value in a hundred.
    - `metadata`: texts by key in the footer of each file; they replace those that the rows bring from their source,
      such as the `geo` of GeoParquet.
    """

    compression: str = "snappy"
    compression_level: int | None = None
    row_group_rows: int = 1 << 18
    row_group_bytes: int = 32 << 20
    dictionary: bool | Sequence[str] | Literal["auto"] = "auto"
    encodings: Literal["plain", "compact"] = "plain"
    statistics: bool | Sequence[str] = True
    page_index: bool = False
    bloom_filters: Sequence[str] = ()
    page_checksum: bool = False
    data_page_version: Literal["1.0", "2.0"] = "1.0"
    data_page_bytes: int = 1 << 20
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.compression not in _COMPRESSIONS:
            raise ConfigurationError(
                f"unknown Parquet compression `{self.compression}`; one of {', '.join(_COMPRESSIONS)}"
            )
        level = self.compression_level
        low, high = _LEVELS.get(self.compression, (0, -1))
        if level is not None and not low <= level <= high:
            known = f"has levels {low} to {high}" if low <= high else "has no levels"
            raise ConfigurationError(f"compression_level={level}: {self.compression} {known}")
        for name in ("row_group_rows", "row_group_bytes", "data_page_bytes"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"Parquet {name} must be at least 1, got {getattr(self, name)}")
        for name, value, choices in (
            ("encodings", self.encodings, ("plain", "compact")),
            ("data_page_version", self.data_page_version, ("1.0", "2.0")),
        ):
            if value not in choices:
                raise ConfigurationError(f"Parquet {name} {value!r}: one of {', '.join(choices)}")
        if isinstance(self.dictionary, str) and self.dictionary != "auto":
            raise ConfigurationError(f"Parquet dictionary {self.dictionary!r}: auto, True, False or a list of columns")
        for key, text in self.metadata.items():
            if not isinstance(key, str) or not isinstance(text, str):
                raise ConfigurationError(f"Parquet metadata {{{key!r}: {text!r:.80}}}: keys and values are texts")
            if key == _SCHEMA_KEY:
                raise ConfigurationError(f"Parquet metadata: the key {_SCHEMA_KEY!r} is reserved for the writer")

    def check_columns(self, schema: pa.Schema) -> None:
        """Raises ConfigurationError if an option names a column that is missing or does not support the option."""
        for option in ("dictionary", "statistics", "bloom_filters"):
            named = getattr(self, option)
            for name in () if isinstance(named, bool | str) else named:
                if name.split(".")[0] not in schema.names:
                    raise ConfigurationError(
                        f"Parquet {option}: there is no column {name!r}; the file has {', '.join(schema.names)}"
                    )
        if self.bloom_filters and "bloom_filter_options" not in _writer_settings():
            raise ConfigurationError(
                f"Parquet bloom_filters: pyarrow {pa.__version__} cannot write them; upgrade pyarrow"
            )
        for name in self.bloom_filters:
            kind = schema.field(name).type if name in schema.names else None
            if kind is not None and (pa.types.is_boolean(kind) or pa.types.is_nested(kind)):
                raise ConfigurationError(
                    f"Parquet bloom_filters: column {name!r} has type {kind}, which cannot have a Bloom filter; "
                    f"remove it from bloom_filters"
                )


class ParquetBulkWriters:
    """Makes BulkWriterFactory instances for Parquet."""

    @staticmethod
    def for_row_type(
        row_type: RowType | RowTypeInfo | pa.Schema,
        hadoop_config: Any = None,
        utc_timestamp: bool = False,  # noqa: ARG004 - Arrow timestamps say themselves what they are
    ) -> BulkWriterFactory:
        """Parquet files with the columns of `row_type`: `DataTypes.ROW(...)`; *shmflink only:* a row type of
        `Types`, or an Arrow schema.

        Timestamps are written unchanged, with their zone if they have one; `utc_timestamp` has no effect.

        Raises:
            ConfigurationError: a `hadoop_config` was given; there is no Hadoop here.
        """
        if hadoop_config is not None:
            raise ConfigurationError("ParquetBulkWriters.for_row_type(): there is no Hadoop here; omit hadoop_config")
        schema = columns_of(row_type)
        if schema is None:
            raise TypeMismatchError(f"{row_type}: Parquet has no columns for undeclared objects")
        return ParquetWriterFactory(schema)


class ParquetWriterFactory(BulkWriterFactory):
    """*shmflink only.* Parquet files with the given schema; by default that of the first batch of each file."""

    def __init__(
        self, schema: pa.Schema | None = None, compression: str = "snappy", *, options: ParquetOptions | None = None
    ) -> None:
        """`compression` applies if no options are given."""
        super().__init__(schema)
        self._options = options or ParquetOptions(compression=compression)
        self._choice: tuple[pa.Schema, EncodingChoice] | None = None
        self.piece_rows = self._options.row_group_rows
        codec = self._options.compression
        self.extension = ".parquet" if codec == "none" else f".{codec}.parquet"

    def check_columns(self, columns: pa.Schema) -> None:
        self._options.check_columns(columns)
        check_each(columns, lambda rows: pq.ParquetWriter(io.BytesIO(), rows.schema).close(), "Parquet files")

    def create(self, file: BinaryIO, first: pa.RecordBatch) -> BulkWriter:
        self._options.check_columns(first.schema)
        schema = self.described(first.schema)
        if self._options.metadata:
            given = {key.encode(): text.encode() for key, text in self._options.metadata.items()}
            schema = schema.with_metadata({**(schema.metadata or {}), **given})
        return _ParquetWriter(file, schema, self._options, self._choose)

    def _choose(self, first: pa.Table) -> EncodingChoice:
        """Reuses the decision for later files once a file had enough rows."""
        if self._choice is not None and self._choice[0].equals(first.schema):
            return self._choice[1]
        chosen = choose_encodings(first, self._options.dictionary, self._options.encodings)
        if first.num_rows >= SAMPLE_ROWS:
            self._choice = first.schema, chosen
        return chosen


class _ParquetWriter:
    """Keeps batches until they fill a row group, then writes it at once.

    The file is created with the first row group, whose rows decide the encodings.
    """

    def __init__(
        self,
        file: BinaryIO,
        schema: pa.Schema,
        options: ParquetOptions,
        choose: Callable[[pa.Table], EncodingChoice],
    ) -> None:
        self._choose = choose
        self._file = file
        self._schema = schema
        self._options = options
        self._writer: pq.ParquetWriter | None = None
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = 0
        self._written_bytes = 0
        self.buffered_bytes = 0

    @property
    def expected_bytes(self) -> int:
        """Estimated from the compression ratio of the earlier row groups."""
        return int(self.buffered_bytes * self._file.tell() / self._written_bytes) if self._written_bytes else 0

    def write(self, columns: pa.RecordBatch) -> None:
        self._waiting.append(conform(columns, self._schema))
        self._waiting_rows += columns.num_rows
        self.buffered_bytes += columns.nbytes
        whole = self._waiting_rows - self._waiting_rows % self._options.row_group_rows
        if whole:
            self._write_groups(whole)
        if self.buffered_bytes >= self._options.row_group_bytes:
            self.flush()

    def flush(self) -> None:
        self._write_groups(self._waiting_rows)

    def close(self) -> None:
        self.flush()
        self._open(self._schema.empty_table()).close()

    def abandon(self) -> None:
        self._waiting.clear()
        if self._writer is not None:
            self._writer.is_open = False  # otherwise its finalizer would write a footer into the closed file

    def _write_groups(self, rows: int) -> None:
        """Writes the first `rows` buffered rows, in row groups of at most `row_group_rows`."""
        if rows == 0:
            return
        table = pa.Table.from_batches(self._waiting, self._schema)
        self._write(table.slice(0, rows))
        self._written_bytes += self.buffered_bytes
        rest = table.slice(rows).to_batches()
        self._waiting, self._waiting_rows = rest, table.num_rows - rows
        self.buffered_bytes = sum(batch.nbytes for batch in rest)
        self._written_bytes -= self.buffered_bytes

    def _write(self, table: pa.Table) -> None:
        try:
            self._open(table).write_table(table, row_group_size=self._options.row_group_rows)
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
            raise TypeMismatchError(f"Parquet cannot hold these columns: {error}") from error

    def _open(self, first: pa.Table) -> pq.ParquetWriter:
        if self._writer is None:
            options = self._options
            dictionary, encodings = self._choose(first)
            self._writer = pq.ParquetWriter(
                self._file,
                self._schema,
                compression=options.compression,
                compression_level=options.compression_level,
                use_dictionary=dictionary,
                column_encoding=encodings or None,
                write_statistics=_named(options.statistics),
                write_page_index=options.page_index,
                write_page_checksum=options.page_checksum,
                data_page_version=options.data_page_version,
                data_page_size=options.data_page_bytes,
                write_batch_size=_WRITE_BATCH_ROWS,
                **self._newer_settings(),
            )
        return self._writer

    def _newer_settings(self) -> dict[str, Any]:
        """The options that older versions of pyarrow do not accept."""
        if not self._options.bloom_filters:
            return {}
        rows = self._options.row_group_rows
        filters = {name: {"ndv": rows, "fpp": _BLOOM_FALSE_SHARE} for name in self._options.bloom_filters}
        return {"bloom_filter_options": filters}


@cache
def _writer_settings() -> frozenset[str]:
    return frozenset(inspect.signature(pq.ParquetWriter.__init__).parameters)


def _named(columns: bool | Sequence[str]) -> bool | list[str]:
    return columns if isinstance(columns, bool) else list(columns)
