"""The cluster as those see it who look at it: `rpc.read_messages` of its slots and TaskManagers. Changes nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping

from shmflink.core.clock import Clock
from shmflink.core.ids import TaskManagerId
from shmflink.jobmanager.host_supervisor import HostSupervisor
from shmflink.jobmanager.job_history import taskmanager_name
from shmflink.jobmanager.job_runs import JobRuns
from shmflink.jobmanager.slot_pool import SlotPool
from shmflink.jobmanager.taskmanagers import TaskManager
from shmflink.metrics.counters import HEARTBEAT_WORD
from shmflink.rpc.read_messages import ClusterRead, TaskManagerRead

__all__ = ["ClusterReading"]


class ClusterReading:
    """Of one cluster. Used by the event loop alone."""

    def __init__(
        self,
        name: str,
        configuration: Mapping[str, str],
        host: HostSupervisor,
        slots: SlotPool[TaskManagerId],
        runs: JobRuns,
        clock: Clock,
    ) -> None:
        self._name = name
        self._configuration = configuration
        self._host = host
        self._slots = slots
        self._runs = runs
        self._clock = clock

    def read(self) -> ClusterRead:
        """As it is now."""
        taskmanagers = tuple(self._taskmanager(one) for one in self._host.taskmanagers if not one.is_lost)
        total, free = self._runs.slots_total, self._slots.free
        return ClusterRead(os.getpid(), self._name, total, free, self._configuration, taskmanagers)

    def _taskmanager(self, one: TaskManager) -> TaskManagerRead:
        allocation = self._slots.allocation(one.id)
        return TaskManagerRead(
            taskmanager_name(one.id),
            one.pid,
            self._slots.slots_per_taskmanager,
            one.is_ready,
            self._heartbeat_age_ms(one),
            None if allocation is None else allocation.job_id,
        )

    def _heartbeat_age_ms(self, one: TaskManager) -> int:
        if not one.is_ready:
            return 0
        age_ns = self._clock.monotonic_ns() - int(one.page.load(HEARTBEAT_WORD, 1)[0])
        return max(age_ns // 1_000_000, 0)
