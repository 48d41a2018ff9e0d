"""Jobs that are being canceled: because somebody asks, or because a client broke its promise to come back."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from shmflink.core.clock import Clock
from shmflink.core.ids import JobId
from shmflink.errors import ShmflinkError
from shmflink.rest.control import Control
from shmflink.rest.errors import RestError
from shmflink.rpc.control_messages import CancelRunningJob, JobCancelled

__all__ = ["Cancellations"]

_PROMISES_MAX: Final = 1_000
_PROMISE_S_MAX: Final = 1e6
_PATIENCE_S: Final = 2.0  # with the end of a job that is being canceled


class Cancellations:
    """Used by one event loop. `begin` does not wait for a job's end."""

    def __init__(self, control: Control, clock: Clock, patience_s: float = _PATIENCE_S) -> None:
        self._control = control
        self._clock = clock
        self._patience_s = patience_s
        self._promises: dict[JobId, asyncio.TimerHandle] = {}
        self._tasks: dict[JobId, asyncio.Task[None]] = {}

    def begin(self, job_id: JobId) -> None:
        """No effect on a job that is being canceled already."""
        if job_id not in self._tasks:
            task = self._tasks[job_id] = asyncio.ensure_future(self._cancel(job_id))
            task.add_done_callback(lambda _: self._tasks.pop(job_id, None))

    async def _cancel(self, job_id: JobId) -> None:
        """The JobManager goes on when nobody waits for its answer: a job that takes its time keeps no other waiting."""
        with contextlib.suppress(ShmflinkError, TimeoutError):  # it is over, or the JobManager is
            async with asyncio.timeout(self._patience_s):
                await self._control.ask(CancelRunningJob(job_id), JobCancelled, is_urgent=True)

    def promised(self, job_id: JobId, until_ms: int) -> None:
        """A client comes back before this time, in ms since 1970, or the job is canceled (Flink: `run -sae`)."""
        before = self._promises.pop(job_id, None)
        if before is not None:
            before.cancel()
        elif len(self._promises) >= _PROMISES_MAX:
            raise RestError(503, f"{_PROMISES_MAX} jobs have clients that send heartbeats: no more are taken")
        delay_s = max(until_ms - self._clock.processing_time_ms(), 0) / 1000
        loop = asyncio.get_running_loop()
        self._promises[job_id] = loop.call_later(min(delay_s, _PROMISE_S_MAX), self._broken, job_id)

    def _broken(self, job_id: JobId) -> None:
        del self._promises[job_id]
        self.begin(job_id)
