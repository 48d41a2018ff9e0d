"""Ctrl-C and SIGTERM while a program waits for its jobs, under `shmflink run` and under `python job.py`."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Final, Protocol

from shmflink.client.tracebacks import excepthook
from shmflink.errors import JobCancelledError, ShmflinkError

__all__ = [
    "ClusterSignals",
    "JobInterruptedError",
    "SignalTarget",
    "ending_by_signals",
    "handling",
    "killing_by_signals",
    "without_traceback",
]

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class SignalTarget(Protocol):
    """The jobs that a signal ends: those of a cluster, or of a whole process."""

    @property
    def has_jobs(self) -> bool:
        """Takes no lock."""
        ...

    @property
    def is_recovering(self) -> bool:
        """Whether an HA directory keeps the jobs."""
        ...

    def cancel(self, force: bool = False) -> bool:
        """Requests the end of all jobs."""
        ...

    def suspend(self) -> bool:
        """Ends the processes; the HA directory keeps the jobs."""
        ...

    def kill(self) -> None:
        """Takes no lock."""
        ...


class JobInterruptedError(KeyboardInterrupt):
    """Ctrl-C ended the job that the program waited for; the text names it. Like its base class, not an `Exception`."""


class ClusterSignals:
    """A signal handler: the first signal cancels cleanly (SIGTERM with an HA directory: suspends), the second kills.

    The handler itself takes no lock and writes to no stream, as the interrupted code may be doing either;
    a thread does the work.
    """

    def __init__(self, target: SignalTarget, tell: Callable[[str], None]) -> None:
        """Only the thread calls `tell`."""
        self._target = target
        self._tell = tell
        self._actions: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="shmflink-signals", daemon=True)
        self._thread.start()
        self.exit_code = 0  # 128 plus the number of the last signal
        self._pid = os.getpid()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid:  # in a process that the program forked: the cluster is not its own
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        is_again = self.exit_code != 0
        self.exit_code = 128 + number
        if is_again:
            _kill(self._target)  # here, because the thread may be waiting for a JobManager that hangs
        elif not self._target.has_jobs:
            raise KeyboardInterrupt  # interrupts the program
        elif number == signal.SIGTERM and self._target.is_recovering:
            self._actions.put(self._suspend)
        else:
            self._actions.put(self._cancel)

    def _serve(self) -> None:
        while (action := self._actions.get()) is not None:
            action()

    def _cancel(self) -> None:
        self._tell("canceling; press Ctrl-C again to kill")
        self._target.cancel(force=False)

    def _suspend(self) -> None:
        self._tell("suspending; the HA directory keeps the jobs")
        self._target.suspend()

    def close(self) -> None:
        self._actions.put(None)
        self._thread.join(1.0)  # it may be waiting for a JobManager that does not read


@contextmanager
def handling(handler: ClusterSignals) -> Iterator[ClusterSignals]:
    """Passes SIGINT and SIGTERM to `handler` inside the context. Main thread only."""
    try:
        with _handled_by(handler):
            yield handler
    finally:
        handler.close()


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _kill(target: SignalTarget) -> None:
    target.kill()
    with contextlib.suppress(OSError):
        os.write(2, b"killing the cluster\n")


@contextmanager
def ending_by_signals(target: SignalTarget, tell: Callable[[str], None]) -> Iterator[None]:
    """For a program without our command line, while it waits for a job: replaces the exception of a job that a
    signal canceled by JobInterruptedError (Ctrl-C) or SystemExit with code 143 (SIGTERM).

    Does nothing outside the main thread, in notebooks and interactive sessions, and if the program has its own
    handlers.
    """
    if not _may_handle():
        yield
        return
    with handling(ClusterSignals(target, tell)) as handler:
        try:
            yield
        except (ShmflinkError, KeyboardInterrupt) as error:
            _end(handler.exit_code, error, tell)
            raise
        _end(handler.exit_code, None, tell)


@contextmanager
def killing_by_signals(target: SignalTarget) -> Iterator[None]:
    """For a program that ends because it was interrupted or is done: further signals kill at once."""
    if not _may_handle():
        yield
        return
    pid = os.getpid()

    def kill(number: int, _frame: FrameType | None) -> None:
        if os.getpid() == pid:
            _kill(target)
        else:
            os._exit(128 + number)

    with _handled_by(kill):
        yield


def _may_handle() -> bool:
    return (
        is_program()
        and threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    )


def is_program() -> bool:
    """Whether this process runs a file from start to end, so that a signal may end it."""
    return hasattr(sys.modules.get("__main__"), "__file__") and not sys.flags.interactive and not hasattr(sys, "ps1")


def _end(exit_code: int, error: BaseException | None, tell: Callable[[str], None]) -> None:
    """Raises the exception for the signal, if there was one."""
    text = str(error) if isinstance(error, JobCancelledError) else "interrupted"
    if exit_code == 128 + signal.SIGINT:
        raise JobInterruptedError(text) from None
    if exit_code:
        tell(text)
        raise SystemExit(exit_code) from None


def without_traceback(tell: Callable[[str], None]) -> None:
    """From now on, a program ended by Ctrl-C prints one line and exits with code 130. Not if someone else has
    replaced `sys.excepthook`, and not in an interactive session.
    """
    if sys.excepthook not in (sys.__excepthook__, excepthook) or not is_program():
        return

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not isinstance(error, KeyboardInterrupt):
            excepthook(kind, error, trace)
            return
        tell(str(error) or "interrupted")
        raise SystemExit(128 + signal.SIGINT)

    sys.excepthook = hook
