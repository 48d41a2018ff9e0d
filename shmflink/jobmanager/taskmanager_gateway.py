"""How a job reaches one of its TaskManagers, on any host: by messages. Descriptors never leave the TaskManager's host:
its supervisor holds those of attempts' memory and passes them on to other TaskManagers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from shmflink.core.ids import TaskManagerId
from shmflink.metrics.counters import OperatorCounters, TaskCounters

__all__ = ["TaskManagerGateway"]


class TaskManagerGateway(Protocol):
    """One TaskManager. No method waits."""

    @property
    def id(self) -> TaskManagerId: ...

    @property
    def is_lost(self) -> bool:
        """Whether the process is gone; then sending has no effect."""
        ...

    def send(self, message: object) -> None: ...

    def connect_peers(self, epoch: int, peers: Mapping[int, TaskManagerId]) -> None:
        """Sends the memory that other TaskManagers have prepared for the attempt. `peers`: those TaskManagers by their
        numbers in the attempt. All of them must have answered AttemptPrepared without a failure.
        """
        ...

    def release_memory(self, epoch: int) -> None:
        """Called when all receivers have the memory that this TaskManager has prepared for the attempt: the host closes
        its own descriptors. Idempotent.
        """
        ...

    def kill(self, why: str) -> None:
        """SIGKILL; `why` completes "TaskManager 2 (pid 77) ..." in the error."""
        ...

    def task_counters(self, block: int) -> TaskCounters:
        """Counters of the task with this block, without a message to the TaskManager."""
        ...

    def operator_counters(self, block: int) -> OperatorCounters:
        """Counters of the operator with this block."""
        ...
