"""Arrow IPC files out (the file format, also known as Feather 2)."""

from __future__ import annotations

from typing import BinaryIO, Final

import pyarrow as pa

from shmflink.connectors.file_system.writing.encoders import BulkWriter, BulkWriterFactory, conform
from shmflink.errors import ConfigurationError

__all__ = ["IpcWriterFactory"]

_COMPRESSIONS: Final = ("none", "lz4", "zstd")

_BATCH_BYTES: Final = 4 << 20
"""Small batches are combined up to this size, because each has its own header in the file."""


class IpcWriterFactory(BulkWriterFactory):
    """*shmflink only.* Arrow IPC files. Readers can map uncompressed files into memory."""

    extension = ".arrow"

    def __init__(
        self, schema: pa.Schema | None = None, compression: str = "none", compression_level: int | None = None
    ) -> None:
        if compression not in _COMPRESSIONS:
            raise ConfigurationError(f"unknown IPC compression `{compression}`; one of {', '.join(_COMPRESSIONS)}")
        if compression_level is not None and compression != "zstd":
            raise ConfigurationError(
                f"compression_level={compression_level}: only zstd has levels among the IPC codecs"
            )
        super().__init__(schema)
        self._compression = compression
        self._level = compression_level

    def create(self, file: BinaryIO, first: pa.RecordBatch) -> BulkWriter:
        codec = None if self._compression == "none" else pa.Codec(self._compression, self._level)
        options = pa.ipc.IpcWriteOptions(compression=codec, use_threads=False, unify_dictionaries=True)
        schema = self.described(first.schema)
        return _IpcWriter(pa.ipc.new_file(file, schema, options=options), schema)


class _IpcWriter:
    def __init__(self, writer: pa.ipc.RecordBatchFileWriter, schema: pa.Schema) -> None:
        self._writer = writer
        self._schema = schema
        self._waiting: list[pa.RecordBatch] = []
        self.buffered_bytes = 0

    @property
    def expected_bytes(self) -> int:
        return self.buffered_bytes

    def write(self, columns: pa.RecordBatch) -> None:
        self._waiting.append(conform(columns, self._schema))
        self.buffered_bytes += columns.nbytes
        if self.buffered_bytes >= _BATCH_BYTES:
            self.flush()

    def flush(self) -> None:
        if self._waiting:
            # As a table, because that unifies the dictionaries, as a file requires.
            table = pa.Table.from_batches(self._waiting, self._schema)
            self._writer.write_table(table if len(self._waiting) == 1 else table.combine_chunks())
        self._waiting, self.buffered_bytes = [], 0

    def close(self) -> None:
        self.flush()
        self._writer.close()

    def abandon(self) -> None:
        self._waiting.clear()
