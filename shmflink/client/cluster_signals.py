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
    """Whose jobs a signal ends: a cluster, or all of a process."""

    @property
    def has_jobs(self) -> bool:
        """Takes no lock."""
        ...

    @property
    def is_recovering(self) -> bool:
        """Whether jobs are kept in an HA directory."""
        ...

    def cancel(self, force: bool = False) -> bool:
        """Asks for the end of all jobs."""
        ...

    def suspend(self) -> bool:
        """Ends the processes; the HA directory keeps the jobs."""
        ...

    def kill(self) -> None:
        """Takes no lock."""
        ...


class JobInterruptedError(KeyboardInterrupt):
    """Ctrl-C ended the job that the program waited for; the text says which. As its base, it is no `Exception`."""


class ClusterSignals:
    """A signal handler: the first signal cancels cleanly (SIGTERM with an HA directory: suspends), a second one kills.

    The handler itself takes no lock and writes to no stream, as the code that it interrupts may be doing just that: a
    thread does the work.
    """

    def __init__(self, target: SignalTarget, tell: Callable[[str], None]) -> None:
        """`tell` is called in the thread alone."""
        self._target = target
        self._tell = tell
        self._actions: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="shmflink-signals", daemon=True)
        self._thread.start()
        self.exit_code = 0  # 128 and the number of the last signal
        self._pid = os.getpid()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid:  # a process that the program forked: the cluster is not its own
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        is_again = self.exit_code != 0
        self.exit_code = 128 + number
        if is_again:
            _kill(self._target)  # at once: the thread may be waiting for a JobManager that hangs
        elif not self._target.has_jobs:
            raise KeyboardInterrupt  # it is the program that is interrupted
        elif number == signal.SIGTERM and self._target.is_recovering:
            self._actions.put(self._suspend)
        else:
            self._actions.put(self._cancel)

    def _serve(self) -> None:
        while (action := self._actions.get()) is not None:
            action()

    def _cancel(self) -> None:
        self._tell("cancelling; Ctrl-C once more kills")
        self._target.cancel(force=False)

    def _suspend(self) -> None:
        self._tell("suspending: the jobs are kept in the HA directory")
        self._target.suspend()

    def close(self) -> None:
        self._actions.put(None)
        self._thread.join(1.0)  # it may wait for a JobManager that does not read


@contextmanager
def handling(handler: ClusterSignals) -> Iterator[ClusterSignals]:
    """SIGINT and SIGTERM go to `handler` inside. In the main thread."""
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
    """For a program without a command line of ours, while it waits for a job: what it would raise for a job that a
    signal has cancelled becomes JobInterruptedError (Ctrl-C) or SystemExit with code 143 (SIGTERM).

    Does nothing outside the main thread, in notebooks and interactive sessions, and where the program has handlers of
    its own.
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
    """While a program ends that is interrupted already, or has nothing more to do: a signal kills at once."""
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
    """Whether this process runs a file to its end, so that it may end by a signal."""
    return hasattr(sys.modules.get("__main__"), "__file__") and not sys.flags.interactive and not hasattr(sys, "ps1")


def _end(exit_code: int, error: BaseException | None, tell: Callable[[str], None]) -> None:
    """Raises what the signal means; returns where there was none."""
    text = str(error) if isinstance(error, JobCancelledError) else "interrupted"
    if exit_code == 128 + signal.SIGINT:
        raise JobInterruptedError(text) from None
    if exit_code:
        tell(text)
        raise SystemExit(exit_code) from None


def without_traceback(tell: Callable[[str], None]) -> None:
    """From now on, a program that Ctrl-C ends says so in a line and exits with code 130. Not where somebody else has
    taken `sys.excepthook`, or where people type.
    """
    if sys.excepthook is not sys.__excepthook__ or not is_program():
        return

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not isinstance(error, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
            return
        tell(str(error) or "interrupted")
        raise SystemExit(128 + signal.SIGINT)

    sys.excepthook = hook
