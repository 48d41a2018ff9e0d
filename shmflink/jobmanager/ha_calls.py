"""Disk calls, one after the other in a separate thread, so that the event loop never waits for the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from shmflink.errors import ResourceError

__all__ = ["HaCalls"]

_Found = TypeVar("_Found")


class HaCalls:
    """Used only by the event loop. Results reach the loop in the order of the calls."""

    def __init__(self, loop: asyncio.AbstractEventLoop, gives_up: Callable[[ResourceError], None]) -> None:
        """`gives_up` is called if a call finds that the HA directory is lost or belongs to another JobManager."""
        self._loop = loop
        self._gives_up = gives_up
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ha")

    def call(self, work: Callable[[], _Found], then: Callable[[_Found], None], *, blocks: bool) -> None:
        """Runs `work`; calls `then` with the result in the loop; at once if the work does not block."""
        if not blocks:
            then(work())
            return

        def done(future: asyncio.Future[_Found]) -> None:
            error = future.exception()
            if isinstance(error, ResourceError):
                self._gives_up(error)
            else:
                then(future.result())

        self._loop.run_in_executor(self._thread, work).add_done_callback(done)

    async def wait(self, work: Callable[[], _Found]) -> _Found:
        """The result of `work`, which runs after all calls before it."""
        return await self._loop.run_in_executor(self._thread, work)

    def close(self) -> None:
        """Waits for the calls in progress."""
        self._thread.shutdown()
