"""What signals do to the jobs of a program, with a target that only records calls."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable

import pytest

from shmflink.client import cluster_signals
from shmflink.client.cluster_signals import (
    JobInterruptedError,
    ending_by_signals,
    killing_by_signals,
    without_traceback,
)
from shmflink.errors import JobCancelledError


class Target:
    """A cluster; the first action of the thread is told by an event, as the end of a job would be."""

    def __init__(self, *, has_jobs: bool = True, is_recovering: bool = False) -> None:
        self.has_jobs = has_jobs
        self.is_recovering = is_recovering
        self.done: list[str] = []
        self.over = threading.Event()

    def _note(self, what: str) -> bool:
        self.done.append(what)
        self.over.set()
        return True

    def cancel(self, force: bool = False) -> bool:
        return self._note("cancel")

    def suspend(self) -> bool:
        return self._note("suspend")

    def kill(self) -> None:
        self._note("kill")


@pytest.fixture(autouse=True)
def _plain_handlers(monkeypatch):
    """As a program starts: pytest's own handlers come back afterwards."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "job.py", raising=False)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def waits(target: Target, *numbers: int) -> None:
    for number in numbers:
        os.kill(os.getpid(), number)
    assert target.over.wait(60)
    raise JobCancelledError("job 'a' (5f0c) was canceled", job_id="5f0c")


def test_ctrl_c_cancels_the_job_and_ends_the_wait():
    target, told = Target(), []
    text = r"job 'a' \(5f0c\) was canceled"
    with pytest.raises(JobInterruptedError, match=text), ending_by_signals(target, told.append):
        waits(target, signal.SIGINT)
    assert target.done == ["cancel"]
    assert told == ["canceling; press Ctrl-C again to kill"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize(("is_recovering", "action"), [(False, "cancel"), (True, "suspend")])
def test_sigterm_exits_with_143(is_recovering, action):
    target, told = Target(is_recovering=is_recovering), []
    with pytest.raises(SystemExit) as leave, ending_by_signals(target, told.append):
        waits(target, signal.SIGTERM)
    assert leave.value.code == 143
    assert target.done == [action]
    assert told[-1] == "job 'a' (5f0c) was canceled"


def test_the_second_ctrl_c_kills():
    target = Target()
    with pytest.raises(JobInterruptedError), ending_by_signals(target, lambda _: None):
        waits(target, signal.SIGINT, signal.SIGINT)
    assert "kill" in target.done


def test_a_job_that_finishes_nevertheless_does_not_hide_the_signal():
    target = Target()
    with pytest.raises(JobInterruptedError, match="interrupted"), ending_by_signals(target, lambda _: None):
        os.kill(os.getpid(), signal.SIGINT)


def test_before_the_job_is_submitted_the_program_itself_is_interrupted():
    target = Target(has_jobs=False)
    with pytest.raises(JobInterruptedError, match="interrupted"), ending_by_signals(target, lambda _: None):
        os.kill(os.getpid(), signal.SIGINT)
    assert target.done == []


def test_without_a_signal_errors_are_what_they_were():
    with pytest.raises(JobCancelledError), ending_by_signals(Target(), lambda _: None):
        raise JobCancelledError("somebody else cancelled it", job_id="5f0c")


def test_a_program_with_a_handler_of_its_own_keeps_it():
    heard: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _frame: heard.append(number))
    with ending_by_signals(Target(), lambda _: None):
        os.kill(os.getpid(), signal.SIGINT)
    assert heard == [signal.SIGINT]


def test_where_people_type_ctrl_c_is_python_s_own(monkeypatch):
    monkeypatch.delattr(sys.modules["__main__"], "__file__")
    with pytest.raises(KeyboardInterrupt) as interrupt, ending_by_signals(Target(), lambda _: None):
        os.kill(os.getpid(), signal.SIGINT)
    assert type(interrupt.value) is KeyboardInterrupt


def test_at_the_end_of_the_program_one_ctrl_c_kills():
    target = Target()
    with killing_by_signals(target):
        os.kill(os.getpid(), signal.SIGINT)
    assert target.done == ["kill"]


@pytest.fixture
def hook(monkeypatch) -> Callable[[BaseException], list[str]]:
    """Calls what `without_traceback` has put in the place of sys.excepthook; what it told."""
    told: list[str] = []
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    without_traceback(told.append)

    def call(error: BaseException) -> list[str]:
        sys.excepthook(type(error), error, None)
        return told

    call.told = told
    return call


def test_an_interrupt_that_nobody_catches_is_one_line_and_code_130(hook, capsys):
    cancelled = "job 'a' was canceled"
    for error, line in [(JobInterruptedError(cancelled), cancelled), (KeyboardInterrupt(), "interrupted")]:
        with pytest.raises(SystemExit) as leave:
            hook(error)
        assert leave.value.code == 130
        assert hook.told[-1] == line
    hook(ValueError("other errors stay as they are"))
    assert "ValueError: other errors stay as they are" in capsys.readouterr().err


def test_a_hook_of_somebody_else_stays(monkeypatch):
    def other(*_: object) -> None: ...

    monkeypatch.setattr(sys, "excepthook", other)
    without_traceback(lambda _: None)
    assert sys.excepthook is other
    assert cluster_signals.is_program()
