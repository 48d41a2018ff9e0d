"""What the cluster's processes need of their environment, and how a process gets it that runs already.

A fresh interpreter gets `ENVIRONMENT`. A fork has imported numpy and pyarrow under it (`imported_for_fork`), and takes
the rest by `settle_fork`. The process that forked goes on with the threads of BLAS that it would have had.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Final

__all__ = ["ARROW_POOL", "ENVIRONMENT", "imported_for_fork", "settle_fork"]

_MMAP_THRESHOLD: Final = 32 << 20
_TRIM_THRESHOLD: Final = 256 << 20
# A thread in the JobManager before it forks its fork server could hold a lock that nobody would ever unlock.
ENVIRONMENT: Final[Mapping[str, str]] = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    # Batches are freed and allocated all the time. Their pages must not go back to the kernel in between, which would
    # clear them again for every batch (a tenth of the CPU of a columnar job).
    "MALLOC_MMAP_THRESHOLD_": str(_MMAP_THRESHOLD),
    "MALLOC_TRIM_THRESHOLD_": str(_TRIM_THRESHOLD),
}
# For Arrow's own buffers. From Parquet to Parquet, a TaskManager took 80 MiB more with mimalloc (Arrow's default),
# and a twentieth more CPU, for pages that were cleared again and again.
ARROW_POOL: Final = "jemalloc"

_M_TRIM_THRESHOLD: Final = -1  # malloc.h
_M_MMAP_THRESHOLD: Final = -3
_BLAS_SETTERS: Final = (
    "scipy_openblas_set_num_threads64_",
    "openblas_set_num_threads64_",
    "openblas_set_num_threads",
)  # of numpy's wheels, of other 64-bit builds, of distributions
_ARG_START: Final = 45  # arg_start in /proc/self/stat, counted from the state; proc(5)


@contextlib.contextmanager
def imported_for_fork(pool: str | None) -> Iterator[Callable[[], None]]:
    """In the block, numpy and pyarrow are imported without threads, so that a fork may follow. `pool`: Arrow's.

    Afterwards `os.environ` is as before. The block gets what gives this process its BLAS threads, after the fork.
    """
    threads = os.environ.get("OPENBLAS_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS") or ""
    # Else, OpenBLAS's threads would spin for tens of milliseconds, on CPUs that the cluster starts on.
    wanted = {**ENVIRONMENT, "OPENBLAS_THREAD_TIMEOUT": os.environ.get("OPENBLAS_THREAD_TIMEOUT", "4")}
    if pool is not None:
        wanted["ARROW_DEFAULT_MEMORY_POOL"] = os.environ.get("ARROW_DEFAULT_MEMORY_POOL", pool)
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield lambda: _set_blas_threads(int(threads) if threads.isdigit() else len(os.sched_getaffinity(0)))
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _set_blas_threads(count: int) -> None:
    """Of OpenBLAS, the only BLAS that fixes their number when it is loaded. Others read the environment later."""
    if count <= 1:
        return
    for path in _loaded("openblas"):
        library = ctypes.CDLL(path)
        setter = next((name for name in _BLAS_SETTERS if hasattr(library, name)), None)
        if setter is not None:
            library[setter](count)


def _loaded(word: str) -> set[str]:
    """Libraries of this process whose file names contain the word."""
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
        paths = {line.rstrip("\n").partition("/")[2] for line in maps if word in line}
    return {f"/{path}" for path in paths if word in os.path.basename(path)}


def settle_fork(title: str, environment: Mapping[str, str], kept_fd: int) -> None:
    """In a fork: its own session, environment and name; of its parent's descriptors, output, error and `kept_fd`.

    What user code starts there gets the same environment as in a fresh interpreter.
    """
    os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    high = os.sysconf("SC_OPEN_MAX")
    os.closerange(3, kept_fd)
    os.closerange(kept_fd + 1, high)
    os.environ.clear()
    os.environ.update(environment)
    if not sys.flags.safe_path:
        del sys.path[0]  # the script's folder
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD)
        libc.mallopt(_M_TRIM_THRESHOLD, _TRIM_THRESHOLD)
    with contextlib.suppress(OSError, ValueError, IndexError):  # only a name
        _set_command_line(title)


def _set_command_line(title: str) -> None:
    """What `ps` shows and `pkill -f` matches: a signal for the command must not reach the cluster's processes."""
    with open("/proc/self/stat", encoding="ascii", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    start, end = int(fields[_ARG_START]), int(fields[_ARG_START + 1])
    text = title.encode("ascii")[: end - start - 1]
    ctypes.memmove(start, text.ljust(end - start, b"\0"), end - start)
