"""Calls to the HA directory: in order, outside the event loop, which receives the results."""

from __future__ import annotations

import asyncio
import threading

from shmflink.errors import ResourceError
from shmflink.jobmanager.ha_calls import HaCalls


def test_calls_come_one_after_the_other_and_so_do_their_results() -> None:
    async def run() -> list[int]:
        calls = HaCalls(asyncio.get_running_loop(), lambda error: heard.append(-1))
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        may_begin = threading.Event()
        calls.call(may_begin.wait, lambda _: heard.append(0), blocks=True)
        for number in range(1, 4):
            calls.call(lambda number=number: number, heard.append, blocks=True)
        calls.call(lambda: None, done.set_result, blocks=True)
        assert heard == [], "the loop does not wait for the disk"
        may_begin.set()
        await done
        calls.close()
        return heard

    heard: list[int] = []
    assert asyncio.run(run()) == [0, 1, 2, 3]


def test_without_a_directory_nothing_waits() -> None:
    async def run() -> None:
        calls = HaCalls(asyncio.get_running_loop(), lambda error: None)
        calls.call(lambda: 7, heard.append, blocks=False)
        calls.close()

    heard: list[int] = []
    asyncio.run(run())
    assert heard == [7]


def test_a_directory_that_is_lost_is_told() -> None:
    async def run() -> ResourceError:
        lost: asyncio.Future[ResourceError] = asyncio.get_running_loop().create_future()
        calls = HaCalls(asyncio.get_running_loop(), lost.set_result)

        def fail() -> None:
            raise ResourceError("another JobManager has taken over")

        calls.call(fail, lambda _: None, blocks=True)
        error = await lost
        calls.close()
        return error

    assert "another JobManager" in str(asyncio.run(run()))
