"""Describes how a TaskManager ended."""

from __future__ import annotations

import os
import signal

from shmflink.rpc.last_words import EXIT_FAILED
from shmflink.rpc.messages import Failure

__all__ = ["describe_exit", "taskmanager_lost"]

_ADVICE = {
    signal.SIGSEGV: "a native library that the job uses crashed; its Python stack is on standard error",
    signal.SIGBUS: "memory behind a mapping was gone: a file was truncated while it was read, or memory is full",
    signal.SIGABRT: "a native library that the job uses aborted; see standard error",
}


def describe_exit(wait_status: int | None, oom_killed: bool = False) -> str:
    """`was killed by signal 9 (SIGKILL)`, `exited with code 3 ...`; with advice on where to look, if there is any."""
    if wait_status is None:
        return "died (its exit status is unknown)"
    if not os.WIFSIGNALED(wait_status):
        code = os.waitstatus_to_exitcode(wait_status)
        if code == EXIT_FAILED:
            return f"failed (exit code {code}); its traceback is on standard error"
        return f"exited with code {code}: user code or a library called os._exit() or exit()"
    number = os.WTERMSIG(wait_status)
    name = signal.Signals(number).name if number in signal.Signals.__members__.values() else "unknown"
    text = f"was killed by signal {number} ({name})"
    if oom_killed:
        return f"{text} by the kernel, out of memory: lower the parallelism or raise the memory limit"
    if number == signal.SIGKILL:
        return f"{text}; unless somebody killed it, look for the out-of-memory killer in the kernel log (dmesg)"
    advice = _ADVICE.get(signal.Signals(number)) if name != "unknown" else None
    return f"{text}: {advice}" if advice else text


def taskmanager_lost(index: int, pid: int, what: str) -> Failure:
    """The failure of a job whose TaskManager has ended."""
    return Failure("TaskManagerLostError", f"TaskManager {index} (pid {pid}) {what}")
