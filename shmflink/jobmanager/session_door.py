"""How programs and the command line reach a session cluster over its control socket."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from shmflink.core.ids import TaskManagerId
from shmflink.errors import UsageError
from shmflink.jobmanager.cluster_reading import ClusterReading
from shmflink.jobmanager.dispatcher_effects import ClientId
from shmflink.jobmanager.job_runs import JobRuns
from shmflink.jobmanager.slot_pool import SlotPool
from shmflink.rpc.async_connection import AsyncConnection
from shmflink.rpc.control_messages import ClusterDescription
from shmflink.rpc.read_messages import ClusterRead
from shmflink.rpc.wire import Received

__all__ = ["SessionDoor", "SessionHost", "claim_name"]

_NOT_OURS: Final = "the cluster belongs to the program that started it"


def claim_name(name: str, folders: Sequence[str]) -> socket.socket:
    """Reserves the name among the clusters whose control sockets are in `folders`, until the socket closes or the
    process ends.

    The socket's name is abstract: the kernel holds it and frees it with its owner. UsageError if another cluster has
    the name.
    """
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    scope = os.pathsep.join((*folders, name))
    digest = hashlib.sha256(scope.encode(errors="surrogateescape")).hexdigest()  # the longest name of a socket
    try:
        claim.bind(f"\0shmflink-session-{os.getuid()}-{digest[:32]}")
    except OSError as error:
        claim.close()
        if error.errno != errno.EADDRINUSE:
            raise
        raise UsageError(
            f"session cluster '{name}' is already running: stop it (shmflink stop-cluster), or give the new one "
            "another name (-D cluster.name=NAME)"
        ) from None
    return claim


class SessionHost(Protocol):
    """The interface of the JobManager, documented in `jobmanager.JobManager`."""

    def adopt(self, connection: AsyncConnection) -> ClientId: ...

    def said(self, client: ClientId, received: Received) -> None: ...

    def gone(self, client: ClientId, reason: str) -> None: ...

    def grow(self, slots: int) -> None: ...

    def shut_down(self, *, suspends: bool = True) -> None: ...


class SessionDoor:
    """A `control_socket.ClusterControl`. A cluster without a name belongs to a program and refuses others."""

    def __init__(
        self,
        name: str,
        host: SessionHost,
        slots: SlotPool[TaskManagerId],
        runs: JobRuns,
        are_ready: Callable[[], bool],
        reading: ClusterReading,
    ) -> None:
        """`are_ready`: whether all TaskManagers are up."""
        self._name = name
        self._host = host
        self._slots = slots
        self._runs = runs
        self._are_ready = are_ready
        self._reading = reading

    @property
    def is_open(self) -> bool:
        """Whether this is a session cluster."""
        return bool(self._name)

    def describe(self) -> ClusterDescription:
        total, free = self._runs.slots_total, self._slots.free
        return ClusterDescription(os.getpid(), self._name, total, free, self._are_ready())

    def read(self) -> ClusterRead:
        return self._reading.read()

    def add_slots(self, slots: int) -> str:
        if not self._name:
            return _NOT_OURS
        before = self._runs.slots_total
        self._host.grow(before + slots)
        if self._runs.slots_total == before:
            return f"the cluster stays at {before} slots; its log says why"
        return ""

    def stop(self) -> str:
        if not self._name:
            return _NOT_OURS
        self._host.shut_down(suspends=False)
        return ""

    def opened(self, connection: AsyncConnection) -> ClientId | None:
        return self._host.adopt(connection) if self._name else None

    def said(self, client: ClientId, received: Received) -> None:
        self._host.said(client, received)

    def gone(self, client: ClientId, reason: str) -> None:
        self._host.gone(client, reason)
