"""What a task reports. The TaskManager process forwards it by RPC, the inline mini-cluster by a direct call."""

from __future__ import annotations

from typing import Protocol

from shmflink.core.ids import SubtaskId
from shmflink.rpc.states import TaskState
from shmflink.taskmanager.task_states import TaskSnapshot

__all__ = ["TaskListener", "TaskState"]


class TaskListener(Protocol):
    """Callbacks from slots; they must not block and may be called from any slot's thread."""

    def task_state_changed(self, subtask: SubtaskId, state: TaskState, error: BaseException | None) -> None: ...

    def split_requested(self, subtask: SubtaskId) -> None:
        """A reader needs a split; the answer comes as `Slot.assign_split`."""
        ...

    def snapshot_taken(self, snapshot: TaskSnapshot) -> None:
        """Writes the snapshot and acknowledges it to the JobManager. With FINAL_CHECKPOINT_ID: marks its parts as
        saved, then reports `task_ending`.
        """
        ...

    def snapshot_given_up(self, subtask: SubtaskId, checkpoint_id: int, reason: str) -> None:
        """The task takes no part in this checkpoint."""
        ...

    def task_ending(self, subtask: SubtaskId) -> None:
        """The task waits for one more checkpoint, or without checkpoints for all other tasks."""
        ...
