"""What the kernel tells of a process of the cluster: memory, CPU, threads, descriptors, its log file.

The REST server's process reads /proc: nobody of the cluster is asked or disturbed. Processes of another user, and those
that are gone, tell nothing.
"""

from __future__ import annotations

import os
import stat
from typing import Final

from shmflink.core.lazy_dataclass import dataclass

__all__ = ["ProcessFacts", "ThreadFacts", "log_file", "memory_of_host", "process_facts", "threads"]

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_STATES: Final = {"R": "RUNNABLE", "S": "WAITING", "D": "BLOCKED", "T": "STOPPED", "t": "STOPPED", "Z": "TERMINATED"}
_THREADS_MAX: Final = 1_000
_STDOUT: Final = 1


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """Bytes; `cpu_ns`: user and system time since its start. `anonymous_bytes`: its own memory (heap, buffers);
    `shared_bytes`: arenas and ring memory that it has touched.
    """

    anonymous_bytes: int = 0
    shared_bytes: int = 0
    cpu_ns: int = 0
    threads: int = 0
    descriptors: int = 0
    descriptors_max: int = 0


@dataclass(frozen=True, slots=True)
class ThreadFacts:
    """One thread of a process. `state` as Java names it."""

    name: str
    thread_id: int
    state: str


def process_facts(pid: int) -> ProcessFacts:
    """All zero if there is no such process, or it is another user's."""
    try:
        status = dict(line.split(":\t", 1) for line in _read(f"/proc/{pid}/status").splitlines() if ":\t" in line)
        fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
        descriptors = len(os.listdir(f"/proc/{pid}/fd"))
    except (OSError, ValueError):
        return ProcessFacts()
    return ProcessFacts(
        _kib(status.get("RssAnon", "")),
        _kib(status.get("RssShmem", "")),
        (int(fields[11]) + int(fields[12])) * 1_000_000_000 // _TICKS,
        int(status.get("Threads", "0")),
        descriptors,
        _descriptors_max(pid),
    )


def threads(pid: int) -> list[ThreadFacts]:
    """In the order of their ids; none if there is no such process."""
    found = []
    try:
        ids = sorted(int(name) for name in os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return []
    for thread_id in ids[:_THREADS_MAX]:
        try:
            text = _read(f"/proc/{pid}/task/{thread_id}/stat")
        except OSError:
            continue  # it has ended meanwhile
        name = text[text.index("(") + 1 : text.rindex(")")]
        state = text.rpartition(")")[2].split()[0]
        found.append(ThreadFacts(name, thread_id, _STATES.get(state, state)))
    return found


def log_file(pid: int) -> str | None:
    """The regular file to which a process writes its standard output; None if that is none, or is gone."""
    try:
        link = f"/proc/{pid}/fd/{_STDOUT}"
        path, found = os.readlink(link), os.stat(link)
    except OSError:
        return None
    is_file = stat.S_ISREG(found.st_mode) and os.path.isabs(path)
    return path if is_file and found.st_uid == os.getuid() and os.path.isfile(path) else None


def memory_of_host() -> tuple[int, int]:
    """Bytes of memory, and how many of them can be had without swapping."""
    found = {}
    for line in _read("/proc/meminfo").splitlines():
        name, _, value = line.partition(":")
        found[name] = _kib(value)
    return found.get("MemTotal", 0), found.get("MemAvailable", 0)


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def _kib(text: str) -> int:
    return int(text.split()[0]) * 1024 if text.split() else 0


def _descriptors_max(pid: int) -> int:
    for line in _read(f"/proc/{pid}/limits").splitlines():
        if line.startswith("Max open files"):
            soft = line.split()[3]
            return int(soft) if soft.isdigit() else -1
    return 0
