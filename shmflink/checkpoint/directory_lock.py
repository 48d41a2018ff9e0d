"""Which process may write a job's checkpoint folder: one at a time, for as long as it lives.

The kernel of one host releases a lock with its process. A shared file system may also give it to another host while the
first holder still runs: the file therefore names the holder, and the first one finds another name in it.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from typing import Final

from shmflink.errors import CheckpointError

__all__ = ["DirectoryLock"]

_HOLDER_BYTES_MAX: Final = 64


class DirectoryLock:
    """A lock on a file, which ends with the process: it never becomes stale (M5)."""

    def __init__(self, directory: str) -> None:
        """Takes the lock at once, without waiting.

        Raises:
            CheckpointError: another process has it.
        """
        self._path = os.path.join(directory, ".lock")
        try:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise CheckpointError(f"{self._path} cannot be opened: {error.strerror or error}") from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(self._fd, _HOLDER_BYTES_MAX).decode(errors="replace").split(" ")[0].strip() or "unknown"
            os.close(self._fd)
            raise CheckpointError(
                f"another JobManager (process {holder}) writes checkpoints to {directory}: two writers would damage "
                "them. Wait for its end or cancel its job"
            ) from error
        self._name = f"{os.getpid()} {os.urandom(8).hex()}\n".encode()
        self._is_named = False
        with suppress(OSError):  # on a full disk the lock still holds, without the holder's name
            os.ftruncate(self._fd, 0)
            self._is_named = os.pwrite(self._fd, self._name, 0) == len(self._name)

    def check(self) -> None:
        """The lock is still this process's.

        Raises:
            CheckpointError: another process has taken it, or its file was removed.
        """
        try:
            with open(self._path, "rb") as file:
                is_ours = os.path.samestat(os.fstat(file.fileno()), os.fstat(self._fd))
                is_ours = is_ours and (not self._is_named or file.read(_HOLDER_BYTES_MAX) == self._name)
        except OSError as error:
            raise CheckpointError(f"{self._path} is gone: {error.strerror or error}") from error
        if not is_ours:
            raise CheckpointError(
                f"another JobManager has taken over {os.path.dirname(self._path)}: this one must not write there"
            )

    def release(self, *, keeps_file: bool = True) -> None:
        """Releases it; may be called again. `keeps_file`: False if the folder is about to be removed."""
        if self._fd < 0:
            return
        if not keeps_file:
            with suppress(OSError):
                os.unlink(self._path)
        os.close(self._fd)
        self._fd = -1
