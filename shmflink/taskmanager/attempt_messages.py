"""Messages of the JobManager to the tasks of an attempt, as calls: the same for every kind of TaskManager."""

from __future__ import annotations

from typing import Any, Protocol

from shmflink.core.ids import SubtaskId
from shmflink.core.serialization import codec
from shmflink.errors import RpcError
from shmflink.rpc.messages import (
    AlignSources,
    AssignSplit,
    CancelTasks,
    CheckpointAborted,
    CheckpointCompleted,
    DrainSources,
    StartTasks,
    TriggerCheckpoint,
)

__all__ = ["AttemptTasks", "tell"]


class AttemptTasks(Protocol):
    """The tasks of one attempt in one TaskManager."""

    def start(self) -> None: ...

    def cancel(self) -> None: ...

    def align(self, subtask: SubtaskId, limit_ms: int) -> None: ...

    def assign_split(self, subtask: SubtaskId, split: Any, *, exhausted: bool) -> None: ...

    def split_failed(self, subtask: SubtaskId, error: BaseException) -> None:
        """A split cannot be loaded here."""
        ...

    def trigger_checkpoint(self, message: TriggerCheckpoint) -> None: ...

    def checkpoint_completed(self, checkpoint_id: int, *, stops: bool) -> None: ...

    def checkpoint_aborted(self, checkpoint_id: int) -> None: ...

    def drain(self) -> None: ...


def tell(attempt: AttemptTasks, message: object) -> None:
    """RpcError if the JobManager does not send such messages."""
    match message:
        case StartTasks():
            attempt.start()
        case CancelTasks():
            attempt.cancel()
        case AlignSources(_, limits):
            for subtask, limit_ms in limits:
                attempt.align(subtask, limit_ms)
        case AssignSplit():
            _assign_split(attempt, message)
        case TriggerCheckpoint():
            attempt.trigger_checkpoint(message)
        case CheckpointCompleted(_, checkpoint_id, stops):
            attempt.checkpoint_completed(checkpoint_id, stops=stops)
        case CheckpointAborted(_, checkpoint_id):
            attempt.checkpoint_aborted(checkpoint_id)
        case DrainSources():
            attempt.drain()
        case _:
            raise RpcError(f"unexpected message from the JobManager: {type(message).__name__}")


def _assign_split(attempt: AttemptTasks, message: AssignSplit) -> None:
    try:
        split = codec.loads_value(message.split) if message.split else None
    except Exception as error:
        attempt.split_failed(message.subtask, error)
        return
    attempt.assign_split(message.subtask, split, exhausted=message.exhausted)
