"""`/taskmanagers`, and what `/jobmanager` tells of its process.

A TaskManager here is a Python process without a JVM. Fields about its memory mean: heap, the process's own memory
(anonymous pages); mapped, shared memory that it has touched. What has no counterpart is 0, or -1 for a maximum.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from typing import Final

from shmflink.core.lazy_dataclass import dataclass
from shmflink.rest.process_facts import ProcessFacts, ThreadFacts
from shmflink.rpc.read_messages import TaskManagerRead

__all__ = ["HostFacts", "environment", "taskmanager", "taskmanager_detail", "taskmanagers", "thread_dump"]

_NO_PORT: Final = -1
_MEMORY: Final = (
    "frameworkHeap", "taskHeap", "frameworkOffHeap", "taskOffHeap", "networkMemory", "managedMemory", "jvmMetaspace",
    "jvmOverhead", "totalFlinkMemory", "totalProcessMemory",
)  # fmt: skip
_SHUFFLE: Final = (
    "nettyShuffleMemorySegmentsAvailable", "nettyShuffleMemorySegmentsUsed", "nettyShuffleMemorySegmentsTotal",
    "nettyShuffleMemoryAvailable", "nettyShuffleMemoryUsed", "nettyShuffleMemoryTotal",
)  # fmt: skip

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class HostFacts:
    """Of the machine that the TaskManagers are on."""

    name: str
    cpus: int
    memory_bytes: int
    available_bytes: int


def taskmanagers(found: Sequence[TaskManagerRead], tasks: Mapping[str, int], host: HostFacts, now_ms: int) -> Json:
    """`/taskmanagers`; those that are up. `tasks`: how many each runs, by its name."""
    ready = [one for one in found if one.is_ready]
    return {"taskmanagers": [taskmanager(one, tasks.get(one.name, 0), host, now_ms) for one in ready]}


def taskmanager(one: TaskManagerRead, tasks: int, host: HostFacts, now_ms: int) -> Json:
    """An element of `/taskmanagers`."""
    free = 0 if one.job_id is not None else one.slots
    return {
        "id": one.name,
        "path": f"shmflink://{host.name}/{one.name}",
        "dataPort": _NO_PORT,
        "jmxPort": _NO_PORT,
        "timeSinceLastHeartbeat": now_ms - one.heartbeat_age_ms,
        "slotsNumber": one.slots,
        "freeSlots": free,
        "assignedTasks": tasks,
        "totalResource": _resource(one.slots),
        "freeResource": _resource(free),
        "hardware": {
            "cpuCores": host.cpus,
            "physicalMemory": host.memory_bytes,
            "freeMemory": host.available_bytes,
            "managedMemory": 0,
        },
        "memoryConfiguration": dict.fromkeys(_MEMORY, 0),
    }


def taskmanager_detail(one: TaskManagerRead, tasks: int, host: HostFacts, now_ms: int, facts: ProcessFacts) -> Json:
    """`/taskmanagers/:taskmanagerid`."""
    slots: list[Json] = []
    if one.job_id is not None:
        slot = {"jobId": one.job_id.hex, "resource": _resource(1), "assignedTasks": -(-tasks // one.slots)}
        slots = [dict(slot) for _ in range(one.slots)]
    return {
        **taskmanager(one, tasks, host, now_ms),
        "allocatedSlots": slots,
        "metrics": {
            "heapUsed": facts.anonymous_bytes,
            "heapCommitted": facts.anonymous_bytes,
            "heapMax": host.memory_bytes,
            "nonHeapUsed": 0,
            "nonHeapCommitted": 0,
            "nonHeapMax": -1,
            "directCount": 0,
            "directUsed": 0,
            "directMax": 0,
            "mappedCount": 0,
            "mappedUsed": facts.shared_bytes,
            "mappedMax": facts.shared_bytes,
            **dict.fromkeys(_SHUFFLE, 0),
            "garbageCollectors": [],
        },
    }


def _resource(slots: int) -> Json:
    """A slot is a CPU; memory is not divided among slots."""
    return {
        "cpuCores": float(slots),
        "taskHeapMemory": 0,
        "taskOffHeapMemory": 0,
        "managedMemory": 0,
        "networkMemory": 0,
        "extendedResources": {},
    }


def thread_dump(found: Sequence[ThreadFacts]) -> Json:
    """`.../thread-dump`: names and states of threads as the kernel knows them, without stacks."""
    return {
        "threadInfos": [
            {"threadName": one.name, "stringifiedThreadInfo": f'"{one.name}" Id={one.thread_id} {one.state}\n'}
            for one in found
        ]
    }


def environment() -> Json:
    """`/jobmanager/environment`: there is no JVM, so this is the Python that runs the cluster."""
    version = f"{platform.python_implementation()} {platform.python_version()}, no JVM"
    return {"jvm": {"version": version, "arch": platform.machine(), "options": []}, "classpath": []}
