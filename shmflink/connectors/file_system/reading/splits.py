"""How large input files are cut into splits, and how small files share one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Final
from urllib.parse import unquote, urlsplit

from shmflink.connectors.base import Split
from shmflink.connectors.file_system.file_systems import FileInfo
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.serialization.plain_values import register_plain
from shmflink.errors import ConfigurationError

__all__ = ["COMPRESSIONS", "FileRange", "FileRanges", "compression_of", "cut_files", "local_path"]

COMPRESSIONS: Final = {
    ".gz": "gzip",
    ".gzip": "gzip",
    ".bz2": "bz2",
    ".zst": "zstd",
    ".zstd": "zstd",
    ".xz": "xz",
    ".lz4": "lz4",
    ".zip": "zip",
}
"""Endings of compressed files' names, in upper or lower case. Such a file is one split."""

_SPLIT_BYTES_MIN: Final = 1 << 20
_SPLIT_BYTES_MAX: Final = 32 << 20
_SPLITS_PER_READER: Final = 4
_OPEN_COST_BYTES: Final = 16 << 10  # opening a file takes about as long as reading this many bytes of it
_FILES_OF_SPLIT_MAX: Final = 512


@dataclass(frozen=True, slots=True)
class FileRange:
    """Bytes [offset, offset + length) of a file: what a format opens.

    `position` is how far the format has read; the format chooses the unit: bytes, lines or rows from the start of the
    range. `listed`: the file as it was listed; None if changes are not detected.
    """

    path: str
    offset: int
    length: int
    position: int = 0
    listed: FileInfo | None = None


@dataclass(frozen=True, slots=True)
class FileRanges:
    """A split's payload: ranges of one or of several small files, read one after the other.

    `rows`: how many rows of the first range were read, if the source numbers rows.
    """

    ranges: tuple[FileRange, ...]
    rows: int = 0


def compression_of(path: str) -> str | None:
    """The compression that a file's name indicates."""
    return COMPRESSIONS.get(os.path.splitext(path)[1].lower())


def local_path(path: str) -> str:
    """The absolute local path behind a path or `file:` URI.

    Called in the program's process, before the job is submitted.

    Raises:
        ConfigurationError: the scheme belongs to another file system.
    """
    parts = urlsplit(path)
    if "://" in path and parts.scheme not in ("", "file"):
        raise ConfigurationError(
            f"{path}: the file system `{parts.scheme}:` is not supported; give a local path or a `file:` URI"
        )
    return os.path.abspath(os.path.expanduser(unquote(parts.path) if parts.scheme == "file" else path))


def cut_files(
    files: Sequence[FileInfo], parallelism: int, may_cut: Callable[[str], bool], first_number: int = 0
) -> Iterator[Split]:
    """Splits of the files, in the files' order: small enough that all readers get work, but small files share a split.
    Their payload is a `FileRanges`; their size is in bytes.

    Ranges do not end at record boundaries: a format reads the records that begin inside its range. A file for which
    `may_cut` is False stays whole. Empty files are left out.
    """
    total = sum(info.size + _OPEN_COST_BYTES for info in files)
    wanted = total // max(1, parallelism * _SPLITS_PER_READER)
    split_bytes = min(_SPLIT_BYTES_MAX, max(_SPLIT_BYTES_MIN, wanted))
    number = first_number
    small: list[FileRange] = []
    small_cost = 0
    for info in files:
        if not info.size:
            continue
        ranges = _ranges_of(info, split_bytes if may_cut(info.path) else info.size)
        cost = info.size + _OPEN_COST_BYTES
        is_small = len(ranges) == 1 and cost < split_bytes
        if small and (not is_small or small_cost + cost > split_bytes or len(small) == _FILES_OF_SPLIT_MAX):
            yield _split(number, small)
            number += 1
            small, small_cost = [], 0
        if is_small:
            small += ranges
            small_cost += cost
            continue
        for one in ranges:
            yield _split(number, [one])
            number += 1
    if small:
        yield _split(number, small)


def _ranges_of(info: FileInfo, step: int) -> list[FileRange]:
    return [
        FileRange(info.path, offset, min(step, info.size - offset), listed=info) for offset in range(0, info.size, step)
    ]


def _split(number: int, ranges: list[FileRange]) -> Split:
    return Split(f"{number:08d}", FileRanges(tuple(ranges)), sum(one.length for one in ranges))


register_plain(FileRange, FileRanges)
