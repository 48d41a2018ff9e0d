"""The JobManager process: imports what all workers need, forks the fork server, then serves its client."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import importlib
import os
import pkgutil
import resource
import signal
import socket
import sys
from typing import Final

from shmflink.core.pandas_import import keep_pandas_out
from shmflink.jobmanager.fork_server import TaskManagerMain, set_process_name, start_fork_server
from shmflink.metrics.log_handler import LOG_ADDRESS, forward_logs
from shmflink.rpc.last_words import EXIT_FAILED
from shmflink.rpc.launch import receive_launch

__all__ = ["run_jobmanager"]

_LOG_PATIENCE_S: Final = 1.0  # a client that is stopped must not stop the JobManager

# What tasks are likely to need: imported once here, shared by all TaskManagers as copy-on-write pages. Imported
# there instead, each of them would pay for it at the start of its first job.
_PRELOAD: Final = ("numpy", "pyarrow", "pyarrow.compute", "pyarrow.parquet", "shmflink._core")
# What almost every job's code imports: too long for a start, too long for a recovery as well (a tenth of a second).
_PRELOAD_LATER: Final = ("shmflink.datastream", "shmflink.common", "shmflink.expressions")
_PRELOAD_PACKAGES: Final = ("shmflink.operators", "shmflink.connectors")
# Few jobs need what is in these: the job that does imports it.
_NOT_PRELOADED: Final = frozenset(
    {
        "shmflink.connectors.postgres",
        "shmflink.datastream.connectors",
        "shmflink.datastream.formats",
        "shmflink.operators.windows",
    }
)


def run_jobmanager(client_fd: int, run_taskmanager: TaskManagerMain) -> int:
    """Serves the client at `client_fd`; returns the exit code. Call in a fresh process, from its main thread."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the client's to decide
    faulthandler.enable()
    set_process_name("shmflink-jm")
    _raise_descriptor_limit()
    _preload()
    client = socket.socket(fileno=client_fd)
    settings = receive_launch(client)
    if settings is None:
        return 0  # the client needed no cluster
    _take_streams(settings.streams)
    os.environ[LOG_ADDRESS] = settings.log_address
    pid, fork_server = start_fork_server(run_taskmanager, (client_fd,), _preload_later)
    forward_logs(os.environ, "JobManager", _LOG_PATIENCE_S).update_levels()  # after the fork: children have their own
    gc.enable()
    import uvloop  # after the fork: the children need no event loop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code = runner.run(_serve(client, fork_server, pid))
    _reap(pid)
    return code


def _take_streams(streams: tuple[int, int]) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    for number, fd in enumerate(streams, start=1):
        os.dup2(fd, number)
        os.close(fd)


def _reap(fork_server_pid: int) -> None:
    """It ends when the connection does; nobody else would collect it where pid 1 is no init."""
    try:
        os.waitpid(fork_server_pid, 0)
    except ChildProcessError:
        return  # it died before and was reaped then


async def _serve(client: socket.socket, fork_server: socket.socket, fork_server_pid: int) -> int:
    from shmflink.jobmanager.jobmanager import JobManager

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_end_loudly)
    jobmanager = JobManager(loop, client, fork_server, fork_server_pid, os.environ)
    code = await jobmanager.stopped
    await jobmanager.close()
    return code


def _end_loudly(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """A callback raised: a bug of ours. Going on might hang the client; dying tells it."""
    loop.default_exception_handler(context)
    with contextlib.suppress(OSError):  # nobody reads it
        sys.stderr.flush()
    os._exit(EXIT_FAILED)


def _preload() -> None:
    gc.disable()  # nothing of what imports make is garbage; the children enable it again
    for module in _PRELOAD:
        importlib.import_module(module)
    for package in _PRELOAD_PACKAGES:
        _import_all(package)
    keep_pandas_out()
    gc.freeze()  # the collector would touch, and so copy, every shared page in every child


def _preload_later() -> None:
    """In the fork server, while nobody waits for it."""
    for name in _PRELOAD_LATER:
        _import_all(name)
    gc.freeze()


def _import_all(package: str) -> None:
    path = importlib.import_module(package).__path__
    for found in pkgutil.iter_modules(path, f"{package}."):
        if not found.ispkg:
            importlib.import_module(found.name)
        elif found.name not in _NOT_PRELOADED:
            _import_all(found.name)


def _raise_descriptor_limit() -> None:
    """Two descriptors per TaskManager and peer: take what the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
