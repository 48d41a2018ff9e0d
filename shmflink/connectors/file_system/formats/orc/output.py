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
        self._writer.write(pa.Table.from_batches([conform(columns, self._schema)], self._schema))

    def flush(self) -> None:
        """The writer ends a stripe by itself."""

    def close(self) -> None:
        if not self._has_columns:  # pyarrow 26.0.1 leaves a file of no bytes, which no reader takes
            self._writer.write(self._schema.empty_table())
        self._writer.close()

    def abandon(self) -> None:
        """Does nothing: an unclosed file is not valid anyway."""
