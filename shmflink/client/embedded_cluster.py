"""A cluster that belongs to this process: a JobManager process and its children. Ends with this process in any case.

With an HA directory (`high-availability.type: FILESYSTEM`), a dead JobManager is replaced: the next one recovers the
jobs that it finds there from their latest checkpoints, and we continue to follow them. The same program, started
again, finds its jobs by their place in it: the JobManager says under which id each of them runs.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import weakref
from collections.abc import Mapping
from functools import partial
from types import TracebackType
from typing import Final, Self

from shmflink.client.abandoned import ABANDONED
from shmflink.client.followed_jobs import FollowedJobs
from shmflink.client.job_client import JobClient
from shmflink.client.jobmanager_process import JobManagerProcess
from shmflink.client.observer import JobObserver, SilentObserver
from shmflink.client.outcome import cluster_error
from shmflink.client.respawn import RespawnPolicy
from shmflink.client.savepoint_requests import request_savepoint
from shmflink.config.checkpoint_options import HA_TYPE
from shmflink.config.options import DEFAULT_PARALLELISM, EXECUTION_TARGET, HEARTBEAT_TIMEOUT, SLOTS, validate
from shmflink.core.clock import SYSTEM_CLOCK
from shmflink.core.ids import JobId
from shmflink.errors import JobManagerLostError, RpcError, ShmflinkError, UsageError
from shmflink.graph.execution_graph import slots_required
from shmflink.graph.job_graph import JobGraph
from shmflink.metrics.log_server import LogServer
from shmflink.rpc.messages import (
    CancelJob,
    ClusterFailed,
    ClusterStarted,
    GrowCluster,
    JobsRecovered,
    Shutdown,
    StartCluster,
)

__all__ = ["EmbeddedCluster"]

_LOG: Final = logging.getLogger(__name__)
_SILENCE_MIN_MS: Final = 15_000  # a JobManager may wait ten seconds for the HA directory of its predecessor
_SLOTS_MAX: Final = 64  # limit to which a cluster grows so that jobs need not wait for each other


_OF_THIS_PROCESS: Final[weakref.WeakSet[EmbeddedCluster]] = weakref.WeakSet()


class EmbeddedCluster:
    """An executor. Starts at the first `submit` or at `start`; runs any number of jobs; `close` ends it.

    Unless `cluster.slots` fixes the number of slots, it starts with one per CPU and grows with what its jobs need,
    including jobs that are still running (Flink starts a MiniCluster for each).
    """

    def __init__(
        self,
        configuration: Mapping[str, str],
        observer: JobObserver | None = None,
        streams: tuple[int | None, int | None] = (None, None),
    ) -> None:
        """Validates `configuration` (ConfigurationError). `streams`: descriptors for standard output and error of the
        processes, None = ours; the caller owns them and keeps them open until the end.
        """
        validate(configuration, "cluster configuration")
        self.slots = SLOTS.read(configuration) or len(os.sched_getaffinity(0))
        self.configuration: Mapping[str, str] = {DEFAULT_PARALLELISM.key: str(self.slots), **configuration}
        self.start_ms: float | None = None
        self.pids: tuple[int, ...] = ()
        self.fork_server_pid = 0
        self._streams = streams
        self._observer: JobObserver = observer if observer is not None else SilentObserver()
        self.is_recovering = HA_TYPE.read(configuration) != "NONE"
        self._wants_progress = self._observer.wants_progress or self.is_recovering
        self._respawns = RespawnPolicy()
        self._silence_max_ms: int = max(HEARTBEAT_TIMEOUT.read(configuration), _SILENCE_MIN_MS)
        self._control_socket = ""
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._jobs = FollowedJobs(self._observer, self._lock, self._respawns, lambda: self._logs)
        self._process: JobManagerProcess | None = None
        self._receiver: threading.Thread | None = None
        self._logs: LogServer | None = None
        self._ready = threading.Event()
        self._started_ns = 0
        self._lost: ShmflinkError | None = None
        self._is_closing = False
        self._is_killed = False
        self._pid = os.getpid()
        _OF_THIS_PROCESS.add(self)

    # --- Executor ---

    @property
    def default_parallelism(self) -> int:
        """Parallelism of programs that set none."""
        return DEFAULT_PARALLELISM.read(self.configuration) or self.slots

    def submit(self, graph: JobGraph, configuration: Mapping[str, str]) -> JobClient:
        """Submits a job. ConfigurationError for invalid options; JobManagerLostError.

        With an HA directory, waits until the JobManager has stored the job and knows which job it is.
        """
        validate(configuration, f"configuration of job '{graph.name}'")
        merged = {**self.configuration, **configuration}
        if HA_TYPE.read(merged) != HA_TYPE.read(self.configuration):
            _LOG.warning("%s is set for the job only: set it where the cluster starts (-D)", HA_TYPE.key)
        if (target := EXECUTION_TARGET.read(merged)) != "LOCAL":
            raise UsageError(
                f"{EXECUTION_TARGET.key} is {target}, but the program has a cluster of its own: name the target "
                f"where the program starts (shmflink run -t {target.lower()})"
            )
        self.start()
        if SLOTS.read(self.configuration) is None:
            self._make_room_for(graph)
        with self._lock:
            if self._lost is not None:
                raise self._lost
            job = self._jobs.add_locked(
                graph,
                merged,
                JobClient(graph.job_id, self._request_cancel, partial(request_savepoint, self._wait_control_socket)),
                tuple(sys.argv[1:]),
                progress=self._wants_progress,
                admits=self.is_recovering,
            )
        try:
            if job.admitted is None:
                self._observer.job_submitted(graph)
            self._send(job.submission, is_kept=True)
            if job.admitted is not None:
                job.admitted.wait()
            if job.client.get_job_id() in self._jobs.canceled:  # by a signal, before the JobManager knew of it
                self._request_cancel(job.client.get_job_id())
        except BaseException:
            self._jobs.remove(job)
            raise
        return job.client

    # --- life ---

    def start(self) -> None:
        """Starts the processes and returns at once; they come up in the background. Idempotent."""
        with self._lock:
            if self._lost is not None:
                raise self._lost
            if self._process is not None:
                return
            self._started_ns = SYSTEM_CLOCK.monotonic_ns()
            self._logs = LogServer()
            self._process = JobManagerProcess(self._logs.address, self._streams)
            self._receiver = threading.Thread(target=self._receive, name="shmflink-client", daemon=True)
            self._receiver.start()
        self._send(StartCluster(self.slots, self.configuration))

    def wait_started(self, timeout_s: float) -> bool:
        """Waits until every TaskManager is up; False after a timeout or if the cluster was lost."""
        return self._ready.wait(timeout_s) and self._lost is None

    @property
    def pid(self) -> int:
        """The JobManager's process id, 0 before the start."""
        return self._process.pid if self._process is not None else 0

    @property
    def is_usable(self) -> bool:
        """False once the cluster was closed or lost."""
        return self._lost is None and not self._is_closing

    @property
    def has_jobs(self) -> bool:
        """True while a submitted job has not ended. Takes no lock."""
        return bool(self._jobs)

    def cancel(self, force: bool = False) -> bool:
        """Requests the end of all jobs; False if none runs. `force` instead kills every process of the cluster."""
        jobs = self._jobs.ids()
        if force:
            self.kill()
        else:
            for job_id in jobs:
                self._request_cancel(job_id)
        return bool(jobs)

    def suspend(self) -> bool:
        """With an HA directory: ends all processes and keeps the jobs there for recovery; False if no job runs."""
        jobs = self._jobs.ids()
        self._closing.set()
        self._is_closing = True
        try:
            self._send(Shutdown(suspends=True))
        except RpcError:
            _LOG.info("the JobManager was gone before the request to suspend its jobs; they are kept")
        return bool(jobs)

    def kill(self) -> None:
        """Sends SIGKILL to the JobManager, which takes its children with it. It is not replaced. Takes no lock."""
        self._is_killed = True
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """Cancels running jobs, ends all processes and waits for them. Idempotent."""
        self._closing.set()
        with self._lock:
            self._is_closing = True
            process, receiver = self._process, self._receiver
        if process is None or receiver is None:
            return
        process.shut_down(Shutdown())
        process.wait()
        if receiver is not threading.current_thread():
            receiver.join()
        if self._logs is not None:
            self._logs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def leave_to_parent(self) -> None:
        """In a fork, where the cluster belongs to the parent. Closes our end of its connection, or its JobManager would
        outlive the parent.

        Takes no lock: the fork does not have the threads that may have held one.
        """
        self._lock = threading.Lock()
        self._lost = UsageError(
            f"this process (pid {os.getpid()}) was forked from the one that the cluster belongs to (pid {self._pid}) "
            "and cannot use it: run jobs in that process, or have multiprocessing 'spawn' its processes"
        )
        if self._process is not None:
            self._process.leave_to_parent()
        if self._logs is not None:
            self._logs.leave_to_parent()
        self._process = self._receiver = self._logs = None
        self._jobs.forget(self._lock)

    # --- messages ---

    def _make_room_for(self, graph: JobGraph) -> None:
        """Grows the cluster, so that a job neither fails because of its parallelism nor waits for one that never ends.
        Jobs that are being canceled do not count. Slots share CPUs if there are too few.
        """
        ABANDONED.work_off()
        with self._lock:
            graphs = self._jobs.graphs_locked()
            needed = slots_required(graph)
            slots = max(needed, min(needed + sum(map(slots_required, graphs)), _SLOTS_MAX))
            if slots <= self.slots:
                return
            self.slots = slots
        self._send(GrowCluster(slots), is_kept=True)

    def _send(self, message: object, *, is_kept: bool = False) -> None:
        """`is_kept`: if the JobManager has just died, its successor is told when it is ready."""
        if self._process is None:
            assert self._lost is not None, "send before start"
            raise self._lost  # a fork of the process that owns the cluster
        try:
            self._process.send(message)
        except RpcError:
            if not (is_kept and self.is_recovering):
                raise
            _LOG.info("the JobManager is gone; its successor gets the job")

    def _request_cancel(self, job_id: JobId) -> None:
        self._jobs.canceled.add(job_id)
        try:
            self._send(CancelJob(job_id))
        except RpcError:
            _LOG.info("the JobManager is gone; the job ends with it, or its successor is asked")

    def _wait_control_socket(self) -> str:
        self._ready.wait()
        return self._control_socket

    def _receive(self) -> None:
        """The receiving thread: runs until the JobManager closes the connection, or dies and is not replaced."""
        while True:
            process = self._process
            assert process is not None, "nobody to receive from"
            try:
                process.receive(self._handle, self._silent if self.is_recovering else None, self._jobs.output_closed)
            except RpcError as error:
                _LOG.error("%s", error)
            how = process.reaped()
            if not self._is_replaced(how):
                self._end(how)
                return

    def _handle(self, message: object) -> None:
        match message:
            case ClusterStarted(_, pids, fork_server_pid, control_socket):
                self._control_socket = control_socket
                self.start_ms = self.start_ms or (SYSTEM_CLOCK.monotonic_ns() - self._started_ns) / 1e6
                self.pids, self.fork_server_pid = pids, fork_server_pid
                self._ready.set()
            case JobsRecovered(job_ids):
                self._jobs.submit_again(job_ids, self._send)
            case ClusterFailed(failure):
                self._lost = cluster_error(failure)
            case _:
                self._jobs.handle(message)

    # --- when the JobManager dies ---

    def _silent(self, silent_s: int) -> None:
        """A JobManager that long reports nothing about its jobs hangs: it is replaced."""
        if silent_s * 1000 > self._silence_max_ms and self._jobs and self._process is not None:
            self._observer.cluster_says(f"The JobManager (pid {self.pid}) is silent for {silent_s} s: killed")
            self._process.kill()

    def _is_replaced(self, how: str) -> bool:
        """Starts another JobManager on the HA directory, unless the cluster is closing or makes no progress."""
        if not self.is_recovering or self._is_closing or self._is_killed or self._lost is not None:
            return False
        delay_s = self._respawns.next_delay_s()
        pid = self.pid
        if delay_s is None:
            self._observer.cluster_says(f"The JobManager (pid {pid}) {how}, again without progress: giving up")
            return False
        if self._closing.wait(delay_s):
            return False
        with self._lock:
            if self._closing.is_set() or self._was_killed():
                return False
            assert self._logs is not None, "a JobManager before the first"
            self._process = JobManagerProcess(self._logs.address, self._streams)
            self._jobs.restarted_locked()
        self._observer.cluster_says(
            f"The JobManager (pid {pid}) {how}. A new one (pid {self.pid}) resumes the jobs in the HA directory"
        )
        try:
            self._send(StartCluster(self.slots, self.configuration, recovers=True))
        except RpcError:
            _LOG.info("the new JobManager died at once")
        return True

    def _was_killed(self) -> bool:
        """May change at any moment, even while we wait."""
        return self._is_killed

    def _end(self, how: str) -> None:
        """There is no JobManager left: expected after `close`, otherwise it died."""
        with self._lock:
            if self._lost is None:
                kept = "; the HA directory keeps its jobs" if self.is_recovering else ""
                how = "was closed" if self._is_closing else f"{how}; its TaskManagers died with it{kept}"
                self._lost = JobManagerLostError(f"the JobManager (pid {self.pid}) {how}")
            lost = self._lost
        self._ready.set()
        self._jobs.end_all(lost)


def _leave_to_parent() -> None:
    for cluster in list(_OF_THIS_PROCESS):
        cluster.leave_to_parent()


os.register_at_fork(after_in_child=_leave_to_parent)
