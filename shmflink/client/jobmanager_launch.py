"""Starting a JobManager process of one's own, and what it runs (`python -m shmflink.client.jobmanager_launch FD`).

Here, above both, the two kinds of process are tied together: the JobManager's fork server is given the function that
makes a fork a TaskManager.
"""

from __future__ import annotations

import os
import site
import socket
import subprocess
import sys
from typing import Final

import pyarrow as pa

import shmflink
from shmflink.client.standard_streams import STDERR, STDOUT, fill_standard_descriptors, inherited
from shmflink.metrics.log_handler import LOG_ADDRESS

__all__ = ["launch_jobmanager"]

# Any thread in the JobManager before it forks its fork server would be a lock that nobody unlocks.
_ENVIRONMENT: Final = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    # Batches are freed and made again all the time: their pages must not go back to the kernel in between, which would
    # clear them again at every batch (a tenth of the CPU of a columnar job).
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
}
# For Arrow's own buffers. On Parquet to Parquet, a TaskManager took 80 MiB more with mimalloc (Arrow's choice),
# and a twentieth more CPU, for pages that were cleared again and again.
_ARROW_POOL: Final = "jemalloc"


def launch_jobmanager(
    log_address: str, streams: tuple[int | None, int | None] = (None, None)
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Starts it and returns at once with our end of the connection; nothing of it has a name on disk.

    `log_address`: of the LogServer for what its processes log. `streams`: their standard output and error; None: ours.

    It leads a session of its own: Ctrl-C in a terminal reaches us alone, and we decide.
    """
    fill_standard_descriptors()  # or one of the sockets would be standard output
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    command = [sys.executable, "-P", "-m", __name__, str(theirs.fileno())]
    with theirs:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command,
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=inherited(STDOUT) if streams[0] is None else streams[0],
            stderr=inherited(STDERR) if streams[1] is None else streams[1],
            env={**_environment(), LOG_ADDRESS: log_address},
            start_new_session=True,
        )
    return process, ours


def _environment() -> dict[str, str]:
    """Ours, with threads off; and the folder of shmflink where only `sys.path` leads to it."""
    environment = {**os.environ, **_ENVIRONMENT}
    if _ARROW_POOL in pa.supported_memory_backends():
        environment.setdefault("ARROW_DEFAULT_MEMORY_POOL", _ARROW_POOL)
    root = os.path.dirname(os.path.dirname(os.path.abspath(shmflink.__file__)))
    on_path = any(os.path.abspath(path) == root for path in sys.path)
    if on_path and root not in site.getsitepackages():
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (environment.get("PYTHONPATH"), root)))
    return environment


def _main() -> int:
    from shmflink.jobmanager.main import run_jobmanager
    from shmflink.taskmanager.process import run_taskmanager

    return run_jobmanager(int(sys.argv[1]), run_taskmanager)


if __name__ == "__main__":
    sys.exit(_main())
