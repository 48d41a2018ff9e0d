"""The states of an attempt: events in, effects out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shmflink.core.ids import SubtaskId
from shmflink.jobmachine.attempt_state import (
    ArmCancellationTimeout,
    AttemptCancelRequested,
    AttemptEnded,
    AttemptFailed,
    AttemptState,
    AttemptStateEntered,
    CancelAll,
    CancellationExpired,
    Deployed,
    KillAll,
    StartAll,
    TaskChanged,
    TaskManagerGone,
)
from shmflink.rpc.messages import Failure
from shmflink.rpc.states import JobState, TaskState

A, B = SubtaskId(0, 0), SubtaskId(0, 1)
BOOM, LATER = Failure("ValueError", "boom"), Failure("ValueError", "later")


@pytest.fixture
def job() -> AttemptState:
    return AttemptState({A: 0, B: 1})


def _running(job: AttemptState) -> AttemptState:
    job.handle(Deployed())
    for task in (A, B):
        job.handle(TaskChanged(task, TaskState.INITIALIZING))
        job.handle(TaskChanged(task, TaskState.RUNNING))
    return job


def test_starts_when_every_task_is_open(job):
    assert job.handle(Deployed()) == [AttemptStateEntered(JobState.RUNNING)]
    assert job.handle(TaskChanged(A, TaskState.INITIALIZING)) == []
    assert job.handle(TaskChanged(B, TaskState.INITIALIZING)) == [StartAll()]
    assert job.handle(TaskChanged(B, TaskState.RUNNING)) == []


def test_finishes_when_every_task_has(job):
    _running(job)
    assert job.handle(TaskChanged(A, TaskState.FINISHED)) == []
    assert job.handle(TaskChanged(B, TaskState.FINISHED)) == [
        AttemptStateEntered(JobState.FINISHED),
        AttemptEnded(JobState.FINISHED, None),
    ]


def test_the_first_cause_is_kept(job):
    _running(job)
    assert job.handle(TaskChanged(A, TaskState.FAILED, BOOM)) == [
        AttemptStateEntered(JobState.FAILING),
        CancelAll((1,)),
        ArmCancellationTimeout(),
    ]
    assert job.handle(TaskChanged(B, TaskState.FAILED, LATER)) == [
        AttemptStateEntered(JobState.FAILED),
        AttemptEnded(JobState.FAILED, BOOM),
    ]


def test_a_lost_taskmanager_fails_the_job(job):
    _running(job)
    assert job.handle(TaskManagerGone(0, BOOM))[:2] == [AttemptStateEntered(JobState.FAILING), CancelAll((1,))]
    assert job.handle(TaskChanged(B, TaskState.CANCELED))[-1] == AttemptEnded(JobState.FAILED, BOOM)


def test_a_taskmanager_whose_tasks_are_over_may_die(job):
    _running(job)
    job.handle(TaskChanged(A, TaskState.FINISHED))
    assert job.handle(TaskManagerGone(0, BOOM)) == []
    assert job.handle(TaskChanged(B, TaskState.FINISHED))[-1] == AttemptEnded(JobState.FINISHED, None)


def test_cancel(job):
    _running(job)
    assert job.handle(AttemptCancelRequested()) == [
        AttemptStateEntered(JobState.CANCELLING),
        CancelAll((0, 1)),
        ArmCancellationTimeout(),
    ]
    assert job.handle(TaskChanged(A, TaskState.CANCELED)) == []
    assert job.handle(TaskChanged(B, TaskState.FINISHED))[-1] == AttemptEnded(JobState.CANCELED, None)


def test_cancel_before_anything_was_deployed(job):
    assert job.handle(AttemptCancelRequested())[-1] == AttemptEnded(JobState.CANCELED, None)


def test_a_failure_before_anything_was_deployed(job):
    assert job.handle(AttemptFailed(BOOM))[-1] == AttemptEnded(JobState.FAILED, BOOM)


def test_those_who_do_not_stop_are_killed(job):
    _running(job)
    job.handle(AttemptCancelRequested())
    job.handle(TaskChanged(A, TaskState.CANCELED))
    assert job.handle(CancellationExpired()) == [KillAll((1,))]
    assert job.handle(TaskManagerGone(1, BOOM))[-1] == AttemptEnded(JobState.CANCELED, None)


def test_force_kills_at_once(job):
    _running(job)
    assert job.handle(AttemptCancelRequested(force=True))[-1] == KillAll((0, 1))
    again = _running(AttemptState({A: 0, B: 0}))
    again.handle(AttemptCancelRequested())
    assert again.handle(AttemptCancelRequested(force=True)) == [KillAll((0,))]


def test_a_cancel_while_failing_does_not_hide_the_cause(job):
    _running(job)
    job.handle(TaskChanged(A, TaskState.FAILED, BOOM))
    assert job.handle(AttemptCancelRequested()) == []
    assert job.handle(TaskChanged(B, TaskState.CANCELED))[-1] == AttemptEnded(JobState.FAILED, BOOM)


def test_a_task_that_cancels_itself_is_our_bug(job):
    _running(job)
    job.handle(TaskChanged(A, TaskState.CANCELED))
    assert job.failure is not None
    assert job.failure.kind == "InternalError"


_EVENTS = st.one_of(
    st.just(Deployed()),
    st.builds(
        TaskChanged, st.sampled_from([A, B]), st.sampled_from(list(TaskState)), st.sampled_from([None, BOOM, LATER])
    ),
    st.builds(TaskManagerGone, st.integers(0, 1), st.just(LATER)),
    st.builds(AttemptCancelRequested, st.booleans()),
    st.just(CancellationExpired()),
    st.just(AttemptFailed(BOOM)),
)


@given(st.lists(_EVENTS, max_size=30))
def test_whatever_happens_a_job_ends_once_and_stays_ended(events):
    job = AttemptState({A: 0, B: 1})
    effects = [effect for event in events for effect in job.handle(event)]
    ends = [effect for effect in effects if isinstance(effect, AttemptEnded)]
    assert len(ends) <= 1
    if ends:
        assert job.state.is_terminal
        assert all(state.is_terminal for state in job.tasks.values())
        assert isinstance(effects[-1], AttemptEnded)
        assert (ends[0].failure is not None) == (job.state is JobState.FAILED)
    assert effects.count(StartAll()) <= 1
