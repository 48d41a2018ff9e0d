"""The jobs that this program has submitted to a cluster and that have not ended. Passes the JobManager's news about
each job to its JobClient and to the observer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from shmflink.client.job_client import JobClient
from shmflink.client.job_status import JobStatus
from shmflink.client.observer import JobObserver
from shmflink.client.outcome import first_line, outcome_of
from shmflink.client.respawn import RespawnPolicy
from shmflink.client.standard_streams import STDOUT, is_unread
from shmflink.core.ids import JobId
from shmflink.core.lazy_dataclass import dataclass
from shmflink.errors import RpcError, ShmflinkError
from shmflink.graph.job_graph import JobGraph
from shmflink.metrics.log_server import LogServer
from shmflink.rpc.messages import CancelJob, JobAdmitted, JobEnded, JobNotice, JobProgress, JobStatusChanged, SubmitJob

__all__ = ["FollowedJob", "FollowedJobs"]


@dataclass(frozen=True, slots=True, eq=False)
class FollowedJob:
    """`admitted` is set when the JobManager has reported the job's id; None if the job keeps its id."""

    submission: SubmitJob
    client: JobClient
    admitted: threading.Event | None


class FollowedJobs:
    """For the program's threads, which add jobs, and one receiving thread, which handles messages.

    `lock` belongs to the cluster: whoever calls a method whose name ends with `_locked` holds it.
    """

    def __init__(
        self,
        observer: JobObserver,
        lock: threading.Lock,
        respawns: RespawnPolicy,
        logs: Callable[[], LogServer | None],
    ) -> None:
        """`logs`: where the cluster's processes log to, if they log to this process."""
        self.canceled: set[JobId] = set()
        """The jobs whose end was requested."""
        self._observer = observer
        self._lock = lock
        self._respawns = respawns
        self._logs = logs
        self._jobs: dict[JobId, FollowedJob] = {}
        self._submitted = 0
        self._restarts: dict[JobId, int] = {}  # under earlier JobManagers

    # --- the program's side ---

    def __bool__(self) -> bool:
        """Whether a job has not ended. Takes no lock."""
        return bool(self._jobs)

    def ids(self) -> list[JobId]:
        """The number of jobs that have not ended."""
        with self._lock:
            return list(self._jobs)

    def graphs_locked(self) -> list[JobGraph]:
        """Of the jobs that have not ended and are not being canceled."""
        return [job.submission.graph for job_id, job in self._jobs.items() if job_id not in self.canceled]

    def add_locked(
        self,
        graph: JobGraph,
        configuration: Mapping[str, str],
        client: JobClient,
        arguments: tuple[str, ...],
        *,
        progress: bool,
        admits: bool = False,
        detached: bool = False,
    ) -> FollowedJob:
        """`admits`: the JobManager tells the job's id. `arguments`: of the program."""
        submission = SubmitJob(graph, configuration, progress, self._submitted, arguments, detached)
        self._submitted += 1
        job = FollowedJob(submission, client, threading.Event() if admits else None)
        self._jobs[graph.job_id] = job
        return job

    def remove(self, job: FollowedJob) -> None:
        """Removes a job that could not be submitted."""
        with self._lock:
            self._jobs.pop(job.client.get_job_id(), None)

    def leave(self, job: FollowedJob) -> bool:
        """Detaches the job: the cluster continues it. False if it has ended."""
        with self._lock:
            return self._jobs.pop(job.client.get_job_id(), None) is not None

    def restarted_locked(self) -> None:
        """Called when another JobManager resumes the jobs."""
        for job_id in self._jobs:
            self._restarts[job_id] = self._restarts.get(job_id, 0) + 1

    def submit_again(self, recovered: Sequence[JobId], send: Callable[[object], None]) -> None:
        """Another JobManager has recovered these jobs: submits those that the dead one had not stored, or had ended
        without telling us, and cancels those that were to be canceled.
        """
        with self._lock:
            missing = [job.submission for job_id, job in self._jobs.items() if job_id not in recovered]
            canceled = [job_id for job_id in self._jobs if job_id in self.canceled]
        for message in (*missing, *map(CancelJob, canceled)):
            try:
                send(message)
            except RpcError:
                return  # it died as well

    def forget(self, lock: threading.Lock) -> None:
        """In a fork, where the jobs belong to the parent. Takes no lock."""
        self._lock = lock
        self._jobs = {}

    def end_all(self, error: ShmflinkError) -> None:
        """Called when there is no JobManager left: every job counts as failed."""
        with self._lock:
            jobs, self._jobs = self._jobs, {}
        for job in jobs.values():
            if job.admitted is not None:
                job.admitted.set()
        for job in jobs.values():
            job.client.ended(JobStatus.FAILED, error)

    # --- news ---

    def output_closed(self) -> None:
        """Called when the reader of our standard output has closed it."""
        if self._jobs and is_unread(STDOUT):
            self._observer.cluster_says("Standard output was closed by its reader: what jobs print is discarded")

    def handle(self, message: object) -> None:
        """Ignores messages that are not about jobs."""
        match message:
            case JobAdmitted(submitted, job_id):
                self._admitted(submitted, job_id)
            case JobStatusChanged(job_id, state, failure):
                if failure is not None:
                    self._observer.cluster_says(f"{self._named(job_id)} restarts: {first_line(failure)}")
                if job_id in self._jobs:
                    self._jobs[job_id].client.status_changed(JobStatus[state.value])
            case JobNotice(_, text):
                self._observer.cluster_says(text)
            case JobProgress(job_id):
                if message.checkpoints is not None:
                    self._respawns.progressed((job_id, message.checkpoints.last_id))
                before = self._restarts.get(job_id, 0)
                self._observer.job_progressed(replace(message, restarts=before + message.restarts))
            case JobEnded():
                self._ended(message)

    def _named(self, job_id: JobId) -> str:
        known = self._jobs.get(job_id)
        return f"Job {job_id}" if known is None else f"Job '{known.submission.graph.name}' ({job_id})"

    def _admitted(self, submitted: JobId, job_id: JobId) -> None:
        with self._lock:
            if submitted not in self._jobs:
                return
            job = self._jobs.pop(submitted)
            graph = replace(job.submission.graph, job_id=job_id)
            self._jobs[job_id] = replace(job, submission=replace(job.submission, graph=graph))
            job.client.admitted(job_id)
            self._restarts[job_id] = self._restarts.pop(submitted, 0)
            if submitted in self.canceled:
                self.canceled.add(job_id)
        if job.admitted is not None and not job.admitted.is_set():
            self._observer.job_submitted(graph)
            job.admitted.set()

    def _ended(self, ended: JobEnded) -> None:
        with self._lock:
            job = self._jobs.pop(ended.job_id, None)
        if job is None:  # it was detached
            return
        if job.admitted is not None and not job.admitted.is_set():
            self._observer.job_submitted(job.submission.graph)
            job.admitted.set()
        self._respawns.progressed(ended.job_id)
        ended = replace(ended, restarts=self._restarts.get(ended.job_id, 0) + ended.restarts)
        logs = self._logs()
        if logs is not None:  # deliver log records before the news of the end
            logs.drain()
        self._observer.job_ended(ended)
        job.client.ended(JobStatus[ended.state.value], outcome_of(ended, job.submission.graph.name))
