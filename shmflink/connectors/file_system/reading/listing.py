"""Which files a source reads: paths, directories and globs, in an order that keeps event time together."""

from __future__ import annotations

import glob
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from shmflink.connectors.file_system.file_systems import FileInfo, FileSystem
from shmflink.connectors.file_system.globs import alternatives, has_hidden_name, matcher, wildcard_at
from shmflink.errors import JobGraphError

__all__ = ["find_files", "is_in_progress", "natural_key", "require_files"]

_IN_PROGRESS: Final = (".tmp", ".inprogress", "._COPYING_")


def find_files(files: FileSystem, paths: Sequence[str]) -> list[FileInfo]:
    """All visible files under the paths, each once, in the order of the paths, then by name in natural order.

    Directories are walked recursively. Names that begin with `.` or `_` are skipped in them and by wildcards (`globs`),
    but not where a path names such a file itself. A path, or the first folders of one, that exists under this very name
    is literal, even if it has pattern characters. `part-9` comes before `part-10`.

    Raises:
        ResourceError: a directory cannot be listed.
    """
    found: dict[str, FileInfo] = {}
    for path in paths:
        for info in _find(files, path):
            found.setdefault(info.path, info)
    return list(found.values())


def require_files(files: FileSystem, paths: Sequence[str]) -> list[FileInfo]:
    """`find_files` in the program's process, with errors for users.

    Raises:
        JobGraphError: a path does not exist, cannot be read, or holds no visible file.
    """
    found: dict[str, FileInfo] = {}
    for path in paths:
        here = _find(files, path)
        if not here:
            raise JobGraphError(f"{path}: {_why_nothing(files, path)}")
        if files.is_local(path) and not os.access(here[0].path, os.R_OK):
            raise JobGraphError(f"{here[0].path}: no permission to read it")
        for info in here:
            found.setdefault(info.path, info)
    return list(found.values())


def natural_key(path: str) -> list[list[str | int]]:
    """Sorts folder by folder, and digits as numbers: times in names that are not padded stay in order."""
    return [_natural(name) for name in path.split("/")]


def is_in_progress(path: str) -> bool:
    """Whether the name shows that the file is still being written."""
    name = os.path.basename(path)
    return name.endswith(_IN_PROGRESS) or ".inprogress" in name


_DIGITS: Final = re.compile(r"([0-9]+)")


def _natural(name: str) -> list[str | int]:
    """Text (may be empty) and number alternately, so that text is compared with text and number with number."""
    parts: list[str | int] = [*_DIGITS.split(name)]
    parts[1::2] = map(int, parts[1::2])
    return parts


def _find(files: FileSystem, path: str) -> list[FileInfo]:
    itself = files.stat(path)
    if itself is not None:
        return [itself]
    base = _fixed_part(files, path)
    if base == len(path):
        return _in_order(_visible(files.walk(path), len(path)))
    if files.is_local(path):
        return _in_order(_local_matches(files, path, base))
    return _in_order(_matches(files, path, base))


def _fixed_part(files: FileSystem, path: str) -> int:
    """The number of literal characters at the start of the path: all before the first name that is a pattern."""
    at = wildcard_at(path)
    while at >= 0:
        end = path.find("/", at)
        end = len(path) if end < 0 else end
        if not files.is_folder(path[:end]):
            return path.rfind("/", 0, at) + 1
        at = wildcard_at(path, end)
    return len(path)


def _in_order(found: Iterable[FileInfo]) -> list[FileInfo]:
    folders: dict[str, list[list[str | int]]] = {}

    def key(info: FileInfo) -> list[list[str | int]]:
        folder, slash, name = info.path.rpartition("/")
        above = folders.get(folder) if slash else []
        if above is None:
            above = folders[folder] = natural_key(folder)
        return [*above, _natural(name)]

    return sorted(found, key=key)


def _visible(found: Iterable[FileInfo], root: int) -> Iterator[FileInfo]:
    """The paths without a hidden name below the first `root` characters."""
    for info in found:
        if not has_hidden_name(info.path[root:]):
            yield info


def _local_matches(files: FileSystem, pattern: str, base: int) -> Iterator[FileInfo]:
    wanted = matcher(pattern, base)
    names = [glob.escape(one[:base]) + one[base:] for one in alternatives(pattern, base)]
    for match in itertools.chain.from_iterable(glob.iglob(name, recursive=True) for name in names):
        known = wanted.fullmatch(match)
        if known is None or has_hidden_name(known["below"] or ""):
            continue  # a hidden name that Python's wildcards match
        if os.path.isdir(match):
            if not match.endswith(os.sep):  # `**` also matches every folder on its way
                yield from _visible(files.walk(match), len(match))
        elif (info := files.stat(match)) is not None:
            yield info


def _matches(files: FileSystem, pattern: str, base: int) -> Iterator[FileInfo]:
    """Like the local glob, but over a listing of everything below the fixed part of the pattern."""
    wanted = matcher(pattern, base)
    for info in files.walk(pattern[: max(0, base - 1)]):
        match = wanted.fullmatch(info.path)
        if match is not None and not has_hidden_name(match["below"] or ""):
            yield info


def _why_nothing(files: FileSystem, path: str) -> str:
    if _fixed_part(files, path) < len(path):
        return (
            "no visible file matches the pattern (`*`, `?`, `[a-z]`, `**` and `{a,b}` are supported; wildcards "
            "skip names "
            "that begin with `.` or `_`)"
        )
    if not files.is_local(path):
        return "no such file, or no visible file under it"
    if os.path.isdir(path):
        return "the directory has no visible file to read (names that begin with `.` or `_` are skipped)"
    return "no such file or directory" if not os.path.exists(path) else "neither a file nor a directory"
