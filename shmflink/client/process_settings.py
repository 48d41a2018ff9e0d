"""Environment variables of the cluster's processes, and how to apply them to a process that is already running.

A fresh interpreter gets `ENVIRONMENT`. A fork has imported numpy and pyarrow under it (`imported_for_fork`), and
applies the rest by `settle_fork`. The forking process then gets the BLAS threads that it would have had otherwise.
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
# A thread in the JobManager could hold a lock while it forks its fork server; the child would never unlock it.
ENVIRONMENT: Final[Mapping[str, str]] = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    # Batches are freed and allocated continually. Their pages must not return to the kernel in between, which would
    # zero them again for every batch (a tenth of the CPU of a columnar job).
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
)  # names in numpy's wheels, in other 64-bit builds, in distributions
_ARG_START: Final = 45  # arg_start in /proc/self/stat, counted from the state; proc(5)


@contextlib.contextmanager
def imported_for_fork(pool: str | None) -> Iterator[Callable[[], None]]:
    """Imports numpy and pyarrow without threads, so that the block may fork. `pool`: Arrow's memory pool.

    Afterwards `os.environ` is as before. Yields a function that gives this process its BLAS threads after the fork.
    """
    threads = os.environ.get("OPENBLAS_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS") or ""
    # Otherwise OpenBLAS's threads would spin for tens of milliseconds on the CPUs that the starting cluster needs.
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
    """Sets OpenBLAS's number of threads. Only OpenBLAS fixes it when it is loaded; others read the environment
    later.
    """
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
    """Called in a fork: sets its session, environment and name; keeps only output, error and `kept_fd` of the
    descriptors.

    Processes that user code starts there get the same environment as in a fresh interpreter.
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
    """Sets the command line that `ps` shows and `pkill -f` matches, so that a signal meant for the command does not
    reach the cluster's processes.
    """
    with open("/proc/self/stat", encoding="ascii", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    start, end = int(fields[_ARG_START]), int(fields[_ARG_START + 1])
    text = title.encode("ascii")[: end - start - 1]
    ctypes.memmove(start, text.ljust(end - start, b"\0"), end - start)
