"""The timer of the coordinator."""

from __future__ import annotations

from shmflink.jobmachine.checkpoint_timer import CheckpointTimer
from shmflink.jobmachine.effects import SetTimer, StopTimer
from shmflink.jobmachine.events import Timer, TimerKind
from shmflink.jobmachine.outlet import Outlet

TIMER = Timer(TimerKind.CHECKPOINTS)


def test_it_is_set_again_only_for_another_deadline() -> None:
    outlet = Outlet()
    timer = CheckpointTimer(outlet)
    outlet.now_ms = 100
    timer.arm(130)
    timer.arm(130)
    timer.arm(90)
    timer.arm(None)
    timer.arm(None)
    assert outlet.take() == [SetTimer(TIMER, 30), SetTimer(TIMER, 0), StopTimer(TIMER)]


def test_after_it_has_fired_it_is_set_again_for_the_same_deadline() -> None:
    outlet = Outlet()
    timer = CheckpointTimer(outlet)
    timer.arm(10)
    timer.fired()
    timer.arm(10)
    assert outlet.take() == [SetTimer(TIMER, 10), SetTimer(TIMER, 10)]
