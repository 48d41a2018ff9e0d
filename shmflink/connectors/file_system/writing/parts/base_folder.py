"""The folder that the writers of a local file sink share, on one host and in any number of processes and jobs."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import Final

from shmflink.errors import ResourceError

__all__ = ["BaseFolder"]

_TRIES_MAX: Final = 100


class BaseFolder:
    """Created if it is missing, and held by a shared lock until `release`.

    Files without a name do not prevent the removal of a folder. Therefore a holder that created the folder and failed
    removes it only under an exclusive lock. A holder that arrives in the meantime waits for the lock, finds the folder
    removed, and creates it again.
    """

    def __init__(self, path: str) -> None:
        """Raises ResourceError if the folder cannot be created, or if the path is a file."""
        self._path = path
        self._made = False
        self._is_locked = False
        try:
            for _ in range(_TRIES_MAX):
                self._made |= _make(path)
                with contextlib.suppress(FileNotFoundError):  # another process has removed it again
                    self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                    if self._lock():
                        return
                    os.close(self._fd)
        except OSError as error:
            raise ResourceError(f"{path}: cannot be created: {error.strerror}") from error
        raise ResourceError(f"{path}: cannot be created: another process keeps removing it")

    def release(self, *, removes: bool) -> None:
        """`removes`: removes the folder if it has no other holder, is empty and was created here."""
        fd, self._fd = self._fd, -1
        if fd < 0:
            return
        if removes and self._made and self._is_locked:
            with contextlib.suppress(OSError):  # it has another holder or is not empty
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.rmdir(self._path)
        os.close(fd)

    def _lock(self) -> bool:
        """False if the folder was already removed. On a file system without locks, folders are kept."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_SH)
        except OSError:
            return True
        self._is_locked = True
        try:
            return os.path.samestat(os.fstat(self._fd), os.stat(self._path))
        except FileNotFoundError:
            return False


def _make(path: str) -> bool:
    """True if it was created here."""
    try:
        os.makedirs(path)
        return True
    except FileExistsError:
        # in the second case, the folder was removed meanwhile
        if os.path.isdir(path) or not os.path.lexists(path):
            return False
        raise ResourceError(f"{path}: a file sink needs a directory, but this is a file") from None
