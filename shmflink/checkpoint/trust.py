"""Who owns a checkpoint. State is read from it, and loading pickled state runs code of its author.

Files are opened without following links, must be regular files, and must not be writable by others; neither must the
folders above them. Names come from the manifest, which allows only names inside the checkpoint. All errors are
CheckpointErrors.
"""

from __future__ import annotations

import os
import stat
from typing import Final

from shmflink.errors import CheckpointError, CheckpointRefusedError

__all__ = ["TRUST_FLAG", "check_folder", "is_own", "open_file", "pickle_refused"]

TRUST_FLAG: Final = "--trust-pickled-state"
_OPEN: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH
_SHARED: Final = "shared"


def check_folder(directory: str) -> None:
    """Checks that only the owner can change the checkpoint's folder, and `shared` beside it."""
    _check_folder(directory, follows=True)
    shared = os.path.join(os.path.dirname(directory), _SHARED)
    if os.path.basename(directory).startswith("chk-") and os.path.lexists(shared):
        _check_folder(shared, follows=False)


def is_own(directory: str) -> bool:
    """Whether this user wrote the checkpoint. True if it has no folder: then it comes from this process."""
    return not directory or os.stat(directory).st_uid == os.geteuid()


def open_file(path: str) -> int:
    """A descriptor for reading. FileNotFoundError and similar errors propagate unchanged."""
    try:
        fd = os.open(path, _OPEN)
    except OSError as error:
        if os.path.islink(path):
            raise CheckpointError(f"{path} is a symbolic link; a checkpoint contains only its own files") from error
        raise
    found = os.fstat(fd)
    if stat.S_ISREG(found.st_mode) and not found.st_mode & _BY_OTHERS:
        return fd
    os.close(fd)
    if not stat.S_ISREG(found.st_mode):
        raise CheckpointError(f"{path} is not a regular file; a checkpoint contains only regular files")
    raise CheckpointError(_may_be_written(path, found))


def pickle_refused(directory: str, what: str) -> CheckpointError:
    """For a checkpoint of another user: what is pickled, and what to do."""
    owner = os.stat(directory).st_uid
    return CheckpointRefusedError(
        f"{directory} belongs to user {owner}, but user {os.geteuid()} runs this, and {what} is pickled: loading it "
        f"runs code of its author. If you trust user {owner}, pass {TRUST_FLAG} "
        "(execution.state-recovery.trust-pickled-state: true; in Python trusts_pickle=True); otherwise drop this state"
    )


def _check_folder(path: str, *, follows: bool) -> None:
    try:
        found = os.stat(path, follow_symlinks=follows)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be examined: {error.strerror or error}") from error
    if not stat.S_ISDIR(found.st_mode):
        raise CheckpointError(f"{path} is not a folder; a checkpoint has its own folder")
    if found.st_mode & _BY_OTHERS:
        raise CheckpointError(_may_be_written(path, found))


def _may_be_written(path: str, found: os.stat_result) -> str:
    return (
        f"{path} (mode {stat.S_IMODE(found.st_mode):04o}, user {found.st_uid}) is writable by others, and state in "
        "it may run code: run chmod go-w on it, or copy it to your own folder, once you know that it is unchanged"
    )
