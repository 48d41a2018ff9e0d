"""What a JobManager knows of a job that was submitted, before it runs it."""

from __future__ import annotations

from collections.abc import Sequence

from shmflink.core.ids import JobId
from shmflink.core.lazy_dataclass import dataclass
from shmflink.rpc.messages import JobEnded, SubmitJob

__all__ = ["Admission"]


@dataclass(frozen=True, slots=True)
class Admission:
    """A job that may run, under its former id or the one with which it was submitted.

    `pointers`: the checkpoints, newest first, that its former self left. `ended`: it is over already; `ended_under`:
    the process id of the JobManager that this program waited for, if it was over under that one.
    `is_kept`: it was in the HA directory, submitted by a program with `arguments_before` (None: not known).
    """

    submission: SubmitJob
    pointers: Sequence[str] = ()
    ended: JobEnded | None = None
    is_kept: bool = False
    arguments_before: tuple[str, ...] | None = None
    ended_under: int | None = None

    @property
    def job_id(self) -> JobId:
        return self.submission.graph.job_id
