"""What a task tells the outside. The TaskManager process answers by RPC, the inline mini-cluster by a direct call."""

from __future__ import annotations

import enum
from typing import Protocol

from shmflink.connectors.base import Split
from shmflink.core.ids import SubtaskId

__all__ = ["SplitAnswer", "TaskListener", "TaskState"]


class TaskState(enum.StrEnum):
    """Life of a task attempt (Flink: ExecutionState)."""

    CREATED = "CREATED"
    DEPLOYING = "DEPLOYING"
    INITIALIZING = "INITIALIZING"
    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    CANCELING = "CANCELING"
    CANCELED = "CANCELED"
    FAILED = "FAILED"

    @property
    def is_terminal(self) -> bool:
        return self in (TaskState.FINISHED, TaskState.CANCELED, TaskState.FAILED)


class SplitAnswer(Protocol):
    """Takes the answer to a split request; called in the slot's thread through its mailbox."""

    def __call__(self, split: Split | None, *, exhausted: bool) -> None: ...


class TaskListener(Protocol):
    """Callbacks from slots; they must not block and may be called from any slot's thread."""

    def task_state_changed(self, subtask: SubtaskId, state: TaskState, error: BaseException | None) -> None: ...

    def split_requested(self, subtask: SubtaskId) -> None:
        """A reader needs a split; the answer comes as `Slot.assign_split`."""
        ...
