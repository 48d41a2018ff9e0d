"""`shmflink rest`: the REST server of a session cluster, in a process of its own; and what starts it with a cluster."""

from __future__ import annotations

import importlib.util
import os
import select
import sys
from collections.abc import Mapping
from typing import Final, NoReturn

from shmflink.client.session_cluster import find_session
from shmflink.config.options import CLUSTER_NAME
from shmflink.config.rest_options import REST_OPTIONS, REST_PORT
from shmflink.core.clock import SYSTEM_CLOCK
from shmflink.errors import ConfigurationError, ResourceError, ShmflinkError, UsageError
from shmflink.rpc.control_messages import ClusterDescription

__all__ = ["check_rest", "run_rest", "spawn_rest"]

_FAILED: Final = 1
_PACKAGES: Final = ("starlette", "uvicorn", "httptools")
_WAIT_S: Final = 60.0  # for a cluster that is being started beside us
_LOOK_MS: Final = 50


def check_rest(configuration: Mapping[str, str]) -> bool:
    """Whether a REST server is wanted with the cluster. ConfigurationError if there cannot be one."""
    if REST_PORT.read(configuration) is None:
        return False
    _check_packages()
    from shmflink.rest.settings import RestSettings

    RestSettings.of(configuration)
    return True


def _check_packages() -> None:
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            f"the REST server needs the package {missing[0]}: pip install 'shmflink[rest]' (or start the cluster "
            f"without {REST_PORT.key})"
        )


def run_rest(configuration: Mapping[str, str], *, waits: bool = False, ready_fd: int | None = None) -> int:
    """Serves until the cluster ends, SIGTERM or Ctrl-C; returns the exit code. `waits` for a cluster that is starting.
    `ready_fd`: gets the URL when clients can connect, and is closed.
    """
    try:
        _check_packages()
        from shmflink.rest.server import serve

        name = CLUSTER_NAME.read(configuration)
        path, found = _find(name, waits=waits)
        serve(path, found.pid, configuration, lambda url: _listening(name, url, ready_fd))
    except ShmflinkError as error:
        sys.stderr.write(f"{error}\n")
        return _FAILED
    return 0


def _find(name: str, *, waits: bool) -> tuple[str, ClusterDescription]:
    end_ns = SYSTEM_CLOCK.monotonic_ns() + int(_WAIT_S * 1e9)
    while True:
        try:
            return find_session(name, os.environ)
        except UsageError:
            if not waits or SYSTEM_CLOCK.monotonic_ns() > end_ns:
                raise
        select.poll().poll(_LOOK_MS)


def _listening(name: str, url: str, ready_fd: int | None) -> None:
    sys.stdout.write(f"REST server of session cluster '{name}': {url}\n")
    sys.stdout.flush()
    if ready_fd is not None:
        os.write(ready_fd, url.encode())
        os.close(ready_fd)


def spawn_rest(configuration: Mapping[str, str], log_fd: int | None = None, *, waits: bool = False) -> str:
    """Starts the server in the background, a child of nobody that is still there. `log_fd`: its output, else ours.

    Without `waits` returns its URL when it listens; ResourceError if it does not: its output says why.
    """
    theirs = [CLUSTER_NAME.key, *(option.key for option in REST_OPTIONS)]
    settings = [word for key in theirs if key in configuration for word in ("-D", f"{key}={configuration[key]}")]
    reading, writing = os.pipe()
    words = ["rest", *settings, *(["--wait"] if waits else ["--ready-fd", str(writing)])]
    command = [sys.executable, "-c", "from shmflink.cli.entry import main; main()", *words]
    launcher = os.fork()
    if launcher == 0:
        _exec_orphaned(command, writing, log_fd)
    os.close(writing)
    os.waitpid(launcher, 0)
    with os.fdopen(reading, "rb") as pipe:
        if waits:
            return ""
        url = pipe.read().decode()
    if not url:
        raise ResourceError("the REST server has not started")
    return url


def _exec_orphaned(command: list[str], ready_fd: int, log_fd: int | None) -> NoReturn:
    """In the forked process: forks again and ends, so that nobody has to reap the server."""
    try:
        os.setsid()
        if os.fork() == 0:
            os.set_inheritable(ready_fd, True)
            for number in (1, 2) if log_fd is not None else ():
                os.dup2(log_fd or 0, number)
            os.execv(command[0], command)  # noqa: S606 - our own interpreter and words
    finally:
        os._exit(0)
