"""An output file that appears complete or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO, Final, Protocol

import pyarrow as pa

from shmflink.connectors.file_system.writing.parts.publish import publish
from shmflink.connectors.file_system.writing.parts.staging import StagedFile, hidden_name
from shmflink.errors import ResourceError

__all__ = ["FinishedPart", "NamelessFiles", "PartFile", "PartStore"]

_AHEAD_AFTER: Final = 64  # parts, of one subtask between two barriers
_AHEAD_FILES: Final = 8  # for each thread
_AHEAD_THREADS: Final = 4

_NO_TMPFILE: Final = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOSYS})


class PartFile:
    """A file without a name in the target's file system (O_TMPFILE); `link` gives it its name.

    If the process dies before that, the system frees the file. If the file system has no such files, or once `park`,
    `stage` or `keep` was called, the file has a hidden name ``.<name>.inprogress.<tag>``, which every reader skips.
    """

    def __init__(self, directory: str, name: str, tag: str = "", nameless: NamelessFiles | None = None) -> None:
        """`directory` must exist; the default `tag` is random. Takes a file from `nameless` if there are any.

        Raises:
            ResourceError: no file can be created in the directory.
        """
        self._directory = directory
        self._hidden = os.path.join(directory, hidden_name(name, tag or secrets.token_hex(4)))
        self._has_name = False
        self._is_parked = False
        self._is_kept = False
        self.file: BinaryIO = self._open(nameless)

    @property
    def size_bytes(self) -> int:
        """Bytes written so far; valid only while the file is open."""
        return self.file.tell()

    def park(self) -> None:
        """Closes the descriptor; nothing may be written afterwards. The file waits under its hidden name."""
        if self._is_parked:
            return
        self._sync()
        self._give_name()
        self.file.close()
        self._is_parked = True

    def keep(self) -> tuple[str, int]:
        """Gives the file a hidden name, so that it outlives the process; returns the name and the length. Does not
        sync.

        Afterwards `discard` does not remove the file, because a checkpoint refers to it.
        """
        self.file.flush()
        self._give_name()
        self._is_kept = True
        return self._hidden, self.size_bytes

    def stage(self, path: str) -> StagedFile:
        """Makes the file durable under the hidden name of `path`; nothing may be written afterwards. Does not sync the
        folder.
        """
        self.park()
        return StagedFile(self._hidden, path, os.stat(self._hidden).st_size)

    def sync(self) -> None:
        """Makes the content durable; nothing may be written afterwards. Any thread."""
        if not self._is_parked:
            self._sync()

    def link(self, path: str) -> None:
        """Makes the file visible as `path` and closes it. `path` must be on the same file system, in an existing
        folder.

        Raises OSError, also if the path already exists.
        """
        if self._has_name:
            os.link(self._hidden, path)
            os.unlink(self._hidden)
        else:
            self._link(path)
        self.file.close()

    def publish(self, path: str) -> None:
        """All steps for one file: creates the folders, and makes the file durable and visible as `path`.

        Raises:
            ResourceError: the path already exists, or the disk reports an error; the file is then discarded.
        """
        publish([FinishedPart(self, path, 0)])

    def discard(self) -> None:
        """Discards the file. Safe after any error."""
        with contextlib.suppress(OSError, ValueError):
            self.file.close()
        if not self._is_kept:
            self._discard_name()

    def _give_name(self) -> None:
        if not self._has_name:
            self._link(self._hidden)
            self._has_name = True

    def _discard_name(self) -> None:
        if self._has_name:
            with contextlib.suppress(OSError):
                os.unlink(self._hidden)

    def _open(self, nameless: NamelessFiles | None) -> BinaryIO:
        try:
            try:
                descriptor = _open_nameless(self._directory) if nameless is None else nameless.take()
            except OSError as error:
                if error.errno not in _NO_TMPFILE:
                    raise
                descriptor = os.open(self._hidden, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o666)
                self._has_name = True
            try:
                # Arrow's files write whole buffers without the GIL. Through Python's buffered files, Parquet cost a
                # seventh more CPU.
                file: BinaryIO = pa.OSFile(f"/proc/self/fd/{descriptor}", "wb")
            finally:
                os.close(descriptor)
        except OSError as error:
            self._discard_name()
            raise ResourceError(f"{self._directory}: cannot create a file here: {error.strerror or error}") from error
        return file

    def _sync(self) -> None:
        self.file.flush()
        os.fsync(self.file.fileno())

    def _link(self, path: str) -> None:
        directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # Only with a directory descriptor does Python call linkat(AT_SYMLINK_FOLLOW), which `/proc/self/fd` needs.
            source = f"/proc/self/fd/{self.file.fileno()}"
            os.link(source, os.path.basename(path), dst_dir_fd=directory, follow_symlinks=True)
        finally:
            os.close(directory)


def _open_nameless(directory: str) -> int:
    return os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o666)


class NamelessFiles:
    """Descriptors of files without a name in a directory; after the first few, threads create them in advance.

    Creating a file waits while the file system makes other files durable; thousands of parts must not wait one by one.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._taken = 0
        self._made: list[int] = []
        self._ahead: deque[Future[list[int]]] = deque()
        self._threads: ThreadPoolExecutor | None = None

    def take(self) -> int:
        """Returns one descriptor, which the caller then owns. Raises OSError."""
        self._taken += 1
        if self._taken <= _AHEAD_AFTER:
            return _open_nameless(self._directory)
        self._threads = self._threads or ThreadPoolExecutor(_AHEAD_THREADS, "files")
        while len(self._ahead) < _AHEAD_THREADS:
            self._ahead.append(self._threads.submit(self._make_some))
        if not self._made:
            self._made = self._ahead.popleft().result()
        return self._made.pop()

    def _make_some(self) -> list[int]:
        made: list[int] = []
        try:
            made.extend(_open_nameless(self._directory) for _ in range(_AHEAD_FILES))
        except OSError:
            if not made:
                raise
        return made

    def close(self) -> None:
        """Closes the descriptors that were not taken."""
        while self._ahead:
            ahead = self._ahead.popleft()
            if not ahead.cancel() and ahead.exception() is None:
                self._made += ahead.result()
        for descriptor in self._made:
            os.close(descriptor)
        self._made = []
        if self._threads is not None:
            self._threads.shutdown()
        self._threads, self._taken = None, 0


class PartStore(Protocol):
    """The interface of `PartFile` and of its counterpart for remote file systems."""

    file: BinaryIO

    @property
    def size_bytes(self) -> int: ...

    def park(self) -> None: ...

    def stage(self, path: str) -> StagedFile: ...

    def sync(self) -> None: ...

    def link(self, path: str) -> None: ...

    def discard(self) -> None: ...


class FinishedPart:
    """A complete file that is not visible yet: `publish` or `discard` ends it."""

    def __init__(self, file: PartStore, path: str, rows: int) -> None:
        """`rows` are counted for bulk formats only."""
        self._file = file
        self.path = path
        self.rows = rows

    @property
    def folder(self) -> str | None:
        """The local folder that will contain the file; None for remote file systems."""
        return os.path.dirname(self.path) if isinstance(self._file, PartFile) else None

    def park(self) -> None:
        """Closes its descriptor: the file waits under a hidden name."""
        try:
            self._file.park()
        except OSError as error:
            raise ResourceError(f"{self.path}: cannot be written: {error.strerror or error}") from error

    def stage(self) -> StagedFile:
        """Makes the file durable and hidden; later this or another process makes it visible. Raises OSError."""
        return self._file.stage(self.path)

    def sync(self) -> None:
        """Makes the content durable."""
        self._file.sync()

    def link(self) -> None:
        """Makes the file visible as `path`."""
        self._file.link(self.path)

    def discard(self) -> None:
        """Discards the file, if it is not visible yet."""
        self._file.discard()
