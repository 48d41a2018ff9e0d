"""When the faults of a schedule occur, and which calls they fail."""

from __future__ import annotations

from random import Random

from shmflink.testing.manual_clock import ManualClock
from shmflink.testing.simulation.actors import Actor, Actors
from shmflink.testing.simulation.faults import Faults
from shmflink.testing.simulation.outcome import Notes, Outcome
from shmflink.testing.simulation.plan import Fault, Plan


def notes() -> tuple[Notes, Outcome]:
    outcome = Outcome(Plan.of(1, Random(1), ("count",)))
    return Notes(outcome, ManualClock(1), traces=True), outcome


def faults_of(*faults: Fault) -> Faults:
    return Faults(faults, Random(1), notes()[0])


def test_a_fault_waits_for_checkpoints_then_for_steps() -> None:
    faults = faults_of(Fault(1, 2, "task"), Fault(0, 0, "jobmanager"))
    assert [faults.take_due(0), faults.take_due(0)] == ["", ""]
    assert [faults.take_due(1) for _ in range(5)] == ["", "", "task", "jobmanager", ""]


def test_checkpoints_count_from_the_fault_before() -> None:
    faults = faults_of(Fault(2, 0, "disk"), Fault(2, 0, "task"))
    assert [faults.take_due(completed) for completed in (1, 2, 3, 4)] == ["", "disk", "", "task"]


def test_the_system_refuses_as_often_as_it_was_told() -> None:
    faults = faults_of()
    faults.refuse("disk", 2)
    assert [faults.refuses("disk") for _ in range(3)] == [True, True, False]
    assert not faults.refuses("memory")


def test_one_call_of_user_code_raises() -> None:
    faults = faults_of()
    assert not any(faults.may_fail("map") for _ in range(20))
    faults.fail_user_code()
    assert [faults.may_fail("map") for _ in range(20)].count(True) == 1


def test_only_an_actor_that_did_something_is_noted() -> None:
    noted, outcome = notes()
    actors = Actors(Random(1), noted)
    work = ["second", "first"]
    idle: list[int] = []
    actors.set([Actor("slot 0", lambda: bool(work) and work.pop()), Actor("writer 0", lambda: True, idle)], 1)
    assert [actors.act() for _ in range(3)] == [True, True, False]
    assert [line.split("us  ")[1] for line in outcome.trace] == ["slot 0: first", "slot 0: second"]
