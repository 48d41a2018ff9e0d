"""Starts a JobManager process, and is that process's main module.

::

    python -m shmflink.client.jobmanager_launch FD job|any [MODULE...]

`FD` is the connection to its client. The modules are what its one job is expected to import; `any`: it serves any job.

This module is above both kinds of process and connects them: it gives the JobManager's fork server the function that
turns a fork into a TaskManager.
"""

from __future__ import annotations

import contextlib
import os
import signal
import site
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Final, NoReturn, TypeAlias

import shmflink
from shmflink.client.child_process import ChildProcess
from shmflink.client.foreseen import Foreseen, modules_of_any, modules_of_process
from shmflink.client.process_settings import ARROW_POOL, ENVIRONMENT, imported_for_fork, settle_fork
from shmflink.client.standard_streams import STDERR, STDOUT, fill_standard_descriptors, inherited

if TYPE_CHECKING:
    from shmflink.rpc.messages import ForkTaskManager

__all__ = ["abandon_jobmanager", "become_jobmanager", "begin_jobmanager", "launch_jobmanager"]

_Process: TypeAlias = "tuple[ChildProcess, socket.socket]"
_BEGUN: Final[list[_Process]] = []
_TITLE: Final = "shmflink-jobmanager"
_ANY: Final = "any"
_NOTHING: Final = Foreseen()


def begin_jobmanager(foreseen: Foreseen = _NOTHING) -> None:
    """Starts the process that the next `launch_jobmanager` takes, while this one imports what it needs itself.

    For a process that has done nothing yet: it imports what both need, with what is `foreseen` for them, and forks,
    unless something has begun a thread.
    The JobManager ends when this process ends without taking it; at once with `abandon_jobmanager`.
    """
    fill_standard_descriptors()
    environment = _environment()
    with imported_for_fork(ARROW_POOL if _has_arrow_pool() else None) as give_blas_threads:
        from shmflink.jobmanager.fork_server import count_threads
        from shmflink.jobmanager.main import import_foreseen, import_shared

        import_shared()
        import_foreseen(foreseen.everywhere)
        begun = _fork(environment, foreseen.in_tasks) if count_threads() == 1 else None
    _BEGUN.append(begun or _start([*foreseen.everywhere, *foreseen.in_tasks]))
    give_blas_threads()


def abandon_jobmanager() -> None:
    """Ends the process that was started in advance: there is no job."""
    while _BEGUN:
        process, ours = _BEGUN.pop()
        process.kill()
        process.wait()
        ours.close()


def launch_jobmanager(
    log_address: str, streams: tuple[int | None, int | None] = (None, None), *, serves_any: bool = False
) -> _Process:
    """Starts a JobManager and returns at once with our end of the connection, which has no name on disk.

    `log_address`: of the LogServer for the processes' logs. `streams`: their standard output and error; None: ours.
    `serves_any`: not the jobs of this program, but any.

    The process leads its own session: Ctrl-C in a terminal reaches only us, and we decide.
    """
    from shmflink.rpc.launch import LaunchSettings, send_launch

    foreseen = None if serves_any else modules_of_process(sys.modules)
    process, ours = _BEGUN.pop() if _BEGUN else _start(foreseen)
    with open(os.devnull, "wb") as nothing:
        fds = [
            fd if fd is not None else nothing.fileno() if inherited(number) else number
            for number, fd in zip((STDOUT, STDERR), streams, strict=True)
        ]
        with contextlib.suppress(OSError):  # it has died: the reader of the connection sees the end
            send_launch(ours, LaunchSettings(log_address, (fds[0], fds[1])))
    return process, ours


def _start(foreseen: Sequence[str] | None) -> _Process:
    fill_standard_descriptors()  # or one of the sockets would be standard output
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    import subprocess  # imported late: the import takes longer than a fork

    with theirs:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            _command(theirs, foreseen),
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=inherited(STDOUT),
            stderr=inherited(STDERR),
            env=_environment(),
            start_new_session=True,
        )
    process.returncode = 0  # `ChildProcess` waits for it
    return ChildProcess(process.pid), ours


def _fork(environment: Mapping[str, str], foreseen: Sequence[str]) -> _Process:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _run_fork(environment, theirs, foreseen)
    theirs.close()
    return ChildProcess(pid), ours


def _run_fork(environment: Mapping[str, str], end: socket.socket, foreseen: Sequence[str]) -> NoReturn:
    from shmflink.rpc.last_words import EXIT_FAILED

    code = EXIT_FAILED
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for our parent, before `setsid` as well
        settle_fork(_TITLE, environment, end.fileno())
        sys.modules["__main__"] = ModuleType("__main__")
        code = _run(end.detach(), foreseen, serves_any=False)
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def become_jobmanager(connection: socket.socket) -> NoReturn:
    """Replaces this process by a JobManager for any jobs, which serves the client at the other end of `connection`."""
    connection.set_inheritable(True)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, _command(connection, None), _environment())  # noqa: S606 - our own interpreter and module


def _command(connection: socket.socket, foreseen: Sequence[str] | None) -> list[str]:
    """`foreseen` is None for a JobManager that serves any job."""
    words = [_ANY, *modules_of_any()] if foreseen is None else ["job", *foreseen]
    return [sys.executable, "-P", "-m", __name__, str(connection.fileno()), *words]


def _environment() -> dict[str, str]:
    """Our environment, with threads off, plus the folder of shmflink if only `sys.path` leads to it."""
    environment = {**os.environ, **ENVIRONMENT}
    if _has_arrow_pool():
        environment.setdefault("ARROW_DEFAULT_MEMORY_POOL", ARROW_POOL)
    root = os.path.dirname(os.path.dirname(os.path.abspath(shmflink.__file__)))
    on_path = any(os.path.abspath(path) == root for path in sys.path)
    if on_path and root not in site.getsitepackages():
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (environment.get("PYTHONPATH"), root)))
    return environment


def _has_arrow_pool() -> bool:
    """Whether Arrow has the allocator. Asks pyarrow if it is imported; otherwise, all its builds for glibc have it."""
    pyarrow = sys.modules.get("pyarrow")
    if pyarrow is None:
        try:
            return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
        except (OSError, ValueError):
            return False  # musl does not support the name, or returns no value
    return ARROW_POOL in pyarrow.supported_memory_backends()


def _run(client_fd: int, foreseen: Sequence[str], *, serves_any: bool) -> int:
    from shmflink.jobmanager.main import run_jobmanager

    return run_jobmanager(client_fd, _load_taskmanager, foreseen, serves_any=serves_any)


def _load_taskmanager() -> Callable[[ForkTaskManager, socket.socket], None]:
    from shmflink.taskmanager.process import run_taskmanager

    return run_taskmanager


if __name__ == "__main__":
    code = _run(int(sys.argv[1]), sys.argv[3:], serves_any=sys.argv[2] == _ANY)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # everything is closed; tearing down the interpreter would only take time
