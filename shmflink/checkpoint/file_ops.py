"""The system calls that write checkpoints to disk, in one place: tests make the n-th of them fail."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from shmflink.errors import CheckpointError

__all__ = ["FILE_OPS", "TEMPORARY_SUFFIX", "DurableFile", "FileOps"]

_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
TEMPORARY_SUFFIX: Final = ".part"
"""Ending of files that are being written; readers ignore them."""
_BUFFER_BYTES: Final = 1 << 20


class FileOps:
    """Every call raises OSError as the system does. Folders are created with mode 0700, files with 0600."""

    def create(self, path: str) -> int:
        """A descriptor for writing a file that does not exist yet."""
        return os.open(path, _CREATE, 0o600)

    def write(self, fd: int, data: memoryview) -> int:
        """Writes a prefix of `data`; returns its length."""
        return os.write(fd, data)

    def fsync(self, fd: int) -> None:
        """Never repeat it on the same descriptor: after an error the kernel marks the lost pages clean
        (fsyncgate, 2018).
        """
        os.fsync(fd)

    def close(self, fd: int) -> None:
        os.close(fd)

    def rename(self, source: str, target: str) -> None:
        os.rename(source, target)

    def unlink(self, path: str) -> None:
        os.unlink(path)

    def mkdir(self, path: str) -> None:
        os.mkdir(path, 0o700)

    def rmdir(self, path: str) -> None:
        os.rmdir(path)

    def fsync_dir(self, path: str) -> None:
        """Makes names that were created, renamed or removed in a folder durable."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


FILE_OPS: Final = FileOps()


class DurableFile:
    """A file that appears under its name when it is complete and on disk; the caller syncs its folder.

    Data is held in memory until it exceeds `held_bytes`. A caller that finds everything in `held` at the end may use
    that instead; then no file was ever created. After a CheckpointError nothing is left behind.
    """

    def __init__(self, path: str, file_ops: FileOps = FILE_OPS, held_bytes: int = 0) -> None:
        self.path = path
        self.length = 0
        self.crc32 = 0
        self._ops = file_ops
        self._held_bytes = held_bytes
        self._buffer = bytearray()
        self._fd = -1
        self._exists = False

    @property
    def held(self) -> bytes | None:
        """Everything written, if it is so little that there is no file."""
        return bytes(self._buffer) if self.length <= self._held_bytes and not self._exists else None

    def write(self, data: bytes | memoryview) -> None:
        """Appends."""
        view = memoryview(data).cast("B")
        self.length += len(view)
        self.crc32 = zlib.crc32(view, self.crc32)
        if self.length <= self._held_bytes or len(self._buffer) + len(view) < _BUFFER_BYTES:
            self._buffer += view
            return
        with self._cleaning_up():
            self._flush()
            self._write_through(view)

    def publish(self) -> None:
        """Writes the rest, syncs, closes, renames."""
        with self._cleaning_up():
            self._flush()
            self._ops.fsync(self._fd)
            fd, self._fd = self._fd, -1
            self._ops.close(fd)
            self._ops.rename(self.path + TEMPORARY_SUFFIX, self.path)
            self._exists = False

    def abort(self) -> None:
        """Removes the file if there is one. May be called at any time, and repeatedly."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            with suppress(OSError):
                self._ops.close(fd)
        if self._exists:
            self._exists = False
            with suppress(OSError):
                self._ops.unlink(self.path + TEMPORARY_SUFFIX)

    def _flush(self) -> None:
        if not self._exists:
            self._fd = self._ops.create(self.path + TEMPORARY_SUFFIX)
            self._exists = True
        self._write_through(memoryview(self._buffer))
        self._buffer = bytearray()

    def _write_through(self, view: memoryview) -> None:
        while len(view):
            view = view[self._ops.write(self._fd, view) :]

    @contextmanager
    def _cleaning_up(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.abort()
            raise CheckpointError(f"{self.path} cannot be written: {error.strerror or error}") from error
