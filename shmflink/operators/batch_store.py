"""Batches that wait for their turn: in memory up to a limit, then in an unnamed file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import IO, Final

import pyarrow as pa

from shmflink.core.batch import Batch
from shmflink.core.types.typeinfo import TypeInformation
from shmflink.operators.keyed_sort import owned_batch

__all__ = ["BatchStore"]

MEMORY_BYTES_MAX: Final = 64 << 20


class BatchStore:
    """Takes batches and gives them back once, in the order in which they came."""

    def __init__(self, memory_bytes_max: int = MEMORY_BYTES_MAX) -> None:
        self._memory_bytes_max = memory_bytes_max
        self._kept: list[Batch] = []
        self._bytes = 0
        self._file: IO[bytes] | None = None
        self._row_type: TypeInformation | None = None

    def add(self, batch: Batch) -> None:
        """Stores a copy of the rows."""
        owned = owned_batch(batch)
        self._row_type = batch.row_type
        self._kept.append(owned)
        self._bytes += owned.columns().nbytes
        if self._bytes > self._memory_bytes_max:
            self._spill()

    def take(self) -> Iterator[Batch]:
        """Yields all batches, and forgets them."""
        if self._file is not None:
            self._file.seek(0)
            while header := self._file.read(8):
                image = self._file.read(int.from_bytes(header, "little"))
                yield Batch.from_wire(pa.ipc.open_stream(image).read_next_batch(), self._row_type)
        kept, self._kept = self._kept, []
        yield from kept
        self.close()

    def close(self) -> None:
        """Frees memory and file."""
        self._kept.clear()
        self._bytes = 0
        if self._file is not None:
            self._file.close()
            self._file = None

    def _spill(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        for batch in self._kept:
            sink, wire = pa.BufferOutputStream(), batch.to_wire()
            with pa.ipc.new_stream(sink, wire.schema) as writer:
                writer.write_batch(wire)
            image = sink.getvalue()
            self._file.write(image.size.to_bytes(8, "little"))
            self._file.write(image)
        self._kept.clear()
        self._bytes = 0
