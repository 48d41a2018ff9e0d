"""Calls of the HA directory while jobs run: one after the other in a thread of their own, so that no job waits for the
disk of another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from shmflink.errors import ResourceError

__all__ = ["HaCalls"]

_Found = TypeVar("_Found")


class HaCalls:
    """Used by the event loop alone. What came of each call reaches the loop in their order."""

    def __init__(self, loop: asyncio.AbstractEventLoop, gives_up: Callable[[ResourceError], None]) -> None:
        """`gives_up` is called where the directory is lost, or another JobManager's."""
        self._loop = loop
        self._gives_up = gives_up
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ha")

    def call(self, work: Callable[[], _Found], then: Callable[[_Found], None], *, blocks: bool) -> None:
        """`then`, in the loop, gets what `work` gives; at once where the work does not block."""
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

    def close(self) -> None:
        """Waits for what is under way."""
        self._thread.shutdown()
