"""The supervisor of one host: its fork server and its TaskManagers, with all their descriptors.

The JobManager runs the supervisor of its host in its own process. Jobs know TaskManagers by id and reach them through
`taskmanager_gateway.TaskManagerGateway`, only by messages.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from shmflink.core.clock import Clock
from shmflink.errors import RpcError
from shmflink.jobmanager.exit_text import describe_exit
from shmflink.jobmanager.host_cpus import HostCpus
from shmflink.jobmanager.taskmanagers import TaskManager, TaskManagerEvents, TaskManagers
from shmflink.rpc.async_connection import AsyncConnection
from shmflink.rpc.messages import Failure, ProcessFailed, TaskManagerExited, TaskManagerForked
from shmflink.rpc.wire import Received

__all__ = ["HostEvents", "HostSupervisor"]

_LOG: Final = logging.getLogger(__name__)
_SHUTDOWN_S: Final = 5.0  # time between asking the TaskManagers to end and killing them


class HostEvents(TaskManagerEvents, Protocol):
    """The listener of a host; the event loop makes all calls."""

    def host_ended(self, *, is_clean: bool) -> None:
        """After `stop`: no TaskManager is left. `is_clean` is False if they had to be given up."""
        ...

    def host_lost(self, failure: Failure) -> None:
        """The fork server died, and all TaskManagers with it."""
        ...


class HostSupervisor:
    """The supervisor of the JobManager's host. Used only by the event loop."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, clock: Clock, fork_server: socket.socket, pid: int, events: HostEvents
    ) -> None:
        """`pid`: the fork server's, which is a child of this process."""
        self.fork_server_pid = pid
        self._loop = loop
        self._clock = clock
        self._events = events
        self._fork_server = AsyncConnection(fork_server, loop, self._says, self._gone)
        self._last_words: Failure | None = None
        self._taskmanagers: TaskManagers | None = None
        self._is_stopping = False

    # --- life ---

    def start(self, slots: int, configuration: Mapping[str, str], cpus: HostCpus) -> None:
        """Forks the TaskManagers. ResourceError or OSError if the system does not allow so many."""
        self._taskmanagers = TaskManagers(
            slots, configuration, cpus, self._fork_server, self._loop, self._clock, self._events
        )

    def grow(self, slots: int) -> None:
        """Forks the missing TaskManagers. ResourceError or OSError if the system does not allow so many."""
        assert self._taskmanagers is not None, "a cluster grows before it starts"
        self._taskmanagers.grow(slots)

    @property
    def is_started(self) -> bool:
        """Whether TaskManagers were forked."""
        return self._taskmanagers is not None

    @property
    def is_sharing_cpus(self) -> bool:
        return self._taskmanagers is not None and self._taskmanagers.is_sharing_cpus

    @property
    def are_ready(self) -> bool:
        """Whether every TaskManager is up."""
        return self._taskmanagers is not None and self._taskmanagers.are_ready

    @property
    def pids(self) -> tuple[int, ...]:
        """The process ids of the TaskManagers, by number."""
        return () if self._taskmanagers is None else tuple(one.pid for one in self._taskmanagers.all)

    @property
    def taskmanagers(self) -> Sequence[TaskManager]:
        """By number; some may be lost."""
        return () if self._taskmanagers is None else self._taskmanagers.all

    def stop(self) -> None:
        """Asks the TaskManagers to end, kills those that do not, and gives up on those that cannot be killed."""
        self._is_stopping = True
        if self._taskmanagers is None:
            self._events.host_ended(is_clean=True)
            return
        self._taskmanagers.stop()
        self._loop.call_later(_SHUTDOWN_S, self._taskmanagers.kill_all)
        self._loop.call_later(2 * _SHUTDOWN_S, lambda: self._events.host_ended(is_clean=False))

    def kill_groups(self) -> None:
        """Kills the TaskManagers and the processes that user code started there."""
        if self._taskmanagers is not None:
            self._taskmanagers.kill_groups()

    def close(self) -> None:
        """Closes the connection: the fork server ends."""
        self._fork_server.close()

    # --- the fork server ---

    def _says(self, received: Received) -> None:
        assert self._taskmanagers is not None, "the fork server forked before it was asked"
        match received.message:
            case TaskManagerForked() as forked:
                self._taskmanagers.forked(forked, received.fds[0])
            case TaskManagerExited() as exited:
                self._taskmanagers.exited(exited)
                if self._is_stopping and all(one.is_lost for one in self._taskmanagers.all):
                    self._events.host_ended(is_clean=True)
            case ProcessFailed(failure):
                self._last_words = failure
            case other:
                raise RpcError(f"the fork server must not send {type(other).__name__}")

    def _gone(self, reason: str) -> None:
        if self._is_stopping:
            self._events.host_ended(is_clean=True)
            return
        _LOG.debug("the fork server is gone: %s", reason)
        _, status = os.waitpid(self.fork_server_pid, 0)
        self.kill_groups()
        told = self._last_words
        how = f"failed: {told.message}" if told is not None else describe_exit(status)
        is_limit = told is not None and told.kind in ("OSError", "ResourceError")
        kind = "ResourceError" if is_limit else "TaskManagerLostError"
        text = f"the fork server (pid {self.fork_server_pid}) {how}; all TaskManagers died with it"
        self._events.host_lost(Failure(kind, text))
