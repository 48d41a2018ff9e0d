"""ORC files out, by pyarrow (PyFlink: OrcBulkWriters)."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, BinaryIO, Final

import pyarrow as pa

from shmflink.connectors.file_system.writing.encoders import (
    BulkWriter,
    BulkWriterFactory,
    check_each,
    columns_of,
    conform,
)
from shmflink.core.lazy_imports import pc
from shmflink.core.types.data_types import RowType
from shmflink.core.types.typeinfo import RowTypeInfo
from shmflink.errors import ConfigurationError, TypeMismatchError

__all__ = ["OrcBulkWriter", "OrcBulkWriters", "OrcWriterFactory"]

_COMPRESSIONS: Final = ("uncompressed", "snappy", "zlib", "lz4", "zstd")
_PROPERTIES: Final = {"orc.compress": "compression", "orc.stripe.size": "stripe_size"}


class OrcBulkWriters:
    """Makes BulkWriterFactory instances for ORC."""

    @staticmethod
    def for_row_type(
        row_type: RowType | RowTypeInfo | pa.Schema,
        writer_properties: Mapping[str, str] | None = None,
        hadoop_config: Any = None,
    ) -> BulkWriterFactory:
        """ORC files with the columns of `row_type`: `DataTypes.ROW(...)`; *shmflink only:* a row type of `Types`, or an
        Arrow schema. The only writer properties accepted are `orc.compress` and `orc.stripe.size`.

        Raises:
            ConfigurationError: another property, or a `hadoop_config`; there is no Hadoop here.
        """
        if hadoop_config is not None:
            raise ConfigurationError("OrcBulkWriters.for_row_type(): there is no Hadoop here; omit hadoop_config")
        schema = columns_of(row_type)
        if schema is None:
            raise TypeMismatchError(f"{row_type}: ORC has no columns for undeclared objects")
        options: dict[str, Any] = {}
        for name, text in (writer_properties or {}).items():
            if name not in _PROPERTIES:
                raise ConfigurationError(f"ORC property {name!r}: one of {', '.join(_PROPERTIES)}")
            options[_PROPERTIES[name]] = int(text) if name == "orc.stripe.size" else str(text).lower()
        return OrcWriterFactory(schema, **options)


OrcBulkWriter = OrcBulkWriters
"""PyFlink's older name."""


class OrcWriterFactory(BulkWriterFactory):
    """*shmflink only.* ORC files with the given columns; by default those of the first batch of each file."""

    def __init__(self, schema: pa.Schema | None = None, compression: str = "zlib", stripe_size: int = 64 << 20) -> None:
        compression = "uncompressed" if compression == "none" else compression
        if compression not in _COMPRESSIONS:
            raise ConfigurationError(f"unknown ORC compression '{compression}'; one of {', '.join(_COMPRESSIONS)}")
        super().__init__(schema)
        self._compression = compression
        self._stripe_size = stripe_size
        self.extension = ".orc"

    def check_columns(self, columns: pa.Schema) -> None:
        def write(rows: pa.RecordBatch) -> None:
            self.create(io.BytesIO(), rows).write(rows)

        check_each(columns, write, "ORC files of Arrow's writer")

    def create(self, file: BinaryIO, first: pa.RecordBatch) -> BulkWriter:
        try:
            from pyarrow import orc  # not every build of pyarrow has it
        except ImportError as error:
            raise ConfigurationError(f"this pyarrow was built without ORC: {error}") from error
        writer = orc.ORCWriter(file, compression=self._compression, stripe_size=self._stripe_size)
        return _OrcWriter(writer, self.described(first.schema))


class _OrcWriter:
    buffered_bytes: Final = 0
    expected_bytes: Final = 0

    def __init__(self, writer: Any, schema: pa.Schema) -> None:
        self._writer = writer
        self._schema = schema
        self._has_columns = False

    def write(self, columns: pa.RecordBatch) -> None:
        self._has_columns = True
        batch = conform(columns, self._schema)
        self._writer.write(pa.Table.from_arrays([_writable(column) for column in batch.columns], schema=self._schema))

    def flush(self) -> None:
        """The writer ends a stripe by itself."""

    def close(self) -> None:
        if not self._has_columns:  # pyarrow 26.0.1 leaves a file of no bytes, which no reader takes
            self._writer.write(self._schema.empty_table())
        self._writer.close()

    def abandon(self) -> None:
        """Does nothing: an unclosed file is not valid anyway."""


def _writable(column: pa.Array) -> pa.Array:
    """The column as Arrow's ORC writer writes it right.

    pyarrow 26.0.1 writes a slice of a row column with nulls from the first row of the whole on, and a value for each
    null row within a row column that has no nulls itself, so that later rows read as their predecessors
    (NormalizeArray in cpp/src/arrow/adapters/orc/util.cc). So such columns start at their first row here, and what a
    null row holds is null.
    """
    if not _has_rows(column.type):
        return column
    return _with_null_content(pa.concat_arrays([column.slice(0, 0), column]), None)


def _has_rows(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return True
    if pa.types.is_union(kind):
        return False
    return any(_has_rows(kind.field(place).type) for place in range(kind.num_fields))


def _with_null_content(column: pa.Array, is_held: pa.BooleanArray | None) -> pa.Array:
    """The column, which starts at its first row, null where `is_held` is false."""
    kind = column.type
    if pa.types.is_struct(kind):
        is_valid = column.is_valid() if is_held is None else pc.and_(column.is_valid(), is_held)
        children = [_with_null_content(column.field(place), is_valid) for place in range(kind.num_fields)]
        return pa.StructArray.from_arrays(children, fields=list(kind), mask=pc.invert(is_valid))
    if _has_rows(kind):
        own = column.buffers()[: 1 if pa.types.is_fixed_size_list(kind) else 2]
        column = pa.Array.from_buffers(kind, len(column), own, children=[_content(column)])
    return column if is_held is None else pc.if_else(is_held, column, pa.scalar(None, kind))


def _content(column: pa.Array) -> pa.Array:
    kind = column.type
    if not pa.types.is_map(kind):
        return _with_null_content(column.values, None)
    pairs = [_with_null_content(column.keys, None), _with_null_content(column.items, None)]
    return pa.StructArray.from_arrays(pairs, fields=[kind.key_field, kind.item_field])
