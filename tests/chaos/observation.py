"""What a run looks like from outside: its checkpoints, its output, and what it leaves behind."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Checkpoints", "Difference", "Output", "difference", "leftover_files", "read_output", "shared_memory_kb"]


class Checkpoints:
    """Those of some jobs, in a folder in which others may have theirs."""

    def __init__(self, folder: Path, job_ids: Callable[[], Collection[str]]) -> None:
        self._folder = folder
        self._job_ids = job_ids

    def _numbers(self) -> Iterator[tuple[int, Path]]:
        for job_id in self._job_ids():
            with contextlib.suppress(OSError):
                for entry in os.scandir(self._folder / job_id):
                    if entry.name.startswith("chk-"):
                        yield int(entry.name[4:]), Path(entry.path)

    def begun(self) -> int:
        """The highest number that there is a folder for; 0 before the first."""
        return max((number for number, _ in self._numbers()), default=0)

    def completed(self) -> int:
        """The highest number that has a manifest; 0 before the first."""
        return max((n for n, path in self._numbers() if (path / "_metadata").exists()), default=0)

    def files(self, number: int) -> list[Path]:
        """Of a checkpoint: its manifest first, then what only it has, then what it shares with others."""
        found: list[Path] = []
        for one, path in self._numbers():
            if one == number:
                with contextlib.suppress(OSError):
                    found += sorted(path.iterdir(), key=lambda file: file.name != "_metadata")
                    found += sorted((path.parent / "shared").iterdir())
        return [file for file in found if file.is_file()]


class Output:
    """Files that a reader can see never change: their sizes are remembered, and compared at the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sizes: dict[Path, int] = {}

    def look(self) -> None:
        for path in visible(self._folder):
            with contextlib.suppress(FileNotFoundError):
                self._sizes.setdefault(path, path.stat().st_size)

    def problems(self) -> list[str]:
        """Of files that were seen half-written, or that went away."""
        changed = []
        for path, size in self._sizes.items():
            now = path.stat().st_size if path.exists() else None
            if now != size:
                changed.append(f"{path.name} was visible with {size} bytes and has {now}")
        return changed


def visible(folder: Path) -> Iterator[Path]:
    for base, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith((".", "_"))]
        yield from (Path(base, name) for name in names if not name.startswith((".", "_")))


def leftover_files(folder: Path) -> list[str]:
    """Hidden files: of writers that never came to their end."""
    return [
        os.path.join(base, name)
        for base, _, names in os.walk(folder)
        for name in names
        if name.startswith((".", "_")) or name.endswith(".part")
    ]


def read_output(folder: Path) -> list[bytes]:
    """All visible lines, sorted, each with the folder of the sink and the partitions by value that it is in."""
    lines: list[bytes] = []
    for path in visible(folder):
        sink, *folders = path.parent.relative_to(folder).parts
        prefix = "/".join([sink, *(name for name in folders if "=" in name)]).encode() + b": "
        lines += [prefix + line for line in path.read_bytes().splitlines()]
    lines.sort()
    return lines


@dataclass(frozen=True, slots=True)
class Difference:
    """Of an output and the one of an undisturbed run, in lines."""

    lost: int
    repeated: int
    foreign: int
    example: str

    def __str__(self) -> str:
        return f"{self.lost} lines lost, {self.repeated} repeated, {self.foreign} wrong; such as {self.example}"


def difference(expected: list[bytes], got: list[bytes]) -> Difference | None:
    """None where they are the same, byte for byte."""
    if expected == got:
        return None
    wanted, found = Counter(expected), Counter(got)
    lost, more = wanted - found, found - wanted
    repeated = sum(count for line, count in more.items() if line in wanted)
    example = next(iter([*lost, *more])).decode(errors="replace")
    return Difference(lost.total(), repeated, more.total() - repeated, example)


def shared_memory_kb() -> int:
    """Shmem of the whole machine."""
    with open("/proc/meminfo") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Shmem:"))
