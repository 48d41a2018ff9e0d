"""The common part of row and bulk formats of output files (PyFlink: Encoder, BulkWriterFactory)."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, BinaryIO, Final, Protocol, Self

import pyarrow as pa

from shmflink.connectors.file_system.formats.text.format import canonical_charset
from shmflink.connectors.file_system.writing.owned_columns import owned
from shmflink.connectors.formats.text import java_lines, join_lines
from shmflink.core.batch import Batch
from shmflink.core.rows import shape_of_columns
from shmflink.core.schema_metadata import NO_METADATA, annotated, described, described_rows
from shmflink.core.types.data_types import RowType, fitted, has_length
from shmflink.core.types.shapes import PICKLE
from shmflink.core.types.typeinfo import TypeInformation, schema_of
from shmflink.errors import TypeMismatchError

__all__ = [
    "BulkWriter",
    "BulkWriterFactory",
    "Encoder",
    "OutputFormat",
    "SimpleStringEncoder",
    "check_each",
    "columns_of",
    "conform",
    "no_rows",
]


class BulkWriter(Protocol):
    """Writes the results of `OutputFormat.encode` into one part file. Used only by the sink's thread."""

    @property
    def buffered_bytes(self) -> int:
        """Bytes of memory that the writer holds and has not written to the file yet."""
        ...

    @property
    def expected_bytes(self) -> int:
        """An estimate of how many bytes these will add to the file."""
        ...

    def write(self, encoded: Any) -> None: ...

    def flush(self) -> None:
        """Reduces `buffered_bytes` to about zero, at the price of smaller pieces in the file."""
        ...

    def close(self) -> None:
        """Completes the file's content; the file stays open."""
        ...

    def abandon(self) -> None:
        """Discards incomplete output; no method is called afterwards."""
        ...


class OutputFormat(ABC):
    """The common part of row and bulk formats. Picklable."""

    extension: str = ""
    """The usual ending of such files' names."""

    is_resumable: bool = False
    """True if a file truncated after a complete `write` is as valid as one that was finished there."""

    is_bulk: bool = False
    """True if `encode` returns a record batch, which may be sliced before it is written."""

    piece_rows: int | None = None
    """The number of rows that a bulk format writes in one piece, for example a row group; None if it has no
    such pieces.
    """

    declared: pa.Schema | None = None
    """The columns of the files, if they are known."""

    def check_columns(self, columns: pa.Schema) -> None:  # noqa: B027  most have a form for all types
        """Called in the program's process.

        Raises:
            TypeMismatchError: such files cannot represent a column; names it.
            ConfigurationError: an option names a missing column.
        """

    @abstractmethod
    def encode(self, batch: Batch) -> Any:
        """Called in the slot's thread: converts the batch into a form that owns its memory."""

    @abstractmethod
    def create(self, file: BinaryIO, first: Any) -> BulkWriter:
        """Called in the sink's thread: a writer for one part file; `first` is what will be written to it first."""


class Encoder(OutputFormat):
    """Turns each record into bytes."""

    @staticmethod
    def simple_string_encoder(charset_name: str = "UTF-8") -> Encoder:
        """The record's string form (Java's `toString` of its declared type) and a line end."""
        return SimpleStringEncoder(canonical_charset(charset_name))


class SimpleStringEncoder(Encoder):
    """Made by `Encoder.simple_string_encoder`."""

    extension = ".txt"
    is_resumable = True

    def __init__(self, charset: str) -> None:
        self.charset = charset

    def encode(self, batch: Batch) -> bytes:
        return join_lines(java_lines(batch), "", self.charset)

    def create(self, file: BinaryIO, first: Any) -> BulkWriter:
        return _ByteWriter(file)


class _ByteWriter:
    buffered_bytes: Final = 0
    expected_bytes: Final = 0

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, encoded: bytes) -> None:
        self._file.write(encoded)

    def flush(self) -> None:
        """Does nothing: nothing is buffered."""

    def close(self) -> None:
        """Does nothing: there is nothing to complete."""

    def abandon(self) -> None:
        """Does nothing: there is nothing to discard."""


class BulkWriterFactory(OutputFormat):
    """Writes records in batches into structured files.

    The columns are those of `schema`, matched by name if the names are equal, otherwise by position; without a schema,
    those of the batches.
    """

    is_bulk = True

    def __init__(self, schema: pa.Schema | None = None) -> None:
        self.declared = schema
        self._annotations = NO_METADATA

    def with_metadata(self, rows: pa.Schema) -> Self:
        """The same format for rows with the metadata of this annotated schema (`core.schema_metadata`)."""
        changed = copy.copy(self)
        vars(changed).update(_annotations=rows)
        return changed

    def described(self, columns: pa.Schema) -> pa.Schema:
        """The columns of a file with their metadata; those of the declared schema win."""
        declared = NO_METADATA if self.declared is None else annotated(self.declared)
        return described(described_rows(columns, declared), self._annotations)

    def without_columns(self) -> TypeMismatchError:
        """The error for records that are not columns."""
        return TypeMismatchError(
            f"{type(self).__name__} needs columns, but got undeclared objects: declare the output type of the operator "
            "before the sink (output_type=Types.ROW_NAMED(...)), or put .as_columns(pyarrow.schema([...])) in "
            "front, which takes dicts, too"
        )

    def encode(self, batch: Batch) -> pa.RecordBatch:
        """Raises TypeMismatchError for rows without columns, or with other columns than the schema's."""
        if shape_of_columns(batch.to_wire()) == PICKLE:
            raise self.without_columns()
        columns = batch.columns()
        return owned(columns if self.declared is None else conform(columns, self.declared))


def no_rows(columns: pa.Schema) -> pa.RecordBatch:
    """No rows of these columns."""
    return pa.RecordBatch.from_arrays([pa.nulls(0, kind) for kind in columns.types], names=columns.names)


def check_each(columns: pa.Schema, write: Callable[[pa.RecordBatch], object], files: str) -> None:
    """Calls `write`, which writes a file without rows. If it fails, TypeMismatchError names the first failing
    column.
    """
    try:
        write(no_rows(columns))
    except pa.ArrowException:
        for name, kind in zip(columns.names, columns.types, strict=True):
            try:
                write(no_rows(pa.schema([(name, kind)])))
            except pa.ArrowException as error:
                raise TypeMismatchError(
                    f"column {name!r} of type {kind}: {files} cannot hold it ({error}); cast it before the sink, or "
                    f"drop it"
                ) from error


def columns_of(row_type: RowType | TypeInformation | pa.Schema) -> pa.Schema | None:
    """The columns of a file for any form of declaration; None for undeclared objects."""
    if isinstance(row_type, pa.Schema):
        return row_type
    return row_type.schema if isinstance(row_type, RowType) else schema_of(row_type)


def conform(columns: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The columns in the schema's types and order; matched by name if the names are equal, otherwise by position.

    Raises:
        TypeMismatchError: another number of columns, or values that do not fit.
    """
    has_lengths = any(has_length(field) for field in schema)
    if columns.schema.equals(schema) and not has_lengths:
        return columns
    if len(columns.schema.names) != len(schema.names):
        raise TypeMismatchError(f"the file has the columns {schema.names}, the batch {columns.schema.names}")
    by_name = sorted(columns.schema.names) == sorted(schema.names)
    arrays = [columns.column(name if by_name else index) for index, name in enumerate(schema.names)]
    try:
        cast = [fitted(array, field) for array, field in zip(arrays, schema, strict=True)]
    except pa.ArrowException as error:
        raise TypeMismatchError(
            f"a batch of {columns.schema.names} does not fit the file's columns: {error}"
        ) from error
    written = pa.schema([(field.name, field.type) for field in schema]) if has_lengths else schema
    return pa.RecordBatch.from_arrays(cast, schema=written)
