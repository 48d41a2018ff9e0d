"""The effects of a dispatcher. They are performed in order; each docstring names the answer."""

from __future__ import annotations

from typing import TypeAlias

from shmflink.core.ids import JobId
from shmflink.core.lazy_dataclass import dataclass
from shmflink.jobmanager.admission import Admission
from shmflink.rpc.messages import SubmitJob

__all__ = [
    "Admit",
    "Cancel",
    "ClientId",
    "Effect",
    "ReportProgress",
    "Run",
    "Stop",
    "Suspend",
    "Tell",
    "Withdraw",
]


@dataclass(frozen=True, slots=True)
class ClientId:
    """One connection of a client."""

    number: int


@dataclass(frozen=True, slots=True)
class Admit:
    """Find out which job this is, and store it. Answered by `admitted` or `refused`."""

    submission: SubmitJob


@dataclass(frozen=True, slots=True)
class Withdraw:
    """The job was admitted but will not run: remove it from the store."""

    job_id: JobId


@dataclass(frozen=True, slots=True)
class Run:
    """Begin the job. Answered by `ended`, at once if it cannot begin. `resumption`: a message for clients, sent once it
    is certain that the job can start from there; empty for a new job.
    """

    admission: Admission
    resumption: str = ""


@dataclass(frozen=True, slots=True)
class Cancel:
    """End the job; `force` kills its TaskManagers."""

    job_id: JobId
    force: bool


@dataclass(frozen=True, slots=True)
class Suspend:
    """End the job here, and keep it stored for another JobManager."""

    job_id: JobId


@dataclass(frozen=True, slots=True)
class ReportProgress:
    """Report the job's progress by `progressed` while `wants_progress` is true."""

    job_id: JobId


@dataclass(frozen=True, slots=True)
class Tell:
    """Send a message to a client, if it is still connected."""

    client: ClientId
    message: object


@dataclass(frozen=True, slots=True)
class Stop:
    """The last effect: no job is left; end the TaskManagers and this process."""


Effect: TypeAlias = Admit | Withdraw | Run | Cancel | Suspend | ReportProgress | Tell | Stop
