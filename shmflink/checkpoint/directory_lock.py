"""Which process may write a job's checkpoint folder: one at a time, for as long as it lives."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress

from shmflink.errors import CheckpointError

__all__ = ["DirectoryLock"]


class DirectoryLock:
    """A lock on a file, which the kernel releases with the process: it never becomes stale (M5)."""

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
            holder = os.read(self._fd, 32).decode(errors="replace").strip() or "unknown"
            os.close(self._fd)
            raise CheckpointError(
                f"another JobManager (process {holder}) writes checkpoints to {directory}: two writers would damage "
                "them. Wait for its end or cancel its job"
            ) from error
        with suppress(OSError):  # on a full disk the lock still holds, without the holder's name
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self, *, keeps_file: bool = True) -> None:
        """Releases it; may be called again. `keeps_file`: False if the folder is about to be removed."""
        if self._fd < 0:
            return
        if not keeps_file:
            with suppress(OSError):
                os.unlink(self._path)
        os.close(self._fd)
        self._fd = -1
