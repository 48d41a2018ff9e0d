"""A cluster of this process's own: one JobManager process and what it starts. Ends with us, however we end."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self

from shmflink.client.job_client import JobClient
from shmflink.client.job_status import JobStatus
from shmflink.client.jobmanager_launch import launch_jobmanager
from shmflink.client.observer import JobObserver, SilentObserver
from shmflink.client.outcome import outcome_of
from shmflink.config.options import DEFAULT_PARALLELISM, SLOTS, validate
from shmflink.core.clock import SYSTEM_CLOCK
from shmflink.core.ids import JobId
from shmflink.errors import JobManagerLostError, RpcError, ShmflinkError
from shmflink.graph.job_graph import JobGraph
from shmflink.rpc.connection import BlockingConnection
from shmflink.rpc.messages import (
    CancelJob,
    ClusterFailed,
    ClusterStarted,
    JobEnded,
    JobProgress,
    JobStatusChanged,
    Shutdown,
    StartCluster,
    SubmitJob,
)

__all__ = ["EmbeddedCluster"]

_LOG: Final = logging.getLogger(__name__)
_CLOSE_S: Final = 20.0  # for a clean end; the JobManager itself gives up on its workers after ten


class EmbeddedCluster:
    """An executor. Starts at the first `submit` or at `start`; may run any number of jobs; `close` ends it."""

    def __init__(self, configuration: Mapping[str, str], observer: JobObserver | None = None) -> None:
        """`configuration` is validated here; ConfigurationError."""
        validate(configuration, "cluster configuration")
        self.slots: int = SLOTS.read(configuration) or len(os.sched_getaffinity(0))
        self.configuration: Mapping[str, str] = {DEFAULT_PARALLELISM.key: str(self.slots), **configuration}
        self.start_ms: float | None = None
        self.pids: tuple[int, ...] = ()
        self.fork_server_pid = 0
        self._observer: JobObserver = observer if observer is not None else SilentObserver()
        self._wants_progress = observer is not None
        self._jobs: dict[JobId, tuple[JobGraph, JobClient]] = {}
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: BlockingConnection | None = None
        self._receiver: threading.Thread | None = None
        self._ready = threading.Event()
        self._started_ns = 0
        self._lost: ShmflinkError | None = None
        self._is_closing = False

    # --- Executor ---

    @property
    def default_parallelism(self) -> int:
        """Parallelism of programs that set none."""
        return int(DEFAULT_PARALLELISM.read(self.configuration))

    def submit(self, graph: JobGraph, configuration: Mapping[str, str]) -> JobClient:
        """Hands a job to the cluster. ConfigurationError for options that are wrong; JobManagerLostError."""
        validate(configuration, f"configuration of job '{graph.name}'")
        merged = {**self.configuration, **configuration}
        self.start()
        client = JobClient(graph.job_id, self._request_cancel)
        with self._lock:
            if self._lost is not None:
                raise self._lost
            self._jobs[graph.job_id] = (graph, client)
        try:
            self._observer.job_submitted(graph)
            self._send(SubmitJob(graph, merged, self._wants_progress))
        except BaseException:
            with self._lock:
                self._jobs.pop(graph.job_id, None)
            raise
        return client

    # --- life ---

    def start(self) -> None:
        """Starts the processes and returns at once; they come up while the caller goes on. Idempotent."""
        with self._lock:
            if self._lost is not None:
                raise self._lost
            if self._process is not None:
                return
            self._started_ns = SYSTEM_CLOCK.monotonic_ns()
            self._process, end = launch_jobmanager()
            self._connect(end)
        self._send(StartCluster(self.slots, self.configuration))

    def _connect(self, end: socket.socket) -> None:
        self._connection = BlockingConnection(end)
        self._receiver = threading.Thread(target=self._receive, name="shmflink-client", daemon=True)
        self._receiver.start()

    def wait_started(self, timeout_s: float) -> bool:
        """Waits until every TaskManager is up; False when the time is over, or the cluster was lost."""
        return self._ready.wait(timeout_s) and self._lost is None

    @property
    def pid(self) -> int:
        """The JobManager's process id, 0 before the start."""
        return self._process.pid if self._process is not None else 0

    @property
    def is_usable(self) -> bool:
        """False once the cluster was closed or lost."""
        return self._lost is None and not self._is_closing

    def cancel(self, force: bool = False) -> bool:
        """Asks for the end of all jobs; False when none runs. `force` kills every process of the cluster instead."""
        with self._lock:
            jobs = list(self._jobs)
        if force:
            self.kill()
        else:
            for job_id in jobs:
                self._request_cancel(job_id)
        return bool(jobs)

    def kill(self) -> None:
        """SIGKILL to the JobManager; the kernel ends its children with it."""
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """Cancels what still runs, ends all processes and waits for them. Idempotent."""
        with self._lock:
            self._is_closing = True
            process, connection, receiver = self._process, self._connection, self._receiver
        if process is None or connection is None or receiver is None:
            return
        try:
            connection.send(Shutdown())
        except RpcError:
            _LOG.info("the JobManager was gone before it was asked to end")
        try:
            process.wait(_CLOSE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if receiver is not threading.current_thread():
            receiver.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # --- messages ---

    def _send(self, message: object) -> None:
        assert self._connection is not None, "send before start"
        self._connection.send(message)

    def _request_cancel(self, job_id: JobId) -> None:
        try:
            self._send(CancelJob(job_id))
        except RpcError:
            _LOG.info("the JobManager is gone; the job ends with it")

    def _receive(self) -> None:
        """The receiving thread: until the JobManager closes the connection or dies."""
        assert self._connection is not None
        try:
            while (received := self._connection.receive()) is not None:
                self._handle(received.message)
        except RpcError as error:
            _LOG.error("%s", error)
        self._disconnected()

    def _handle(self, message: object) -> None:
        match message:
            case ClusterStarted(_, pids, fork_server_pid):
                self.start_ms = (SYSTEM_CLOCK.monotonic_ns() - self._started_ns) / 1e6
                self.pids, self.fork_server_pid = pids, fork_server_pid
                self._ready.set()
            case JobStatusChanged(job_id, state):
                if job_id in self._jobs:
                    self._jobs[job_id][1].status_changed(JobStatus[state.value])
            case JobProgress():
                self._observer.job_progressed(message)
            case JobEnded():
                self._ended(message)
            case ClusterFailed(failure):
                self._lost = JobManagerLostError(f"the cluster ended: {failure.message}")

    def _ended(self, ended: JobEnded) -> None:
        with self._lock:
            graph, client = self._jobs.pop(ended.job_id)
        self._observer.job_ended(ended)
        client.ended(JobStatus[ended.state.value], outcome_of(ended, graph.name))

    def _disconnected(self) -> None:
        """The end of the connection: expected after `close`, else the JobManager died."""
        assert self._process is not None
        assert self._connection is not None
        try:
            code = self._process.wait(_CLOSE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._connection.close()
        how = f"was killed by signal {-code}" if code < 0 else f"exited with code {code}"
        with self._lock:
            if self._lost is None:
                how = "was closed" if self._is_closing else f"{how}; its TaskManagers died with it"
                self._lost = JobManagerLostError(f"the JobManager (pid {self._process.pid}) {how}")
            jobs, self._jobs = self._jobs, {}
        self._ready.set()
        for _, client in jobs.values():
            client.ended(JobStatus.FAILED, self._lost)
