"""What a JobManager determines about a submitted job before it runs the job."""

from __future__ import annotations

from collections.abc import Sequence

from shmflink.core.ids import JobId
from shmflink.core.lazy_dataclass import dataclass
from shmflink.rpc.messages import JobEnded, SubmitJob

__all__ = ["Admission"]


@dataclass(frozen=True, slots=True)
class Admission:
    """A job that may run, under its former id or the one with which it was submitted.

    `pointers`: the checkpoints of its earlier run, newest first. `ended`: it has already ended; `ended_under`: the
    process id of the JobManager under which it ended, if this program waited for that one. `is_kept`: it was in the HA
    directory, submitted by a program with `arguments_before` (None: not known).
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
