"""What any number of HTTP requests cost the JobManager."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from shmflink.errors import RpcError
from shmflink.rest.errors import RestError
from shmflink.rest.rates import rates
from shmflink.rest.snapshots import Snapshots, UnknownJobError
from shmflink.rpc.read_messages import ReadJob, ReadJobs, ReadVertex
from shmflink.rpc.states import JobState
from tests.unit.rest.cluster import NOW_MS, RUNNING, Clock, JobManager


def made() -> tuple[Snapshots, JobManager, Clock]:
    clock, jobmanager = Clock(), JobManager()
    link: Any = jobmanager
    return Snapshots(link, clock), jobmanager, clock


def test_requests_at_once_share_one_answer() -> None:
    async def story() -> list[object]:
        snapshots, jobmanager, _ = made()
        await asyncio.gather(*(snapshots.whole_job(RUNNING) for _ in range(100)))
        return jobmanager.asked

    assert asyncio.run(story()) == [ReadJob(RUNNING), ReadVertex(RUNNING, 0), ReadVertex(RUNNING, 1)]


def test_a_moment_later_the_jobmanager_is_asked_again() -> None:
    async def story() -> list[int]:
        snapshots, jobmanager, clock = made()
        counts = []
        for step_ms in (0, 100, 1):
            clock.ms += step_ms
            await snapshots.jobs()
            counts.append(len(jobmanager.asked))
        return counts

    assert asyncio.run(story()) == [1, 1, 2]


def test_what_is_a_little_old_is_answered_with_while_the_jobmanager_is_asked() -> None:
    async def story() -> list[tuple[str, int]]:
        snapshots, jobmanager, clock = made()
        seen = []
        for step_ms in (0, 501, 0, 1001):
            clock.ms += step_ms
            read = await snapshots.job(RUNNING)
            seen.append((read.summary.overview.state.value, len(jobmanager.asked)))
            await asyncio.sleep(0)
            jobmanager.states[RUNNING] = JobState.FAILED
        return seen

    assert asyncio.run(story()) == [("RUNNING", 1), ("RUNNING", 1), ("FAILED", 2), ("FAILED", 3)]


def test_a_client_that_leaves_takes_the_answer_from_nobody() -> None:
    async def story() -> int:
        snapshots, jobmanager, _ = made()
        leaving, staying = (asyncio.ensure_future(snapshots.jobs()) for _ in range(2))
        await asyncio.sleep(0)
        leaving.cancel()
        await staying
        return len(jobmanager.asked)

    assert asyncio.run(story()) == 1


def test_the_tasks_of_a_job_that_has_ended_do_not_run() -> None:
    async def story() -> set[str]:
        snapshots, jobmanager, clock = made()
        await snapshots.whole_job(RUNNING)
        jobmanager.states[RUNNING] = JobState.FINISHED
        clock.ms += 1001  # the job is read again, its vertices would not be
        job = await snapshots.whole_job(RUNNING)
        return {task.summary.state.value for sample in job.vertices for task in sample.read.tasks}

    assert asyncio.run(story()) == {"FINISHED"}


def test_what_is_not_there_is_asked_for_each_time() -> None:
    async def story() -> int:
        snapshots, jobmanager, _ = made()
        for _ in range(2):
            with pytest.raises(UnknownJobError):
                await snapshots.job(replace(RUNNING, hex="0" * 32))
        return len(jobmanager.asked)

    assert asyncio.run(story()) == 2


def test_a_jobmanager_that_does_not_answer_is_a_503() -> None:
    async def story() -> int:
        snapshots, jobmanager, _ = made()

        async def read(request: Any, kind: type) -> Any:
            raise RpcError("the JobManager did not answer within 5 s")

        jobmanager.read = read  # type: ignore[method-assign]
        with pytest.raises(RestError, match="did not answer") as caught:
            await snapshots.cluster()
        return caught.value.status

    assert asyncio.run(story()) == 503


def test_rates_are_those_between_two_samples() -> None:
    async def story() -> list[float]:
        snapshots, jobmanager, clock = made()
        first = rates(await snapshots.vertex(RUNNING, 1), NOW_MS)[0].records_in
        clock.ms, jobmanager.records = 2000, 500
        second = rates(await snapshots.vertex(RUNNING, 1), NOW_MS + 2000)[0].records_in
        clock.ms = 70_000
        third = rates(await snapshots.vertex(RUNNING, 1), NOW_MS + 70_000)[0].records_in
        return [round(one, 2) for one in (first, second, third)]

    since_start = [100 / 59.9, 500 / 2.0, 600 / 129.9]  # the last sample is too old by then
    assert asyncio.run(story()) == [round(one, 2) for one in since_start]


def test_lists_do_not_read_jobs() -> None:
    async def story() -> list[object]:
        snapshots, jobmanager, _ = made()
        await snapshots.jobs()
        return jobmanager.asked

    assert asyncio.run(story()) == [ReadJobs()]
