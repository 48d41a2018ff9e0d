"""The JobManager: one client, one fork server, its TaskManagers, the jobs. Event-driven; waits for nothing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NoReturn

from shmflink.checkpoint.settings import CheckpointSettings
from shmflink.core.clock import SYSTEM_CLOCK
from shmflink.core.ids import JobId
from shmflink.errors import DirectoryInUseError, ResourceError, RpcError, ShmflinkError
from shmflink.graph.execution_graph import check_slots
from shmflink.jobmanager.checkpoint_disk import CheckpointDisk
from shmflink.jobmanager.control_socket import ControlSocket
from shmflink.jobmanager.exit_text import describe_exit
from shmflink.jobmanager.ha_calls import HaCalls
from shmflink.jobmanager.ha_store import Owner
from shmflink.jobmanager.job_control import RunControl
from shmflink.jobmanager.job_run import JobRun
from shmflink.jobmanager.recovery import Admission, Recovery
from shmflink.jobmanager.resumption import resumption_text
from shmflink.jobmanager.slot_queue import waiting_text
from shmflink.jobmanager.splits import failure_of
from shmflink.jobmanager.taskmanagers import TaskManager, TaskManagers
from shmflink.rpc.async_connection import AsyncConnection
from shmflink.rpc.last_words import EXIT_FAILED
from shmflink.rpc.limits import system_error_text
from shmflink.rpc.messages import (
    CancelJob,
    ClusterFailed,
    ClusterStarted,
    Failure,
    GrowCluster,
    JobAdmitted,
    JobEnded,
    JobNotice,
    JobProgress,
    JobsRecovered,
    JobStatusChanged,
    ProcessFailed,
    Shutdown,
    StartCluster,
    SubmitJob,
    TaskManagerExited,
    TaskManagerForked,
)
from shmflink.rpc.runtime_folder import runtime_folders
from shmflink.rpc.states import JobState
from shmflink.rpc.wire import Received

__all__ = ["JobManager"]

_LOG: Final = logging.getLogger(__name__)
_PROGRESS_INTERVAL_S: Final = 0.2
_WAITS_QUIETLY_S: Final = 2.0  # for slots; a job that waits for longer says so, once
_SHUTDOWN_S: Final = 5.0  # from asking the TaskManagers to end to killing them
_HA_LOCK_S: Final = 10.0  # for the JobManager before us, whose client was killed, to let go of the HA directory
_HA_RETRY_S: Final = 0.1
_HA_QUIET_S: Final = 1.0  # that long it waits without a word


class JobManager:
    """Serves one client until it says Shutdown or its connection ends; then everything ends.

    With an HA directory, jobs that have not ended by then are suspended: they stay in it, for the next JobManager.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        client: socket.socket,
        fork_server: socket.socket,
        fork_server_pid: int,
        environment: Mapping[str, str],
    ) -> None:
        self._loop = loop
        self._environment = environment
        self._client = AsyncConnection(client, loop, self._client_says, self._client_gone)
        self._fork_server = AsyncConnection(fork_server, loop, self._fork_server_says, self._fork_server_gone)
        self._fork_server_pid = fork_server_pid
        self._fork_server_failure: Failure | None = None  # its last words
        self._taskmanagers: TaskManagers | None = None
        self._slots = 0
        self._waiting: deque[JobRun] = deque()  # for TaskManagers: new jobs, and those that restart
        self._runs: dict[JobId, JobRun] = {}
        self._run_of: dict[TaskManager, JobRun] = {}
        self._progress: set[JobId] = set()
        self._recovery: Recovery | None = None  # until the HA directory is ours
        self._waited_for: tuple[int, str] | None = None
        self._has_told_of_waiting = False
        self._held: list[Received] = []  # what the client says until then
        self._ha = HaCalls(loop, self._give_up)
        self._control = RunControl(self._runs)
        self._control_socket: ControlSocket | None = None
        self._is_ending = False
        self._is_suspending = False
        self._was_started = False
        self.stopped: asyncio.Future[int] = loop.create_future()
        loop.add_signal_handler(signal.SIGTERM, self._shut_down)

    # --- the client ---

    def _client_says(self, received: Received) -> None:
        message = received.message
        if self._recovery is None and isinstance(message, SubmitJob | CancelJob):
            self._held.append(received)
            return
        match message:
            case StartCluster() as request:
                self._start_cluster(request)
            case GrowCluster(slots):
                self._grow(slots)
            case SubmitJob() as submission:
                self._submit(submission)
            case CancelJob(job_id, force):
                self._cancel(job_id, force)
            case Shutdown(suspends):
                self._shut_down(suspends=suspends)
            case other:
                raise RpcError(f"a client cannot say {type(other).__name__}")

    def _client_gone(self, reason: str) -> None:
        _LOG.info("the client is gone: %s", reason)
        self._shut_down(suspends=True)

    def _start_cluster(self, request: StartCluster) -> None:
        self._slots = request.slots
        configuration = request.configuration
        try:
            self._taskmanagers = TaskManagers(
                request.slots, configuration, self._fork_server, self._loop, SYSTEM_CLOCK, self
            )
        except (ShmflinkError, OSError) as error:
            self._fail(failure_of(error))
            return
        if self._taskmanagers.is_sharing_cpus:
            self._warn_of_sharing()
        try:
            folders = runtime_folders(self._environment, os.getuid())
            self._control_socket = ControlSocket(self._loop, self._control, folders)
        except ResourceError as error:  # the jobs run without, only nobody else can reach them
            _LOG.warning("%s", error)
        self._recover(request, SYSTEM_CLOCK.monotonic_ns())

    def _grow(self, slots: int) -> None:
        taskmanagers = self._taskmanagers
        assert taskmanagers is not None, "a cluster grows before it starts"
        if slots <= self._slots or self._is_ending:
            return
        was_sharing = taskmanagers.is_sharing_cpus
        try:
            taskmanagers.grow(slots)
        except (ResourceError, OSError) as error:  # the job that wants them is refused, the others go on
            _LOG.warning("the cluster stays at %d slots: %s", self._slots, system_error_text(error))
            return
        self._slots = slots
        if taskmanagers.is_sharing_cpus and not was_sharing:
            self._warn_of_sharing()

    def _warn_of_sharing(self) -> None:
        _LOG.warning("%d slots share %d CPUs", self._slots, len(os.sched_getaffinity(0)))

    def _recover(self, request: StartCluster, since_ns: int) -> None:
        """Takes hold of the HA directory, where there is one, and goes on with what is in it."""
        if self._is_ending:
            return
        now_ms = SYSTEM_CLOCK.processing_time_ms()
        since = datetime.fromtimestamp(now_ms / 1000, tz=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        try:
            owner = Owner(os.getpid(), socket.gethostname(), since)
            recovery = Recovery.open(request.configuration, self._environment, owner, self._waited_for)
        except ShmflinkError as error:
            waited_ns = SYSTEM_CLOCK.monotonic_ns() - since_ns
            if isinstance(error, DirectoryInUseError) and waited_ns < _HA_LOCK_S * 1e9:
                self._waits_for(error, request, waited_ns)
                self._loop.call_later(_HA_RETRY_S, self._recover, request, since_ns)
            else:
                self._fail(failure_of(error))
            return
        self._recovery = recovery
        if request.recovers:
            jobs = recovery.jobs()
            for submission in jobs:
                self._submit(submission)
            self._client.send(JobsRecovered(tuple(submission.graph.job_id for submission in jobs)))
        held, self._held = self._held, []
        for received in held:
            self._client_says(received)

    def _waits_for(self, error: DirectoryInUseError, request: StartCluster, waited_ns: int) -> None:
        self._waited_for = error.holder
        if error.holder is None or self._has_told_of_waiting or waited_ns < _HA_QUIET_S * 1e9:
            return
        self._has_told_of_waiting = True
        names = Recovery.jobs_of_other(request.configuration, self._environment)
        jobs = f", which runs {', '.join(map(repr, names))}," if names else ""
        _LOG.warning(
            "waits up to %d s for the JobManager with pid %d%s to let go of the HA directory: takes its jobs over if "
            "it dies, and their results if they end",
            _HA_LOCK_S, error.holder[0], jobs,
        )  # fmt: skip

    def _submit(self, submission: SubmitJob) -> None:
        assert self._recovery is not None, "a job before the HA directory is ours"
        if submission.graph.job_id in self._runs or self._is_ending:
            return
        try:
            check_slots(submission.graph, self._slots)
            admission = self._recovery.admit(submission)
        except ShmflinkError as error:
            self._reject(submission.graph.job_id, failure_of(error))
            return
        if self._recovery.is_on:
            self._client.send(JobAdmitted(submission.graph.job_id, admission.job_id))
        if admission.job_id in self._runs:  # the client had not heard of its id when the JobManager before us died
            return
        self._client.send(JobStatusChanged(admission.job_id, JobState.CREATED))
        if admission.ended is not None:
            if admission.ended_under is not None:
                how = f"has {admission.ended.state.value.lower()} under JobManager pid {admission.ended_under}"
                text = f"job '{submission.graph.name}' {how}: nothing is run again"
                self._client.send(JobNotice(admission.job_id, text))
            self._client.send(admission.ended)
            return
        self._run(admission)

    def _run(self, admission: Admission) -> None:
        assert self._recovery is not None, "a job before the HA directory is ours"
        submission, graph = admission.submission, admission.submission.graph
        try:
            identity = self._recovery.identity
            settings = CheckpointSettings.of(submission.configuration)
            disk = CheckpointDisk(graph, settings, admission.pointers, identity)
            run = JobRun(graph, submission.configuration, settings, self._loop, SYSTEM_CLOCK, self, disk, identity)
        except Exception as error:  # what a job is made of comes from outside
            self._recovery.refused(graph.job_id)
            self._reject(graph.job_id, failure_of(error))
            return
        self._runs[graph.job_id] = run
        if text := resumption_text(admission, SYSTEM_CLOCK.processing_time_ms()):
            self.job_notice(run, text)
        if submission.progress:
            self._progress.add(graph.job_id)
            self._loop.call_later(_PROGRESS_INTERVAL_S, self._report_progress, run)
        run.start()

    def _reject(self, job_id: JobId, failure: Failure) -> None:
        self._client.send(JobEnded(job_id, JobState.FAILED, 0, failure, ()))

    def _cancel(self, job_id: JobId, force: bool) -> None:
        run = self._runs.get(job_id)
        if run is not None:
            run.cancel(force)

    # --- jobs ---

    def _start_waiting(self) -> None:
        """First come, first served: a job waits until as many TaskManagers as it needs are up and free."""
        taskmanagers = self._taskmanagers
        while self._waiting and taskmanagers is not None and not self._is_ending:
            run = self._waiting[0]
            per = taskmanagers.slots_per_taskmanager
            needed = run.missing_taskmanagers(per)
            free = [tm for tm in taskmanagers.all if tm.is_ready and tm not in self._run_of]
            if len(free) < needed:
                return
            self._waiting.popleft()
            self._run_of.update(dict.fromkeys(free[:needed], run))
            run.granted(free[:needed], per)

    def epochs(self, count: int, granted: Callable[[tuple[int, ...]], None]) -> None:
        recovery = self._its_recovery
        self._ha.call(lambda: tuple(recovery.next_epoch() for _ in range(count)), granted, blocks=recovery.is_on)

    @property
    def _its_recovery(self) -> Recovery:
        assert self._recovery is not None, "a job before the HA directory is ours"
        return self._recovery

    def taskmanagers_wanted(self, run: JobRun) -> None:
        """One that restarts comes before those that have never run."""
        if run.restarts:
            self._waiting.appendleft(run)
        else:
            self._waiting.append(run)
        self._start_waiting()
        if run in self._waiting:
            self._loop.call_later(_WAITS_QUIETLY_S, self._tell_that_it_waits, run)

    def _tell_that_it_waits(self, run: JobRun) -> None:
        taskmanagers = self._taskmanagers
        if run not in self._waiting or taskmanagers is None or self._is_ending:
            return
        per = taskmanagers.slots_per_taskmanager
        needed = run.missing_taskmanagers(per) * per
        owners = list(self._run_of.values())
        holders = [(one.graph.name, str(job_id), owners.count(one) * per) for job_id, one in self._runs.items()]
        held = [holder for holder in holders if holder[2]]
        ahead = self._waiting.index(run)
        self._client.send(JobNotice(run.graph.job_id, waiting_text(run.graph.name, needed, self._slots, held, ahead)))

    def restore_points_changed(self, run: JobRun, directories: Sequence[str], kept: Callable[[], None]) -> None:
        recovery, job_id = self._its_recovery, run.graph.job_id
        self._ha.call(
            lambda: recovery.checkpoints_changed(job_id, directories), lambda _: kept(), blocks=recovery.is_on
        )

    def _give_up(self, error: ResourceError) -> NoReturn:
        """The HA directory is lost, or another JobManager's. Not one commit more: the tasks must not hear anything."""
        self._client.send(ClusterFailed(failure_of(error)))
        self._die(str(error))

    def _die(self, why: str) -> NoReturn:
        """At once, for another JobManager to go on from the HA directory."""
        with contextlib.suppress(OSError):  # nobody reads it
            os.write(2, f"the JobManager ends: {why}\n".encode())
        if self._taskmanagers is not None:
            self._taskmanagers.kill_groups()
        os._exit(EXIT_FAILED)  # the client starts another JobManager where there is an HA directory

    def _report_progress(self, run: JobRun) -> None:
        job_id = run.graph.job_id
        if job_id in self._progress:
            run.guarded(self._send_progress)
            self._loop.call_later(_PROGRESS_INTERVAL_S, self._report_progress, run)

    def _send_progress(self, run: JobRun) -> None:
        progress = run.source_progress()
        self._client.send(
            JobProgress(
                run.graph.job_id,
                run.summaries(),
                progress,
                run.checkpoint_summary(),
                run.restarts,
                run.slow_calls(),
            )
        )

    def job_notice(self, run: JobRun, text: str) -> None:
        self._client.send(JobNotice(run.graph.job_id, f"job '{run.graph.name}': {text}"))

    def job_log(self, run: JobRun, text: str, level: str) -> None:
        _LOG.log(logging.getLevelNamesMapping()[level], "%s", text)

    def job_state_entered(self, run: JobRun, state: JobState, failure: Failure | None) -> None:
        self._client.send(JobStatusChanged(run.graph.job_id, state, failure))

    def job_refused(self, run: JobRun, ended: JobEnded) -> None:
        assert self._recovery is not None, "a job before the HA directory is ours"
        self._recovery.refused(ended.job_id)
        self._forget(run, ended)

    def job_ending(self, run: JobRun, ended: JobEnded, kept: Callable[[], None]) -> None:
        """Before the client hears of it, too: a job that it knows to be over must not run again."""
        recovery = self._its_recovery
        self._ha.call(lambda: recovery.ended(ended), lambda _: kept(), blocks=recovery.is_on)

    def job_ended(self, run: JobRun, ended: JobEnded) -> None:
        self._control.remember(run)
        if self._control_socket is not None:
            self._control_socket.job_ended(ended.job_id, ended.state, ended.failure)
        self._forget(run, ended)

    def _forget(self, run: JobRun, ended: JobEnded) -> None:
        """Its TaskManagers are free for others."""
        self._progress.discard(ended.job_id)
        del self._runs[ended.job_id]
        if run in self._waiting:
            self._waiting.remove(run)
        for taskmanager in [tm for tm, owner in self._run_of.items() if owner is run]:
            del self._run_of[taskmanager]
        self._client.send(ended)
        self._start_waiting()
        if self._is_ending and not self._runs:
            self._stop_taskmanagers()

    # --- TaskManagers ---

    def taskmanager_ready(self, taskmanager: TaskManager) -> None:
        taskmanagers = self._taskmanagers
        assert taskmanagers is not None, "a TaskManager without a cluster"
        if taskmanagers.are_ready and not self._was_started:
            self._was_started = True
            pids = tuple(tm.pid for tm in taskmanagers.all)
            path = "" if self._control_socket is None else self._control_socket.path
            self._client.send(ClusterStarted(self._slots, pids, self._fork_server_pid, path))
        self._start_waiting()

    def taskmanager_message(self, taskmanager: TaskManager, received: Received) -> None:
        run = self._run_of.get(taskmanager)
        if run is not None:
            run.message(taskmanager, received)
            return
        for fd in received.fds:  # late words of a job that is over
            os.close(fd)

    def taskmanager_lost(self, taskmanager: TaskManager, failure: Failure) -> None:
        _LOG.debug(failure.message)  # a job that needed it names it as the cause of its restart
        run = self._run_of.pop(taskmanager, None)
        if run is not None:
            run.taskmanager_lost(taskmanager, failure)

    def taskmanager_failed_to_start(self, failure: Failure) -> None:
        self._fail(failure)

    # --- the fork server ---

    def _fork_server_says(self, received: Received) -> None:
        assert self._taskmanagers is not None, "the fork server forked before it was asked"
        match received.message:
            case TaskManagerForked() as forked:
                self._taskmanagers.forked(forked, received.fds[0])
            case TaskManagerExited() as exited:
                self._taskmanagers.exited(exited)
                self._end_if_all_gone()
            case ProcessFailed(failure):
                self._fork_server_failure = failure
            case other:
                raise RpcError(f"the fork server cannot say {type(other).__name__}")

    def _fork_server_gone(self, reason: str) -> None:
        """Its TaskManagers die with it."""
        if self._is_ending:
            self._end(0)
            return
        _, status = os.waitpid(self._fork_server_pid, 0)
        if self._taskmanagers is not None:
            self._taskmanagers.kill_groups()
        told = self._fork_server_failure
        how = f"failed: {told.message}" if told is not None else describe_exit(status)
        text = f"the fork server (pid {self._fork_server_pid}) {how}; all TaskManagers died with it"
        if self._recovery is not None and self._recovery.is_on:
            self._die(text)
        is_limit = told is not None and told.kind in ("OSError", "ResourceError")
        kind = "ResourceError" if is_limit else "TaskManagerLostError"
        self._fail(Failure(kind, text))

    # --- the end ---

    def _fail(self, failure: Failure) -> None:
        """The cluster cannot go on: every job fails with this cause."""
        for job_id, run in self._runs.items():
            self._client.send(JobEnded(job_id, JobState.FAILED, 0, failure, run.summaries()))
        self._client.send(ClusterFailed(failure))
        self._end(1)

    def _shut_down(self, *, suspends: bool = True) -> None:
        """Cancels what runs, or, where it can go on elsewhere, suspends it; then ends the TaskManagers, then us."""
        if self._is_ending:
            return
        self._is_ending = True
        self._is_suspending = suspends and self._recovery is not None and self._recovery.is_on
        self._waiting.clear()
        for run in list(self._runs.values()):
            if self._is_suspending:
                run.suspend()
            else:
                run.cancel(force=False)
        if not self._runs:
            self._stop_taskmanagers()

    def _stop_taskmanagers(self) -> None:
        if self._taskmanagers is None:
            self._end(0)
            return
        self._taskmanagers.stop()
        self._loop.call_later(_SHUTDOWN_S, self._taskmanagers.kill_all)
        self._loop.call_later(2 * _SHUTDOWN_S, self._end, 1)

    def _end_if_all_gone(self) -> None:
        taskmanagers = self._taskmanagers
        if self._is_ending and taskmanagers is not None and all(tm.is_lost for tm in taskmanagers.all):
            self._end(0)

    def _end(self, code: int) -> None:
        if not self.stopped.done():
            self.stopped.set_result(code)

    def close(self) -> None:
        """Closes the connections: the client and the fork server see the end."""
        if self._control_socket is not None:
            self._control_socket.close()
        self._ha.close()
        if self._recovery is not None:
            self._recovery.close(is_finished=self._is_ending and not self._is_suspending)
        self._client.close()
        self._fork_server.close()
