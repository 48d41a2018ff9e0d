"""When the command line says what a pending request waits for."""

from __future__ import annotations

from shmflink.cli.waiting import Reasons
from shmflink.testing import ManualClock


def test_reasons_are_told_after_two_seconds_and_then_when_the_time_has_doubled():
    clock, told = ManualClock(), []
    reasons = Reasons(clock, lambda: ["1 of 2 tasks has not acknowledged savepoint 7: 'map' (1/1)"], told.append)
    for _ in range(100):
        reasons.tick()
        clock.advance_ms(200)
    assert [text.partition(":")[0] for text in told] == [f"still waiting after {n} s" for n in (2, 4, 8, 16)]
    assert told[0].endswith(" s: 1 of 2 tasks has not acknowledged savepoint 7: 'map' (1/1)")


def test_a_wait_without_reasons_says_nothing_and_asks_no_more_often():
    clock, asked = ManualClock(), []
    reasons = Reasons(clock, lambda: asked.append(1) or (), lambda _: None)
    for _ in range(100):
        clock.advance_ms(200)
        reasons.tick()
    assert len(asked) == 4


def test_a_client_that_was_stopped_does_not_catch_up():
    clock, told = ManualClock(), []
    reasons = Reasons(clock, lambda: ["a"], told.append)
    clock.advance_ms(60_000)
    reasons.tick()
    reasons.tick()
    assert told == ["still waiting after 60 s: a"]
