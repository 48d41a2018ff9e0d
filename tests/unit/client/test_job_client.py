"""PyFlink's JobClient."""

from __future__ import annotations

import pytest

from shmflink.client.job_client import JobClient
from shmflink.client.job_status import JobStatus
from shmflink.core.ids import JobId
from shmflink.errors import UsageError


def test_follows_the_job_to_its_end():
    client = JobClient(JobId("ab"), lambda _: None)
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
    client = JobClient(JobId("ab"), asked.append)
    cancelled = client.cancel()
    assert asked == [JobId("ab")]
    assert not cancelled.done()
    client.ended(JobStatus.CANCELED, ValueError("cancelled"))
    assert cancelled.result() is None
    with pytest.raises(ValueError, match="cancelled"):
        client.get_job_execution_result().result()
    client.cancel().result()
    assert asked == [JobId("ab")]


@pytest.mark.parametrize("ask", [lambda c: c.trigger_savepoint(), lambda c: c.stop_with_savepoint(True)])
def test_savepoints_say_what_they_need(ask):
    with pytest.raises(UsageError, match="needs checkpoints, which this version"):
        ask(JobClient(JobId("ab"), lambda _: None)).result()


def test_states_as_in_flink():
    assert [s.name for s in JobStatus if s.is_globally_terminal_state()] == ["FAILED", "CANCELED", "FINISHED"]
    assert JobStatus.SUSPENDED.is_terminal_state()
    assert not JobStatus.RESTARTING.is_terminal_state()
