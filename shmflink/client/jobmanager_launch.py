"""Starts a JobManager process, and is that process's main module (`python -m shmflink.client.jobmanager_launch FD`).

This module is above both kinds of process and connects them: it gives the JobManager's fork server the function that
turns a fork into a TaskManager.
"""

from __future__ import annotations

import contextlib
import os
import site
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

import shmflink
from shmflink.client.standard_streams import STDERR, STDOUT, fill_standard_descriptors, inherited

if TYPE_CHECKING:
    from shmflink.rpc.messages import ForkTaskManager

__all__ = ["abandon_jobmanager", "begin_jobmanager", "launch_jobmanager"]

# A thread in the JobManager before it forks its fork server could hold a lock that nobody would ever unlock.
_ENVIRONMENT: Final = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    # Batches are freed and allocated all the time. Their pages must not go back to the kernel in between, which would
    # clear them again for every batch (a tenth of the CPU of a columnar job).
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
}
# For Arrow's own buffers. From Parquet to Parquet, a TaskManager took 80 MiB more with mimalloc (Arrow's default),
# and a twentieth more CPU, for pages that were cleared again and again.
_ARROW_POOL: Final = "jemalloc"


_Process: TypeAlias = "tuple[subprocess.Popen[bytes], socket.socket]"
_BEGUN: Final[list[_Process]] = []


def begin_jobmanager() -> None:
    """Starts the process that the next `launch_jobmanager` takes, while this one imports what it needs itself.

    It ends when this process ends without taking it; at once with `abandon_jobmanager`.
    """
    _BEGUN.append(_start())


def abandon_jobmanager() -> None:
    """Ends the process that was begun and that nobody took: there is no job."""
    while _BEGUN:
        process, ours = _BEGUN.pop()
        process.kill()
        process.wait()
        ours.close()


def launch_jobmanager(log_address: str, streams: tuple[int | None, int | None] = (None, None)) -> _Process:
    """Starts it and returns at once with our end of the connection; nothing of it has a name on disk.

    `log_address`: of the LogServer for the processes' logs. `streams`: their standard output and error; None: ours.

    The process leads its own session: Ctrl-C in a terminal reaches only us, and we decide.
    """
    from shmflink.rpc.launch import LaunchSettings, send_launch

    process, ours = _BEGUN.pop() if _BEGUN else _start()
    with open(os.devnull, "wb") as nothing:
        fds = [
            fd if fd is not None else nothing.fileno() if inherited(number) else number
            for number, fd in zip((STDOUT, STDERR), streams, strict=True)
        ]
        with contextlib.suppress(OSError):  # it has died: whoever reads from the connection sees its end
            send_launch(ours, LaunchSettings(log_address, (fds[0], fds[1])))
    return process, ours


def _start() -> _Process:
    fill_standard_descriptors()  # or one of the sockets would be standard output
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    command = [sys.executable, "-P", "-m", __name__, str(theirs.fileno())]
    with theirs:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command,
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=inherited(STDOUT),
            stderr=inherited(STDERR),
            env=_environment(),
            start_new_session=True,
        )
    return process, ours


def _environment() -> dict[str, str]:
    """Our environment, with threads off, plus the folder of shmflink if only `sys.path` leads to it."""
    environment = {**os.environ, **_ENVIRONMENT}
    if _has_arrow_pool():
        environment.setdefault("ARROW_DEFAULT_MEMORY_POOL", _ARROW_POOL)
    root = os.path.dirname(os.path.dirname(os.path.abspath(shmflink.__file__)))
    on_path = any(os.path.abspath(path) == root for path in sys.path)
    if on_path and root not in site.getsitepackages():
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (environment.get("PYTHONPATH"), root)))
    return environment


def _has_arrow_pool() -> bool:
    """Known for sure where pyarrow is imported; else, pyarrow's builds for glibc have it (its wheels, conda-forge)."""
    pyarrow = sys.modules.get("pyarrow")
    if pyarrow is None:
        try:
            return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
        except (OSError, ValueError):
            return False  # musl knows no such name, or no value of it
    return _ARROW_POOL in pyarrow.supported_memory_backends()


def _main() -> int:
    from shmflink.jobmanager.main import run_jobmanager

    return run_jobmanager(int(sys.argv[1]), _load_taskmanager)


def _load_taskmanager() -> Callable[[ForkTaskManager, socket.socket], None]:
    from shmflink.taskmanager.process import run_taskmanager

    return run_taskmanager


if __name__ == "__main__":
    code = _main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # everything is closed; taking the interpreter apart would only take time
