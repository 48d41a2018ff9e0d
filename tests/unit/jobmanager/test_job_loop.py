"""An exception in a callback of a job reaches the job; the loop continues."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shmflink.jobmanager.job_loop import JobLoop


def raised(*_: Any) -> None:
    raise ValueError("a bug")


@pytest.mark.parametrize(
    "call",
    [
        lambda loop: loop.guarded(raised, 1),
        lambda loop: loop.call_soon(raised, 1),
        lambda loop: loop.call_later(0, raised),
        lambda loop: loop.in_thread(raised),
        lambda loop: loop.in_thread(lambda: 1, raised),
    ],
    ids=["guarded", "call_soon", "call_later", "in_thread", "in_thread, then"],
)
def test_an_exception_is_handed_to_the_job_and_nobody_else(call):
    async def run() -> list[Exception]:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: others.append(context))
        failed: asyncio.Future[Exception] = loop.create_future()
        call(JobLoop(loop, failed.set_result))
        return [await failed]

    others: list[Any] = []
    [error] = asyncio.run(run())
    assert (str(error), others) == ("a bug", [])


def test_results_of_threads_come_back_to_the_loop() -> None:
    async def run() -> int:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[int] = loop.create_future()
        JobLoop(loop, lambda error: done.set_exception(error)).in_thread(
            lambda: 7, lambda future: done.set_result(future.result())
        )
        return await done

    assert asyncio.run(run()) == 7
