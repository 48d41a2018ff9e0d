"""Which CPUs each TaskManager is pinned to. Pure; `usable_cpus` reads the machine."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence

__all__ = ["cpus_by_node", "cpus_of_taskmanagers", "parse_cpu_list", "usable_cpus"]


def cpus_of_taskmanagers(cpus: Sequence[int], taskmanagers: int, slots_per_taskmanager: int) -> list[tuple[int, ...]]:
    """CPUs of each TaskManager, one per slot, taken from `cpus` in order, round and round.

    With fewer CPUs than slots some are shared; with more, the last ones stay free for everything else.
    """
    chosen = []
    for index in range(taskmanagers):
        first = index * slots_per_taskmanager
        chosen.append(tuple(sorted({cpus[(first + slot) % len(cpus)] for slot in range(slots_per_taskmanager)})))
    return chosen


def usable_cpus() -> list[int]:
    """CPUs that this process may use (cpuset, taskset), node by node."""
    return cpus_by_node(os.sched_getaffinity(0), _nodes())


def cpus_by_node(allowed: Iterable[int], nodes: Sequence[Sequence[int]]) -> list[int]:
    """The allowed CPUs in order of NUMA node, then number, so that neighbours talk over near memory."""
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
