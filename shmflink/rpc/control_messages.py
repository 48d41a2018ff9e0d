"""Messages between the command line and a running JobManager over its control socket.

Every request has exactly one answer, in any order: the one listed here, or RequestFailed::

    ListJobs           JobList
    TriggerSavepoint   SavepointCompleted      when it is durable
    StopJob            SavepointCompleted      when the job has finished as well
    TakeCheckpoint     CheckpointTaken         when it is durable
    CancelRunningJob   JobCancelled            when the job has ended
    ExplainWait        WaitExplained
"""

from __future__ import annotations

from shmflink.core.ids import JobId
from shmflink.core.lazy_dataclass import dataclass
from shmflink.rpc.codec import register
from shmflink.rpc.messages import CheckpointSummary
from shmflink.rpc.states import JobState

__all__ = [
    "AddSlots",
    "CancelRunningJob",
    "CheckpointTaken",
    "ClusterDescription",
    "DescribeCluster",
    "ExplainWait",
    "JobCancelled",
    "JobList",
    "JobOverview",
    "ListJobs",
    "RequestFailed",
    "SavepointCompleted",
    "StopCluster",
    "StopJob",
    "TakeCheckpoint",
    "TriggerSavepoint",
    "WaitExplained",
]


@dataclass(frozen=True, slots=True)
class JobOverview:
    """One job of a JobManager. `started_ms`: wall clock, since 1970; `slots`: how many it holds or waits for.

    `checkpoints` is None if checkpointing is off.
    """

    job_id: JobId
    name: str
    state: JobState
    started_ms: int
    duration_ms: int
    parallelism: int
    slots: int
    restarts: int = 0
    checkpoints: CheckpointSummary | None = None


# --- command line -> JobManager ---


@dataclass(frozen=True, slots=True)
class ListJobs:
    """Lists the jobs."""


@dataclass(frozen=True, slots=True)
class TriggerSavepoint:
    """Writes a savepoint; the job continues. `target`: absolute folder in which its folder is created, empty = the
    job's `execution.checkpointing.savepoint-dir`.
    """

    job_id: JobId
    target: str = ""


@dataclass(frozen=True, slots=True)
class StopJob:
    """Writes a savepoint and ends the job. `drains`: the input is treated as ended, so all windows fire first."""

    job_id: JobId
    target: str = ""
    drains: bool = False


@dataclass(frozen=True, slots=True)
class TakeCheckpoint:
    """Triggers a checkpoint now."""

    job_id: JobId


@dataclass(frozen=True, slots=True)
class CancelRunningJob:
    """Cancels without a savepoint."""

    job_id: JobId


@dataclass(frozen=True, slots=True)
class ExplainWait:
    """Asks what the job waits for while another request is unanswered. A JobManager of an older release closes
    the connection.
    """

    job_id: JobId


@dataclass(frozen=True, slots=True)
class DescribeCluster:
    """Asks what kind of cluster this is, and how large."""


@dataclass(frozen=True, slots=True)
class AddSlots:
    """Adds this many slots to a session cluster: its host starts TaskManagers for them."""

    slots: int


@dataclass(frozen=True, slots=True)
class StopCluster:
    """Cancels the jobs of a session cluster and ends it. The process is gone some time after the answer."""


# --- JobManager -> command line ---


@dataclass(frozen=True, slots=True)
class JobList:
    """All jobs of this JobManager, including ended ones that it still remembers."""

    pid: int
    jobs: tuple[JobOverview, ...]


@dataclass(frozen=True, slots=True)
class SavepointCompleted:
    """`path`: the savepoint's folder. `job_state`: the job's state afterwards; FINISHED after StopJob."""

    job_id: JobId
    path: str
    job_state: JobState


@dataclass(frozen=True, slots=True)
class CheckpointTaken:
    """The checkpoint is durable; `path`: its folder."""

    job_id: JobId
    checkpoint_id: int
    path: str


@dataclass(frozen=True, slots=True)
class JobCancelled:
    """The job has ended. `state` is CANCELED, or the final state it reached before the request arrived."""

    job_id: JobId
    state: JobState


@dataclass(frozen=True, slots=True)
class WaitExplained:
    """`reasons`: sentences for people, none if the job waits for nothing."""

    job_id: JobId
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClusterDescription:
    """`name` is that of a session cluster, empty for a cluster that belongs to a program. `is_ready`: all TaskManagers
    are up. `free`: slots that no job holds.
    """

    pid: int
    name: str
    slots: int
    free: int
    is_ready: bool


@dataclass(frozen=True, slots=True)
class RequestFailed:
    """The request had no effect, or no lasting one. `kind`: a class of `shmflink.errors`."""

    job_id: JobId
    kind: str
    reason: str


register(JobOverview, ListJobs, TriggerSavepoint, StopJob, TakeCheckpoint, CancelRunningJob, ExplainWait)
register(DescribeCluster, AddSlots, StopCluster, ClusterDescription)
register(JobList, SavepointCompleted, CheckpointTaken, JobCancelled, WaitExplained, RequestFailed)
