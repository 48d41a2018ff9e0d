"""The event loop as one job sees it: an exception in a callback of the job fails the job, not the JobManager."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar, TypeVarTuple, Unpack

__all__ = ["JobLoop"]

_Result = TypeVar("_Result")
_Arguments = TypeVarTuple("_Arguments")


class JobLoop:
    """Callbacks run in `loop`; their exceptions are passed to `failed(error)`. Used only by the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, failed: Callable[[Exception], None]) -> None:
        self._loop = loop
        self._failed = failed

    def time(self) -> float:
        """Seconds, for durations."""
        return self._loop.time()

    def guarded(self, call: Callable[[Unpack[_Arguments]], object], *arguments: *_Arguments) -> None:
        """Calls the callback now."""
        try:
            call(*arguments)
        except Exception as error:
            self._failed(error)

    def call_later(
        self, delay_s: float, call: Callable[[Unpack[_Arguments]], object], *arguments: *_Arguments
    ) -> asyncio.TimerHandle:
        """Like the loop's method."""
        return self._loop.call_later(delay_s, self.guarded, call, *arguments)

    def call_soon(self, call: Callable[[Unpack[_Arguments]], object], *arguments: *_Arguments) -> asyncio.Handle:
        """Like the loop's method."""
        return self._loop.call_soon(self.guarded, call, *arguments)

    def in_thread(
        self, work: Callable[[], _Result], then: Callable[[asyncio.Future[_Result]], object] | None = None
    ) -> None:
        """Runs `work` in a thread of the loop's pool and calls `then` with its future, in the loop. Without `then`, an
        exception of `work` fails the job."""
        future: asyncio.Future[Any] = self._loop.run_in_executor(None, work)
        future.add_done_callback(lambda done: self.guarded(then or _result_of, done))


def _result_of(done: asyncio.Future[Any]) -> object:
    return done.result()
