"""Which CPUs each TaskManager is pinned to. Pure, except `usable_cpus`, which examines the machine, and `CpuClaims`.

Clusters of one user do not pin to the same CPUs: each claims its own. If no CPU is left for a TaskManager, it runs
unpinned, on any CPU that is free at the moment.
"""

from __future__ import annotations

import fcntl
import glob
import os
from collections.abc import Iterable, Sequence
from typing import Final

__all__ = ["CpuClaims", "cpus_by_node", "cpus_of_taskmanagers", "parse_cpu_list", "placed", "usable_cpus"]

_CLAIMS: Final = "cpus"


def cpus_of_taskmanagers(cpus: Sequence[int], taskmanagers: int, slots_per_taskmanager: int) -> list[tuple[int, ...]]:
    """CPUs of each TaskManager, one per slot, taken from `cpus` in order, cyclically.

    With fewer CPUs than slots, slots share CPUs; with more, the last ones remain free for other work.
    """
    chosen = []
    for index in range(taskmanagers):
        first = index * slots_per_taskmanager
        chosen.append(tuple(sorted({cpus[(first + slot) % len(cpus)] for slot in range(slots_per_taskmanager)})))
    return chosen


def placed(
    cpus: Sequence[int], claimed: Sequence[int], taskmanagers: int, slots_per_taskmanager: int
) -> list[tuple[int, ...]]:
    """CPUs of each TaskManager, of those that were `claimed` out of all usable `cpus`; empty if it runs unpinned.

    If a cluster has claimed all CPUs and has more slots than CPUs, its slots share them.
    """
    if len(claimed) == len(cpus):
        return cpus_of_taskmanagers(cpus, taskmanagers, slots_per_taskmanager)
    pinned = min(len(claimed) // slots_per_taskmanager, taskmanagers)
    chosen = cpus_of_taskmanagers(claimed, pinned, slots_per_taskmanager) if pinned else []
    return chosen + [()] * (taskmanagers - pinned)


class CpuClaims:
    """The CPUs that this process has claimed among the clusters of its user.

    A claim is a lock on the byte of its CPU in one file: the kernel drops it with the process, however that ends.
    """

    def __init__(self, folder: str) -> None:
        """`folder` must be private to this user. OSError if the file cannot be opened."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._fd = os.open(os.path.join(folder, _CLAIMS), flags, 0o600)

    def claim(self, cpus: Sequence[int], count: int) -> list[int]:
        """Claims up to `count` of `cpus` that no other cluster has claimed, in order."""
        claimed: list[int] = []
        for cpu in cpus:
            if len(claimed) < count and self._try(cpu):
                claimed.append(cpu)
        return claimed

    def _try(self, cpu: int) -> bool:
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, cpu)
        except BlockingIOError:
            return False
        except PermissionError:  # EACCES means the same (fcntl(2))
            return False
        return True

    def close(self) -> None:
        """Releases all claims. The process owns the locks, so another `CpuClaims` in it loses its claims, too."""
        os.close(self._fd)


def usable_cpus() -> list[int]:
    """CPUs that this process may use (cpuset, taskset), node by node."""
    return cpus_by_node(os.sched_getaffinity(0), _nodes())


def cpus_by_node(allowed: Iterable[int], nodes: Sequence[Sequence[int]]) -> list[int]:
    """The allowed CPUs in order of NUMA node, then number, so that neighbors communicate through near memory."""
    rest = set(allowed)
    ordered = []
    for node in nodes:
        ordered += sorted(rest.intersection(node))
        rest.difference_update(node)
    return ordered + sorted(rest)


def _nodes() -> list[list[int]]:
    nodes = []
    for path in sorted(glob.glob("/sys/devices/system/node/node[0-9]*/cpulist")):
        with open(path, encoding="ascii") as file:
            nodes.append(parse_cpu_list(file.read()))
    return nodes


def parse_cpu_list(text: str) -> list[int]:
    """`0-3,8` as the kernel writes it."""
    cpus: list[int] = []
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        cpus += range(int(first), int(last or first) + 1)
    return cpus
