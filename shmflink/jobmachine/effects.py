"""What a job machine asks for. Effects are performed in their order; what an effect is answered by, it says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from shmflink.checkpoint.events import Store
from shmflink.checkpoint.handles import CheckpointLocation
from shmflink.checkpoint.manifest import Manifest
from shmflink.checkpoint.retention import Deletions
from shmflink.core.elements import Barrier
from shmflink.core.ids import SubtaskId, TaskManagerId
from shmflink.core.lazy_dataclass import dataclass
from shmflink.graph.execution_graph import ExecutionGraph
from shmflink.jobmachine.events import Timer
from shmflink.rpc.messages import Failure
from shmflink.rpc.states import JobState

__all__ = [
    "Answer",
    "AttemptOver",
    "BeginAttempt",
    "CancelTasks",
    "CloseEnumerators",
    "CloseStorage",
    "DeleteFiles",
    "Deploy",
    "DiscardClaimed",
    "DiscardFolder",
    "DrainSources",
    "Effect",
    "ForgetSplits",
    "KeepEnd",
    "KeepPointers",
    "KillTaskManagers",
    "Log",
    "MakeFolder",
    "Notice",
    "OpenEnumerators",
    "OpenStorage",
    "Over",
    "PrepareRestore",
    "ReleaseMemory",
    "ResetReaders",
    "SetTimer",
    "StartTasks",
    "StateEntered",
    "StopTimer",
    "StoreCheckpoint",
    "SwitchToUnaligned",
    "TellAborted",
    "TellCompleted",
    "TriggerCheckpoint",
    "WantSlots",
]

# --- the job ---


@dataclass(frozen=True, slots=True)
class StateEntered:
    """The job is in another state. `failure`: why, where it restarts."""

    state: JobState
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class WantSlots:
    """Request the TaskManagers that the job lacks; answered by SlotsGranted."""


@dataclass(frozen=True, slots=True)
class Over:
    """The last effect: the job is over here, its slots are free. `is_kept`: its checkpoints stay.

    `is_refused`: it could not even begin.
    """

    state: JobState
    failure: Failure | None
    is_kept: bool
    is_refused: bool = False


@dataclass(frozen=True, slots=True)
class KeepEnd:
    """The job is over for ever: no other JobManager runs it again. Answered by EndKept when that is durable; its
    checkpoints go after that, never before, unless `keeps`: they stay.
    """

    state: JobState
    failure: Failure | None
    keeps: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """Of a request: `path` of what was written, else why there is none."""

    request_id: int
    path: str | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """A message for people about a job that continues."""

    text: str


@dataclass(frozen=True, slots=True)
class Log:
    """For the log of the process; `level` as `logging` names it."""

    text: str
    level: Literal["WARNING", "INFO", "DEBUG"] = "WARNING"


@dataclass(frozen=True, slots=True)
class SetTimer:
    """TimerFired in `delay_ms`. Replaces one of the same name."""

    timer: Timer
    delay_ms: int


@dataclass(frozen=True, slots=True)
class StopTimer:
    """The timer must not fire. It may never have been set."""

    timer: Timer


# --- attempts ---


@dataclass(frozen=True, slots=True)
class BeginAttempt:
    """Ask the attempt's TaskManagers for memory; index i of `execution` is `taskmanagers[i]`.

    Answered by MemoryRefused, or by a MemoryReady from each of them.
    """

    execution: ExecutionGraph
    taskmanagers: tuple[TaskManagerId, ...]
    restore_path: str


@dataclass(frozen=True, slots=True)
class Deploy:
    """All memory is ready: share it between the TaskManagers and build the tasks."""

    epoch: int


@dataclass(frozen=True, slots=True)
class StartTasks:
    """Every task is open: let them run."""

    epoch: int


@dataclass(frozen=True, slots=True)
class CancelTasks:
    """Ask these TaskManagers to cancel what still runs. One that is asked twice interrupts user code."""

    epoch: int
    taskmanagers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class KillTaskManagers:
    """These have not stopped in time; `why` completes "TaskManager 2 (pid 77) ..."."""

    epoch: int
    taskmanagers: tuple[int, ...]
    why: str


@dataclass(frozen=True, slots=True)
class ReleaseMemory:
    """The attempt's tasks are over. Answered by MemoryReleased or TaskManagerLost of each."""

    epoch: int
    taskmanagers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AttemptOver:
    """All memory of the attempt is released."""

    epoch: int


# --- enumerators ---


@dataclass(frozen=True, slots=True)
class OpenEnumerators:
    """Closes those that there are and makes new ones from `states`, by operator. `remembers`: what readers are handed
    out is kept from the start on, because regions fail over alone. Answered by EnumeratorsOpened or EnumeratorsFailed.
    """

    states: Mapping[str, bytes]
    remembers: bool


@dataclass(frozen=True, slots=True)
class ResetReaders:
    """These readers begin again from this checkpoint (None: from nothing); other readers of their sources continue."""

    readers: tuple[SubtaskId, ...]
    restored_id: int | None


@dataclass(frozen=True, slots=True)
class ForgetSplits:
    """No restore goes back before this checkpoint."""

    oldest_id: int


@dataclass(frozen=True, slots=True)
class CloseEnumerators:
    """The job is over."""


# --- checkpoints: messages ---


@dataclass(frozen=True, slots=True)
class TriggerCheckpoint:
    """Take the enumerators' states, then tell all TaskManagers of these attempts, on the connection on which splits are
    assigned. Answered at once by Triggered or TriggerRefused.
    """

    epochs: tuple[int, ...]
    barrier: Barrier
    location: CheckpointLocation
    stops: bool


@dataclass(frozen=True, slots=True)
class SwitchToUnaligned:
    """The checkpoint was triggered aligned and takes too long: tell all TaskManagers again."""

    epochs: tuple[int, ...]
    barrier: Barrier
    location: CheckpointLocation
    stops: bool


@dataclass(frozen=True, slots=True)
class TellCompleted:
    """Sinks commit; with `stops` sources end."""

    epochs: tuple[int, ...]
    checkpoint_id: int
    stops: bool


@dataclass(frozen=True, slots=True)
class TellAborted:
    """Tasks forget the checkpoint."""

    epochs: tuple[int, ...]
    checkpoint_id: int


@dataclass(frozen=True, slots=True)
class DrainSources:
    """Sources end; every task waits at its end for the savepoint."""

    epochs: tuple[int, ...]


# --- the disk ---


@dataclass(frozen=True, slots=True)
class OpenStorage:
    """Find what the job can start from. Answered by StorageOpened or StorageRefused."""


@dataclass(frozen=True, slots=True)
class PrepareRestore:
    """Read the newest of these, newest first, that can be read. `is_whole`: no task of the job runs, so enumerators are
    opened anew and leftovers are wanted. Answered by RestorePrepared with `attempts` epochs, or RestoreFailed.
    """

    directories: tuple[str, ...]
    is_whole: bool
    attempts: int


@dataclass(frozen=True, slots=True)
class MakeFolder:
    """Of a checkpoint, or of a savepoint in `target`. Answered by FolderMade or FolderRefused."""

    checkpoint_id: int
    target: str | None = None


@dataclass(frozen=True, slots=True)
class StoreCheckpoint:
    """Write the manifest. Answered by CheckpointStored or CheckpointNotStored."""

    store: Store
    enumerators: Mapping[int, bytes]
    location: CheckpointLocation
    timestamp_ms: int
    epoch: int


@dataclass(frozen=True, slots=True)
class KeepPointers:
    """What the job restarts from, newest first, for another JobManager. Answered by PointersKept when it is durable."""

    directories: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeleteFiles:
    """No restore needs these files any longer. Files that cannot be removed are logged and stay."""

    deletions: Deletions


@dataclass(frozen=True, slots=True)
class DiscardFolder:
    """Remove the folder of an aborted checkpoint."""

    directory: str


@dataclass(frozen=True, slots=True)
class DiscardClaimed:
    """Remove the checkpoint that the job was started from and that it owns."""

    directory: str
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class CloseStorage:
    """After all other disk operations: unlock the job's folder, or remove it. Answered by StorageClosed."""

    keeps: bool


Effect: TypeAlias = (
    StateEntered
    | WantSlots
    | KeepEnd
    | Over
    | Answer
    | Notice
    | Log
    | SetTimer
    | StopTimer
    | BeginAttempt
    | Deploy
    | StartTasks
    | CancelTasks
    | KillTaskManagers
    | ReleaseMemory
    | AttemptOver
    | OpenEnumerators
    | ResetReaders
    | ForgetSplits
    | CloseEnumerators
    | TriggerCheckpoint
    | SwitchToUnaligned
    | TellCompleted
    | TellAborted
    | DrainSources
    | OpenStorage
    | PrepareRestore
    | MakeFolder
    | StoreCheckpoint
    | KeepPointers
    | DeleteFiles
    | DiscardFolder
    | DiscardClaimed
    | CloseStorage
)
