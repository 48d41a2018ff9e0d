"""A child process, however it was started. Any thread may wait for it, by its pidfd, without polling."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading

__all__ = ["ChildProcess"]


class ChildProcess:
    """A child that nobody else waits for. `pid` must not have been reaped yet."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._pidfd = os.pidfd_open(pid)
        self._lock = threading.Lock()
        self._code: int | None = None

    def kill(self) -> None:
        """Sends SIGKILL; does nothing once it has ended. Takes no lock."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def wait(self, timeout_s: float | None = None) -> int:
        """Waits for its end; returns the exit code, or minus the signal that ended it. TimeoutError."""
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        if not poll.poll(None if timeout_s is None else timeout_s * 1000):
            raise TimeoutError(f"process {self.pid} still runs after {timeout_s} s")
        with self._lock:
            if self._code is None:
                self._code = self._reaped()
            return self._code

    def _reaped(self) -> int:
        try:
            return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        except ChildProcessError:
            return 0  # the program reaped it by os.wait(), so only the program knows how it ended

    def __del__(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._pidfd)
