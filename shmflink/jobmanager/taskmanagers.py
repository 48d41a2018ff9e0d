"""The JobManager's view of its TaskManagers: started through the fork server, watched, killed, replaced."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import socket
from collections.abc import Mapping
from typing import Any, Final, Protocol

from shmflink._core import StatusPage
from shmflink.config.options import HEARTBEAT_INTERVAL, HEARTBEAT_TIMEOUT, SLOTS_PER_TASKMANAGER
from shmflink.core.clock import Clock
from shmflink.core.ids import LOCAL_HOST, TaskManagerId
from shmflink.core.lazy_dataclass import dataclass
from shmflink.jobmanager.exit_text import describe_exit, taskmanager_lost
from shmflink.jobmanager.fork_server import kill_group
from shmflink.jobmanager.host_cpus import HostCpus, taskmanager_count
from shmflink.jobmanager.host_memory import HostMemory
from shmflink.jobmanager.oom_kills import oom_kills
from shmflink.jobmanager.placement import usable_cpus
from shmflink.metrics.counters import HEARTBEAT_WORD, OperatorCounters, TaskCounters
from shmflink.rpc.async_connection import AsyncConnection
from shmflink.rpc.limits import check_descriptors, system_error_text
from shmflink.rpc.messages import (
    AttemptPrepared,
    AttemptReleased,
    ConnectPeers,
    Failure,
    ForkTaskManager,
    ProcessFailed,
    Shutdown,
    TaskManagerExited,
    TaskManagerForked,
    TaskManagerReady,
)
from shmflink.rpc.wire import FDS_MAX, Received

__all__ = ["TaskManager", "TaskManagerEvents", "TaskManagers"]

_LOG: Final = logging.getLogger(__name__)
_START_MS: Final = 10_000  # limit from its fork until it reports that it is ready, which takes 20 ms on an idle machine
_STARTS_MAX: Final = 5  # limit of TaskManagers in a row that end before they are ready: further ones would end, too
_PEERS_PER_MESSAGE: Final = FDS_MAX // 2
_EXIT_REPORT_S: Final = 1.0  # limit from the pidfd's event to the fork server's report with the exit status


class TaskManagerEvents(Protocol):
    """The listener of TaskManagers. The event loop makes all calls."""

    def taskmanager_ready(self, taskmanager: TaskManager) -> None: ...

    def taskmanager_message(self, taskmanager: TaskManager, message: Any) -> None: ...

    def taskmanager_lost(self, taskmanager: TaskManager, failure: Failure) -> None:
        """A TaskManager was lost; its replacement has already been requested."""
        ...

    def taskmanager_failed_to_start(self, failure: Failure) -> None:
        """There are no more attempts."""
        ...


@dataclass(slots=True, eq=False)
class TaskManager:
    """One TaskManager process, from the request to fork it until it is reaped. To jobs, a `TaskManagerGateway`."""

    index: int
    connection: AsyncConnection
    memory: HostMemory
    pid: int = 0
    pidfd: int = -1
    page: Any = None
    is_lost: bool = False
    why_killed: str = ""
    failure_kind: str = ""  # the error class, if it reported one itself
    forked_ns: int = 0
    life: int = 0

    @property
    def id(self) -> TaskManagerId:
        """Its id for job machines."""
        return TaskManagerId(LOCAL_HOST, self.index, self.life)

    @property
    def is_ready(self) -> bool:
        """Whether it has reported that it is ready and the fork server has sent its pidfd; the two arrive over
        different sockets, in any order.
        """
        return self.page is not None and self.pidfd >= 0 and not self.is_lost

    def send(self, message: object) -> None:
        self.connection.send(message)

    def connect_peers(self, epoch: int, peers: Mapping[int, TaskManagerId]) -> None:
        """Sends memory, with two descriptors per peer: its ring memory and its arena."""
        numbers = sorted(peers)
        for first in range(0, len(numbers), _PEERS_PER_MESSAGE):
            some = tuple(numbers[first : first + _PEERS_PER_MESSAGE])
            fds = tuple(fd for number in some for fd in self.memory.of(peers[number], epoch))
            self.connection.send(ConnectPeers(epoch, some), fds)

    def release_memory(self, epoch: int) -> None:
        self.memory.release(self.id, epoch)

    def task_counters(self, block: int) -> TaskCounters:
        return TaskCounters.read(self.page, block)

    def operator_counters(self, block: int) -> OperatorCounters:
        return OperatorCounters.read(self.page, block)

    def kill(self, why: str) -> None:
        """SIGKILL; `why` completes "TaskManager 2 (pid 77) ..." in the error."""
        if self.pidfd >= 0 and not self.is_lost:
            self.why_killed = self.why_killed or why
            try:
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
            except ProcessLookupError:
                return  # it has already ended; the report of its exit will arrive


class TaskManagers:
    """All TaskManagers of a cluster. A lost one is replaced under the same index."""

    def __init__(
        self,
        slots: int,
        configuration: Mapping[str, str],
        cpus: HostCpus,
        fork_server: AsyncConnection,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        events: TaskManagerEvents,
    ) -> None:
        """Forks the TaskManagers. ResourceError if this process may not open as many descriptors as they need."""
        self._configuration = configuration
        self.slots_per_taskmanager = SLOTS_PER_TASKMANAGER.read(configuration)
        self.interval_ms = HEARTBEAT_INTERVAL.read(configuration)
        self.timeout_ms = HEARTBEAT_TIMEOUT.read(configuration)
        count = taskmanager_count(slots, configuration)
        check_descriptors(count, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        self.is_sharing_cpus = cpus.are_shared
        self._cpus = list(cpus.pinned)
        self._spin_ns = cpus.spin_ns
        self._claims = cpus.claims  # held as long as the TaskManagers run
        self._memory = HostMemory()
        self._fork_server = fork_server
        self._loop = loop
        self._clock = clock
        self._events = events
        self._oom_kills = oom_kills()
        self._failed_starts = 0
        self._lives = 0
        self._last_look_ns = clock.monotonic_ns()
        self.is_stopping = False
        self.all: list[TaskManager] = [self._fork(index) for index in range(count)]
        loop.call_later(self.interval_ms / 1000, self._look)

    def grow(self, slots: int) -> None:
        """Starts the missing TaskManagers, unpinned. Pinned ones keep their CPUs."""
        count = taskmanager_count(slots, self._configuration)
        check_descriptors(count, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        self.is_sharing_cpus |= slots > len(usable_cpus())
        while len(self.all) < count:
            self._cpus.append(())
            self.all.append(self._fork(len(self.all)))

    @property
    def are_ready(self) -> bool:
        return all(taskmanager.is_ready for taskmanager in self.all)

    def _fork(self, index: int) -> TaskManager:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        callbacks: list[TaskManager] = []
        connection = AsyncConnection(
            ours, self._loop, lambda received: self._message(callbacks[0], received), _ignore_end
        )
        self._lives += 1
        taskmanager = TaskManager(index, connection, self._memory, life=self._lives)
        callbacks.append(taskmanager)
        request = ForkTaskManager(index, self.slots_per_taskmanager, self._cpus[index], self._spin_ns, self.interval_ms)
        self._fork_server.send(request, [theirs.fileno()])
        theirs.close()
        return taskmanager

    # --- what the fork server reports ---

    def forked(self, message: TaskManagerForked, pidfd: int) -> None:
        """The process exists; from now on its end cannot be missed."""
        taskmanager = self.all[message.index]
        taskmanager.pid = message.pid
        taskmanager.pidfd = pidfd
        taskmanager.forked_ns = self._clock.monotonic_ns()
        self._loop.add_reader(pidfd, self._died, taskmanager)
        if taskmanager.is_ready:
            self._events.taskmanager_ready(taskmanager)

    def exited(self, message: TaskManagerExited) -> None:
        """The fork server reaped it and knows how it ended."""
        taskmanager = self.all[message.index]
        if taskmanager.pid == message.pid:
            self._lost(taskmanager, message.wait_status)

    def _died(self, taskmanager: TaskManager) -> None:
        """The pidfd became readable: the fork server's report follows, unless it is stopped or dead itself."""
        self._loop.remove_reader(taskmanager.pidfd)
        self._loop.call_later(_EXIT_REPORT_S, self._lost, taskmanager, None)

    def _lost(self, taskmanager: TaskManager, wait_status: int | None) -> None:
        if taskmanager.is_lost:
            return
        taskmanager.is_lost = True
        self._loop.remove_reader(taskmanager.pidfd)
        os.close(taskmanager.pidfd)
        taskmanager.connection.close()
        self._memory.lose(taskmanager.id)
        kills = oom_kills()
        what = taskmanager.why_killed or describe_exit(wait_status, oom_killed=kills > self._oom_kills)
        self._oom_kills = kills
        failure = taskmanager_lost(taskmanager.index, taskmanager.pid, what)
        if self.is_stopping:
            return
        if taskmanager.page is None:
            self._failed_starts += 1
            if self._failed_starts >= _STARTS_MAX:  # otherwise a TaskManager that cannot start would be forked forever
                text = f"{_STARTS_MAX} TaskManagers in a row ended before they were ready; the last: {failure.message}"
                self._events.taskmanager_failed_to_start(Failure(taskmanager.failure_kind or failure.kind, text))
                return
        try:
            self.all[taskmanager.index] = self._fork(taskmanager.index)
        except OSError as error:
            what = f"{failure.message}; it cannot be replaced: {system_error_text(error)}"
            self._events.taskmanager_failed_to_start(Failure("ResourceError", what))
            return
        self._events.taskmanager_lost(taskmanager, failure)

    # --- messages of TaskManagers ---

    def _message(self, taskmanager: TaskManager, received: Received) -> None:
        match received.message:
            case TaskManagerReady():
                taskmanager.page = StatusPage.open(received.fds[0])
                self._failed_starts = 0
                if taskmanager.is_ready:
                    self._events.taskmanager_ready(taskmanager)
                return
            case ProcessFailed(failure):
                taskmanager.why_killed = f"failed: {failure.message}"
                taskmanager.failure_kind = failure.kind
                return
            case AttemptPrepared(epoch, None):
                self._memory.keep(taskmanager.id, epoch, received.fds)
            case AttemptReleased(epoch):
                taskmanager.release_memory(epoch)
        self._events.taskmanager_message(taskmanager, received.message)

    # --- heartbeats ---

    def _look(self) -> None:
        """Kills TaskManagers whose native heartbeat is too old: they are stopped, or the machine starves them.

        If we were stopped ourselves (suspend, SIGSTOP of all processes), they first get time to beat again.
        """
        now = self._clock.monotonic_ns()
        was_late = now - self._last_look_ns > 3 * self.interval_ms * 1_000_000
        self._last_look_ns = now
        for taskmanager in self.all:
            if was_late:
                continue
            if not taskmanager.is_ready:
                self._look_at_start(taskmanager, now)
                continue
            age_ms = (now - taskmanager.page.load(HEARTBEAT_WORD, 1)[0]) // 1_000_000
            if age_ms > self.timeout_ms:
                taskmanager.kill(
                    f"did not answer: no heartbeat for {age_ms / 1000:.1f} s (heartbeat.timeout is "
                    f"{self.timeout_ms / 1000:g} s), so it was killed. It was stopped (SIGSTOP, a debugger), or the "
                    "machine is overloaded or swapping"
                )
        if not self.is_stopping:
            self._loop.call_later(self.interval_ms / 1000, self._look)

    def _look_at_start(self, taskmanager: TaskManager, now: int) -> None:
        """Kills a TaskManager that is not ready in time; until it is ready, we cannot see its heartbeat."""
        age_ms = (now - taskmanager.forked_ns) // 1_000_000
        if taskmanager.pidfd >= 0 and not taskmanager.is_lost and age_ms > max(_START_MS, self.timeout_ms):
            taskmanager.kill(
                f"was not ready {age_ms / 1000:.1f} s after its fork and was killed. It was stopped (SIGSTOP), or "
                "the machine is overloaded or swapping"
            )

    # --- the end ---

    def stop(self) -> None:
        """Asks all to end; their ends are expected from now on."""
        self.is_stopping = True
        for taskmanager in self.all:
            taskmanager.send(Shutdown())

    def kill_groups(self) -> None:
        """The fork server is gone, so nobody else would kill the processes that user code started."""
        for taskmanager in self.all:
            if taskmanager.pid and not taskmanager.is_lost:
                kill_group(taskmanager.pid)

    def kill_all(self) -> None:
        self.is_stopping = True
        for taskmanager in self.all:
            taskmanager.kill("was killed")


def _ignore_end(_reason: str) -> None:
    """Ignores the end of a connection: the end of the process, which follows, tells more."""
