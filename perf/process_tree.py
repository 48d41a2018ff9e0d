"""What a process and all its descendants take: CPU seconds, and memory at its peak.

Memory is anonymous and shared memory (`Pss_Anon` + `Pss_Shmem`, each shared page divided among those that map it):
what the kernel cannot drop and read again. It is read in full only where a cheap figure shows a new high, because the
kernel walks all page tables for it.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from typing import Final

__all__ = ["ProcessTree", "TreeUsage"]

INTERVAL_SECONDS: Final = 0.05
NEW_HIGH: Final = 1.03
FORK_SERVER: Final = "shmflink-fork"
TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class TreeUsage:
    """Of the whole tree; `forker_mb` of a fork server in it and `forked_mb` of each of its children, by process id.

    The last two are peaks of single processes, pages that they share counted in each. `forked_cpu_s` is what all the
    children together took: the TaskManagers, so the job without the start of the cluster.
    """

    cpu_s: float = 0.0
    forked_cpu_s: float = 0.0
    peak_mb: float = 0.0
    forker_mb: float = 0.0
    forked_mb: dict[int, float] = field(default_factory=dict)


class ProcessTree:
    """Watches a process from a thread until `stop()`."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._ticks: dict[int, int] = {}
        self._usage = TreeUsage()
        self._cheap_high_kb = 0.0
        self._forker = 0
        self._looks = 0
        self._is_stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="process tree", daemon=True)
        self._thread.start()

    def stop(self) -> TreeUsage:
        """Ends the watch. What descendants took after the last look is not in it."""
        self._is_stopped.set()
        self._thread.join()
        self._usage.cpu_s = sum(self._ticks.values()) / TICKS
        self._usage.forked_cpu_s = sum(self._ticks[pid] for pid in self._usage.forked_mb) / TICKS
        return self._usage

    def wait_for_a_look(self) -> None:
        """Returns when the tree was looked at, as a whole, after the call."""
        wanted = self._looks + 2
        while self._looks < wanted and self._thread.is_alive():
            self._is_stopped.wait(INTERVAL_SECONDS / 5)

    def _watch(self) -> None:
        while not self._is_stopped.wait(INTERVAL_SECONDS):
            self._looks += 1
            pids = _descendants(self._pid)
            cheap_kb = sum(self._look(pid) for pid in pids)
            if cheap_kb > self._cheap_high_kb * NEW_HIGH:
                self._cheap_high_kb = cheap_kb
                self._usage.peak_mb = max(self._usage.peak_mb, sum(map(_unreclaimable_kb, pids)) / 1024)

    def _look(self, pid: int) -> int:
        """Notes the process's ticks and its resident memory; returns KiB of anonymous and shared memory."""
        stat, status = _read(pid, "stat"), _fields(_read(pid, "status"))
        if not stat or "RssAnon" not in status:
            return 0
        state = stat.rpartition(")")[2].split()
        self._ticks[pid] = int(state[11]) + int(state[12])
        name, parent, own_mb = stat[stat.index("(") + 1 : stat.rindex(")")], int(state[1]), _own_kb(status) / 1024
        if parent == self._forker:
            self._usage.forked_mb[pid] = max(self._usage.forked_mb.get(pid, 0.0), own_mb)
        elif name == FORK_SERVER:
            self._forker, self._usage.forker_mb = pid, max(self._usage.forker_mb, own_mb)
        return _own_kb(status)


def _own_kb(status: dict[str, int]) -> int:
    return status["RssAnon"] + status["RssShmem"]


def _descendants(root: int) -> list[int]:
    found, pending = [], [root]
    while pending:
        pid = pending.pop()
        found.append(pid)
        for task in _tasks(pid):
            pending += map(int, _read(pid, f"task/{task}/children").split())
    return found


def _tasks(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []


def _unreclaimable_kb(pid: int) -> int:
    rolled_up = _fields(_read(pid, "smaps_rollup"))
    return rolled_up.get("Pss_Anon", 0) + rolled_up.get("Pss_Shmem", 0)


def _fields(text: str) -> dict[str, int]:
    """The lines `Name:   123 kB`."""
    parts = (line.split() for line in text.splitlines() if line.endswith(" kB"))
    return {one[0].rstrip(":"): int(one[1]) for one in parts if len(one) == 3}


def _read(pid: int, what: str) -> str:
    try:
        with open(f"/proc/{pid}/{what}", encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""  # it ended
