"""How batches become the bytes of an output file (PyFlink: Encoder, BulkWriterFactory)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, BinaryIO, Final, Protocol

import pyarrow as pa

from shmflink.connectors.file_system.parquet import ParquetFileWriter, schema_of
from shmflink.connectors.file_system.text import canonical_charset
from shmflink.connectors.row_text import java_lines, join_lines
from shmflink.core.batch import Batch
from shmflink.core.rows import shape_of_columns
from shmflink.core.shapes import PICKLE
from shmflink.core.typeinfo import RowTypeInfo
from shmflink.errors import ConfigurationError, TypeMismatchError

__all__ = [
    "BulkWriter",
    "BulkWriterFactory",
    "Encoder",
    "OutputFormat",
    "ParquetBulkWriters",
    "ParquetWriterFactory",
]

_COMPRESSIONS: Final = ("none", "snappy", "gzip", "brotli", "zstd", "lz4")


class BulkWriter(Protocol):
    """Writes what `OutputFormat.encode` made into one part file. Used by the sink's thread alone."""

    @property
    def buffered_bytes(self) -> int:
        """Bytes taken over that are not in the file yet."""
        ...

    def write(self, encoded: Any) -> None: ...

    def close(self) -> None:
        """Completes the file's content; the file stays open."""
        ...

    def abandon(self) -> None:
        """Gives up what is not complete; nothing is called after."""
        ...


class OutputFormat(ABC):
    """What row and bulk formats have in common. Picklable."""

    @abstractmethod
    def encode(self, batch: Batch) -> Any:
        """In the slot's thread: a form of the batch that owns its memory."""

    @abstractmethod
    def create(self, file: BinaryIO, first: Any) -> BulkWriter:
        """In the sink's thread: a writer for one part file; `first` is what will be written to it first."""


class Encoder(OutputFormat):
    """Turns each record into bytes by itself."""

    @staticmethod
    def simple_string_encoder(charset_name: str = "UTF-8") -> Encoder:
        """The record's string form (Java's `toString` of its declared type) and a line end."""
        return _StringEncoder(canonical_charset(charset_name))


class _StringEncoder(Encoder):
    def __init__(self, charset: str) -> None:
        self._charset = charset

    def encode(self, batch: Batch) -> bytes:
        return join_lines(java_lines(batch), "", self._charset)

    def create(self, file: BinaryIO, first: Any) -> BulkWriter:
        return _ByteWriter(file)


class _ByteWriter:
    buffered_bytes: Final = 0

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, encoded: bytes) -> None:
        self._file.write(encoded)

    def close(self) -> None:
        """Nothing to complete."""

    def abandon(self) -> None:
        """Nothing to give up."""


class BulkWriterFactory(OutputFormat):
    """Writes records in batches into files that have a structure of their own."""


class ParquetBulkWriters:
    """Makes BulkWriterFactory instances for Parquet."""

    @staticmethod
    def for_row_type(
        row_type: RowTypeInfo | pa.Schema,
        hadoop_config: Any = None,
        utc_timestamp: bool = False,  # noqa: ARG004 - Arrow timestamps say themselves what they are
    ) -> BulkWriterFactory:
        """Parquet files with the columns of `row_type`: a row type, or an Arrow schema (*shmflink only*).

        Timestamps are written as they are, with their zone if they have one, whatever `utc_timestamp` says.

        Raises:
            ConfigurationError: a `hadoop_config` was given; there is no Hadoop here.
        """
        if hadoop_config is not None:
            raise ConfigurationError("ParquetBulkWriters.for_row_type(): no Hadoop here; leave hadoop_config out")
        return ParquetWriterFactory(row_type if isinstance(row_type, pa.Schema) else schema_of(row_type))


class ParquetWriterFactory(BulkWriterFactory):
    """*shmflink only.* Parquet files whose schema is given, or else that of the first batch of each file."""

    def __init__(self, schema: pa.Schema | None = None, compression: str = "snappy") -> None:
        if compression not in _COMPRESSIONS:
            raise ConfigurationError(f"unknown Parquet compression `{compression}`; one of {', '.join(_COMPRESSIONS)}")
        self._schema = schema
        self._compression = compression

    def encode(self, batch: Batch) -> pa.RecordBatch:
        if shape_of_columns(batch.to_wire()) == PICKLE:
            raise TypeMismatchError(
                "Parquet needs columns, got undeclared objects: declare the output type of the operator "
                "before the sink (output_type=Types.ROW_NAMED(...)), or make columns with map_batches"
            )
        columns = batch.columns()
        return _own_memory(columns if self._schema is None else _cast(columns, self._schema))

    def create(self, file: BinaryIO, first: pa.RecordBatch) -> BulkWriter:
        return _ParquetWriter(ParquetFileWriter(file, first.schema, self._compression), first.schema)


class _ParquetWriter:
    def __init__(self, writer: ParquetFileWriter, schema: pa.Schema) -> None:
        self._writer = writer
        self._schema = schema

    @property
    def buffered_bytes(self) -> int:
        return self._writer.buffered_bytes

    def write(self, encoded: pa.RecordBatch) -> None:
        same = encoded.schema.equals(self._schema)
        self._writer.write(encoded if same else _cast(encoded, self._schema))

    def close(self) -> None:
        self._writer.close()

    def abandon(self) -> None:
        self._writer.abandon()


def _own_memory(columns: pa.RecordBatch) -> pa.RecordBatch:
    """A copy: the batch may lie in a shared segment, which has to go back."""
    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, columns.schema) as stream:
        stream.write_batch(columns)
    with pa.ipc.open_stream(out.getvalue()) as copied:
        return copied.read_next_batch()


def _cast(columns: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    if len(columns.schema.names) != len(schema.names):
        raise TypeMismatchError(f"the file has the columns {schema.names}, the batch {columns.schema.names}")
    by_name = sorted(columns.schema.names) == sorted(schema.names)
    arrays = [columns.column(name if by_name else index) for index, name in enumerate(schema.names)]
    try:
        cast = [array.cast(field.type) for array, field in zip(arrays, schema, strict=True)]
    except pa.ArrowException as error:
        raise TypeMismatchError(
            f"a batch of {columns.schema.names} does not fit the file's columns: {error}"
        ) from error
    return pa.RecordBatch.from_arrays(cast, schema=schema)
