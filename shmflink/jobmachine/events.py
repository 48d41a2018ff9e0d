"""Events of a job machine: what happened to the job, and the answers to its effects."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from shmflink.checkpoint.events import Acknowledged, Declined, TaskReachedEnd
from shmflink.checkpoint.handles import CheckpointLocation
from shmflink.checkpoint.manifest import Manifest
from shmflink.core.ids import SubtaskId, TaskManagerId
from shmflink.core.lazy_dataclass import dataclass
from shmflink.rpc.messages import CallUnderWay, Failure
from shmflink.rpc.states import TaskState

__all__ = [
    "AttemptEvent",
    "BeginningEvent",
    "CallReported",
    "CancelRequested",
    "CheckpointEvent",
    "CheckpointNotStored",
    "CheckpointStored",
    "CheckpointWanted",
    "Crashed",
    "EndKept",
    "EnumeratorFailed",
    "EnumeratorsFailed",
    "EnumeratorsOpened",
    "Event",
    "FolderMade",
    "FolderRefused",
    "JobEvent",
    "KnownCheckpoint",
    "Leftovers",
    "MemoryReady",
    "MemoryRefused",
    "MemoryReleased",
    "PointersKept",
    "RequestEvent",
    "RestoreFailed",
    "RestorePoint",
    "RestorePrepared",
    "SavepointWanted",
    "SlotsGranted",
    "StorageClosed",
    "StorageOpened",
    "StorageRefused",
    "Submitted",
    "SuspendRequested",
    "TaskEvent",
    "TaskManagerLost",
    "TaskReported",
    "TaskSaid",
    "Timer",
    "TimerFired",
    "TimerKind",
    "TriggerRefused",
    "Triggered",
]


class TimerKind(enum.StrEnum):
    """What a job waits for."""

    RESTART = "restart"
    CHECKPOINTS = "checkpoints"
    SUSPEND = "suspend"
    CANCELLATION = "cancellation"
    CANCEL_AGAIN = "cancel again"


class Timer(NamedTuple):
    """One timer of a job; `epoch` for those that belong to an attempt."""

    kind: TimerKind
    epoch: int = 0


# --- from outside ---


@dataclass(frozen=True, slots=True)
class Submitted:
    """The first event of a job."""


@dataclass(frozen=True, slots=True)
class SlotsGranted:
    """Answers `WantSlots`: the TaskManagers that the job lacks, with `per` slots each."""

    taskmanagers: tuple[TaskManagerId, ...]
    per: int


@dataclass(frozen=True, slots=True)
class TaskManagerLost:
    """One of the job's TaskManagers is gone."""

    taskmanager: TaskManagerId
    failure: Failure


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """The user cancels; `force` kills the TaskManagers."""

    force: bool = False


@dataclass(frozen=True, slots=True)
class SuspendRequested:
    """The job stops here, after one more checkpoint if it can take one; another JobManager may resume it."""


@dataclass(frozen=True, slots=True)
class SavepointWanted:
    """Answered by `Answer`. `target`: the folder, empty = the configured one."""

    request_id: int
    target: str
    stops: bool = False
    drains: bool = False


@dataclass(frozen=True, slots=True)
class CheckpointWanted:
    """Answered by `Answer`."""

    request_id: int


@dataclass(frozen=True, slots=True)
class TimerFired:
    """The delay of `SetTimer` has passed."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class Crashed:
    """Our own code raised while it served the job, so the state of the job is no longer reliable."""

    failure: Failure


# --- what TaskManagers say ---


@dataclass(frozen=True, slots=True)
class MemoryReady:
    """The TaskManager with this index in the execution graph has the attempt's memory, or could not get it."""

    epoch: int
    taskmanager: int
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class MemoryReleased:
    """The TaskManager with this index in the execution graph has released the attempt's memory."""

    epoch: int
    taskmanager: int


@dataclass(frozen=True, slots=True)
class TaskReported:
    """A task has entered a state."""

    epoch: int
    subtask: SubtaskId
    state: TaskState
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class TaskSaid:
    """What a task says of checkpoints."""

    epoch: int
    event: Acknowledged | Declined | TaskReachedEnd


@dataclass(frozen=True, slots=True)
class CallReported:
    """A call of user code does not return."""

    call: CallUnderWay


# --- answers to effects: attempts ---


@dataclass(frozen=True, slots=True)
class MemoryRefused:
    """The attempt needs more memory than there is; no TaskManager was asked."""

    epoch: int
    failure: Failure


@dataclass(frozen=True, slots=True)
class EnumeratorsOpened:
    """`OpenEnumerators` is done."""


@dataclass(frozen=True, slots=True)
class EnumeratorsFailed:
    """`OpenEnumerators` raised."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class EnumeratorFailed:
    """An enumerator raised when it was asked for a split for a task of this attempt."""

    epoch: int
    failure: Failure


# --- answers to effects: the disk ---


@dataclass(frozen=True, slots=True)
class RestorePoint:
    """A checkpoint that an attempt resumes from: its folder and what it says of itself."""

    directory: str
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class KnownCheckpoint:
    """A checkpoint that the job can restart from.

    `checkpoint_id` is 0 if another job wrote it. `is_in_folder`: it is in the job's own folder, so that retention
    counts it.
    """

    directory: str
    checkpoint_id: int
    is_in_folder: bool = False


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What lies in the job's folder: ids of checkpoints, complete or not; shared files as manifests name them."""

    checkpoints: tuple[int, ...] = ()
    shared_files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StorageOpened:
    """`known`, newest first; `retained`: manifests of those in the job's folder. `claimed`: what the job was started
    from, where it is the job's to delete. `next_id` is above every checkpoint that the job has had.
    """

    next_id: int = 1
    known: tuple[KnownCheckpoint, ...] = ()
    retained: tuple[Manifest, ...] = ()
    claimed: RestorePoint | None = None


@dataclass(frozen=True, slots=True)
class StorageRefused:
    """Checkpoints cannot be written, or the one to start from does not fit."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class RestorePrepared:
    """`restore`: the newest that can be read, None where there is none. `damaged`: newer ones, with what is wrong with
    them. `enumerators`: states of sources by operator. `epochs`: one for each attempt that begins.
    """

    restore: RestorePoint | None
    epochs: tuple[int, ...]
    damaged: tuple[tuple[str, str], ...] = ()
    enumerators: Mapping[str, bytes] | None = None
    leftovers: Leftovers | None = None


@dataclass(frozen=True, slots=True)
class RestoreFailed:
    """`PrepareRestore` cannot be done."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class FolderMade:
    """Answers `MakeFolder`. `timestamp_ms`: the wall clock's, for people and for the barrier."""

    checkpoint_id: int
    location: CheckpointLocation
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class FolderRefused:
    """The folder of a checkpoint cannot be made."""

    checkpoint_id: int
    reason: str


@dataclass(frozen=True, slots=True)
class Triggered:
    """Answers `TriggerCheckpoint`: states of the enumerators, by vertex."""

    checkpoint_id: int
    enumerators: Mapping[int, bytes]


@dataclass(frozen=True, slots=True)
class TriggerRefused:
    """An enumerator could not be snapshot; no task was told of the checkpoint. `counts`: writing failed, not the
    user's code (Flink counts no other failure to trigger).
    """

    checkpoint_id: int
    reason: str
    counts: bool = True


@dataclass(frozen=True, slots=True)
class CheckpointStored:
    """The manifest is durable. `shared_files`: those in the job's folder."""

    checkpoint_id: int
    manifest: Manifest
    shared_files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckpointNotStored:
    """The manifest could not be written."""

    checkpoint_id: int
    reason: str


@dataclass(frozen=True, slots=True)
class PointersKept:
    """Answers `KeepPointers`, in its order."""


@dataclass(frozen=True, slots=True)
class EndKept:
    """Answers `KeepEnd`."""


@dataclass(frozen=True, slots=True)
class StorageClosed:
    """Answers `CloseStorage`."""


RequestEvent: TypeAlias = Submitted | CancelRequested | SuspendRequested | SavepointWanted | CheckpointWanted
TaskEvent: TypeAlias = TaskReported | TaskSaid | CallReported
AttemptEvent: TypeAlias = MemoryRefused | MemoryReady | MemoryReleased | EnumeratorFailed
BeginningEvent: TypeAlias = (
    StorageOpened
    | StorageRefused
    | SlotsGranted
    | RestorePrepared
    | RestoreFailed
    | EnumeratorsOpened
    | EnumeratorsFailed
)
CheckpointEvent: TypeAlias = (
    FolderMade | FolderRefused | Triggered | TriggerRefused | CheckpointStored | CheckpointNotStored | PointersKept
)
JobEvent: TypeAlias = TaskManagerLost | TimerFired | Crashed | EndKept | StorageClosed
Event: TypeAlias = RequestEvent | TaskEvent | AttemptEvent | BeginningEvent | CheckpointEvent | JobEvent
