"""The last jobs of a JobManager that are over, as `rpc.read_messages` tells of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Final

from shmflink.config.session_options import JOB_STORE_CAPACITY, JOB_STORE_EXPIRATION
from shmflink.core.clock import SYSTEM_CLOCK, Clock
from shmflink.core.ids import JobId
from shmflink.core.lazy_dataclass import dataclass
from shmflink.jobmanager.job_archive import ArchivedJob
from shmflink.jobmanager.job_reading import JobReading
from shmflink.rpc.read_messages import JobRead, JobSummary, ReadJob, ReadVertex, VertexRead

__all__ = ["EndedJobs"]

_JOBS_MAX: Final = JOB_STORE_CAPACITY.default
_SUBTASKS_MAX: Final = 20_000  # of all of them: the oldest jobs lose their subtasks first


@dataclass(slots=True)
class _Ended:
    kept: ArchivedJob
    vertices: tuple[VertexRead, ...]

    @property
    def subtasks(self) -> int:
        return sum(len(vertex.tasks) for vertex in self.vertices)


class EndedJobs:
    """Bounded in jobs, in subtasks and in time."""

    def __init__(
        self, clock: Clock = SYSTEM_CLOCK, jobs_max: int = _JOBS_MAX, expires_after_ms: int | None = None
    ) -> None:
        """`expires_after_ms`: after their ends jobs are forgotten; None: never."""
        self._clock = clock
        self._jobs_max = jobs_max
        self._expires_after_ms = expires_after_ms
        self._jobs: OrderedDict[JobId, _Ended] = OrderedDict()  # the latest last
        self._forgotten: list[ArchivedJob] = []  # since a job ended last: whoever keeps them removes them then

    @staticmethod
    def of(configuration: Mapping[str, str], clock: Clock) -> EndedJobs:
        """As many and for as long as configured."""
        return EndedJobs(clock, JOB_STORE_CAPACITY.read(configuration), JOB_STORE_EXPIRATION.read(configuration))

    def restore(self, jobs: Iterable[ArchivedJob]) -> None:
        """Jobs that were over under a former JobManager, in the order of their ends."""
        for one in jobs:
            self._jobs[one.job.summary.overview.job_id] = _Ended(one, one.vertices)
        self._shed()

    def add(self, reading: JobReading) -> tuple[ArchivedJob, list[ArchivedJob]]:
        """A job is over: what is kept of it, and the jobs that are forgotten."""
        job = reading.job()
        kept = ArchivedJob(job, tuple(reading.vertex(shape.index) for shape in job.vertices))
        job_id = job.summary.overview.job_id
        self._jobs.pop(job_id, None)
        self._jobs[job_id] = _Ended(kept, kept.vertices)
        self._expire()
        while len(self._jobs) > self._jobs_max:
            self._forgotten.append(self._jobs.popitem(last=False)[1].kept)
        self._shed()
        forgotten, self._forgotten = self._forgotten, []
        return kept, forgotten

    def _expire(self) -> None:
        """Takes out those that ended too long ago."""
        if self._expires_after_ms is None:
            return
        oldest_ms = self._clock.processing_time_ms() - self._expires_after_ms
        expired = [job_id for job_id, one in self._jobs.items() if one.kept.ended_ms < oldest_ms]
        self._forgotten += [self._jobs.pop(job_id).kept for job_id in expired]

    def _shed(self) -> None:
        total = sum(one.subtasks for one in self._jobs.values())
        for one in self._jobs.values():
            if total <= _SUBTASKS_MAX:
                return
            total -= one.subtasks
            one.kept, one.vertices = ArchivedJob(one.kept.job, ()), ()

    def summaries(self) -> list[JobSummary]:
        """In the order of their ends."""
        self._expire()
        return [one.kept.job.summary for one in self._jobs.values()]

    def read(self, request: ReadJob | ReadVertex) -> JobRead | VertexRead | None:
        """None if it is not known, or no longer."""
        ended = self._jobs.get(request.job_id)
        if ended is None or isinstance(request, ReadJob):
            return None if ended is None else ended.kept.job
        has_vertex = 0 <= request.vertex < len(ended.vertices)
        return ended.vertices[request.vertex] if has_vertex else None
