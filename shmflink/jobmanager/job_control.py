"""The jobs of a JobManager for its control socket: running jobs and those that ended last."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from shmflink.core.ids import JobId
from shmflink.jobmanager.ended_jobs import EndedJobs
from shmflink.jobmanager.job_archive import ArchivedJob
from shmflink.jobmanager.job_run import JobRun
from shmflink.rpc.control_messages import CheckpointTaken, JobOverview, RequestFailed
from shmflink.rpc.messages import Failure
from shmflink.rpc.read_messages import JobRead, JobsRead, ReadJob, ReadJobs, ReadVertex, VertexRead

__all__ = ["Archive", "JobRequest", "RunControl"]

Archive = Callable[[ArchivedJob, list[ArchivedJob]], object]

JobRequest = ReadJobs | ReadJob | ReadVertex


class RunControl:
    """A `control_socket.JobControl` over job runs; `runs` is the JobManager's own mapping, which changes."""

    def __init__(self, runs: Mapping[JobId, JobRun], over: EndedJobs, archive: Archive | None = None) -> None:
        """`over`: where jobs are remembered. `archive` gets what is kept of a job, and what is forgotten."""
        self._runs = runs
        self._over = over
        self._archive = archive

    def jobs(self) -> Sequence[JobOverview]:
        """All jobs, ended ones first."""
        return [
            *(one.overview for one in self._over.summaries()),
            *(run.reading.overview() for run in self._runs.values()),
        ]

    def remember(self, run: JobRun) -> None:
        """Records that the job has ended."""
        kept, forgotten = self._over.add(run.reading)
        if self._archive is not None:
            self._archive(kept, forgotten)

    def read(self, request: JobRequest) -> JobsRead | JobRead | VertexRead | RequestFailed:
        """What somebody wants to look at."""
        if isinstance(request, ReadJobs):
            running = (run.reading.summary() for run in self._runs.values())
            return JobsRead((*self._over.summaries(), *running))
        run = self._runs.get(request.job_id)
        found = self._over.read(request) if run is None else _read(run, request)
        if found is None:
            return RequestFailed(request.job_id, "UsageError", f"the JobManager has no {_sought(request)}")
        return found

    def savepoint(
        self, job_id: JobId, target: str, stops: bool, drains: bool, callback: Callable[[str | Failure], None]
    ) -> None:
        self._runs[job_id].savepoint(target, stops=stops, drains=drains, answer=callback)

    def checkpoint(self, job_id: JobId, callback: Callable[[CheckpointTaken | Failure], None]) -> None:
        def answer(result: str | Failure) -> None:
            callback(
                result if isinstance(result, Failure) else CheckpointTaken(job_id, _checkpoint_id_of(result), result)
            )

        self._runs[job_id].checkpoint(answer)

    def cancel(self, job_id: JobId) -> None:
        self._runs[job_id].cancel(force=False)

    def waits_for(self, job_id: JobId) -> Sequence[str]:
        run = self._runs.get(job_id)
        return () if run is None else run.waits_for()


def _read(run: JobRun, request: ReadJob | ReadVertex) -> JobRead | VertexRead | None:
    if isinstance(request, ReadJob):
        return run.reading.job()
    has_vertex = 0 <= request.vertex < len(run.graph.vertices)
    return run.reading.vertex(request.vertex) if has_vertex else None


def _sought(request: ReadJob | ReadVertex) -> str:
    vertex = f"vertex {request.vertex} of " if isinstance(request, ReadVertex) else ""
    return f"{vertex}job {request.job_id}"


def _checkpoint_id_of(directory: str) -> int:
    """The id in the name of a checkpoint's folder, `chk-7`."""
    text = os.path.basename(directory).removeprefix("chk-")
    return int(text) if text.isdigit() else 0
