"""The rows of a cached stream: written once, read by later jobs of the same program.

A folder has one file for each subtask that wrote, `<subtask>.batches`. A file is a sequence of batches, each one as its
length (8 bytes, little-endian) and a separate Arrow IPC stream, because batches of undeclared types differ in schema.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, BinaryIO, Final

import pyarrow as pa

from shmflink.connectors.base import (
    DeliveryGuarantee,
    Poll,
    Sink,
    SinkWriter,
    Source,
    SourceReader,
    Split,
    SplitEnumerator,
)
from shmflink.connectors.split_queue import SplitQueue
from shmflink.connectors.split_reader import SplitCursor, SplitReader
from shmflink.core.batch import Batch
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.schema_metadata import NO_METADATA
from shmflink.core.types.typeinfo import TypeInformation
from shmflink.errors import DataFormatError
from shmflink.operators.base import OperatorContext

__all__ = ["CacheSink", "CacheSource"]

_SUFFIX: Final = ".batches"
_LENGTH_BYTES: Final = 8


class CacheSink(Sink):
    """Writes into `folder`, which must exist. A file appears when its subtask has written all of it."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def create_writer(self, context: OperatorContext) -> SinkWriter:
        return _CacheWriter(os.path.join(self._folder, f"{context.subtask_index}{_SUFFIX}"))

    def delivery_guarantee(self, configuration: Mapping[str, str]) -> DeliveryGuarantee:
        """A file that an earlier attempt wrote is replaced as a whole."""
        return DeliveryGuarantee.EXACTLY_ONCE


class _CacheWriter(SinkWriter):
    def __init__(self, path: str) -> None:
        self._path = path
        self._unfinished = f"{path}.{os.urandom(4).hex()}"  # an abandoned attempt may still write
        self._file: BinaryIO | None = open(self._unfinished, "wb")  # noqa: SIM115  closed by finish() or close()

    def write(self, batch: Batch) -> None:
        assert self._file is not None, "write() after finish()"
        wire = batch.to_wire()
        out = pa.BufferOutputStream()
        with pa.ipc.new_stream(out, wire.schema) as stream:
            stream.write_batch(wire)
        data = out.getvalue()
        self._file.write(data.size.to_bytes(_LENGTH_BYTES, "little"))
        self._file.write(data)

    def finish(self) -> None:
        self.close()
        os.replace(self._unfinished, self._path)

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()


@dataclass(frozen=True, slots=True)
class CacheSource(Source):
    """The rows that CacheSink wrote into `folder`. Rows of a subtask keep their order and timestamps."""

    folder: str
    row_type: TypeInformation | None = None
    annotations: pa.Schema = NO_METADATA
    gives_timestamps = True
    split_payloads = (tuple,)

    def create_enumerator(self, parallelism: int, state: Any = None) -> SplitEnumerator:
        if state is not None:
            return SplitQueue(state)
        try:
            names = [name for name in os.listdir(self.folder) if name.endswith(_SUFFIX)]
        except FileNotFoundError:
            raise DataFormatError(f"the cached rows in {self.folder} are gone: the stream was invalidated") from None
        paths = [os.path.join(self.folder, name) for name in sorted(names, key=lambda name: int(name.split(".")[0]))]
        return SplitQueue(Split(path, (path, 0), os.path.getsize(path)) for path in paths)

    def create_reader(self, context: OperatorContext) -> SourceReader:
        return SplitReader(lambda split: _CacheCursor(split, self.row_type))

    @property
    def produced_type(self) -> TypeInformation | None:
        return self.row_type

    @property
    def produced_metadata(self) -> pa.Schema:
        return self.annotations


class _CacheCursor(SplitCursor):
    """`payload` of the split is (path, position of the next batch)."""

    def __init__(self, split: Split, row_type: TypeInformation | None) -> None:
        self._split = split
        path, position = split.payload
        self._type = row_type
        self._path = path
        self._file = open(path, "rb")  # noqa: SIM115  closed by close()
        self._file.seek(position)

    def next_batch(self) -> Batch | Poll | None:
        length = int.from_bytes(self._file.read(_LENGTH_BYTES), "little")
        if not length:
            return None
        with pa.ipc.open_stream(self._file.read(length)) as stream:
            return Batch.from_wire(stream.read_next_batch(), self._type)

    def remaining(self) -> Split:
        return Split(self._split.split_id, (self._path, self._file.tell()), self._split.size)

    def close(self) -> None:
        self._file.close()
