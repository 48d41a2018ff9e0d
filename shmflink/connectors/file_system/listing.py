"""Which files a source reads: paths, directories and globs, in an order that keeps event time together."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from shmflink.connectors.file_system.file_systems import FileInfo, FileSystem
from shmflink.errors import JobGraphError

__all__ = ["find_files", "is_in_progress", "natural_key", "require_files"]

_IN_PROGRESS: Final = (".tmp", ".inprogress", "._COPYING_")


def find_files(files: FileSystem, paths: Sequence[str]) -> list[FileInfo]:
    """All visible files under the paths, each once, in the order of the paths, then by name in natural order.

    Directories are walked recursively; names that begin with `.` or `_` are skipped in them, as Flink does, but not
    where a path names such a file itself. `part-9` comes before `part-10`.

    Raises:
        ResourceError: a directory cannot be listed.
    """
    found: dict[str, FileInfo] = {}
    for path in paths:
        for info in _find(files, path):
            found.setdefault(info.path, info)
    return list(found.values())


def require_files(files: FileSystem, paths: Sequence[str]) -> list[FileInfo]:
    """`find_files`, looked at where the program runs.

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
    """Whether the name says that somebody is still writing the file."""
    name = os.path.basename(path)
    return name.endswith(_IN_PROGRESS) or ".inprogress" in name


_DIGITS: Final = re.compile(r"([0-9]+)")


def _natural(name: str) -> list[str | int]:
    """Text (maybe empty) and number in turns, so that like is compared with like."""
    parts: list[str | int] = [*_DIGITS.split(name)]
    parts[1::2] = map(int, parts[1::2])
    return parts


def _find(files: FileSystem, path: str) -> list[FileInfo]:
    itself = files.stat(path)
    if itself is not None:
        return [itself]
    if not glob.has_magic(path):
        return _in_order(_visible(files.walk(path), len(path)))
    if files.is_local(path):
        return _in_order(_local_matches(files, path))
    return _in_order(_matches(files, path))


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
    """Those without a hidden name below the first `root` characters of the path."""
    for info in found:
        below = info.path[root:]
        if "/." not in below and "/_" not in below and not below.startswith((".", "_")):
            yield info


def _local_matches(files: FileSystem, pattern: str) -> Iterator[FileInfo]:
    for match in glob.iglob(pattern, recursive=True):
        if os.path.isdir(match):
            if not match.endswith(os.sep):  # `**` names every folder on its way, too
                yield from _visible(files.walk(match), len(match))
        elif (info := files.stat(match)) is not None:
            yield info


def _matches(files: FileSystem, pattern: str) -> Iterator[FileInfo]:
    """As the local glob, over a listing of all that is below the fixed part of the pattern."""
    magic = next(index for index, character in enumerate(pattern) if character in "*?[")
    base = pattern[: max(0, pattern.rfind("/", 0, magic))]
    wanted = re.compile(_expression(pattern) + r"(?P<below>/.*)?")
    for info in files.walk(base):
        match = wanted.fullmatch(info.path)
        if match is None:
            continue
        below = match["below"] or ""
        if "/." not in below and "/_" not in below:
            yield info


_GLOB_TOKEN: Final = re.compile(r"\*\*/|\*\*|\*|\?|\[!?\]?[^\]]*\]")


def _expression(pattern: str) -> str:
    """A regular expression for a glob. Wildcards do not match a name that begins with a dot."""
    made, position = [], 0
    for token in _GLOB_TOKEN.finditer(pattern):
        made.append(re.escape(pattern[position : token.start()]))
        position = token.end()
        text = token.group()
        at_start = token.start() == 0 or pattern[token.start() - 1] == "/"
        visible = r"(?!\.)" if at_start else ""
        if text == "**/":
            made.append(r"(?:(?!\.)[^/]+/)*")
        elif text == "**":
            made.append(visible + r".*")
        elif text == "*":
            made.append(visible + r"[^/]*")
        elif text == "?":
            made.append(visible + r"[^/]")
        else:
            made.append(visible + ("[^" + text[2:] if text.startswith("[!") else text))
    return "".join(made) + re.escape(pattern[position:])


def _why_nothing(files: FileSystem, path: str) -> str:
    if glob.has_magic(path):
        return "no file matches the pattern"
    if not files.is_local(path):
        return "no such file, or no visible file under it"
    if os.path.isdir(path):
        return "the directory holds no visible file to read (names with `.` or `_` in front are skipped)"
    return "no such file or directory" if not os.path.exists(path) else "neither a file nor a directory"
