"""The processes of a job, as /proc shows them: who they are, what they hold, and that none is left."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
from dataclasses import dataclass
from typing import Final

__all__ = [
    "KEPT",
    "Cluster",
    "adopt_orphans",
    "cluster_of",
    "descendants",
    "descriptors",
    "end_group",
    "reap",
    "send_signal",
]

_PR_SET_CHILD_SUBREAPER: Final = 36  # linux/prctl.h
KEPT: Final[set[int]] = set()
"""Children that outlive the runs."""
JOBMANAGER: Final = "shmflink-jm"
FORK_SERVER: Final = "shmflink-fork"


@dataclass(frozen=True, slots=True)
class Cluster:
    """Pids at one moment; 0 and empty where there are none just now."""

    jobmanager: int = 0
    fork_server: int = 0
    taskmanagers: tuple[int, ...] = ()


def adopt_orphans() -> None:
    """What a job leaves behind becomes our child, so that it cannot hide."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{thread}/children") as file:
                found += map(int, file.read().split())
    return found


def _name_and_state(pid: int) -> tuple[str, str]:
    try:
        with open(f"/proc/{pid}/stat") as file:
            text = file.read()
    except OSError:
        return "", "X"
    return text[text.index("(") + 1 : text.rindex(")")], text[text.rindex(")") + 2]


def _live_children(pid: int, name: str | None = None) -> list[int]:
    live = []
    for child in _children(pid):
        comm, state = _name_and_state(child)
        if state not in "XZ" and (name is None or comm == name):
            live.append(child)
    return live


def cluster_of(client: int) -> Cluster:
    """The JobManager that the client has started, and what that has started."""
    for jobmanager in _live_children(client, JOBMANAGER):
        for fork_server in _live_children(jobmanager, FORK_SERVER):
            return Cluster(jobmanager, fork_server, tuple(_live_children(fork_server)))
        return Cluster(jobmanager)
    return Cluster()


def descendants(pid: int) -> list[int]:
    """All of them, the dead that nobody has reaped included."""
    found = _children(pid)
    for child in found:
        found += _children(child)
    return found


def descriptors(pid: int) -> int:
    """How many it has open; 0 when it is gone."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def send_signal(pid: int, number: int) -> bool:
    """False when it was gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def end_group(process: subprocess.Popen[bytes]) -> None:
    """The end of a run that went wrong: the client and all that it started."""
    victims = [process.pid, *descendants(process.pid)]
    for pid in victims:
        send_signal(pid, signal.SIGKILL)
    process.wait()
    reap()


def reap() -> list[int]:
    """Collects orphans that have ended; what is left of our children, without those that are to stay."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return []
        if pid == 0:
            return [child for child in _children(os.getpid()) if child not in KEPT]
