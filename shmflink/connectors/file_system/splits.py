"""Which files a source reads, and how they are cut into splits."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

from shmflink.connectors.base import Split
from shmflink.errors import ConfigurationError, JobGraphError, ResourceError

__all__ = ["COMPRESSIONS", "FileRange", "cut_files", "list_files", "local_path", "require_files"]

COMPRESSIONS: Final = {
    ".gz": "gzip",
    ".gzip": "gzip",
    ".bz2": "bz2",
    ".zst": "zstd",
    ".zstd": "zstd",
    ".xz": "xz",
}
"""How a file's name tells its compression. Such a file is one split."""

_SPLIT_BYTES_MIN: Final = 1 << 20
_SPLIT_BYTES_MAX: Final = 32 << 20
_SPLITS_PER_READER: Final = 4


@dataclass(frozen=True, slots=True)
class FileRange:
    """A split's payload: bytes [offset, offset + length) of a file.

    `position` is how far its format has read.

    What `position` counts is the format's own: bytes, lines or row groups from the start of the range.
    """

    path: str
    offset: int
    length: int
    position: int = 0


def local_path(path: str) -> str:
    """The absolute local path behind a path or `file:` URI.

    Made where the program runs, before anything travels.

    Raises:
        ConfigurationError: another file system's scheme.
    """
    parts = urlsplit(path)
    if "://" in path and parts.scheme not in ("", "file"):
        raise ConfigurationError(
            f"{path}: the file system `{parts.scheme}:` is not supported; give a local path or a `file:` URI"
        )
    return os.path.abspath(os.path.expanduser(unquote(parts.path) if parts.scheme == "file" else path))


def require_files(paths: Sequence[str]) -> None:
    """Checks, where the program runs, that every path leads to a file.

    Raises:
        JobGraphError: a path does not exist, cannot be read, or holds no visible file.
    """
    for path in paths:
        first = next(_walk(path), None)
        if first is None:
            raise JobGraphError(f"{path}: {_why_nothing(path)}")
        if not os.access(first, os.R_OK):
            raise JobGraphError(f"{first}: no permission to read it")


def list_files(paths: Sequence[str]) -> list[tuple[str, int]]:
    """All visible files under the paths and their sizes, each once, in the order of the paths, then by name.

    Directories are walked recursively; names that begin with `.` or `_` are skipped in them, as Flink does,
    but not where a path names such a file itself.

    Raises:
        ResourceError: a file vanished or cannot be looked at.
    """
    found = dict.fromkeys(file for path in paths for file in _walk(path))
    try:
        return [(file, os.stat(file).st_size) for file in found]
    except OSError as error:
        raise ResourceError(f"{error.filename}: {error.strerror} while looking for input files") from error


def cut_files(files: Sequence[tuple[str, int]], parallelism: int, *, is_splittable: bool) -> Iterator[Split]:
    """Byte ranges of the files, in the files' order, small enough that all readers have work.

    Range borders say nothing about records: a format reads what begins inside its range. Compressed files
    stay whole.
    """
    total = sum(size for _, size in files)
    wanted = total // max(1, parallelism * _SPLITS_PER_READER)
    range_bytes = min(_SPLIT_BYTES_MAX, max(_SPLIT_BYTES_MIN, wanted))
    number = 0
    for path, size in files:
        whole = not is_splittable or os.path.splitext(path)[1] in COMPRESSIONS
        step = max(1, size) if whole else range_bytes
        for offset in range(0, size, step):
            yield Split(f"{number:08d}", FileRange(path, offset, min(step, size - offset)))
            number += 1


def _walk(path: str) -> Iterator[str]:
    if os.path.isfile(path):
        yield path
    elif os.path.isdir(path):
        for name in sorted(os.listdir(path)):
            if not name.startswith((".", "_")):
                yield from _walk(os.path.join(path, name))
    elif glob.has_magic(path):
        for match in sorted(glob.glob(path, recursive=True)):
            yield from _walk(match)


def _why_nothing(path: str) -> str:
    if os.path.isdir(path):
        return "the directory holds no visible file to read (names with `.` or `_` in front are skipped)"
    if glob.has_magic(path):
        return "no file matches the pattern"
    return "no such file or directory" if not os.path.exists(path) else "neither a file nor a directory"
