"""Every control message, one frozen type each, by direction. JobManager = JM, TaskManager = TM.

A job's life on the wire::

    client -> JM   StartCluster, GrowCluster, SubmitJob        JM -> client   ClusterStarted, JobAdmitted, ...
    JM -> fork server   ForkTaskManager + socket               fork server -> JM   TaskManagerForked + pidfd
    TM -> JM   TaskManagerReady + status page
    JM -> TM   PrepareAttempt                                  TM -> JM   AttemptPrepared + ring memory, arena
    JM -> TM   ConnectPeers + ring memories, arenas            TM -> JM   TaskStateChanged (INITIALIZING)
    JM -> TM   DeployTasks
    JM -> TM   StartTasks, AssignSplit                         TM -> JM   SplitRequested, TaskStateChanged
    JM -> TM   TriggerCheckpoint, CheckpointCompleted, ...     TM -> JM   CheckpointAcknowledged, TaskEnding, ...
    JM -> TM   ReleaseAttempt                                  TM -> JM   AttemptReleased
    JM -> client   JobEnded
"""

from __future__ import annotations

from collections.abc import Mapping

from shmflink.checkpoint.handles import (
    ChannelState,
    CheckpointLocation,
    KeyedStateHandle,
    OperatorSubtaskState,
    StateFile,
)
from shmflink.core.elements import Barrier
from shmflink.core.ids import JobId, SubtaskId
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.ship_strategy import ShipStrategy
from shmflink.graph.execution_graph import (
    ChannelDeployment,
    InputDeployment,
    OutputDeployment,
    TaskDeployment,
)
from shmflink.graph.job_graph import ChainedOperator, JobEdge, JobGraph, JobVertex, NodeKind
from shmflink.rpc.codec import register
from shmflink.rpc.states import JobState, TaskState

__all__ = [
    "AlignSources",
    "AssignSplit",
    "AttemptPrepared",
    "AttemptReleased",
    "CallUnderWay",
    "CancelJob",
    "CancelTasks",
    "CheckpointAborted",
    "CheckpointAcknowledged",
    "CheckpointCompleted",
    "CheckpointDeclined",
    "CheckpointSummary",
    "ClusterFailed",
    "ClusterStarted",
    "ConnectPeers",
    "DeployTasks",
    "DrainSources",
    "Failure",
    "ForkTaskManager",
    "GrowCluster",
    "JobAdmitted",
    "JobEnded",
    "JobNotice",
    "JobProgress",
    "JobStatusChanged",
    "JobsRecovered",
    "PrepareAttempt",
    "ProcessFailed",
    "ReleaseAttempt",
    "Shutdown",
    "SplitRequested",
    "StartCluster",
    "StartTasks",
    "SubmitJob",
    "TaskEnding",
    "TaskManagerExited",
    "TaskManagerForked",
    "TaskManagerReady",
    "TaskStateChanged",
    "TaskSummary",
    "TriggerCheckpoint",
]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why something failed, as text that crosses processes.

    `kind` names the class (of `shmflink.errors` if it is one of those). `traceback_text` is the user's own traceback
    if a user's function raised, otherwise that of our code. `record` is the repr of the offending record.
    """

    kind: str
    message: str
    traceback_text: str = ""
    operator: str = ""
    subtask: int = -1
    task_name: str = ""
    record: str | None = None


@dataclass(frozen=True, slots=True)
class OperatorSummary:
    """One operator of a subtask's chain at one moment: `metrics.counters.OperatorCounters`."""

    name: str
    records_in: int
    records_out: int
    busy_ns: int
    malformed_rows: int


@dataclass(frozen=True, slots=True)
class TaskSummary:
    """One subtask at one moment. Counters are those of `metrics.counters`; `watermark_ms` is None if unknown."""

    vertex: int
    vertex_name: str
    subtask: int
    state: TaskState
    taskmanager: int
    records_in: int
    records_out: int
    bytes_in: int
    bytes_out: int
    busy_ns: int
    backpressured_ns: int
    idle_ns: int = 0
    operators: tuple[OperatorSummary, ...] = ()
    watermark_ms: int | None = None
    is_idle: bool = False


@dataclass(frozen=True, slots=True)
class SourceProgress:
    """How much of a source's bounded input has been read: `done` of `total` bytes or rows."""

    vertex: int
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class CheckpointSummary:
    """The checkpoints of one job at one moment. `last_*`: of the latest completed one; `last_id` is None without one.

    `last_age_ms` counts from its completion to the sending of the message.
    """

    completed: int = 0
    failed: int = 0
    in_progress: int = 0
    last_id: int | None = None
    last_path: str = ""
    last_age_ms: int = 0
    last_duration_ms: int = 0
    last_bytes: int = 0


# --- client -> JobManager ---


@dataclass(frozen=True, slots=True)
class StartCluster:
    """The first message: how large the cluster is. `configuration` is validated.

    `recovers`: jobs in the HA directory start at once; otherwise when they are submitted under their ids.
    `session`: name of a session cluster, which outlives its clients; empty for a cluster that ends with this client.
    """

    slots: int
    configuration: Mapping[str, str]
    recovers: bool = False
    session: str = ""


@dataclass(frozen=True, slots=True)
class GrowCluster:
    """The cluster should have this many slots from now on; a smaller number than now changes nothing."""

    slots: int


@dataclass(frozen=True, slots=True)
class SubmitJob:
    """Runs a job. `progress` asks for JobProgress while it runs.

    `place`: how many jobs the program has submitted before. With an HA directory, the job that the program left at
    this place resumes under its former id, which `JobAdmitted` reports. `arguments`: of the program, without its file;
    None: an older release stored none. `detached`: the job outlives the connection.
    """

    graph: JobGraph
    configuration: Mapping[str, str]
    progress: bool
    place: int = 0
    arguments: tuple[str, ...] | None = None
    detached: bool = False


@dataclass(frozen=True, slots=True)
class JobAdmitted:
    """The job that was submitted as `submitted` has the id `job_id`. Sent by session clusters, and by those with an HA
    directory.
    """

    submitted: JobId
    job_id: JobId


@dataclass(frozen=True, slots=True)
class CancelJob:
    """Cancels; `force` kills the job's TaskManagers instead of asking them."""

    job_id: JobId
    force: bool = False


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Ends the receiver: a cluster with its jobs, or one TaskManager.

    `suspends`: with an HA directory, jobs stay in it and resume from their latest checkpoints at the next
    start.
    """

    suspends: bool = False


# --- JobManager -> client ---


@dataclass(frozen=True, slots=True)
class ClusterStarted:
    """All TaskManagers are up. `pids` in index order. `control_socket`: its path, empty if there is none."""

    slots: int
    pids: tuple[int, ...]
    fork_server_pid: int
    control_socket: str = ""


@dataclass(frozen=True, slots=True)
class ClusterFailed:
    """The cluster cannot continue; every job of it has failed for this reason."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class JobStatusChanged:
    """A job entered a state. `failure`: why it restarts."""

    job_id: JobId
    state: JobState
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class JobNotice:
    """News for people about a job that continues: it waits for slots, a checkpoint was aborted."""

    job_id: JobId
    text: str


@dataclass(frozen=True, slots=True)
class JobProgress:
    """Counters of all subtasks of a running job, and the progress of bounded sources."""

    job_id: JobId
    tasks: tuple[TaskSummary, ...]
    sources: tuple[SourceProgress, ...] = ()
    checkpoints: CheckpointSummary | None = None  # None: checkpointing is off
    restarts: int = 0
    calls: tuple[str, ...] = ()  # sentences about calls of user code that have not returned


@dataclass(frozen=True, slots=True)
class JobEnded:
    """A job has ended and has released everything it held."""

    job_id: JobId
    state: JobState
    runtime_ms: int
    failure: Failure | None
    tasks: tuple[TaskSummary, ...]
    checkpoints: CheckpointSummary | None = None  # None: checkpointing was off
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class JobsRecovered:
    """After StartCluster with `recovers`: the jobs of the HA directory that run again. The client submits all others
    again; if the directory holds the result of one, the answer is JobEnded.
    """

    job_ids: tuple[JobId, ...]


# --- JobManager <-> fork server ---


@dataclass(frozen=True, slots=True)
class ForkTaskManager:
    """Forks a TaskManager that owns the one descriptor sent with it. `cpus` to pin it to; empty = all."""

    index: int
    slots: int
    cpus: tuple[int, ...]
    spin_ns: int
    heartbeat_interval_ms: int


@dataclass(frozen=True, slots=True)
class TaskManagerForked:
    """The process exists; one descriptor is sent with it: its pidfd."""

    index: int
    pid: int


@dataclass(frozen=True, slots=True)
class TaskManagerExited:
    """The process has ended and is reaped. `wait_status` as `os.waitpid` returns it."""

    index: int
    pid: int
    wait_status: int


@dataclass(frozen=True, slots=True)
class ProcessFailed:
    """The fork server or a TaskManager ends because of its own failure; its last message."""

    failure: Failure


# --- JobManager -> TaskManager ---


@dataclass(frozen=True, slots=True)
class PrepareAttempt:
    """Creates the memory of one attempt: a ring memory with this many rings, an arena with this many segments."""

    job_id: JobId
    epoch: int
    rings: int
    data_capacity: int
    control_capacity: int
    segment_bytes: int
    segments: int


@dataclass(frozen=True, slots=True)
class ConnectPeers:
    """Memory of other TaskManagers of the attempt; two descriptors each: ring memory, arena.

    `taskmanagers` are indices in the execution graph: slot // slots per TaskManager.
    """

    epoch: int
    taskmanagers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DeployTasks:
    """Builds and opens tasks. `taskmanager` is the receiver's index in the execution graph."""

    epoch: int
    job_id: JobId
    job_name: str
    taskmanager: int
    slots_per_taskmanager: int
    configuration: Mapping[str, str]
    python_path: tuple[str, ...]
    working_directory: str
    main_file: str
    tasks: tuple[TaskDeployment, ...]
    restore_path: str = ""  # folder of the checkpoint from which the tasks resume
    ha_identity: str = ""  # of the HA directory that keeps the job; empty without one


@dataclass(frozen=True, slots=True)
class StartTasks:
    """Every task of the attempt is open: run."""

    epoch: int


@dataclass(frozen=True, slots=True)
class CancelTasks:
    """Stops all tasks of the attempt; each reports a terminal state. Sent again, it interrupts user code."""

    epoch: int


@dataclass(frozen=True, slots=True)
class AssignSplit:
    """Answers a SplitRequested. `split` is a pickled `Split`, empty if there is none (now)."""

    epoch: int
    subtask: SubtaskId
    split: bytes
    exhausted: bool


@dataclass(frozen=True, slots=True)
class AlignSources:
    """Source subtasks pause while their watermark is beyond their limit, in ms."""

    epoch: int
    limits: tuple[tuple[SubtaskId, int], ...]


@dataclass(frozen=True, slots=True)
class TriggerCheckpoint:
    """Sent to every TaskManager of the attempt. Aligned: sources start it, tasks without open inputs take part at once,
    and the others wait for barriers. Unaligned: every task takes part at once. `stops`: sources read nothing further
    until they learn how it ended.
    """

    epoch: int
    barrier: Barrier
    location: CheckpointLocation
    stops: bool = False


@dataclass(frozen=True, slots=True)
class CheckpointCompleted:
    """It is durable: sinks commit. `stops`: sources end, without draining."""

    epoch: int
    checkpoint_id: int
    stops: bool = False


@dataclass(frozen=True, slots=True)
class CheckpointAborted:
    """It will never complete; sources that it stopped continue."""

    epoch: int
    checkpoint_id: int


@dataclass(frozen=True, slots=True)
class DrainSources:
    """Sources end as if their input had ended (stop with --drain); every task waits at its end for the savepoint."""

    epoch: int


@dataclass(frozen=True, slots=True)
class ReleaseAttempt:
    """Frees everything that the attempt holds; its tasks are in terminal states."""

    epoch: int


# --- TaskManager -> JobManager ---


@dataclass(frozen=True, slots=True)
class TaskManagerReady:
    """The TaskManager is up and waiting; one descriptor is sent with it: the status page."""

    index: int
    pid: int


@dataclass(frozen=True, slots=True)
class AttemptPrepared:
    """Two descriptors are sent with it: ring memory, arena. With a `failure`, none."""

    epoch: int
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class TaskStateChanged:
    """A task attempt entered a state; `failure` with FAILED."""

    epoch: int
    subtask: SubtaskId
    state: TaskState
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class CallUnderWay:
    """A task has not returned from a call for `seconds`. Sent repeatedly until it returns.

    `line`: `job.py:12 in slow`; `stack` as Python prints it. `is_users`: the called code is not shmflink's.
    """

    epoch: int
    subtask: SubtaskId
    operator: str
    seconds: float
    line: str
    is_users: bool
    stack: str


@dataclass(frozen=True, slots=True)
class SplitRequested:
    """A source reader wants a split."""

    epoch: int
    subtask: SubtaskId


@dataclass(frozen=True, slots=True)
class CheckpointAcknowledged:
    """A task's part is durable. `sync_ns`: how long its slot was stopped for it; `bytes` written, without the bytes of
    older checkpoints.
    """

    epoch: int
    subtask: SubtaskId
    checkpoint_id: int
    states: tuple[OperatorSubtaskState, ...]
    sync_ns: int = 0
    async_ns: int = 0
    alignment_ns: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class CheckpointDeclined:
    """A task could not take part, for example because its state cannot be written. The task continues.

    `counts`: it is a failure, of which few are tolerated; False where a newer checkpoint overtook it.
    """

    epoch: int
    subtask: SubtaskId
    checkpoint_id: int
    failure: Failure
    counts: bool = True


@dataclass(frozen=True, slots=True)
class TaskEnding:
    """A task only has to commit: it waits for one more checkpoint."""

    epoch: int
    subtask: SubtaskId


@dataclass(frozen=True, slots=True)
class AttemptReleased:
    """Nothing of the attempt is left."""

    epoch: int


register(JobId, SubtaskId, ShipStrategy, NodeKind, ChainedOperator, JobVertex, JobEdge, JobGraph)
register(ChannelDeployment, InputDeployment, OutputDeployment, TaskDeployment)
register(JobState, TaskState, Failure, OperatorSummary, TaskSummary, SourceProgress, CheckpointSummary)
register(StartCluster, GrowCluster, SubmitJob, CancelJob, Shutdown)
register(ClusterStarted, ClusterFailed, JobAdmitted, JobStatusChanged, JobNotice, JobProgress, JobEnded, JobsRecovered)
register(ForkTaskManager, TaskManagerForked, TaskManagerExited, ProcessFailed)
register(PrepareAttempt, ConnectPeers, DeployTasks, StartTasks, CancelTasks)
register(AssignSplit, AlignSources, ReleaseAttempt)
register(TaskManagerReady, AttemptPrepared, TaskStateChanged, SplitRequested, CallUnderWay, AttemptReleased)
register(Barrier, CheckpointLocation, StateFile, KeyedStateHandle, ChannelState, OperatorSubtaskState)
register(TriggerCheckpoint, CheckpointCompleted, CheckpointAborted, DrainSources)
register(CheckpointAcknowledged, CheckpointDeclined, TaskEnding)
