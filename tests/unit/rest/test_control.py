"""The control socket, asked by the REST server: one connection for reads, one for each long request."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from shmflink.core.ids import JobId
from shmflink.errors import RequestFailedError, RpcError
from shmflink.rest.control import Control
from shmflink.rpc.async_connection import AsyncConnection
from shmflink.rpc.control_messages import JobCancelled, RequestFailed, TakeCheckpoint
from shmflink.rpc.read_messages import ClusterRead, JobsRead, ReadCluster, ReadJob, ReadJobs
from shmflink.rpc.runtime_folder import listen
from shmflink.rpc.wire import Received

JOB = JobId("a" * 32)
Answer = Callable[[object], object]


class JobManager:
    """Listens; answers what `answer` returns, and nothing at None."""

    def __init__(self, folder: Path, answer: Answer) -> None:
        self.listener, self.path = listen([str(folder)], os.getpid())
        self.answer = answer
        self.connections: list[AsyncConnection] = []
        self.listener.setblocking(False)
        self.loop = asyncio.get_running_loop()
        self.loop.add_reader(self.listener.fileno(), self.accept)

    def accept(self) -> None:
        end, _ = self.listener.accept()
        index = len(self.connections)
        self.connections.append(
            AsyncConnection(end, self.loop, lambda said: self.said(index, said), lambda reason: None)
        )

    def said(self, index: int, received: Received) -> None:
        answer = self.answer(received.message)
        if answer is not None:
            self.connections[index].send(answer)

    def close(self) -> None:
        self.loop.remove_reader(self.listener.fileno())
        self.listener.close()
        for connection in self.connections:
            connection.close()


Story = Callable[[Control, JobManager], Coroutine[Any, Any, None]]


def told(folder: Path, answer: Answer, story: Story, timeout_s: float = 60) -> None:
    async def run() -> None:
        jobmanager = JobManager(folder, answer)
        control = Control(jobmanager.path, timeout_s)
        try:
            await story(control, jobmanager)
        finally:
            control.close()
            jobmanager.close()

    asyncio.run(run())


def test_reads_share_a_connection_and_each_gets_its_own_answer(tmp_path: Path) -> None:
    cluster, jobs = ClusterRead(77, "team", 4, 1, {}, ()), JobsRead(())

    async def story(control: Control, jobmanager: JobManager) -> None:
        wanted = [(ReadCluster(), ClusterRead), (ReadJobs(), JobsRead)] * 20
        assert await asyncio.gather(*(control.read(*one) for one in wanted)) == [cluster, jobs] * 20
        assert len(jobmanager.connections) == 1

    told(tmp_path / "run", lambda request: cluster if isinstance(request, ReadCluster) else jobs, story)


def test_a_connection_that_the_jobmanager_closed_is_made_anew(tmp_path: Path) -> None:
    async def story(control: Control, jobmanager: JobManager) -> None:
        await control.read(ReadJobs(), JobsRead)
        jobmanager.connections[0].close()
        while True:
            try:
                await control.read(ReadJobs(), JobsRead)
            except RpcError:
                continue  # it had not been noticed yet
            break
        assert len(jobmanager.connections) == 2

    told(tmp_path / "run", lambda _: JobsRead(()), story)


def test_a_refusal_is_an_error_of_its_own(tmp_path: Path) -> None:
    async def story(control: Control, jobmanager: JobManager) -> None:
        with pytest.raises(RequestFailedError, match="no such job"):
            await control.read(ReadJob(JOB), JobsRead)
        with pytest.raises(RequestFailedError, match="no such job"):
            await control.ask(TakeCheckpoint(JOB), JobCancelled)
        assert len(jobmanager.connections) == 2

    told(tmp_path / "run", lambda _: RequestFailed(JOB, "UsageError", "no such job"), story)


def test_an_answer_of_another_kind_is_none(tmp_path: Path) -> None:
    async def story(control: Control, jobmanager: JobManager) -> None:
        with pytest.raises(RpcError, match="answered a ReadCluster with a JobsRead"):
            await control.read(ReadCluster(), ClusterRead)

    told(tmp_path / "run", lambda _: JobsRead(()), story)


def test_a_jobmanager_that_is_stopped_holds_up_no_request_for_longer_than_another(tmp_path: Path) -> None:
    async def story(control: Control, jobmanager: JobManager) -> None:
        found = await asyncio.gather(*(control.read(ReadJobs(), JobsRead) for _ in range(9)), return_exceptions=True)
        assert {str(one) for one in found} == {"the JobManager did not answer within 0.01 s"}
        assert len(jobmanager.connections) <= 1  # each of the others ended while it waited for its turn

    told(tmp_path / "run", lambda _: None, story, timeout_s=0.01)


def test_a_jobmanager_that_is_gone_is_told(tmp_path: Path) -> None:
    async def story() -> None:
        with pytest.raises(RpcError, match="the JobManager is gone"):
            await Control(str(tmp_path / "none.sock")).read(ReadJobs(), JobsRead)

    asyncio.run(story())
