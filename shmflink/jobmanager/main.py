"""The JobManager process: imports what all workers need, forks the fork server, then serves its client."""

from __future__ import annotations

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
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from shmflink.core.pandas_import import keep_pandas_out
from shmflink.jobmanager.fork_server import TaskManagerMain, set_process_name, start_fork_server
from shmflink.metrics.log_handler import LOG_ADDRESS, forward_logs
from shmflink.rpc.last_words import EXIT_FAILED
from shmflink.rpc.launch import receive_launch, send_launch

if TYPE_CHECKING:
    import asyncio

    from shmflink.jobmanager.jobmanager import JobManager

__all__ = ["import_foreseen", "import_shared", "run_jobmanager"]

_LOG_PATIENCE_S: Final = 1.0  # a stopped client must not block the JobManager

# What the JobManager and every task need: imported once here, shared by all processes as copy-on-write pages.
_SHARED: Final = (
    "numpy",
    "pyarrow",
    "shmflink._core",
    "shmflink.connectors.base",
    "shmflink.checkpoint.storage",
    "shmflink.checkpoint.settings",
    "shmflink.network.shared_memory",
)
_OWN: Final = ("asyncio", "uvloop", "shmflink.jobmanager.jobmanager")
# What jobs import, for a cluster whose jobs are unknown: too long for a start to wait for it. TaskManagers have what
# was imported before they were forked.
_LATER_PACKAGES: Final = (
    "shmflink.operators",
    "shmflink.connectors",
    "shmflink.datastream",
    "shmflink.common",
    "shmflink.expressions",
)
# Few jobs need these modules: a job that does imports them.
_NOT_PRELOADED: Final = frozenset(
    {
        "shmflink.connectors.postgres",
        "shmflink.datastream.connectors",
        "shmflink.datastream.formats",
        "shmflink.operators.windows",
    }
)


def run_jobmanager(
    client_fd: int, load_taskmanager: Callable[[], TaskManagerMain], foreseen: Sequence[str], *, serves_any: bool
) -> int:
    """Serves the client at `client_fd`; returns the exit code. Call in a fresh process, from its main thread.

    `load_taskmanager` imports what TaskManagers run; it is called in the fork server, which also imports the modules
    `foreseen`. `serves_any`: of jobs that nobody knows yet. It then imports what any job may need while it is idle.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the client decides what Ctrl-C does
    faulthandler.enable()
    set_process_name("shmflink-jm")
    _raise_descriptor_limit()
    gc.disable()  # imports create no garbage; serving enables the collector again
    import_shared()
    gc.freeze()  # the collector would touch, and so copy, every shared page in every child
    warm_up = _preload() if serves_any else iter(())
    pid, fork_server = start_fork_server(
        lambda connection: _begin_fork_server(connection, load_taskmanager, foreseen), (client_fd,), warm_up
    )
    _import(_OWN)  # after the fork: the children need no event loop
    client = socket.socket(fileno=client_fd)
    settings = receive_launch(client)
    if settings is None:
        fork_server.close()
        _reap(pid)
        return 0  # the client needed no cluster
    with contextlib.suppress(OSError):  # the client has died: the event loop sees the end of its connection
        send_launch(fork_server, settings)
    _take_streams(settings.streams)
    os.environ[LOG_ADDRESS] = settings.log_address
    return _run(client, fork_server, pid)


def _begin_fork_server(
    connection: socket.socket, load_taskmanager: Callable[[], TaskManagerMain], foreseen: Sequence[str]
) -> TaskManagerMain | None:
    """Runs in the fork server, while the JobManager imports its own modules and the client its program."""
    run_taskmanager = load_taskmanager()
    import_foreseen(foreseen)
    settings = receive_launch(connection)
    if settings is None:
        return None
    _take_streams(settings.streams)
    os.environ[LOG_ADDRESS] = settings.log_address
    gc.freeze()
    return run_taskmanager


def _run(client: socket.socket, fork_server: socket.socket, fork_server_pid: int) -> int:
    import asyncio

    import uvloop

    # before the loop starts, because the loop must not wait for files
    from shmflink.jobmanager.jobmanager import JobManager

    forward_logs(os.environ, "JobManager", _LOG_PATIENCE_S).update_levels()
    gc.freeze()
    gc.enable()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code = runner.run(_serve(JobManager, client, fork_server, fork_server_pid))
    _reap(fork_server_pid)
    return code


def _take_streams(streams: tuple[int, int]) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    for number, fd in enumerate(streams, start=1):
        os.dup2(fd, number)
        os.close(fd)


def _reap(fork_server_pid: int) -> None:
    """Waits for the fork server, which ends with the connection. If pid 1 is not an init, nobody else would reap it."""
    try:
        os.waitpid(fork_server_pid, 0)
    except ChildProcessError:
        return  # it died earlier and was reaped then


async def _serve(
    kind: type[JobManager], client: socket.socket, fork_server: socket.socket, fork_server_pid: int
) -> int:
    import asyncio

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_end_loudly)
    jobmanager = kind(loop, client, fork_server, fork_server_pid, os.environ)
    code = await jobmanager.stopped
    await jobmanager.close()
    return code


def _end_loudly(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """A callback raised an exception, which is a bug. Continuing might hang the client; it notices if we die."""
    loop.default_exception_handler(context)
    with contextlib.suppress(OSError):  # nobody reads it
        sys.stderr.flush()
    os._exit(EXIT_FAILED)


def import_shared() -> None:
    """Imports what every process of the cluster needs, once, before the processes are forked. Starts no thread."""
    _import(_SHARED)
    keep_pandas_out()


def import_foreseen(modules: Iterable[str]) -> None:
    """What a job is expected to need. A module that cannot be imported is left to who does need it, and says so."""
    for module in modules:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)


def _import(modules: Iterable[str]) -> None:
    for module in modules:
        importlib.import_module(module)


def _preload() -> Iterator[None]:
    """Runs in the fork server while it is idle: imports one module at a time."""
    for module in (name for package in _LATER_PACKAGES for name in _modules_of(package)):
        importlib.import_module(module)
        yield
    gc.freeze()


def _modules_of(package: str) -> Iterator[str]:
    for found in pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}."):
        if not found.ispkg:
            yield found.name
        elif found.name not in _NOT_PRELOADED:
            yield from _modules_of(found.name)


def _raise_descriptor_limit() -> None:
    """Raises the limit of descriptors as far as the system allows: two are needed per TaskManager and peer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
