"""`shmflink doctor`: what this machine gives a cluster, and what would go wrong."""

from __future__ import annotations

import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final

from shmflink.core.lazy_dataclass import dataclass

__all__ = ["Finding", "run_doctor"]

_GIB: Final = 1 << 30
_PER_SLOT_BYTES: Final = 256 << 20
_DESCRIPTORS_BASE: Final = 256
_DESCRIPTORS_PER_SLOT: Final = 16
_SOCKET_PATH_MAX: Final = 107  # sun_path
_KERNEL_MIN: Final = (5, 6)  # pidfd_open 5.3, pidfd_getfd 5.6


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `problem`: what goes wrong and what to do; empty if nothing does."""

    what: str
    found: str
    problem: str = ""
    is_fatal: bool = False


def run_doctor(*, as_json: bool) -> int:
    """Prints what was found; returns the exit code: 1 if a cluster cannot run here."""
    findings = [finding for look in _LOOKS for finding in look()]
    if as_json:
        import orjson

        fields = [
            {"what": one.what, "found": one.found, "problem": one.problem, "fatal": one.is_fatal} for one in findings
        ]
        sys.stdout.write(orjson.dumps(fields, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        sys.stdout.write("".join(f"{_text(one)}\n" for one in findings))
    return int(any(one.is_fatal for one in findings))


def _text(one: Finding) -> str:
    mark = "FAIL" if one.is_fatal else "WARN" if one.problem else "ok"
    return f"{mark:<5} {one.what}: {one.found}" + (f"\n      {one.problem}" if one.problem else "")


def _looked_cpus() -> Iterator[Finding]:
    usable, all_cpus = len(os.sched_getaffinity(0)), os.cpu_count() or 1
    quota = _cpu_quota()
    found = f"{usable} of {all_cpus} usable" + (f", the cgroup allows the time of {quota:g}" if quota else "")
    low = quota is not None and quota < usable
    problem = f"more than {max(int(quota or 1), 1)} slots share the time of fewer CPUs: use --slots" if low else ""
    yield Finding("CPUs", found, problem)


def _cpu_quota() -> float | None:
    quota, _, period = (_cgroup("cpu.max") or "max").partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period.strip().isdigit() else None


def _looked_memory() -> Iterator[Finding]:
    fields = dict(line.split(":", 1) for line in _lines("/proc/meminfo"))
    available = int(fields.get("MemAvailable", "0 kB").split()[0]) * 1024
    limit = _cgroup("memory.max") or "max"
    found = f"{available / _GIB:.1f} GiB available"
    if limit.isdigit():
        available = min(available, int(limit))
        found += f", the cgroup allows {int(limit) / _GIB:.1f} GiB"
    needed = len(os.sched_getaffinity(0)) * _PER_SLOT_BYTES
    problem = f"a TaskManager for each CPU may need {needed / _GIB:.1f} GiB: use fewer --slots"
    yield Finding("memory", found, problem if available < needed else "")


def _cgroup(name: str) -> str | None:
    """Of the cgroup (version 2) of this process; None where there is no limit of that kind."""
    path = next((line[3:] for line in _lines("/proc/self/cgroup") if line.startswith("0::")), None)
    return None if path is None else next(iter(_lines(f"/sys/fs/cgroup{path}/{name}")), None)


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().splitlines()
    except OSError:
        return []


def _looked_descriptors() -> Iterator[Finding]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    slots = len(os.sched_getaffinity(0))
    needed = _DESCRIPTORS_BASE + _DESCRIPTORS_PER_SLOT * slots
    low = hard not in (resource.RLIM_INFINITY, -1) and hard < needed
    problem = f"{slots} slots need about {needed}: raise the hard limit (ulimit -Hn, LimitNOFILE=)" if low else ""
    yield Finding("descriptors", f"at most {hard}", problem)


def _looked_kernel() -> Iterator[Finding]:
    release = platform.release()
    numbers = tuple(int(part) for part in release.split("-")[0].split(".")[:2] if part.isdigit())
    old = numbers < _KERNEL_MIN
    yield Finding("kernel", release, "needs Linux 5.6 or newer" if old else "", is_fatal=old)
    for what, probe in (("memfd", _probe_memfd), ("pidfd", _probe_pidfd)):
        try:
            probe()
        except OSError as error:
            yield Finding(what, "refused", f"{error.strerror}: a seccomp filter or sandbox forbids it", is_fatal=True)
        else:
            yield Finding(what, "works")


def _probe_memfd() -> None:
    fd = os.memfd_create("shmflink-doctor", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.posix_fallocate(fd, 0, 1 << 20)
    finally:
        os.close(fd)


def _probe_pidfd() -> None:
    os.close(os.pidfd_open(os.getpid()))


def _looked_folders() -> Iterator[Finding]:
    from shmflink.rpc.runtime_folder import runtime_folders

    home = os.environ.get("HOME") or "/"
    state = os.environ.get("XDG_STATE_HOME") or os.path.join(home, ".local", "state")
    folders = runtime_folders(os.environ, os.getuid())
    writable = [folder for folder in folders if _is_writable(folder)]
    short = [folder for folder in writable if len(folder) + 30 <= _SOCKET_PATH_MAX]
    problem = "" if short else "no folder can hold control sockets: set XDG_RUNTIME_DIR to a short writable path"
    yield Finding("control sockets", ", ".join(short or folders), problem, is_fatal=not short)
    unwritable = not _is_writable(os.path.join(state, "shmflink"))
    told = "cannot be written: logs and HA directories need XDG_STATE_HOME" if unwritable else ""
    yield Finding("state folder", os.path.join(state, "shmflink"), told)


def _is_writable(folder: str) -> bool:
    """Also one that does not exist yet, where its parent can be written."""
    while not os.path.exists(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    return os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)


def _looked_clock() -> Iterator[Finding]:
    resolution_ns = time.get_clock_info("monotonic").resolution * 1e9
    source = next(iter(_lines("/sys/devices/system/clocksource/clocksource0/current_clocksource")), "unknown")
    slow = source in ("hpet", "acpi_pm", "jiffies")
    problem = "reading it is a slow system call, and every batch reads it" if slow else ""
    yield Finding("clock", f"{source}, resolution {resolution_ns:.0f} ns", problem)


def _looked_packages() -> Iterator[Finding]:
    import pyarrow as pa

    import shmflink

    yield Finding(
        "versions", f"shmflink {shmflink.__version__}, Python {platform.python_version()}, pyarrow {pa.__version__}"
    )


_LOOKS: Final[tuple[Callable[[], Iterator[Finding]], ...]] = (
    _looked_packages,
    _looked_kernel,
    _looked_cpus,
    _looked_memory,
    _looked_descriptors,
    _looked_folders,
    _looked_clock,
)
