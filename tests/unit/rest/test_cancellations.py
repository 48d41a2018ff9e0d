"""Jobs are canceled without waiting for their ends; broken promises of clients cancel them, too."""

from __future__ import annotations

import asyncio
from typing import Any

from shmflink.core.ids import JobId
from shmflink.rest.cancellations import Cancellations
from shmflink.rpc.control_messages import CancelRunningJob, JobCancelled
from shmflink.rpc.states import JobState
from tests.unit.rest.cluster import NOW_MS, RUNNING, Clock, Server

OTHER = JobId("9" * 32)


class Link:
    """A JobManager whose jobs never end."""

    def __init__(self) -> None:
        self.asked: list[object] = []

    async def ask(self, request: object, kind: type, *, is_urgent: bool) -> Any:
        self.asked.append(request)
        await asyncio.get_running_loop().create_future()


def test_a_job_that_does_not_end_is_asked_once_at_a_time() -> None:
    async def story() -> list[object]:
        link: Any = Link()
        cancellations = Cancellations(link, Clock())
        for job in (RUNNING, RUNNING, OTHER):
            cancellations.begin(job)
        await asyncio.sleep(0)
        asked = list(link.asked)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:  # type: ignore[arg-type]
            task.cancel()
        return asked

    assert asyncio.run(story()) == [CancelRunningJob(RUNNING), CancelRunningJob(OTHER)]


def test_nobody_waits_for_its_end_for_long() -> None:
    async def story() -> int:
        link: Any = Link()
        cancellations = Cancellations(link, Clock(), patience_s=0)
        for _ in range(2):
            cancellations.begin(RUNNING)
            await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})  # type: ignore[arg-type]
            await asyncio.sleep(0)
        return len(link.asked)

    assert asyncio.run(story()) == 2


def test_a_client_that_does_not_come_back_cancels_its_job(server: Server) -> None:
    server.jobmanager.answers[CancelRunningJob] = lambda _: JobCancelled(RUNNING, JobState.CANCELED)
    path = f"/jobs/{RUNNING}/clientHeartbeat"
    assert server.ask("PATCH", path, {"expiredTimestamp": NOW_MS + 1_000_000})[:2] == (202, {})
    assert server.ask("PATCH", path, {"expiredTimestamp": NOW_MS})[:2] == (202, {})
    while CancelRunningJob(RUNNING) not in server.jobmanager.asked:
        server.get("/config")
