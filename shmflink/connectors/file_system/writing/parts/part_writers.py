"""The open and the complete part files of one subtask, before any is published."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable
from typing import Any, Final

import pyarrow as pa

from shmflink.connectors.file_system.file_systems import FileSystem
from shmflink.connectors.file_system.writing.buckets import BucketAssigner
from shmflink.connectors.file_system.writing.encoders import BulkWriter, OutputFormat
from shmflink.connectors.file_system.writing.parts.part_file import FinishedPart, NamelessFiles, PartFile, PartStore
from shmflink.connectors.file_system.writing.parts.publish import in_threads
from shmflink.connectors.file_system.writing.parts.spooled_part import SpooledPart
from shmflink.connectors.file_system.writing.parts.staging import StagedFile
from shmflink.connectors.file_system.writing.rolling import RollingPolicy
from shmflink.core.lazy_dataclass import dataclass
from shmflink.errors import ResourceError

__all__ = ["PartNames", "PartWriters", "WriterSettings"]

_WAITING_DESCRIPTORS_MAX: Final = 128
"""This many complete parts wait in open descriptors; then they are synced together and wait under hidden names.

They are synced together because a file system commits concurrent fsyncs in one transaction; and not while other parts
are being created, because creating a file waits for that transaction.
"""

_SPLIT_ROWS: Final = 1 << 18
_SPLIT_BYTES: Final = 12 << 20
"""Rows for several folders are collected up to this size before they are split, so that each folder gets longer
runs.
"""


@dataclass(frozen=True, slots=True)
class PartNames:
    """The prefix and suffix of a file's name, around its unique part."""

    prefix: str
    suffix: str


@dataclass(frozen=True, slots=True)
class WriterSettings:
    """How a subtask writes. At most `open_parts_max` files are open and, together, hold `buffered_bytes_max`."""

    base_path: str
    files: FileSystem
    output_format: OutputFormat
    buckets: BucketAssigner
    rolling: RollingPolicy
    names: PartNames
    open_parts_max: int
    buffered_bytes_max: int
    tag: str = ""
    """In hidden names: `staging.tag_of`."""


class _OpenPart:
    def __init__(self, file: PartStore, writer: BulkWriter, path: str, now_ms: int) -> None:
        self.file = file
        self.writer = writer
        self.path = path
        self.rows = 0
        self.opened_ms = self.written_ms = now_ms


class PartWriters:
    """Writes part files and reports which are complete; the caller decides when to publish them.

    Used by one thread at a time.
    """

    def __init__(self, settings: WriterSettings) -> None:
        self._settings = settings
        self._id = uuid.uuid4()
        self._count = 0
        self._open: dict[str, _OpenPart] = {}  # the least recently written first
        self._finished: list[FinishedPart] = []
        self._unparked: list[FinishedPart] = []
        self._nameless = NamelessFiles(settings.base_path)
        self._held_bytes = 0  # bytes in memory, over all open parts
        self._unsplit: list[pa.RecordBatch] = []
        self._unsplit_rows = self._unsplit_bytes = 0

    def write(self, now_ms: int, pieces: Iterable[tuple[str | None, Any]]) -> None:
        """Writes a result of `OutputFormat.encode` to its bucket; None if the bucket depends on each row."""
        for bucket, encoded in pieces:
            if bucket is not None:
                self._write_rows(bucket, encoded, now_ms)
                continue
            if self._unsplit and not self._unsplit[0].schema.equals(encoded.schema):
                self._split(now_ms)
            self._unsplit.append(encoded)
            self._unsplit_rows += encoded.num_rows
            self._unsplit_bytes += encoded.nbytes
            if self._unsplit_rows >= _SPLIT_ROWS or self._unsplit_bytes >= _SPLIT_BYTES:
                self._split(now_ms)

    def begin_empty(self, encoded: pa.RecordBatch, now_ms: int) -> None:
        """Begins a part without rows, with the columns of `encoded`, which has no rows either."""
        self._begin(self._settings.buckets.bucket_of(now_ms), encoded, now_ms)

    def roll(self, now_ms: int) -> None:
        """Closes parts that are full by now although nothing more was written to them."""
        self._split(now_ms)
        for bucket, part in list(self._open.items()):
            if self._is_full(part, now_ms):
                self._close(bucket)

    def finish(self, now_ms: int) -> None:
        """Closes everything."""
        self._split(now_ms)
        for bucket in list(self._open):
            self._close(bucket)
        self._nameless.close()

    def keep_open(self, now_ms: int) -> list[StagedFile]:
        """At a barrier, for a format that can be truncated after any write: records the open parts and their lengths.

        They are durable once `staging.sync_kept` has been called for them; writing to them continues.
        """
        self._split(now_ms)
        kept = []
        for part in self._open.values():
            self._flush(part)
            assert isinstance(part.file, PartFile), "remote files are rolled at every checkpoint"
            hidden, length = part.file.keep()
            kept.append(StagedFile(hidden, part.path, length))
        return kept

    def take_finished(self) -> list[FinishedPart]:
        """The complete parts that were not taken yet; the caller then owns them."""
        self._unparked = []
        finished, self._finished = self._finished, []
        return finished

    def discard(self) -> None:
        """Discards the parts that were not taken."""
        for part in self._open.values():
            part.writer.abandon()
            part.file.discard()
        for finished in self._finished:
            finished.discard()
        self._nameless.close()
        self._held_bytes = 0
        self._open, self._finished, self._unparked, self._unsplit = {}, [], [], []

    def _split(self, now_ms: int) -> None:
        if not self._unsplit:
            return
        waiting = self._unsplit
        rows = waiting[0] if len(waiting) == 1 else pa.concat_batches(waiting)
        del waiting
        self._unsplit, self._unsplit_rows, self._unsplit_bytes = [], 0, 0
        for bucket, part_rows in self._settings.buckets.split(rows):
            self._write_rows(bucket, self._settings.buckets.strip(part_rows), now_ms)

    def _write_rows(self, bucket: str, encoded: Any, now_ms: int) -> None:
        rolling, output_format = self._settings.rolling, self._settings.output_format
        if not output_format.is_bulk or (rolling.rows_max is None and rolling.bytes_max is None):
            self._write_piece(bucket, encoded, now_ms)
            return
        rows_at_once = self._rows_at_once(encoded)
        start = 0
        while start < encoded.num_rows:
            part = self._open.get(bucket)
            room = rows_at_once
            if rolling.rows_max is not None:
                room = min(room, rolling.rows_max - (part.rows if part and part.rows < rolling.rows_max else 0))
            self._write_piece(bucket, encoded.slice(start, room), now_ms)
            start += room

    def _rows_at_once(self, columns: pa.RecordBatch) -> int:
        """The number of rows after which, at the latest, the size of a part is checked."""
        bytes_max = self._settings.rolling.bytes_max
        rows: int = columns.num_rows
        if bytes_max is None:
            return max(rows, 1)
        by_size: int = rows * bytes_max // max(columns.nbytes, 1)
        return max(min(rows, by_size, self._settings.output_format.piece_rows or rows), 1)

    def _write_piece(self, bucket: str, encoded: Any, now_ms: int) -> None:
        part = self._open.get(bucket)
        if part is not None and self._is_full(part, now_ms):
            self._close(bucket)
            part = None
        if part is None:
            part = self._begin(bucket, encoded, now_ms)
        held = part.writer.buffered_bytes
        try:
            part.writer.write(encoded)
        except OSError as error:
            raise ResourceError(f"{part.path}: cannot be written: {error.strerror or error}") from error
        self._held_bytes += part.writer.buffered_bytes - held
        part.written_ms = now_ms
        part.rows += encoded.num_rows if self._settings.output_format.is_bulk else 0
        bytes_max = self._settings.rolling.bytes_max
        if bytes_max is not None and part.writer.buffered_bytes >= bytes_max:
            self._flush(part)  # its size in the file is known only after it was written
        if len(self._open) > 1:
            self._open[bucket] = self._open.pop(bucket)
            self._bound_memory()

    def _bound_memory(self) -> None:
        """Writes out the parts with the largest buffers until half of the memory limit is free: few, large pieces."""
        if self._held_bytes < self._settings.buffered_bytes_max:
            return
        for part in sorted(self._open.values(), key=lambda part: part.writer.buffered_bytes, reverse=True):
            self._flush(part)
            if self._held_bytes < self._settings.buffered_bytes_max // 2:
                return

    def _flush(self, part: _OpenPart) -> None:
        self._held_bytes -= part.writer.buffered_bytes
        part.writer.flush()
        self._held_bytes += part.writer.buffered_bytes

    def _is_full(self, part: _OpenPart, now_ms: int) -> bool:
        rolling = self._settings.rolling
        if rolling.rows_max is not None and part.rows >= rolling.rows_max:
            return True
        size = part.file.size_bytes + part.writer.expected_bytes
        return rolling.should_roll(size, part.opened_ms, part.written_ms, now_ms)

    def _begin(self, bucket: str, first: Any, now_ms: int) -> _OpenPart:
        while len(self._open) >= self._settings.open_parts_max:
            self._close(next(iter(self._open)))
        names = self._settings.names
        name = f"{names.prefix}-{self._id}-{self._count}{names.suffix}"
        self._count += 1
        file = self._store(name)
        try:
            writer = self._settings.output_format.create(file.file, first)
        except BaseException:
            file.discard()
            raise
        part = _OpenPart(file, writer, os.path.join(self._settings.base_path, bucket, name), now_ms)
        self._open[bucket] = part
        return part

    def _store(self, name: str) -> PartStore:
        if self._settings.files.is_local(self._settings.base_path):
            return PartFile(self._settings.base_path, name, self._settings.tag, self._nameless)
        return SpooledPart(self._settings.files, name, self._settings.base_path, self._settings.tag)

    def _close(self, bucket: str) -> None:
        part = self._open[bucket]
        self._held_bytes -= part.writer.buffered_bytes
        try:
            part.writer.close()
        except OSError as error:
            raise ResourceError(f"{part.path}: cannot be written: {error.strerror or error}") from error
        del self._open[bucket]
        finished = FinishedPart(part.file, part.path, part.rows)
        self._finished.append(finished)
        self._unparked.append(finished)
        if len(self._unparked) >= _WAITING_DESCRIPTORS_MAX:
            unparked, self._unparked = self._unparked, []
            in_threads(FinishedPart.park, unparked)
