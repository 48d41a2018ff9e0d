"""A session cluster: a JobManager that was started on its own (`shmflink start-cluster`) and runs the jobs of many
programs. This process submits jobs over the control socket; they outlive it if they are detached.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from functools import partial
from typing import Final

from shmflink.client.control_client import describe
from shmflink.client.executor import is_awaiting_results
from shmflink.client.followed_jobs import FollowedJobs
from shmflink.client.job_client import JobClient
from shmflink.client.job_execution_result import DetachedJobExecutionResult
from shmflink.client.job_status import JobStatus
from shmflink.client.observer import JobObserver, SilentObserver
from shmflink.client.outcome import cluster_error
from shmflink.client.respawn import RespawnPolicy
from shmflink.client.savepoint_requests import request_savepoint
from shmflink.config.options import DEFAULT_PARALLELISM, validate
from shmflink.core.clock import SYSTEM_CLOCK
from shmflink.core.ids import JobId
from shmflink.errors import JobManagerLostError, RpcError, ShmflinkError, UsageError
from shmflink.graph.job_graph import JobGraph
from shmflink.rpc.connection import BlockingConnection
from shmflink.rpc.control_messages import ClusterDescription
from shmflink.rpc.messages import CancelJob, ClusterFailed
from shmflink.rpc.runtime_folder import connect, control_sockets, runtime_folders

__all__ = ["RunningCluster", "SessionCluster", "find_session", "running_clusters"]

RunningCluster = tuple[str, ClusterDescription]
"""The control socket of a session cluster, and the cluster's description."""
_HOW_TO_START: Final = "start one with `shmflink start-cluster`, or run the job on its own cluster (-t local)"


def running_clusters(environment: Mapping[str, str]) -> list[RunningCluster]:
    """The session clusters of this user, by name. JobManagers that do not answer are left out."""
    found = []
    for path in control_sockets(runtime_folders(environment, os.getuid())):
        description = describe(path, SYSTEM_CLOCK)
        if description is not None and description.name:
            found.append((path, description))
    return sorted(found, key=lambda one: one[1].name)


def find_session(name: str, environment: Mapping[str, str]) -> RunningCluster:
    """The session cluster of this name. If there is none, a UsageError lists the running ones."""
    clusters = running_clusters(environment)
    for path, description in clusters:
        if description.name == name:
            return path, description
    names = ", ".join(f"'{description.name}'" for _, description in clusters)
    running = f"running: {names}" if names else "none runs"
    raise UsageError(f"there is no session cluster '{name}' of this user on this host ({running}): {_HOW_TO_START}")


class SessionCluster:
    """An executor whose jobs run on a session cluster. `close` disconnects; the cluster continues."""

    is_recovering: Final = False

    def __init__(
        self,
        configuration: Mapping[str, str],
        cluster: RunningCluster,
        observer: JobObserver | None = None,
        *,
        detached: bool = False,
    ) -> None:
        """Connects. `detached`: jobs continue without this process, and `execute()` returns once they are submitted.

        Raises:
            ConfigurationError: `configuration` is invalid.
            RpcError: the cluster ended in the meantime.
        """
        validate(configuration, "configuration")
        self._path, description = cluster
        self.slots = description.slots
        self.start_ms: float | None = None
        self.pid = description.pid
        self.configuration: Mapping[str, str] = {DEFAULT_PARALLELISM.key: str(self.slots), **configuration}
        self._observer: JobObserver = observer if observer is not None else SilentObserver()
        self._is_detached = detached
        self._lock = threading.Lock()
        self._jobs = FollowedJobs(self._observer, self._lock, RespawnPolicy(), lambda: None)
        self._lost: ShmflinkError | None = None
        self._connection = _connected(self._path, description)
        self._receiver = threading.Thread(target=self._receive, name="shmflink-client", daemon=True)
        self._receiver.start()

    # --- Executor ---

    @property
    def default_parallelism(self) -> int:
        """Parallelism of programs that set none."""
        return DEFAULT_PARALLELISM.read(self.configuration) or self.slots

    def submit(self, graph: JobGraph, configuration: Mapping[str, str]) -> JobClient:
        """Submits a job and waits until the cluster has accepted it. ConfigurationError for invalid options;
        JobManagerLostError. The result of a refused job raises the refusal.
        """
        validate(configuration, f"configuration of job '{graph.name}'")
        detached = self._is_detached and not is_awaiting_results()
        with self._lock:
            if self._lost is not None:
                raise self._lost
            job = self._jobs.add_locked(
                graph,
                {**self.configuration, **configuration},
                JobClient(graph.job_id, self._request_cancel, partial(request_savepoint, lambda: self._path)),
                tuple(sys.argv[1:]),
                progress=self._observer.wants_progress and not detached,
                admits=True,
                detached=detached,
            )
        assert job.admitted is not None, "a session cluster reports the ids of its jobs"
        try:
            self._connection.send(job.submission)
            job.admitted.wait()
        except BaseException:
            self._jobs.remove(job)
            raise
        if detached and self._jobs.leave(job):
            job.client.ended(JobStatus.RUNNING, DetachedJobExecutionResult(job.client.get_job_id()))
        return job.client

    # --- for signals ---

    @property
    def has_jobs(self) -> bool:
        """True while a submitted job has not ended. Takes no lock."""
        return bool(self._jobs)

    def cancel(self, force: bool = False) -> bool:
        """Requests the end of this program's jobs; False if none runs. `force` kills their processes."""
        jobs = self._jobs.ids()
        for job_id in jobs:
            self._request_cancel(job_id, force=force)
        return bool(jobs)

    def suspend(self) -> bool:
        """A session cluster does not end with this program: there is nothing to suspend."""
        return False

    def kill(self) -> None:
        """Disconnects at once: we must not kill the cluster, which other programs use. Takes no lock."""
        self._connection.shut_down()

    def close(self) -> None:
        """Disconnects from the cluster. Idempotent."""
        self._connection.shut_down()
        if self._receiver is not threading.current_thread():
            self._receiver.join()

    # --- messages ---

    def _request_cancel(self, job_id: JobId, *, force: bool = False) -> None:
        self._jobs.canceled.add(job_id)
        self._connection.send(CancelJob(job_id, force))

    def _receive(self) -> None:
        """The receiving thread: until the connection ends."""
        why = "closed the connection: it has ended or died"
        try:
            while (received := self._connection.read_once()) is not None:
                for one in received:
                    self._handle(one.message)
        except (RpcError, OSError) as error:
            why = f"cannot be received from any longer: {error}"
        with self._lock:
            if self._lost is None:
                self._lost = JobManagerLostError(f"the session cluster (JobManager pid {self.pid}) {why}")
            lost = self._lost
        self._jobs.end_all(lost)
        self._connection.close()

    def _handle(self, message: object) -> None:
        if isinstance(message, ClusterFailed):
            self._lost = cluster_error(message.failure)
        else:
            self._jobs.handle(message)


def _connected(path: str, description: ClusterDescription) -> BlockingConnection:
    connection = connect(path)
    if connection is None:
        raise RpcError(f"the session cluster '{description.name}' (JobManager pid {description.pid}) has just ended")
    return connection
