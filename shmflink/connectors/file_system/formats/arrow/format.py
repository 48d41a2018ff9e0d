"""Arrow IPC as an input format: files (with a footer) and streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa

from shmflink.connectors.base import Split
from shmflink.connectors.file_system.file_systems import FileSystem
from shmflink.connectors.file_system.reading.arrow_cursor import PieceFile, PiecesCursor, pieces_of_range
from shmflink.connectors.file_system.reading.columns.schemas import plain_schema
from shmflink.connectors.file_system.reading.piece_format import PieceFormat
from shmflink.connectors.split_reader import SplitCursor
from shmflink.errors import DataFormatError

__all__ = ["ArrowIpcFormat"]

_MAGIC: Final = b"ARROW1"
_OFFSETS: Final = {pa.string(): "<i4", pa.binary(): "<i4", pa.large_string(): "<i8", pa.large_binary(): "<i8"}


class ArrowIpcFormat(PieceFormat):
    """*shmflink only.* Arrow IPC files and streams (also called Feather V2), told apart by their first bytes.

    Local files are mapped into memory, so that uncompressed columns are not copied before use. A file is split at its
    record batches; a stream has no footer that locates these, so it is read as a whole.
    """

    def open_split(self, split: Split) -> SplitCursor:
        columns = None if self.wanted.schema is None else self.wanted.schema.names
        path = split.payload.path
        file = _open(self.files, path, columns)
        whole = isinstance(file, _StreamPieces)
        if whole and split.payload.offset:
            pieces = range(0)  # the range at the start of the file contains all batches
        else:
            pieces = range(1) if whole else pieces_of_range(file, split.payload)
        if self.known is not None:
            self.known.check(path, file.names)
        schema = plain_schema(file.schema, path) if self.wanted.schema is None else self.wanted.schema
        return PiecesCursor(split, file, pieces, schema, self.wanted.row_numbers)

    def open_file(self, path: str) -> PieceFile:
        return _open(self.files, path, None)


class _FilePieces(PieceFile):
    def __init__(self, names: list[str], source: pa.NativeFile, reader: pa.ipc.RecordBatchFileReader) -> None:
        self.names = names
        self._source = source
        self._reader = reader
        self.schema = reader.schema
        self.num_pieces = reader.num_record_batches
        self.size = source.size()

    def rows_before(self, piece: int) -> int:
        return sum(self._reader.get_batch(before).num_rows for before in range(piece))

    def read(self, piece: int) -> Iterator[pa.RecordBatch]:
        yield _sound(self._reader.get_batch(piece))

    def close(self) -> None:
        self._source.close()


class _StreamPieces(PieceFile):
    def __init__(self, names: list[str], source: pa.NativeFile, reader: pa.ipc.RecordBatchStreamReader) -> None:
        self.names = names
        self._source = source
        self._reader = reader
        self.schema = reader.schema
        self.num_pieces = 1
        self.size = source.size()

    def rows_before(self, piece: int) -> int:
        return 0

    def read(self, piece: int) -> Iterator[pa.RecordBatch]:
        yield from map(_sound, self._reader)

    def close(self) -> None:
        self._source.close()


def _open(files: FileSystem, path: str, columns: list[str] | None) -> _FilePieces | _StreamPieces:
    source = files.open_arrow(path, is_mapped=True)
    try:
        is_file = bytes(source.read(len(_MAGIC))) == _MAGIC
        source.seek(0)
        begin: Callable[..., Any] = pa.ipc.open_file if is_file else pa.ipc.open_stream
        reader = begin(source)
        names = reader.schema.names
        if columns is not None:
            kept = set(columns)
            wanted = [index for index, name in enumerate(names) if name in kept]
            source.seek(0)
            reader = begin(source, options=pa.ipc.IpcReadOptions(included_fields=wanted, use_threads=False))
        return _FilePieces(names, source, reader) if is_file else _StreamPieces(names, source, reader)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        source.close()
        raise DataFormatError(f"{path}: not a readable Arrow IPC file or stream: {error}") from error


def _sound(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch, after a check that all offsets are inside its buffers. Arrow's reader trusts the file, and an access
    beyond a buffer kills the process. `validate(full=True)` also checks the text and takes 5 times as long.

    Raises pa.ArrowInvalid.
    """
    batch.validate()
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        width = _OFFSETS.get(column.type)
        if width is None:
            if column.type.num_fields or pa.types.is_dictionary(column.type):
                column.validate(full=True)
            continue
        offsets = column.buffers()[1]
        if offsets is None or not len(column):
            continue
        values = np.frombuffer(offsets, width)[column.offset : column.offset + len(column) + 1]
        if (values[1:] < values[:-1]).any():
            raise pa.ArrowInvalid(f"column {name!r}: offsets decrease")
    return batch
