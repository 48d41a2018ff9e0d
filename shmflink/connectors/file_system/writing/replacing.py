"""What a file sink does with files that existed before, and what it does if it has no rows.

::

    append      they are kept
    error       the job does not start
    overwrite   they are kept until the first commit, which removes them

Subtask 0 determines these files once, when the job begins without a checkpoint. The list is part of the checkpoint, so
that a repeated commit removes the same files and no others: no file that appeared or was rewritten since, none with a
hidden name, and nothing outside the base path.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from typing import Final, Literal, TypeAlias, get_args

from shmflink.connectors.file_system.file_systems import FileInfo, FileSystem
from shmflink.connectors.file_system.globs import has_hidden_name
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.serialization.plain_values import register_plain
from shmflink.errors import ConfigurationError, JobGraphError, ResourceError

__all__ = ["ReplacedFiles", "SinkMode", "check_mode", "files_before", "refuse_files_before"]

SinkMode: TypeAlias = Literal["append", "error", "overwrite"]

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReplacedFiles:
    """A committable: files to remove at the commit, as they were when the job began."""

    files: tuple[FileInfo, ...]

    def commit(self, files: FileSystem) -> None:
        """Removes the files that are unchanged. Idempotent.

        Raises:
            ResourceError: one cannot be removed.
        """
        for before in self.files:
            now = _look(files, before.path)
            if now is None:
                continue
            if (now.size, now.modified_ns) != (before.size, before.modified_ns):
                _LOG.warning("%s: was rewritten while the job ran; the sink keeps it", before.path)
                continue
            try:
                with contextlib.suppress(FileNotFoundError):
                    files.remove(before.path)
            except OSError as error:
                raise ResourceError(f"{before.path}: cannot be removed: {error.strerror or error}") from error


def check_mode(mode: object, publish: str) -> None:
    """
    Raises:
        ConfigurationError: the mode is unknown, or it requires that files appear together.
    """
    if mode not in get_args(SinkMode):
        raise ConfigurationError(f"mode={mode!r}: one of {', '.join(get_args(SinkMode))}")
    if mode != "append" and publish == "when_rolled":
        raise ConfigurationError(
            f"mode={mode!r} needs files that appear together: omit publish='when_rolled' (files then appear when a "
            "checkpoint completes or, without checkpoints, at the end)"
        )


def files_before(files: FileSystem, base_path: str) -> tuple[FileInfo, ...]:
    """All visible files under the base path; links are not followed.

    Raises:
        ResourceError: the path cannot be listed.
    """
    found = _walk(base_path) if files.is_local(base_path) else files.walk(base_path)
    return tuple(info for info in found if not has_hidden_name(info.path[len(base_path) :]))


def refuse_files_before(files: FileSystem, base_path: str) -> None:
    """
    Raises:
        JobGraphError: there are visible files.
    """
    before = files_before(files, base_path)
    if before:
        more = f" and {len(before) - 1} more" if len(before) > 1 else ""
        raise JobGraphError(
            f"{base_path}: is not empty: {os.path.relpath(before[0].path, base_path)}{more}. Write into another "
            "folder, or pass mode='overwrite' or mode='append'"
        )


def _walk(base_path: str) -> Iterator[FileInfo]:
    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise ResourceError(f"{error.filename}: cannot be listed: {error.strerror}") from error

    for folder, _, names in os.walk(base_path, onerror=refuse):
        for name in names:
            found = _look(FileSystem(), os.path.join(folder, name))
            if found is not None:
                yield found


def _look(files: FileSystem, path: str) -> FileInfo | None:
    """The file itself (a link as a link), or None."""
    if not files.is_local(path):
        return files.stat(path)
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return FileInfo(path, found.st_size, found.st_mtime_ns, found.st_ino)


register_plain(ReplacedFiles)
