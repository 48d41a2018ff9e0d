"""How a job reaches one of its TaskManagers, wherever that runs: by messages. Descriptors never leave the TaskManager's
host: its supervisor keeps those of attempts' memory and passes them on to other TaskManagers.
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
        """The process is gone; sending to it has no effect."""
        ...

    def send(self, message: object) -> None: ...

    def connect_peers(self, epoch: int, peers: Mapping[int, TaskManagerId]) -> None:
        """Passes on the memory that other TaskManagers have prepared for the attempt. `peers`: by their numbers in the
        attempt. They have answered AttemptPrepared without a failure.
        """
        ...

    def release_memory(self, epoch: int) -> None:
        """Everybody who needs the memory that this TaskManager has prepared for the attempt has it: the host closes its
        own descriptors. Idempotent.
        """
        ...

    def kill(self, why: str) -> None:
        """SIGKILL; `why` completes "TaskManager 2 (pid 77) ..." in the error."""
        ...

    def task_counters(self, block: int) -> TaskCounters:
        """Of the task whose counters are in this block, without asking the TaskManager."""
        ...

    def operator_counters(self, block: int) -> OperatorCounters:
        """Of the operator whose counters are in this block."""
        ...
