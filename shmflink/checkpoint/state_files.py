"""Writes the state of subtasks to files, in the checkpoint-writer thread of a TaskManager.

A file is written under a temporary name, synced and renamed; its folder is synced once at the end. Small state is sent
in the acknowledgment instead: a thousand operators with a number each need no files (C18).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import pyarrow as pa

from shmflink.checkpoint.file_ops import FILE_OPS, DurableFile, FileOps
from shmflink.checkpoint.handles import CheckpointLocation, StateFile
from shmflink.core.batch import Batch
from shmflink.core.elements import Element
from shmflink.core.serialization.codec import dumps_state, loads_state
from shmflink.errors import CheckpointError
from shmflink.state.snapshots import KeyedSnapshot

__all__ = ["StateFileWriter", "created_at", "dumps_elements", "loads_elements"]

_NAME: Final = re.compile(r"(\d+)-(\d+)-[0-9a-zA-Z_]+-\d+-\d+\.\w+")


class StateFileWriter:
    """Writes what one task saves for one checkpoint. Not thread-safe.

    Names contain epoch, checkpoint, operator, subtask and a counter: no two attempts, and no two checkpoints, ever
    write the same name.
    """

    def __init__(
        self, location: CheckpointLocation, epoch: int, checkpoint_id: int, file_ops: FileOps = FILE_OPS
    ) -> None:
        self._location = location
        self._prefix = f"{epoch}-{checkpoint_id}"
        self._ops = file_ops
        self._count = 0
        self._folders: dict[str, None] = {}
        self._written: list[str] = []
        self.bytes_written = 0
        """Total bytes of files and inline state."""

    def write_keyed(self, operator_id: str, subtask: int, snapshot: KeyedSnapshot, is_shared: bool) -> StateFile:
        """An Arrow IPC file with the batches of one keyed state. `length` is 0 if there is not even a schema.

        `is_shared`: later checkpoints refer to it. The caller sets `snapshot.saved`.

        Raises:
            CheckpointError: the system refuses; nothing of the file is left. Exceptions of `snapshot` propagate.
        """
        return self._write(operator_id, subtask, "arrow", is_shared, lambda file: self._write_arrow(file, snapshot))

    def write_value(self, operator_id: str, subtask: int, what: str, value: Any) -> StateFile:
        """A value as `dumps_state` writes it; `what` is the end of the file's name: `operator`, `broadcast`, ..."""

        def write(file: DurableFile) -> int:
            file.write(dumps_state(value))
            return 0

        return self._write(operator_id, subtask, what, False, write)

    def write_batches(self, operator_id: str, subtask: int, elements: Sequence[Element]) -> StateFile:
        """The in-flight data of one channel, in order: batches and control elements. `rows` counts the rows of
        the batches.
        """

        def write(file: DurableFile) -> int:
            file.write(dumps_elements(elements))
            return sum(len(element) for element in elements if isinstance(element, Batch))

        return self._write(operator_id, subtask, "channel", False, write)

    def write_bytes(self, operator_id: str, subtask: int, what: str, data: memoryview) -> StateFile:
        """Bytes unchanged: a file of another checkpoint, copied."""

        def write(file: DurableFile) -> int:
            file.write(data)
            return 0

        return self._write(operator_id, subtask, what, False, write)

    def sync_folders(self) -> None:
        """Makes the names durable: once, before the acknowledgment.

        Raises:
            CheckpointError: the system refuses; the checkpoint must not be acknowledged.
        """
        for folder in self._folders:
            try:
                self._ops.fsync_dir(folder)
            except OSError as error:
                raise CheckpointError(f"the folder {folder} cannot be synced: {error.strerror or error}") from error
        self._folders.clear()

    def abandon(self) -> None:
        """Removes all files of this writer, if one of them failed; all snapshots count as not saved."""
        for path in self._written:
            with suppress(OSError):
                self._ops.unlink(path)
        self._written.clear()

    def _write(
        self, operator_id: str, subtask: int, kind: str, is_shared: bool, write: Callable[[DurableFile], int]
    ) -> StateFile:
        directory = self._location.directory
        folder = (self._location.shared_directory if is_shared else "") or directory
        self._count += 1
        name = f"{self._prefix}-{operator_id[:16]}-{subtask}-{self._count}.{kind}"
        file = DurableFile(os.path.join(folder, name), self._ops, self._location.inline_bytes)
        try:
            rows = write(file)
            if file.held is None:
                file.publish()
        except BaseException:
            file.abort()
            raise
        self.bytes_written += file.length
        if file.held is not None:
            return StateFile(name, file.length, file.crc32, rows, file.held)
        self._written.append(file.path)
        self._folders[folder] = None
        return StateFile(os.path.relpath(file.path, directory), file.length, file.crc32, rows)

    def _write_arrow(self, file: DurableFile, snapshot: KeyedSnapshot) -> int:
        options = pa.ipc.IpcWriteOptions(compression=self._location.compression or None)
        rows = 0
        stream = None
        with pa.PythonFile(_Sink(file), mode="w") as sink:
            for batch in snapshot.batches():
                stream = stream or pa.ipc.new_file(sink, batch.schema, options=options)
                stream.write_batch(batch)
                rows += batch.num_rows
            if stream is not None:
                stream.close()
        return rows


class _Sink:
    """The file interface that pyarrow writes to."""

    closed = False

    def __init__(self, file: DurableFile) -> None:
        self._file = file

    def write(self, data: Any) -> int:
        self._file.write(memoryview(data))
        return len(data)

    def tell(self) -> int:
        return self._file.length

    def flush(self) -> None:
        """Does nothing: the file is synced once, when it is complete."""

    def close(self) -> None:
        """Does nothing: `DurableFile.publish` closes it."""


def dumps_elements(elements: Sequence[Element]) -> bytes:
    """Elements of a channel as bytes: a list, in which a batch is an Arrow IPC stream with its own schema."""
    return dumps_state([_stream_of(item.to_wire()) if isinstance(item, Batch) else item for item in elements])


def loads_elements(data: bytes | memoryview, check: Callable[[pa.RecordBatch], None] | None = None) -> list[Element]:
    """The inverse of `dumps_elements`. Batches come without `row_type`. `check` sees each before it is decoded."""
    return [_batch_of(item, check) if isinstance(item, bytes) else item for item in loads_state(data)]


def created_at(path: str) -> int | None:
    """The checkpoint for which a state file was written; None if the name is not that of a state file."""
    match = _NAME.fullmatch(os.path.basename(path))
    return int(match[2]) if match else None


def _stream_of(wire: pa.RecordBatch) -> bytes:
    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, wire.schema) as stream:
        stream.write_batch(wire)
    return out.getvalue().to_pybytes()  # type: ignore[no-any-return]  # pyarrow is untyped


def _batch_of(data: bytes, check: Callable[[pa.RecordBatch], None] | None) -> Batch:
    with pa.ipc.open_stream(data) as stream:
        wire = stream.read_next_batch()
    if check is not None:
        check(wire)
    return Batch.from_wire(wire)
