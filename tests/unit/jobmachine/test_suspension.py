"""A job is suspended behind one more checkpoint."""

from __future__ import annotations

from shmflink.jobmachine.effects import SetTimer, StopTimer
from shmflink.jobmachine.events import Timer, TimerKind
from shmflink.jobmachine.outlet import Outlet
from shmflink.jobmachine.suspension import Suspension

TIMER = Timer(TimerKind.SUSPEND)


def test_it_is_due_when_its_checkpoint_is_over() -> None:
    outlet = Outlet()
    suspension = Suspension(outlet)
    suspension.request(waits=True)
    assert not suspension.is_due
    suspension.checkpoint_over()
    assert suspension.is_due
    suspension.close()
    assert outlet.take() == [SetTimer(TIMER, 10_000), StopTimer(TIMER)]


def test_without_a_checkpoint_to_wait_for_it_is_due_at_once() -> None:
    outlet = Outlet()
    suspension = Suspension(outlet)
    suspension.request(waits=False)
    assert suspension.is_due
    assert outlet.take() == []


def test_a_checkpoint_that_ends_before_the_request_is_not_the_last_one() -> None:
    suspension = Suspension(Outlet())
    assert not suspension.is_due
    suspension.request(waits=True)
    assert not suspension.is_due
