"""The result or exception that the user's program receives at the end of a job."""

from __future__ import annotations

import pytest

from shmflink.client.job_execution_result import JobExecutionResult
from shmflink.client.outcome import failure_text, outcome_of
from shmflink.core.ids import JobId
from shmflink.errors import (
    InsufficientSlotsError,
    InternalError,
    JobCancelledError,
    JobExecutionError,
    TaskManagerLostError,
)
from shmflink.rpc.messages import Failure, JobEnded, TaskSummary
from shmflink.rpc.states import JobState, TaskState

JOB = JobId("ab" * 16)
TASK = TaskSummary(0, "Map", 0, TaskState.FAILED, 0, 0, 0, 0, 0, 0, 0)


def _ended(state: JobState, failure: Failure | None = None, tasks: tuple[TaskSummary, ...] = (TASK,)) -> JobEnded:
    return JobEnded(JOB, state, 12, failure, tasks)


def test_finished():
    result = outcome_of(_ended(JobState.FINISHED), "job")
    assert isinstance(result, JobExecutionResult)
    assert (result.get_job_id(), result.get_net_runtime()) == (JOB, 12)
    assert result.get_accumulator_result("x") is None
    assert str(result).splitlines()[1:] == [f"Job with JobID {JOB} has finished.", "Job Runtime: 12 ms"]


def test_failed_with_a_users_exception():
    failure = Failure("UserFunctionError", "operator 'Map' (1/2): f failed", "tb", "Map", 0, "Map (1/2)", "'x'")
    error = outcome_of(_ended(JobState.FAILED, failure), "word count")
    assert isinstance(error, JobExecutionError)
    assert error.job_id == str(JOB)
    assert error.cause_text == "Map (1/2): operator 'Map' (1/2): f failed"
    assert str(error) == f"job 'word count' ({JOB}) failed: {error.cause_text}"


def test_cancelled():
    assert isinstance(outcome_of(_ended(JobState.CANCELED), "job"), JobCancelledError)


def test_a_taskmanager_lost_before_anything_ran():
    failure = Failure("TaskManagerLostError", "TaskManager 1 (pid 7) died")
    with pytest.raises(TaskManagerLostError, match=r"TaskManager 1 \(pid 7\) died"):
        raise outcome_of(_ended(JobState.FAILED, failure, ()), "job")


def test_refused_before_anything_ran():
    error = outcome_of(_ended(JobState.FAILED, Failure("InsufficientSlotsError", "needs 3"), ()), "job")
    assert type(error) is InsufficientSlotsError
    assert str(error) == "needs 3"


def test_an_error_of_ours_shows_its_class_and_traceback():
    text = failure_text(Failure("KeyError", "'x'", "Traceback ...\nKeyError: 'x'\n", operator="Files"))
    assert text == "source 'Files': KeyError: 'x'\nTraceback ...\nKeyError: 'x'"


def test_no_cause_is_our_bug():
    assert isinstance(outcome_of(_ended(JobState.FAILED), "job"), InternalError)


@pytest.mark.parametrize("kind", ["UserFunctionError", "TaskManagerLostError"])
def test_a_failed_job_that_ran_is_always_a_jobexecutionerror(kind):
    assert type(outcome_of(_ended(JobState.FAILED, Failure(kind, "x")), "job")) is JobExecutionError
