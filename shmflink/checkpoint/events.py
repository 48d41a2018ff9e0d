"""Events and effects of the checkpoint coordinator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from shmflink.checkpoint.handles import OperatorSubtaskState
from shmflink.core.ids import SubtaskId
from shmflink.core.lazy_dataclass import dataclass

__all__ = [
    "Acknowledged",
    "AttemptEnded",
    "AttemptStarted",
    "CheckpointRequested",
    "Declined",
    "Discard",
    "Drain",
    "Effect",
    "Event",
    "FailJob",
    "NotifyAborted",
    "NotifyCompleted",
    "RequestDone",
    "SavepointRequested",
    "StartCheckpoint",
    "Store",
    "StoreFailed",
    "Stored",
    "SwitchToUnaligned",
    "TaskFinished",
    "TaskReachedEnd",
    "Tick",
]

# --- events ---


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    """All tasks run. `tasks` is given if the attempt has other tasks than the previous one (another parallelism).

    `restored_id`: the checkpoint whose state the tasks have.
    """

    tasks: tuple[SubtaskId, ...] | None = None
    restored_id: int | None = None


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed; due at `next_deadline_ms`, harmless at any time."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A task's part is durable. A task reports this for all its snapshots before it reports that it has finished."""

    subtask: SubtaskId
    checkpoint_id: int
    states: tuple[OperatorSubtaskState, ...] = ()
    sync_ns: int = 0
    async_ns: int = 0
    alignment_ns: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Declined:
    """A task's part could not be written; `subtask` is None if it is the JobManager's own part.

    `counts` is False where nothing has failed: a newer checkpoint overtook it.
    """

    subtask: SubtaskId | None
    checkpoint_id: int
    reason: str
    counts: bool = True


@dataclass(frozen=True, slots=True)
class TaskFinished:
    """A task has ended normally: if it has not acknowledged a checkpoint, it ended before the barrier."""

    subtask: SubtaskId


@dataclass(frozen=True, slots=True)
class TaskReachedEnd:
    """A task only has to commit; it waits for a checkpoint that is triggered after this event."""

    subtask: SubtaskId


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """The tasks are failing or being canceled: checkpoints that are not being stored yet are aborted. Sent again when
    all tasks have ended: ends that tasks reported in between no longer count.
    """

    reason: str = "the job stopped"


@dataclass(frozen=True, slots=True)
class SavepointRequested:
    """`target`: the folder for it, None = the configured one. `stops`: the job ends with it; `drains`: its input ends
    first.
    """

    request_id: int
    target: str | None = None
    stops: bool = False
    drains: bool = False


@dataclass(frozen=True, slots=True)
class CheckpointRequested:
    """Requests a checkpoint as soon as one may be triggered."""

    request_id: int


@dataclass(frozen=True, slots=True)
class Stored:
    """The metadata file is durable: the checkpoint exists, at `path`."""

    checkpoint_id: int
    path: str


@dataclass(frozen=True, slots=True)
class StoreFailed:
    """The metadata file could not be written: nothing of the checkpoint is valid."""

    checkpoint_id: int
    reason: str


Event: TypeAlias = (
    AttemptStarted
    | Tick
    | Acknowledged
    | Declined
    | TaskFinished
    | TaskReachedEnd
    | AttemptEnded
    | SavepointRequested
    | CheckpointRequested
    | Stored
    | StoreFailed
)

# --- effects ---


@dataclass(frozen=True, slots=True)
class StartCheckpoint:
    """Snapshot the enumerators, create the folders, send TriggerCheckpoint to all TaskManagers.

    `barrier_kind`: `core.elements.BARRIER_*`. `target`: the folder of a savepoint, if one was named.
    """

    checkpoint_id: int
    barrier_kind: int
    target: str | None = None
    stops: bool = False


@dataclass(frozen=True, slots=True)
class SwitchToUnaligned:
    """An aligned checkpoint takes too long: send TriggerCheckpoint again, unaligned, to all."""

    checkpoint_id: int


@dataclass(frozen=True, slots=True)
class Store:
    """Write the metadata file; answer with Stored or StoreFailed. `finished`: tasks that had ended before the
    barrier.
    """

    checkpoint_id: int
    is_savepoint: bool
    target: str | None
    states: Mapping[SubtaskId, tuple[OperatorSubtaskState, ...]]
    finished: frozenset[SubtaskId]


@dataclass(frozen=True, slots=True)
class NotifyCompleted:
    """Send CheckpointCompleted: sinks commit; with `stops`, sources end.

    The job now restarts from it. A savepoint that does not stop the job is neither announced nor restarted from.
    """

    checkpoint_id: int
    stops: bool = False


@dataclass(frozen=True, slots=True)
class NotifyAborted:
    """Send CheckpointAborted."""

    checkpoint_id: int
    reason: str


@dataclass(frozen=True, slots=True)
class Discard:
    """Delete everything written for it; nothing refers to it."""

    checkpoint_id: int


@dataclass(frozen=True, slots=True)
class FailJob:
    """Too many checkpoints in a row have failed, or a drain could not finish: the attempt fails."""

    reason: str


@dataclass(frozen=True, slots=True)
class RequestDone:
    """Answers a request: `path` of the result, or the `reason` for the failure."""

    request_id: int
    path: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Drain:
    """Send DrainSources: sources end, and every task waits at its end (TaskReachedEnd) for the savepoint."""


Effect: TypeAlias = (
    StartCheckpoint
    | SwitchToUnaligned
    | Store
    | NotifyCompleted
    | NotifyAborted
    | Discard
    | FailJob
    | RequestDone
    | Drain
)
