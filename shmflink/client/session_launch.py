"""Starts the JobManager of a session cluster, which outlives the process that started it."""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections.abc import Mapping
from typing import Final, NoReturn

from shmflink.client.control_client import describe
from shmflink.client.jobmanager_launch import become_jobmanager, launch_jobmanager
from shmflink.client.standard_streams import STDERR, STDOUT, fill_standard_descriptors
from shmflink.config.options import CLUSTER_NAME, SLOTS
from shmflink.core.clock import SYSTEM_CLOCK
from shmflink.errors import JobManagerLostError
from shmflink.rpc.control_messages import ClusterDescription
from shmflink.rpc.launch import LaunchSettings, send_launch
from shmflink.rpc.messages import StartCluster
from shmflink.rpc.runtime_folder import control_sockets, runtime_folders
from shmflink.rpc.wire import frame_of

__all__ = ["become_session", "start_session", "wait_gone"]

_LOOK_MS: Final = 20


def become_session(configuration: Mapping[str, str]) -> NoReturn:
    """Replaces this process by the JobManager of a session cluster."""
    request = _request(configuration)
    fill_standard_descriptors()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    send_launch(ours, LaunchSettings("", (STDOUT, STDERR)))
    ours.sendall(frame_of(request))  # the message waits in the socket; our end closes when the JobManager begins
    become_jobmanager(theirs)


def start_session(configuration: Mapping[str, str], environment: Mapping[str, str], log_fd: int) -> ClusterDescription:
    """Starts the JobManager in a session of its own and waits until its TaskManagers are up. `log_fd`: its output.

    Raises:
        JobManagerLostError: it ended; its output says why.
    """
    request = _request(configuration)
    process, ours = launch_jobmanager("", (log_fd, log_fd), serves_any=True)
    with ours, contextlib.suppress(OSError):  # it has died, which is detected below
        ours.sendall(frame_of(request))
    pidfd = os.pidfd_open(process.pid)
    try:
        while True:
            found = _description_of(process.pid, environment)
            if found is not None and found.is_ready:
                return found
            if _ends(pidfd, _LOOK_MS):
                raise JobManagerLostError(f"the JobManager ended with exit code {process.wait()}")
    finally:
        os.close(pidfd)


def wait_gone(pid: int) -> None:
    """Waits until a process has ended."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        _ends(pidfd, None)
    finally:
        os.close(pidfd)


def _request(configuration: Mapping[str, str]) -> StartCluster:
    slots = SLOTS.read(configuration) or len(os.sched_getaffinity(0))
    return StartCluster(slots, configuration, recovers=True, session=CLUSTER_NAME.read(configuration))


def _description_of(pid: int, environment: Mapping[str, str]) -> ClusterDescription | None:
    for path in control_sockets(runtime_folders(environment, os.getuid())):
        if os.path.basename(path).partition(".")[0].partition("-")[0] == str(pid):
            found = describe(path, SYSTEM_CLOCK)
            if found is not None and found.pid == pid:
                return found
    return None


def _ends(pidfd: int, timeout_ms: int | None) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(timeout_ms))
