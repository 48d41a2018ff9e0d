"""The last jobs of a JobManager that are over, as `rpc.read_messages` tells of them."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from shmflink.core.ids import JobId
from shmflink.core.lazy_dataclass import dataclass
from shmflink.jobmanager.job_reading import JobReading
from shmflink.rpc.read_messages import JobRead, JobSummary, ReadJob, ReadVertex, VertexRead

__all__ = ["EndedJobs"]

_JOBS_MAX: Final = 50
_SUBTASKS_MAX: Final = 20_000  # of all of them: the oldest jobs lose their subtasks first


@dataclass(slots=True)
class _Ended:
    job: JobRead
    vertices: tuple[VertexRead, ...]

    @property
    def subtasks(self) -> int:
        return sum(len(vertex.tasks) for vertex in self.vertices)


class EndedJobs:
    """Bounded in jobs and in subtasks."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[JobId, _Ended] = OrderedDict()  # the latest last

    def add(self, reading: JobReading) -> None:
        """A job is over."""
        job = reading.job()
        job_id = job.summary.overview.job_id
        ended = _Ended(job, tuple(reading.vertex(shape.index) for shape in job.vertices))
        self._jobs.pop(job_id, None)
        self._jobs[job_id] = ended
        if len(self._jobs) > _JOBS_MAX:
            self._jobs.popitem(last=False)
        self._shed()

    def _shed(self) -> None:
        total = sum(one.subtasks for one in self._jobs.values())
        for one in self._jobs.values():
            if total <= _SUBTASKS_MAX:
                return
            total -= one.subtasks
            one.vertices = ()

    def summaries(self) -> list[JobSummary]:
        """In the order of their ends."""
        return [one.job.summary for one in self._jobs.values()]

    def read(self, request: ReadJob | ReadVertex) -> JobRead | VertexRead | None:
        """None if it is not known, or no longer."""
        ended = self._jobs.get(request.job_id)
        if ended is None or isinstance(request, ReadJob):
            return None if ended is None else ended.job
        has_vertex = 0 <= request.vertex < len(ended.vertices)
        return ended.vertices[request.vertex] if has_vertex else None
