"""The JobManager of a cluster: performs the effects of its dispatcher. Event-driven; never blocks.

::

    clients ──▶ Dispatcher ── effects ──▶ JobStore (HA directory, in a thread)
       ▲            ▲                  ├▶ JobRuns (a job machine for each job, one slot pool)
       └── Tell ────┴── events ────────┴▶ HostSupervisor (fork server, TaskManagers)
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import signal
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, NoReturn

from shmflink.config.options import SLOTS_PER_TASKMANAGER
from shmflink.core.clock import SYSTEM_CLOCK
from shmflink.core.ids import TaskManagerId
from shmflink.errors import ResourceError, RpcError, ShmflinkError
from shmflink.graph.execution_graph import check_slots
from shmflink.jobmanager import dispatcher_effects as ask
from shmflink.jobmanager.admission import Admission
from shmflink.jobmanager.cluster_reading import ClusterReading
from shmflink.jobmanager.control_socket import BoundSocket, ControlSocket, bind_control_socket
from shmflink.jobmanager.dispatcher import Dispatcher, Lifetime
from shmflink.jobmanager.dispatcher_effects import ClientId, Effect
from shmflink.jobmanager.ended_jobs import EndedJobs
from shmflink.jobmanager.host_cpus import HostCpus, claim_cpus
from shmflink.jobmanager.host_supervisor import HostSupervisor
from shmflink.jobmanager.job_archive import ArchiveWriter, JobArchive
from shmflink.jobmanager.job_control import RunControl
from shmflink.jobmanager.job_feed import JobFeed
from shmflink.jobmanager.job_runs import JobRuns
from shmflink.jobmanager.job_store import JobStore
from shmflink.jobmanager.service_notices import ServiceNotices
from shmflink.jobmanager.session_door import SessionDoor, claim_name
from shmflink.jobmanager.slot_pool import SlotPool
from shmflink.jobmanager.splits import failure_of
from shmflink.jobmanager.taskmanager_gateway import TaskManagerGateway
from shmflink.jobmanager.taskmanagers import TaskManager
from shmflink.rpc.async_connection import AsyncConnection
from shmflink.rpc.last_words import EXIT_FAILED
from shmflink.rpc.limits import system_error_text
from shmflink.rpc.messages import (
    CancelJob,
    ClusterFailed,
    ClusterStarted,
    Failure,
    GrowCluster,
    Shutdown,
    StartCluster,
    SubmitJob,
)
from shmflink.rpc.runtime_folder import runtime_folders
from shmflink.rpc.wire import Received

__all__ = ["JobManager"]

_LOG: Final = logging.getLogger(__name__)


class JobManager:
    """Serves clients until the cluster ends. With an HA directory, jobs that have not ended by then are suspended: they
    remain in it for the next JobManager.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        client: socket.socket,
        fork_server: socket.socket,
        fork_server_pid: int,
        environment: Mapping[str, str],
    ) -> None:
        self.stopped: asyncio.Future[int] = loop.create_future()
        """The exit code."""
        self._loop = loop
        self._environment = environment
        self._dispatcher = Dispatcher()
        self._clients: dict[ClientId, AsyncConnection] = {}
        self._client_ids = itertools.count(1)
        self._host = HostSupervisor(loop, SYSTEM_CLOCK, fork_server, fork_server_pid, self)
        self._store = JobStore(loop, SYSTEM_CLOCK, environment, self._give_up)
        self._runs: JobRuns | None = None  # until a client sets the size of the cluster
        self._feed = JobFeed(self._dispatcher, self._perform)
        self._was_started = False
        self._slots_wanted = 0
        self._defaults: Mapping[str, str] = {}  # for the jobs of a session cluster
        self._door: SessionDoor | None = None
        self._notices: ServiceNotices | None = None
        self._archive: ArchiveWriter | None = None
        self._name: socket.socket | None = None  # reserves the name of a session cluster while this process lives
        first = self.adopt(
            AsyncConnection(client, loop, lambda said: self.said(first, said), lambda why: self.gone(first, why))
        )
        loop.add_signal_handler(signal.SIGTERM, self.shut_down)

    # --- clients ---

    def adopt(self, connection: AsyncConnection) -> ClientId:
        """Connects another client: `said` receives its messages, `gone` its end."""
        client = ClientId(next(self._client_ids))
        self._clients[client] = connection
        self._dispatcher.connected(client)
        return client

    def said(self, client: ClientId, received: Received) -> None:
        """Handles a message of a client."""
        match received.message:
            case StartCluster() as request:
                self._dispatcher.started(client, Lifetime.SERVICE if request.session else Lifetime.CLIENT)
                self._start(request)
            case GrowCluster(slots):
                self.grow(slots)
            case SubmitJob() as submission:
                self._perform(self._dispatcher.submit(client, submission))
            case CancelJob(job_id, force):
                self._perform(self._dispatcher.cancel(client, job_id, force=force))
            case Shutdown(suspends):
                self.shut_down(suspends=suspends)
            case other:
                raise RpcError(f"a client must not send {type(other).__name__}")

    def gone(self, client: ClientId, reason: str) -> None:
        """Called when the connection of a client has ended."""
        _LOG.info("a client is gone: %s", reason)
        del self._clients[client]
        self._perform(self._dispatcher.disconnected(client))

    # --- the cluster ---

    def _start(self, request: StartCluster) -> None:
        slots: SlotPool[TaskManagerId] = SlotPool(SLOTS_PER_TASKMANAGER.read(request.configuration))
        self._runs = JobRuns(self._loop, SYSTEM_CLOCK, self._store, request.slots, slots, self._feed)
        self._runs.renews_taskmanagers = bool(request.session)
        over = EndedJobs.of(request.configuration, SYSTEM_CLOCK)
        archive = JobArchive.of(request.configuration, self._environment, SYSTEM_CLOCK) if request.session else None
        self._archive = None if archive is None else ArchiveWriter(archive)
        self._feed.control = RunControl(self._runs.runs, over, self._archive)
        if request.session:
            self._feed.is_of_session = True
            self._notices = ServiceNotices(self._loop, self._environment)
            self._defaults = request.configuration
            self._loop.add_signal_handler(signal.SIGINT, self.shut_down)
        reading = ClusterReading(request.session, request.configuration, self._host, slots, self._runs, SYSTEM_CLOCK)
        self._door = SessionDoor(request.session, self, slots, self._runs, lambda: self._host.are_ready, reading)

        def prepare() -> tuple[HostCpus, BoundSocket | ResourceError]:
            found = self._prepare(request)
            if archive is not None:  # nobody reads of jobs before the control socket is served
                over.restore(archive.load())
            return found

        prepared = self._loop.run_in_executor(None, prepare)
        prepared.add_done_callback(partial(self._prepared, request))

    def _prepare(self, request: StartCluster) -> tuple[HostCpus, BoundSocket | ResourceError]:
        """Runs in a thread, because claims of CPUs and the control socket are files."""
        folders = runtime_folders(self._environment, os.getuid())
        if request.session:
            self._name = claim_name(request.session, folders)
        cpus = claim_cpus(request.slots, request.configuration, self._environment)
        try:
            return cpus, bind_control_socket(folders, os.getpid())
        except ResourceError as error:
            if request.session:
                raise  # without the socket, nobody could reach it
            return cpus, error

    def _prepared(
        self, request: StartCluster, done: asyncio.Future[tuple[HostCpus, BoundSocket | ResourceError]]
    ) -> None:
        try:
            cpus, bound = done.result()
            assert self._door is not None, "the cluster has begun to start"
            if isinstance(bound, BoundSocket) and self._feed.control is not None:
                self._feed.socket = ControlSocket(self._loop, self._feed.control, self._door, bound)
            if self._dispatcher.is_ending:
                return
            self._host.start(request.slots, request.configuration, cpus)
        except (ShmflinkError, OSError) as error:
            self._fail(failure_of(error))
            return
        if cpus.are_shared:
            _warn_of_sharing(request.slots)
        self.grow(self._slots_wanted)
        if not isinstance(bound, BoundSocket):  # the jobs run without it, but commands cannot reach them
            _LOG.warning("%s", bound)
        self._store.open(request, partial(self._opened, request), lambda error: self._fail(failure_of(error)))

    def _opened(self, request: StartCluster, recovered: Sequence[SubmitJob]) -> None:
        jobs = recovered if request.recovers else None
        self._perform(self._dispatcher.opened(keeps_jobs=self._store.is_on, recovered=jobs))

    def grow(self, slots: int) -> None:
        """Grows the cluster to this many slots; it never shrinks."""
        runs = self._started_runs
        if slots <= runs.slots_total or self._dispatcher.is_ending:
            return
        if not self._host.is_started:
            self._slots_wanted = max(self._slots_wanted, slots)  # until it is prepared
            return
        was_sharing = self._host.is_sharing_cpus
        try:
            self._host.grow(slots)
        except (ResourceError, OSError) as error:  # the job that needs them is refused, the others continue
            _LOG.warning("the cluster stays at %d slots: %s", runs.slots_total, system_error_text(error))
            return
        runs.slots_total = slots
        if self._host.is_sharing_cpus and not was_sharing:
            _warn_of_sharing(slots)

    @property
    def _started_runs(self) -> JobRuns:
        assert self._runs is not None, "a job before the cluster was started"
        return self._runs

    # --- effects ---

    def _perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            self._perform_one(effect)

    def _perform_one(self, effect: Effect) -> None:
        match effect:
            case ask.Tell(client, message):
                if client in self._clients:
                    self._clients[client].send(message)
            case ask.Admit(submission):
                self._admit(submission)
            case ask.Withdraw(job_id):
                self._store.withdraw(job_id)
            case ask.Run(admission, resumption):
                self._started_runs.begin(admission, resumption)
            case ask.Cancel(job_id, force):
                self._started_runs.cancel(job_id, force=force)
            case ask.Suspend(job_id):
                self._started_runs.suspend(job_id)
            case ask.ReportProgress(job_id):
                self._started_runs.report_progress(job_id)
            case ask.Stop():
                self._host.stop()

    def _admit(self, submission: SubmitJob) -> None:
        job_id = submission.graph.job_id

        def refused(error: ShmflinkError) -> None:
            if self._feed.is_of_session:
                _LOG.error("job '%s' cannot run: %s", submission.graph.name, error)
            self._perform(self._dispatcher.refused(job_id, failure_of(error)))

        def admitted(admission: Admission, resumption: str) -> None:
            self._perform(self._dispatcher.admitted(job_id, admission, resumption))

        try:
            check_slots(submission.graph, self._started_runs.slots_total)
        except ShmflinkError as error:
            refused(error)
            return
        self._store.admit(
            replace(submission, configuration={**self._defaults, **submission.configuration}), admitted, refused
        )

    # --- reports of the host ---

    def taskmanager_ready(self, taskmanager: TaskManager) -> None:
        runs = self._started_runs
        if self._host.are_ready and not self._was_started:
            self._was_started = True
            path = "" if self._feed.socket is None else self._feed.socket.path
            started = ClusterStarted(runs.slots_total, self._host.pids, self._host.fork_server_pid, path)
            for client in self._dispatcher.clients:
                self._perform_one(ask.Tell(client, started))
            if self._notices is not None:
                self._notices.ready(f"{runs.slots_total} slots")
        runs.taskmanager_ready(taskmanager)

    def taskmanager_message(self, taskmanager: TaskManagerGateway, message: Any) -> None:
        self._started_runs.taskmanager_message(taskmanager, message)

    def taskmanager_lost(self, taskmanager: TaskManagerGateway, failure: Failure) -> None:
        _LOG.debug(failure.message)  # a job that needed it names it as the cause of its restart
        self._started_runs.taskmanager_lost(taskmanager, failure)

    def taskmanager_failed_to_start(self, failure: Failure) -> None:
        self._fail(failure)

    def host_lost(self, failure: Failure) -> None:
        if self._store.is_on:
            self._die(failure.message)
        self._fail(failure)

    def host_ended(self, *, is_clean: bool) -> None:
        self._end(0 if is_clean else 1)

    # --- the end ---

    def _give_up(self, error: ResourceError) -> NoReturn:
        """The HA directory is lost or belongs to another JobManager. No further commit is allowed, so the tasks must
        receive no message.
        """
        for client in self._dispatcher.clients:
            self._perform_one(ask.Tell(client, ClusterFailed(failure_of(error))))
        self._die(str(error))

    def _die(self, why: str) -> NoReturn:
        """Ends this process at once, so that another JobManager resumes the jobs from the HA directory."""
        with contextlib.suppress(OSError):  # the reader is gone
            os.write(2, f"the JobManager ends: {why}\n".encode())
        self._host.kill_groups()
        os._exit(EXIT_FAILED)  # with an HA directory, the client starts another JobManager

    def _fail(self, failure: Failure) -> None:
        """The cluster cannot continue: every job fails with this cause."""
        if self._door is not None and self._door.is_open:  # the receivers may be gone
            _LOG.error("the cluster ends: %s", failure.message)
        ends = [] if self._runs is None else self._runs.failed(failure)
        self._perform(self._dispatcher.failed(failure, ends))
        self._end(1)

    def shut_down(self, *, suspends: bool = True) -> None:
        """Ends the cluster."""
        if self._runs is not None:
            self._runs.stop_granting()
        if self._notices is not None:
            self._notices.stopping()
        self._perform(self._dispatcher.shut_down(suspends=suspends))

    def _end(self, code: int) -> None:
        if not self.stopped.done():
            self.stopped.set_result(code)

    async def close(self) -> None:
        """Releases the HA directory and closes the connections, so that the clients and the fork server see the end."""
        if self._feed.socket is not None:
            self._feed.socket.close()
            await self._loop.run_in_executor(None, self._feed.socket.remove)
        dispatcher = self._dispatcher
        await self._store.close(is_finished=dispatcher.is_ending and not dispatcher.is_suspending)
        if self._archive is not None:
            await self._loop.run_in_executor(None, self._archive.close)
        for connection in self._clients.values():
            connection.close()
        self._host.close()


def _warn_of_sharing(slots: int) -> None:
    _LOG.warning("%d slots share %d CPUs", slots, len(os.sched_getaffinity(0)))
