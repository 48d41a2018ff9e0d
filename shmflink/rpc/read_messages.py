"""Messages of those who look at a cluster over its control socket: REST and metrics. None of them changes anything.

Every request has exactly one answer, the one listed here, or RequestFailed. Each answer covers at most the subtasks of
one vertex, so that no single one keeps the JobManager's event loop for long::

    ReadCluster   ClusterRead
    ReadJobs      JobsRead
    ReadJob       JobRead
    ReadVertex    VertexRead

Times are ms since 1970, except where a name says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping

from shmflink.checkpoint.history import AcknowledgedTask, CheckpointCounts, CheckpointRecord, CheckpointState
from shmflink.core.ids import JobId, SubtaskId
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.ship_strategy import ShipStrategy
from shmflink.rpc.codec import register
from shmflink.rpc.control_messages import JobOverview
from shmflink.rpc.messages import Failure, TaskSummary
from shmflink.rpc.states import JobState

__all__ = [
    "CheckpointsRead",
    "ClusterRead",
    "EdgeRead",
    "FailureRead",
    "JobRead",
    "JobSummary",
    "JobsRead",
    "OperatorRead",
    "ReadCluster",
    "ReadJob",
    "ReadJobs",
    "ReadVertex",
    "TaskManagerRead",
    "TaskRead",
    "VertexRead",
    "VertexShape",
]


# --- requests ---


@dataclass(frozen=True, slots=True)
class ReadCluster:
    """Asks for the cluster and its TaskManagers."""


@dataclass(frozen=True, slots=True)
class ReadJobs:
    """Asks for a line about each job."""


@dataclass(frozen=True, slots=True)
class ReadJob:
    """Asks for a job's graph, checkpoints and failures, without its subtasks."""

    job_id: JobId


@dataclass(frozen=True, slots=True)
class ReadVertex:
    """Asks for the subtasks of one vertex, with their counters."""

    job_id: JobId
    vertex: int


# --- the cluster ---


@dataclass(frozen=True, slots=True)
class TaskManagerRead:
    """One TaskManager process. `heartbeat_age_ms`: since it last said that it lives. `job_id`: the job that holds its
    slots; None if they are free. `is_ready`: it is up.
    """

    name: str
    pid: int
    slots: int
    is_ready: bool
    heartbeat_age_ms: int
    job_id: JobId | None


@dataclass(frozen=True, slots=True)
class ClusterRead:
    """`configuration`: as the cluster was started. `slots_free`: slots that no job holds."""

    pid: int
    name: str
    slots: int
    slots_free: int
    configuration: Mapping[str, str]
    taskmanagers: tuple[TaskManagerRead, ...]


# --- jobs ---


@dataclass(frozen=True, slots=True)
class JobSummary:
    """`entered`: when the job was last in each of its states; `tasks`: how many subtasks are in which state."""

    overview: JobOverview
    is_batch: bool
    entered: Mapping[str, int]
    tasks: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class JobsRead:
    """All jobs that the JobManager knows, those that are over first."""

    jobs: tuple[JobSummary, ...]


@dataclass(frozen=True, slots=True)
class OperatorRead:
    """One operator of a chain. `children`: indices in the chain. `kind`: of `graph.job_graph.NodeKind`."""

    operator_id: str
    name: str
    description: str
    kind: str
    children: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class VertexShape:
    """One vertex of a job graph."""

    index: int
    name: str
    parallelism: int
    max_parallelism: int
    slot_sharing_group: str
    operators: tuple[OperatorRead, ...]


@dataclass(frozen=True, slots=True)
class EdgeRead:
    """`source` and `target` are indices of vertices."""

    source: int
    target: int
    input_index: int
    strategy: ShipStrategy


@dataclass(frozen=True, slots=True)
class FailureRead:
    """A failure after which the job restarted, or with which it ended. `attempt`: of the task, from 0."""

    failure: Failure
    at_ms: int
    attempt: int
    taskmanager: str


@dataclass(frozen=True, slots=True)
class CheckpointsRead:
    """`history`: newest first, with times of the coordinator's clock; add `epoch_offset_ms` for ms since 1970."""

    counts: CheckpointCounts
    history: tuple[CheckpointRecord, ...]
    last_completed: CheckpointRecord | None
    last_savepoint: CheckpointRecord | None
    last_failed: CheckpointRecord | None
    epoch_offset_ms: int
    restored_id: int | None = None
    restored_ms: int = 0
    restored_path: str = ""


@dataclass(frozen=True, slots=True)
class JobRead:
    """`configuration` of the job, complete. `failures`: newest first. `checkpoints`: None if checkpointing is off."""

    summary: JobSummary
    configuration: Mapping[str, str]
    vertices: tuple[VertexShape, ...]
    edges: tuple[EdgeRead, ...]
    failures: tuple[FailureRead, ...]
    checkpoints: CheckpointsRead | None


@dataclass(frozen=True, slots=True)
class TaskRead:
    """One subtask: its last attempt. `attempt` counts from 0; `entered`: when it was last in each of its states."""

    summary: TaskSummary
    attempt: int
    taskmanager: str
    entered: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class VertexRead:
    """`tasks` in the order of their numbers."""

    job_id: JobId
    vertex: int
    state: JobState
    tasks: tuple[TaskRead, ...]


register(ReadCluster, ReadJobs, ReadJob, ReadVertex, ClusterRead, TaskManagerRead)
register(JobSummary, JobsRead, OperatorRead, VertexShape, EdgeRead, FailureRead, CheckpointsRead, JobRead)
register(TaskRead, VertexRead, AcknowledgedTask, CheckpointCounts, CheckpointRecord, CheckpointState, SubtaskId)
