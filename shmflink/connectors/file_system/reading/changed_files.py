"""Detects files that changed after they were listed and before they are read.

A split names the bytes of a file to read, and the position reached. A restore may happen days later, when the file has
other content: continuing at the position would silently return rows twice, or parts of rows.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, Literal, get_args

from shmflink.connectors.file_system.file_systems import FileInfo, FileSystem
from shmflink.connectors.file_system.reading.splits import FileRange
from shmflink.errors import ConfigurationError, DataFormatError, ResourceError

__all__ = ["OnChange", "on_change_of", "range_as_it_is", "require_not_cut"]

OnChange = Literal["fail", "ignore"]

_ADVICE: Final = (
    "Restore the file; or discard the checkpoint and read from the beginning; "
    "or pass on_change='ignore' to read the present content from the position reached"
)


def on_change_of(text: str) -> OnChange:
    """Checks the user's choice. Raises ConfigurationError."""
    if text not in get_args(OnChange):
        raise ConfigurationError(f"on_change: {text!r} is not one of {', '.join(get_args(OnChange))}")
    return text  # type: ignore[return-value]  # checked above


def range_as_it_is(files: FileSystem, part: FileRange, *, may_grow: bool) -> FileRange:
    """The range to read, after a check that the file is unchanged since it was listed.

    A file that is read as one range and has not been begun may have been replaced: the new file is read. A file of
    which a part has been read may have grown (`may_grow`, for formats without a footer): the appended part is not read.
    A file with an equal size and time counts as unchanged even if its inode differs, as after a copy to another disk.

    Raises:
        DataFormatError: it was truncated, replaced or modified; names what changed. ResourceError: it is gone.
    """
    listed = part.listed
    is_begun = part.position > 0
    if listed is None or not (is_begun or files.is_local(part.path)):
        return part  # on a remote file system each check is a request: check only files that were begun before
    now = files.stat(part.path)
    if now is None:
        raise ResourceError(
            f"{part.path}: the file is gone; it had {listed.size} bytes when it was listed"
            f"{', and part of it has been read' if is_begun else ''}"
        )
    if (now.size, now.modified_ns) == (listed.size, listed.modified_ns):
        return part
    if not is_begun and part.offset == 0 and part.length == listed.size:
        return replace(part, length=now.size, listed=now)
    is_same = now.inode == listed.inode
    if is_same and may_grow and now.size > listed.size:
        return part
    raise DataFormatError(f"{part.path}: {_what_changed(listed, now)}, and part of it may have been read. {_ADVICE}")


def require_not_cut(files: FileSystem, part: FileRange) -> None:
    """Checks, once a range was read to its end, that the file was not truncated meanwhile, which looks like its end.

    Raises:
        DataFormatError: the file was truncated.
    """
    if part.listed is None or not files.is_local(part.path):
        return
    now = files.stat(part.path)
    if now is not None and now.inode == part.listed.inode and now.size < part.listed.size:
        raise DataFormatError(f"{part.path}: {_what_changed(part.listed, now)} while it was read. {_ADVICE}")


def _what_changed(listed: FileInfo, now: FileInfo) -> str:
    before = f"{listed.size} bytes of {_time(listed.modified_ns)} when it was listed"
    after = f"{now.size} bytes of {_time(now.modified_ns)} now"
    if now.inode != listed.inode:
        return f"another file has replaced it ({before}, inode {listed.inode}; {after}, inode {now.inode})"
    if now.size < listed.size:
        return f"the file was truncated ({before}; {after})"
    return f"the file was modified ({before}; {after})"


def _time(modified_ns: int) -> str:
    return datetime.fromtimestamp(modified_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S.%f UTC")
