"""A cluster that belongs to this process: a JobManager process and its children. Ends with this process in any case.

With an HA directory (`high-availability.type: FILESYSTEM`), a dead JobManager is replaced: the next one recovers the
jobs that it finds there from their latest checkpoints, and we continue to follow them. The same program, started
again, finds its jobs by their place in it: the JobManager says under which id each of them runs.
"""

from __future__ import annotations

import logging
import os
import select
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping
from dataclasses import replace
from types import TracebackType
from typing import Final, Self

from shmflink.client.abandoned import ABANDONED
from shmflink.client.completable_future import CompletableFuture
from shmflink.client.control_client import request
from shmflink.client.job_client import JobClient
from shmflink.client.job_status import JobStatus
from shmflink.client.jobmanager_launch import launch_jobmanager
from shmflink.client.observer import JobObserver, SilentObserver
from shmflink.client.outcome import cluster_error, first_line, outcome_of
from shmflink.client.respawn import RespawnPolicy
from shmflink.client.standard_streams import STDOUT, is_unread
from shmflink.config.checkpoint_options import HA_TYPE
from shmflink.config.options import DEFAULT_PARALLELISM, HEARTBEAT_TIMEOUT, SLOTS, validate
from shmflink.core.clock import SYSTEM_CLOCK
from shmflink.core.ids import JobId
from shmflink.errors import JobManagerLostError, RpcError, ShmflinkError, UsageError
from shmflink.graph.execution_graph import slots_required
from shmflink.graph.job_graph import JobGraph
from shmflink.metrics.log_server import LogServer
from shmflink.rpc.connection import BlockingConnection
from shmflink.rpc.control_messages import SavepointCompleted, StopJob, TriggerSavepoint
from shmflink.rpc.messages import (
    CancelJob,
    ClusterFailed,
    ClusterStarted,
    GrowCluster,
    JobAdmitted,
    JobEnded,
    JobNotice,
    JobProgress,
    JobsRecovered,
    JobStatusChanged,
    Shutdown,
    StartCluster,
    SubmitJob,
)
from shmflink.rpc.runtime_folder import remove_dead, runtime_folders

__all__ = ["EmbeddedCluster"]

_LOG: Final = logging.getLogger(__name__)
_SILENCE_MIN_MS: Final = 15_000  # a JobManager may wait ten seconds for the HA directory of its predecessor
_SLOTS_MAX: Final = 64  # limit to which a cluster grows so that jobs need not wait for each other
_CLOSE_S: Final = 20.0  # for a clean end; the JobManager itself gives up on its workers after ten seconds


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
        self._jobs: dict[JobId, tuple[SubmitJob, JobClient]] = {}
        self._unadmitted: dict[JobId, threading.Event] = {}  # the JobManager has not told their ids yet
        self._submitted = 0
        self._cancelled: set[JobId] = set()
        self._respawns = RespawnPolicy()
        self._silence_max_ms: int = max(HEARTBEAT_TIMEOUT.read(configuration), _SILENCE_MIN_MS)
        self._restarts: dict[JobId, int] = {}  # by this and earlier JobManagers
        self._control_socket = ""
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: BlockingConnection | None = None
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
        self.start()
        if SLOTS.read(self.configuration) is None:
            self._make_room_for(graph)
        with self._lock:
            if self._lost is not None:
                raise self._lost
            client = JobClient(graph.job_id, self._request_cancel, self._request_savepoint)
            submission = SubmitJob(graph, merged, self._wants_progress, self._submitted, tuple(sys.argv[1:]))
            self._submitted += 1
            self._jobs[graph.job_id] = (submission, client)
            admitted = threading.Event()
            if self.is_recovering:
                self._unadmitted[graph.job_id] = admitted
        try:
            if not self.is_recovering:
                self._observer.job_submitted(graph)
            self._send_or_wait(submission)
            if self.is_recovering:
                admitted.wait()
            if client.get_job_id() in self._cancelled:  # a signal canceled it before the JobManager knew of it
                self._request_cancel(client.get_job_id())
        except BaseException:
            with self._lock:
                self._unadmitted.pop(graph.job_id, None)
                self._jobs.pop(client.get_job_id(), None)
            raise
        return client

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
            self._process, end = launch_jobmanager(self._logs.address, self._streams)
            self._connect(end)
        self._send(StartCluster(self.slots, self.configuration))

    def _connect(self, end: socket.socket) -> None:
        self._connection = BlockingConnection(end)
        self._receiver = threading.Thread(target=self._receive, name="shmflink-client", daemon=True)
        self._receiver.start()

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
        with self._lock:
            jobs = list(self._jobs)
        if force:
            self.kill()
        else:
            for job_id in jobs:
                self._request_cancel(job_id)
        return bool(jobs)

    def suspend(self) -> bool:
        """With an HA directory: ends all processes and keeps the jobs there for recovery; False if no job runs."""
        with self._lock:
            jobs = list(self._jobs)
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
            process, connection, receiver = self._process, self._connection, self._receiver
        if process is None or connection is None or receiver is None:
            return
        try:
            connection.send(Shutdown())
        except RpcError:
            _LOG.info("the JobManager was gone before the request to end")
        try:
            process.wait(_CLOSE_S)
        except subprocess.TimeoutExpired:
            process.kill()
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
        if self._connection is not None:
            self._connection.close()
        if self._logs is not None:
            self._logs.leave_to_parent()
        self._process = self._connection = self._receiver = self._logs = None
        self._jobs = {}

    # --- messages ---

    def _make_room_for(self, graph: JobGraph) -> None:
        """Grows the cluster, so that a job neither fails because of its parallelism nor waits for one that never ends.
        Jobs that are being canceled do not count. Slots share CPUs if there are too few.
        """
        ABANDONED.work_off()
        with self._lock:
            graphs = [one.graph for job_id, (one, _) in self._jobs.items() if job_id not in self._cancelled]
            needed = slots_required(graph)
            slots = max(needed, min(needed + sum(map(slots_required, graphs)), _SLOTS_MAX))
            if slots <= self.slots:
                return
            self.slots = slots
        self._send_or_wait(GrowCluster(slots))

    def _send(self, message: object) -> None:
        if self._connection is None:
            assert self._lost is not None, "send before start"
            raise self._lost  # a fork of the process that owns the cluster
        self._connection.send(message)

    def _send_or_wait(self, message: object) -> None:
        """For a JobManager that has just died: its successor is told when it is ready."""
        try:
            self._send(message)
        except RpcError:
            if not self.is_recovering:
                raise
            _LOG.info("the JobManager is gone; its successor gets the job")

    def _request_cancel(self, job_id: JobId) -> None:
        self._cancelled.add(job_id)
        try:
            self._send(CancelJob(job_id))
        except RpcError:
            _LOG.info("the JobManager is gone; the job ends with it, or its successor is asked")

    def _request_savepoint(self, job_id: JobId, target: str, stops: bool, drains: bool) -> CompletableFuture[str]:
        """Over the control socket, like any client; a separate thread delivers the path or the RequestFailedError."""
        future: CompletableFuture[str] = CompletableFuture()
        message = StopJob(job_id, target, drains) if stops else TriggerSavepoint(job_id, target)

        def ask() -> None:
            try:
                self._ready.wait()
                done = request(self._control_socket, message, SavepointCompleted, SYSTEM_CLOCK)
                future.complete(done.path)
            except ShmflinkError as error:
                future.complete_exceptionally(error)

        threading.Thread(target=ask, name="shmflink-savepoint", daemon=True).start()
        return future

    def _receive(self) -> None:
        """The receiving thread: runs until the JobManager closes the connection, or dies and is not replaced."""
        while True:
            assert self._connection is not None
            try:
                self._receive_from(self._connection)
            except RpcError as error:
                _LOG.error("%s", error)
            how = self._reaped()
            if not self._is_replaced(how):
                self._end(how)
                return

    def _receive_from(self, connection: BlockingConnection) -> None:
        """Until it ends. A JobManager that long reports nothing about its jobs hangs: it is replaced if possible.

        Counts fruitless waits instead of time, so that time in which this process was stopped does not count.
        """
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN)
        poll.register(STDOUT, 0)  # reports POLLERR without being asked
        silent_s = 0
        while True:
            ready = dict(poll.poll(1000 if self.is_recovering else None))
            if ready.pop(STDOUT, 0):
                poll.unregister(STDOUT)
                self._output_closed()
                if not ready:
                    continue
            if not ready:
                silent_s += 1
                if silent_s * 1000 > self._silence_max_ms and self._jobs and self._process is not None:
                    self._observer.cluster_says(f"The JobManager (pid {self.pid}) is silent for {silent_s} s: killed")
                    self._process.kill()
                continue
            silent_s = 0
            received = connection.read_once()
            if received is None:
                return
            for one in received:
                self._handle(one.message)

    def _handle(self, message: object) -> None:
        match message:
            case ClusterStarted(_, pids, fork_server_pid, control_socket):
                self._control_socket = control_socket
                self.start_ms = self.start_ms or (SYSTEM_CLOCK.monotonic_ns() - self._started_ns) / 1e6
                self.pids, self.fork_server_pid = pids, fork_server_pid
                self._ready.set()
            case JobAdmitted(submitted, job_id):
                self._admitted(submitted, job_id)
            case JobStatusChanged(job_id, state, failure):
                if failure is not None:
                    self._observer.cluster_says(f"{self._named(job_id)} restarts: {first_line(failure)}")
                if job_id in self._jobs:
                    self._jobs[job_id][1].status_changed(JobStatus[state.value])
            case JobNotice(_, text):
                self._observer.cluster_says(text)
            case JobProgress(job_id):
                if message.checkpoints is not None:
                    self._respawns.progressed((job_id, message.checkpoints.last_id))
                before = self._restarts.get(job_id, 0)
                self._observer.job_progressed(replace(message, restarts=before + message.restarts))
            case JobEnded():
                self._ended(message)
            case JobsRecovered(job_ids):
                self._submit_again(job_ids)
            case ClusterFailed(failure):
                self._lost = cluster_error(failure)

    def _output_closed(self) -> None:
        if self._jobs and is_unread(STDOUT):
            self._observer.cluster_says("Standard output was closed by its reader: what jobs print is discarded")

    def _named(self, job_id: JobId) -> str:
        known = self._jobs.get(job_id)
        return f"Job {job_id}" if known is None else f"Job '{known[0].graph.name}' ({job_id})"

    def _admitted(self, submitted: JobId, job_id: JobId) -> None:
        with self._lock:
            if submitted not in self._jobs:
                return
            submission, client = self._jobs.pop(submitted)
            graph = replace(submission.graph, job_id=job_id)
            self._jobs[job_id] = (replace(submission, graph=graph), client)
            client.admitted(job_id)
            self._restarts[job_id] = self._restarts.pop(submitted, 0)
            if submitted in self._cancelled:
                self._cancelled.add(job_id)
            event = self._unadmitted.pop(submitted, None)
        if event is not None:
            self._observer.job_submitted(graph)
            event.set()

    def _ended(self, ended: JobEnded) -> None:
        with self._lock:
            submission, client = self._jobs.pop(ended.job_id)
            refused = self._unadmitted.pop(ended.job_id, None)
        if refused is not None:
            self._observer.job_submitted(submission.graph)
            refused.set()
        self._respawns.progressed(ended.job_id)
        ended = replace(ended, restarts=self._restarts.get(ended.job_id, 0) + ended.restarts)
        if self._logs is not None:
            self._logs.drain()  # logged records come before the news of the end
        self._observer.job_ended(ended)
        client.ended(JobStatus[ended.state.value], outcome_of(ended, submission.graph.name))

    # --- when the JobManager dies ---

    def _reaped(self) -> str:
        """Waits for the end of the JobManager's process; says how it ended."""
        assert self._process is not None
        assert self._connection is not None
        try:
            code = self._process.wait(_CLOSE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._connection.close()
        remove_dead(runtime_folders(os.environ, os.getuid()), self._process.pid)
        return f"was killed by signal {-code}" if code < 0 else f"exited with code {code}"

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
            self._process, end = launch_jobmanager(self._logs.address, self._streams)
            self._connection = BlockingConnection(end)
            for job_id in self._jobs:
                self._restarts[job_id] = self._restarts.get(job_id, 0) + 1
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

    def _submit_again(self, recovered: tuple[JobId, ...]) -> None:
        """Handles jobs that the dead JobManager had not stored, or had ended without telling us."""
        with self._lock:
            missing = [submission for job_id, (submission, _) in self._jobs.items() if job_id not in recovered]
            cancelled = [job_id for job_id in self._jobs if job_id in self._cancelled]
        for message in (*missing, *map(CancelJob, cancelled)):
            try:
                self._send(message)
            except RpcError:
                return  # it died as well

    def _end(self, how: str) -> None:
        """There is no JobManager left: expected after `close`, otherwise it died."""
        with self._lock:
            if self._lost is None:
                kept = "; the HA directory keeps its jobs" if self.is_recovering else ""
                how = "was closed" if self._is_closing else f"{how}; its TaskManagers died with it{kept}"
                self._lost = JobManagerLostError(f"the JobManager (pid {self.pid}) {how}")
            jobs, self._jobs = self._jobs, {}
            waiting, self._unadmitted = self._unadmitted, {}
        self._ready.set()
        for event in waiting.values():
            event.set()
        for _, client in jobs.values():
            client.ended(JobStatus.FAILED, self._lost)


def _leave_to_parent() -> None:
    for cluster in list(_OF_THIS_PROCESS):
        cluster.leave_to_parent()


os.register_at_fork(after_in_child=_leave_to_parent)
