"""Counts the kills of the kernel's out-of-memory killer in this process's cgroup or host."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

__all__ = ["oom_kill_files", "oom_kills"]

_VMSTAT: Final = "/proc/vmstat"


def oom_kills(cgroup_file: str = "/proc/self/cgroup", mounts_file: str = "/proc/self/mountinfo") -> int:
    """Kills in this process's own memory cgroup (version 1 or 2), otherwise on the whole host; 0 if they are not
    counted.

    Source: Linux, admin-guide/cgroup-v2 (memory.events) and cgroup-v1/memory (memory.oom_control).
    """
    for path in (*oom_kill_files(cgroup_file, mounts_file), _VMSTAT):
        count = _read(path)
        if count is not None:
            return count
    return 0


def oom_kill_files(cgroup_file: str, mounts_file: str) -> Iterator[str]:
    """The files that count kills, for the process that the two files of its /proc folder describe."""
    mounts = list(_mounts(mounts_file))
    for line in _lines(cgroup_file):
        number, controllers, path = line.split(":", 2)
        is_v2 = number == "0" and not controllers
        if not is_v2 and "memory" not in controllers.split(","):
            continue
        name = "memory.events" if is_v2 else "memory.oom_control"
        for kind, options, root, point in mounts:
            if kind == "cgroup2" if is_v2 else kind == "cgroup" and "memory" in options.split(","):
                yield f"{point}/{_below(path, root)}/{name}"


def _below(path: str, root: str) -> str:
    """A cgroup's path below a mount that shows the hierarchy from `root` on (a container's)."""
    inside = path.removeprefix(root) if root != "/" and (path + "/").startswith(root + "/") else path
    return inside.strip("/")


def _mounts(mounts_file: str) -> Iterator[tuple[str, str, str, str]]:
    """Type, super options, root and mount point of each mount."""
    for line in _lines(mounts_file):
        before, _, after = line.partition(" - ")
        fields, kinds = before.split(), after.split()
        if len(fields) >= 5 and len(kinds) >= 3:
            yield kinds[0], kinds[2], fields[3], fields[4]


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read().splitlines()
    except OSError:
        return []


def _read(path: str) -> int | None:
    """The number in the line `oom_kill N` of a file; None if there is none."""
    for line in _lines(path):
        name, _, value = line.partition(" ")
        if name == "oom_kill" and value.strip().isdigit():
            return int(value)
    return None
