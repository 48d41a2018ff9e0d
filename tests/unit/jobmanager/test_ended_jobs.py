"""Ended jobs remain visible for a while, within limits."""

from __future__ import annotations

from typing import Any, cast

import pytest

from shmflink.core.ids import JobId
from shmflink.jobmanager import ended_jobs
from shmflink.jobmanager.ended_jobs import EndedJobs
from shmflink.rpc.control_messages import JobOverview
from shmflink.rpc.messages import TaskSummary
from shmflink.rpc.read_messages import JobRead, JobSummary, ReadJob, ReadVertex, TaskRead, VertexRead, VertexShape
from shmflink.rpc.states import JobState, TaskState
from shmflink.testing.manual_clock import ManualClock


class Reading:
    """Of a job with one vertex of two subtasks."""

    def __init__(self, number: int) -> None:
        self.job_id = JobId(f"{number:032x}")

    def job(self) -> JobRead:
        overview = JobOverview(self.job_id, "job", JobState.FINISHED, 1, 2, 2, 2)
        shape = VertexShape(0, "orders", 2, 128, "default", ())
        return JobRead(JobSummary(overview, False, {}, {}), {}, (shape,), (), (), None)

    def vertex(self, index: int) -> VertexRead:
        summary = TaskSummary(0, "orders", 0, TaskState.FINISHED, 0, 7, 0, 0, 0, 0, 0)
        return VertexRead(self.job_id, index, JobState.FINISHED, (TaskRead(summary, 0, "", {}),) * 2)


def kept(numbers: range) -> EndedJobs:
    ended = EndedJobs()
    for number in numbers:
        reading: Any = Reading(number)
        ended.add(reading)
    return ended


def test_a_job_that_is_over_is_told_with_its_subtasks() -> None:
    ended = kept(range(1))
    assert ended.read(ReadJob(Reading(0).job_id)) == Reading(0).job()
    assert ended.read(ReadVertex(Reading(0).job_id, 0)) == Reading(0).vertex(0)
    assert ended.read(ReadVertex(Reading(0).job_id, 1)) is None
    assert ended.read(ReadJob(Reading(9).job_id)) is None


def test_the_oldest_jobs_are_forgotten() -> None:
    ended = kept(range(60))
    assert [one.overview.job_id for one in ended.summaries()] == [Reading(number).job_id for number in range(10, 60)]


def test_the_oldest_lose_their_subtasks_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ended_jobs, "_SUBTASKS_MAX", 5)
    ended = kept(range(4))
    assert [ended.read(ReadVertex(Reading(number).job_id, 0)) is not None for number in range(4)] == [
        False,
        False,
        True,
        True,
    ]
    assert len(ended.summaries()) == 4


def test_a_job_that_expired_when_jobs_were_listed_is_forgotten_on_disk_as_well() -> None:
    clock = ManualClock(4)  # the readings end at 3
    ended = EndedJobs(clock, 9, 5)
    first, second = Reading(1), Reading(2)
    ended.add(cast("Any", first))
    clock.advance_ms(100)
    assert ended.summaries() == []
    _, forgotten = ended.add(cast("Any", second))
    assert [one.job.summary.overview.job_id for one in forgotten] == [first.job_id, second.job_id]
