"""The control socket: where `shmflink list`, `savepoint`, `stop`, `cancel` and `checkpoint` reach a running JobManager.

It translates requests into calls of a `JobControl`, and its callbacks into answers. Every request gets exactly one
answer, even if the job ends in the meantime; if its client disconnects, the request continues.

A client that waits for no answer is disconnected after a while, or at once if others need its place. Therefore idle
connections can never lock the command line out.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from shmflink.core.ids import JobId
from shmflink.core.lazy_dataclass import dataclass
from shmflink.errors import RpcError
from shmflink.jobmanager.dispatcher_effects import ClientId
from shmflink.rpc.async_connection import AsyncConnection
from shmflink.rpc.control_messages import (
    AddSlots,
    CancelRunningJob,
    CheckpointTaken,
    ClusterDescription,
    DescribeCluster,
    ExplainWait,
    JobCancelled,
    JobList,
    JobOverview,
    ListJobs,
    RequestFailed,
    SavepointCompleted,
    StopCluster,
    StopJob,
    TakeCheckpoint,
    TriggerSavepoint,
    WaitExplained,
)
from shmflink.rpc.limits import system_error_text
from shmflink.rpc.messages import CancelJob, Failure, SubmitJob
from shmflink.rpc.read_messages import (
    ClusterRead,
    JobRead,
    JobsRead,
    ReadCluster,
    ReadJob,
    ReadJobs,
    ReadVertex,
    VertexRead,
)
from shmflink.rpc.runtime_folder import listen, remove_dead
from shmflink.rpc.states import JobState
from shmflink.rpc.wire import Received

__all__ = ["BoundSocket", "ClusterControl", "ControlSocket", "JobControl", "bind_control_socket"]

_LOG: Final = logging.getLogger(__name__)
_CLIENTS_MAX: Final = 64
_IDLE_S: Final = 30.0  # limit without a request: the command line sends one as soon as it is connected
_ACCEPT_PAUSE_S: Final = 1.0  # pause after a connection that could not be accepted


class JobControl(Protocol):
    """Operations on the jobs of a JobManager. Calls return at once; each callback is called exactly once, even if the
    job ends before the operation is complete.
    """

    def jobs(self) -> Sequence[JobOverview]:
        """Jobs that wait, run or have ended, in the order of their submission."""
        ...

    def savepoint(
        self, job_id: JobId, target: str, stops: bool, drains: bool, callback: Callable[[str | Failure], None]
    ) -> None:
        """Writes a savepoint into a new folder in `target`, and reports its path when it is durable."""
        ...

    def checkpoint(self, job_id: JobId, callback: Callable[[CheckpointTaken | Failure], None]) -> None:
        """Triggers a checkpoint."""
        ...

    def cancel(self, job_id: JobId) -> None:
        """Cancels the job; `ControlSocket.job_ended` reports the end."""
        ...

    def waits_for(self, job_id: JobId) -> Sequence[str]:
        """Sentences that say why a savepoint, a checkpoint or the end of the job takes long; none if it waits for
        nothing or has ended.
        """
        ...

    def read(self, request: ReadJobs | ReadJob | ReadVertex) -> JobsRead | JobRead | VertexRead | RequestFailed:
        """What somebody wants to look at; RequestFailed if there is no such job or vertex."""
        ...


class ClusterControl(Protocol):
    """Operations on a cluster itself, and how programs submit jobs to it. Calls return at once."""

    def describe(self) -> ClusterDescription: ...

    def read(self) -> ClusterRead: ...

    def add_slots(self, slots: int) -> str:
        """Adds slots; returns why that is impossible, or an empty text."""
        ...

    def stop(self) -> str:
        """Ends the cluster; returns why that is impossible, or an empty text."""
        ...

    def opened(self, connection: AsyncConnection) -> ClientId | None:
        """Treats the connection as that of a program that submits jobs; None if jobs cannot be submitted here."""
        ...

    def said(self, client: ClientId, received: Received) -> None:
        """Handles a message of the program."""
        ...

    def gone(self, client: ClientId, reason: str) -> None:
        """Called when the program's connection has ended."""
        ...


@dataclass(slots=True, eq=False)
class _Client:
    """One connection. `waits_for`: requests without an answer so far; `idle`: the timer that disconnects it; `program`:
    set if it submits jobs; it is then never disconnected for idleness.
    """

    connection: AsyncConnection
    waits_for: int = 0
    idle: asyncio.TimerHandle | None = None
    program: ClientId | None = None

    def answer(self, message: object) -> None:
        """Sends the only answer to one request."""
        self.waits_for -= 1
        self.connection.send(message)


@dataclass(slots=True, eq=False)
class _Ending:
    """A request that is answered when its job has ended; `path`: the savepoint that must exist by then."""

    job_id: JobId
    client: _Client
    needs_savepoint: bool
    path: str = ""


@dataclass(frozen=True, slots=True)
class BoundSocket:
    """A socket that listens at `path`; `inode` distinguishes it from another socket that has replaced it."""

    listener: socket.socket
    path: str
    pid: int
    inode: int


def bind_control_socket(folders: Sequence[str], pid: int) -> BoundSocket:
    """Listens for the JobManager with this pid, and removes the sockets of dead JobManagers. Blocks.

    ResourceError if no folder can hold the socket.
    """
    remove_dead(folders)
    listener, path = listen(folders, pid)
    return BoundSocket(listener, path, pid, os.stat(path).st_ino)


class ControlSocket:
    """Serves any number of clients of this user, up to a limit, from the JobManager's event loop."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, control: JobControl, cluster: ClusterControl, bound: BoundSocket
    ) -> None:
        """Starts to accept connections."""
        self._loop = loop
        self._control = control
        self._cluster = cluster
        self.path = bound.path
        self._bound = bound
        self._listener = bound.listener
        self._clients: dict[_Client, None] = {}  # in the order of their latest message
        self._endings: list[_Ending] = []
        self._listener.setblocking(False)
        self._listen()

    def _accept(self) -> None:
        try:
            end, _ = self._listener.accept()
        except OSError as error:  # the client has disconnected, or there are no more descriptors
            _LOG.warning("control socket: %s", system_error_text(error))
            self._pause()
            return
        if len(self._clients) >= _CLIENTS_MAX and not self._make_room():
            end.close()
            return
        self._serve(end)

    def _make_room(self) -> bool:
        """Disconnects the client that has been idle for longest and waits for nothing; False if all wait for
        answers.
        """
        silent = next((client for client in self._clients if client.waits_for == 0), None)
        if silent is not None:
            self._drop(silent)
        return silent is not None

    def _pause(self) -> None:
        """Pauses accepting. A connection that cannot be accepted keeps the listener readable, so polling it would use a
        whole CPU.
        """
        self._loop.remove_reader(self._listener.fileno())
        self._loop.call_later(_ACCEPT_PAUSE_S, self._listen)

    def _listen(self) -> None:
        if self._listener.fileno() >= 0:
            self._loop.add_reader(self._listener.fileno(), self._accept)

    def _serve(self, end: socket.socket) -> None:
        clients: list[_Client] = []
        try:
            connection = AsyncConnection(
                end,
                self._loop,
                lambda received: self._asked(clients[0], received),
                lambda reason: self._gone(clients[0], reason),
            )
        except RpcError as error:
            _LOG.warning("control socket: %s", error)
            end.close()
            return
        clients.append(_Client(connection))
        self._heard_of(clients[0])

    def _heard_of(self, client: _Client) -> None:
        """Restarts the idle timer; a client that waits for an answer is never idle."""
        self._forget(client)
        self._clients[client] = None
        client.idle = self._loop.call_later(_IDLE_S, self._drop_if_idle, client)

    def _drop_if_idle(self, client: _Client) -> None:
        if client.waits_for:
            self._heard_of(client)
        else:
            self._drop(client)

    def _gone(self, client: _Client, reason: str) -> None:
        self._forget(client)
        if client.program is not None:
            self._cluster.gone(client.program, reason)

    def _asked(self, client: _Client, received: Received) -> None:
        self._heard_of(client)
        if isinstance(received.message, SubmitJob | CancelJob):
            self._said(client, received)
            return
        client.waits_for += 1
        for fd in received.fds:
            os.close(fd)
        message = received.message
        if isinstance(message, ListJobs):
            client.answer(JobList(self._bound.pid, tuple(self._control.jobs())))
            return
        if isinstance(message, ExplainWait):
            client.answer(WaitExplained(message.job_id, tuple(self._control.waits_for(message.job_id))))
            return
        if isinstance(message, ReadJobs | ReadJob | ReadVertex):
            client.answer(self._control.read(message))
            return
        if isinstance(message, ReadCluster):
            client.answer(self._cluster.read())
            return
        if isinstance(message, DescribeCluster | AddSlots | StopCluster):
            client.answer(self._of_cluster(message))
            return
        if not isinstance(message, TriggerSavepoint | StopJob | TakeCheckpoint | CancelRunningJob):
            _LOG.warning("control socket: a client sent %s", type(message).__name__)
            self._drop(client)
            return
        job = next((job for job in self._control.jobs() if job.job_id == message.job_id), None)
        refusal = _refusal(message, job)
        if refusal:
            client.answer(RequestFailed(message.job_id, "UsageError", refusal))
            return
        try:
            self._perform(client, message)
        except Exception as error:  # a bug in our code fails the request, not the jobs
            _LOG.exception("control socket: %s", type(message).__name__)
            self._endings = [ending for ending in self._endings if ending.client is not client]
            client.answer(RequestFailed(message.job_id, "InternalError", system_error_text(error)))

    def _said(self, client: _Client, received: Received) -> None:
        """Handles a program that submits a job, or cancels one of its own."""
        if client.program is None:
            client.program = self._cluster.opened(client.connection)
            client.waits_for += 1  # valid while it is connected
        if client.program is not None:
            self._cluster.said(client.program, received)
            return
        message = received.message
        job_id = message.graph.job_id if isinstance(message, SubmitJob) else message.job_id
        client.answer(RequestFailed(job_id, "UsageError", "the cluster belongs to another program and accepts no jobs"))

    def _of_cluster(self, message: DescribeCluster | AddSlots | StopCluster) -> ClusterDescription | RequestFailed:
        refusal = ""
        match message:
            case AddSlots(slots):
                refusal = self._cluster.add_slots(slots)
            case StopCluster():
                refusal = self._cluster.stop()
        return RequestFailed(JobId(""), "UsageError", refusal) if refusal else self._cluster.describe()

    def _perform(
        self, client: _Client, message: TriggerSavepoint | StopJob | TakeCheckpoint | CancelRunningJob
    ) -> None:
        match message:
            case TriggerSavepoint(job_id, target):
                self._control.savepoint(
                    job_id, target, False, False, lambda result: self._savepoint_done(client, job_id, result)
                )
            case StopJob(job_id, target, drains):
                ending = _Ending(job_id, client, needs_savepoint=True)
                self._endings.append(ending)
                self._control.savepoint(
                    job_id, target, True, drains, lambda result: self._stop_savepoint_done(ending, result)
                )
            case TakeCheckpoint(job_id):
                self._control.checkpoint(job_id, lambda result: client.answer(_answer(job_id, result)))
            case CancelRunningJob(job_id):
                self._endings.append(_Ending(job_id, client, needs_savepoint=False))
                self._control.cancel(job_id)

    def _savepoint_done(self, client: _Client, job_id: JobId, result: str | Failure) -> None:
        if isinstance(result, Failure):
            client.answer(_answer(job_id, result))
        else:
            client.answer(SavepointCompleted(job_id, result, self._state_of(job_id)))

    def _stop_savepoint_done(self, ending: _Ending, result: str | Failure) -> None:
        if ending not in self._endings:
            return  # the job had ended before, which was the answer
        if isinstance(result, Failure):
            self._endings.remove(ending)
            ending.client.answer(_answer(ending.job_id, result))
            return
        ending.path = result
        state = self._state_of(ending.job_id)
        if state.is_terminal:
            self.job_ended(ending.job_id, state, None)

    def _state_of(self, job_id: JobId) -> JobState:
        return next((job.state for job in self._control.jobs() if job.job_id == job_id), JobState.FINISHED)

    def job_ended(self, job_id: JobId, state: JobState, failure: Failure | None) -> None:
        """Called when the job has ended: answers the clients that wait for that."""
        over = [ending for ending in self._endings if ending.job_id == job_id]
        self._endings = [ending for ending in self._endings if ending.job_id != job_id]
        for ending in over:
            ending.client.answer(_end_answer(ending, state, failure))

    def _drop(self, client: _Client) -> None:
        self._forget(client)
        client.connection.close()

    def _forget(self, client: _Client) -> None:
        self._clients.pop(client, None)
        if client.idle is not None:
            client.idle.cancel()

    def close(self) -> None:
        """Ends all connections; `remove` comes next. Idempotent."""
        if self._listener.fileno() < 0:
            return
        self._loop.remove_reader(self._listener.fileno())
        self._listener.close()
        for client in list(self._clients):
            self._drop(client)

    def remove(self) -> None:
        """Removes the name of the socket. Blocks. Idempotent."""
        with contextlib.suppress(OSError):
            # otherwise another JobManager considered us dead and took the name
            if os.stat(self.path).st_ino == self._bound.inode:
                os.unlink(self.path)


def _refusal(message: TriggerSavepoint | StopJob | TakeCheckpoint | CancelRunningJob, job: JobOverview | None) -> str:
    """Why a request cannot be served; empty if it can."""
    if job is None:
        return f"the JobManager has no job {message.job_id}"
    if job.state.is_terminal:
        return f"job {job.job_id} ('{job.name}') has ended: {job.state}"
    if isinstance(message, CancelRunningJob) or job.state is JobState.RUNNING:
        return ""
    return f"job {job.job_id} ('{job.name}') is {job.state}: its state can only be saved while it is RUNNING"


def _answer(job_id: JobId, result: CheckpointTaken | Failure) -> CheckpointTaken | RequestFailed:
    return RequestFailed(job_id, result.kind, result.message) if isinstance(result, Failure) else result


def _end_answer(
    ending: _Ending, state: JobState, failure: Failure | None
) -> JobCancelled | SavepointCompleted | RequestFailed:
    if not ending.needs_savepoint:
        return JobCancelled(ending.job_id, state)
    if ending.path and state is JobState.FINISHED:
        return SavepointCompleted(ending.job_id, ending.path, state)
    cause = f": {failure.message}" if failure is not None else ""
    if ending.path:
        reason = f"the savepoint {ending.path} is complete, but the job did not finish afterwards; it is {state}{cause}"
    else:
        reason = f"the job was {state} before its savepoint was complete{cause}"
    return RequestFailed(ending.job_id, failure.kind if failure is not None else "JobExecutionError", reason)
