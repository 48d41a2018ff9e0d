"""`shmflink start-cluster`, `stop-cluster`, `jobmanager`, `taskmanager`: a session cluster, which runs the jobs of many
programs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import Final

from shmflink.client.control_client import request
from shmflink.client.session_cluster import find_session, running_clusters
from shmflink.client.session_launch import become_session, start_session, wait_gone
from shmflink.config.options import CLUSTER_NAME
from shmflink.core.clock import SYSTEM_CLOCK
from shmflink.errors import ResourceError, ShmflinkError, UsageError
from shmflink.rpc.control_messages import AddSlots, ClusterDescription, StopCluster

from .rest import check_rest, spawn_rest

__all__ = ["add_taskmanagers", "run_jobmanager", "start_cluster", "stop_cluster"]

_FAILED: Final = 1


def run_jobmanager(configuration: Mapping[str, str]) -> int:
    """Becomes the JobManager of a session cluster; returns only if it cannot: the exit code."""

    def verb() -> None:
        _check_free(CLUSTER_NAME.read(configuration))
        if check_rest(configuration):
            spawn_rest(configuration, waits=True)
        become_session(configuration)

    return _performed(verb)


def start_cluster(configuration: Mapping[str, str]) -> int:
    """Starts a JobManager in the background and waits until its TaskManagers are up; returns the exit code."""
    name = CLUSTER_NAME.read(configuration)

    def verb() -> None:
        _check_free(name)
        has_rest = check_rest(configuration)
        log = _log_file(name)
        _say("Starting cluster.")
        with open(log, "ab") as output:
            try:
                found = start_session(configuration, os.environ, output.fileno())
            except ShmflinkError as error:
                _check_free(name)  # another one may have been faster
                raise type(error)(f"{error}; its log is {log}") from None
            _say(f"Session cluster '{name}' is up: JobManager pid {found.pid}, {_slots(found)}. Log: {log}")
            if has_rest:
                _say(f"REST server: {_rest_of(configuration, output.fileno(), log)}")

    return _performed(verb)


def stop_cluster(configuration: Mapping[str, str]) -> int:
    """Cancels the jobs of the session cluster, ends it, and waits until its JobManager is gone."""
    name = CLUSTER_NAME.read(configuration)

    def verb() -> None:
        path, found = find_session(name, os.environ)
        request(path, StopCluster(), ClusterDescription, SYSTEM_CLOCK)
        wait_gone(found.pid)
        _say(f"Stopped session cluster '{name}' (JobManager pid {found.pid}).")

    return _performed(verb)


def add_taskmanagers(configuration: Mapping[str, str], slots: int) -> int:
    """Asks the host of the session cluster to start TaskManagers for this many more slots."""
    name = CLUSTER_NAME.read(configuration)

    def verb() -> None:
        path, _ = find_session(name, os.environ)
        found = request(path, AddSlots(slots), ClusterDescription, SYSTEM_CLOCK)
        _say(f"Session cluster '{name}' has {_slots(found)}.")

    return _performed(verb)


def _rest_of(configuration: Mapping[str, str], log_fd: int, log: str) -> str:
    try:
        return spawn_rest(configuration, log_fd)
    except ResourceError as error:
        raise ResourceError(f"{error}; the cluster runs without it. Its log is {log}") from None


def _check_free(name: str) -> None:
    for path, found in running_clusters(os.environ):
        if found.name == name:
            raise UsageError(
                f"session cluster '{name}' is already running (JobManager pid {found.pid}, {path}): stop it (shmflink "
                "stop-cluster), or give the new one another name (-D cluster.name=NAME)"
            )


def _log_file(name: str) -> str:
    state = os.environ.get("XDG_STATE_HOME") or os.path.join(os.environ.get("HOME") or "/", ".local", "state")
    folder = os.path.join(state, "shmflink", "log")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    return os.path.join(folder, f"session-{name.replace(os.sep, '_')}.log")


def _slots(found: ClusterDescription) -> str:
    return "1 slot" if found.slots == 1 else f"{found.slots} slots"


def _performed(verb: Callable[[], None]) -> int:
    try:
        verb()
    except (ShmflinkError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return _FAILED
    return 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
