"""When a person is told of calls that do not return."""

from __future__ import annotations

from shmflink.core.ids import SubtaskId
from shmflink.jobmachine.slow_calls import SlowCalls, sentence_of
from shmflink.rpc.messages import CallUnderWay

TASK = SubtaskId(1, 0)


def call(seconds: float) -> CallUnderWay:
    return CallUnderWay(1, TASK, "enrich", seconds, "job.py:12 in slow", True, "")


def test_a_person_is_told_after_ten_seconds_and_whenever_the_time_has_doubled():
    calls = SlowCalls()
    assert [n for n in range(3, 100) if calls.heard(call(n), n)] == [10, 20, 40, 80]
    assert not calls.heard(call(3), 100)  # another call
    assert calls.heard(call(10), 107)


def test_what_is_said_of_a_task():
    calls = SlowCalls()
    assert calls.of(TASK, 0) == ""
    calls.heard(call(34), 100)
    assert calls.of(TASK, 101) == "in one call of user code for 35 s: job.py:12 in slow"
    assert calls.sentences({1: 2}, 101) == (
        "subtask 1/2 of 'enrich' has been in one call of user code for 34 s: job.py:12 in slow",
    )
    assert calls.of(TASK, 110) == ""  # the TaskManager tells of it no more
    assert calls.sentences({1: 2}, 110) == ()
    assert sentence_of(call(34), 2).startswith("subtask 1/2 of 'enrich'")
