"""PyFlink's JobClient."""

from __future__ import annotations

import pytest

from shmflink.client.completable_future import CompletableFuture
from shmflink.client.job_client import JobClient
from shmflink.client.job_status import JobStatus
from shmflink.core.ids import JobId
from shmflink.errors import RequestFailedError, UsageError


def no_savepoint(*_arguments):
    return CompletableFuture.failed(RequestFailedError("no folder for it"))


def test_follows_the_job_to_its_end():
    client = JobClient(JobId("ab"), lambda _: None, no_savepoint)
    assert client.get_job_id() == JobId("ab")
    assert client.get_job_status().result() is JobStatus.CREATED
    client.status_changed(JobStatus.RUNNING)
    assert client.get_job_status().result() is JobStatus.RUNNING
    client.ended(JobStatus.FINISHED, "result")
    assert client.get_job_execution_result().result() == "result"
    assert client.get_job_status().result() is JobStatus.FINISHED
    assert client.get_accumulators().result() == {}


def test_cancel_asks_and_completes_at_the_end():
    asked = []
    client = JobClient(JobId("ab"), asked.append, no_savepoint)
    cancelled = client.cancel()
    assert asked == [JobId("ab")]
    assert not cancelled.done()
    client.ended(JobStatus.CANCELED, ValueError("cancelled"))
    assert cancelled.result() is None
    with pytest.raises(ValueError, match="cancelled"):
        client.get_job_execution_result().result()
    client.cancel().result()
    assert asked == [JobId("ab")]


@pytest.mark.parametrize(
    ("ask", "expected"),
    [
        (lambda c: c.trigger_savepoint("/s"), ("/s", False, False)),
        (lambda c: c.trigger_savepoint(), ("", False, False)),
        (lambda c: c.stop_with_savepoint(True, "/s"), ("/s", True, True)),
        (lambda c: c.stop_with_savepoint(False), ("", True, False)),
    ],
)
def test_savepoints_are_asked_for(ask, expected):
    asked = []

    def savepoint(*arguments):
        asked.append(arguments)
        return CompletableFuture.completed("/s/savepoint-1")

    assert ask(JobClient(JobId("ab"), lambda _: None, savepoint)).result() == "/s/savepoint-1"
    assert asked == [(JobId("ab"), *expected)]


def test_a_refused_savepoint_raises_its_reason():
    with pytest.raises(UsageError, match="runs inline cannot take savepoints"):
        JobClient(JobId("ab"), lambda _: None).trigger_savepoint().result()
    with pytest.raises(RequestFailedError, match="no folder"):
        JobClient(JobId("ab"), lambda _: None, no_savepoint).trigger_savepoint().result()


def test_states_as_in_flink():
    assert [s.name for s in JobStatus if s.is_globally_terminal_state()] == ["FAILED", "CANCELED", "FINISHED"]
    assert JobStatus.SUSPENDED.is_terminal_state()
    assert not JobStatus.RESTARTING.is_terminal_state()
