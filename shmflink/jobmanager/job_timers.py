"""The timers of a job machine, in the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from shmflink.jobmachine.effects import SetTimer, StopTimer
from shmflink.jobmachine.events import Timer, TimerFired
from shmflink.jobmanager.job_loop import JobLoop

__all__ = ["JobTimers"]


class JobTimers:
    """The timers of one job. `feed` receives TimerFired."""

    def __init__(self, loop: JobLoop, feed: Callable[[TimerFired], None]) -> None:
        self._loop = loop
        self._feed = feed
        self._handles: dict[Timer, asyncio.TimerHandle] = {}

    def perform(self, effect: SetTimer | StopTimer) -> None:
        """Sets a timer; setting it again restarts it."""
        handle = self._handles.pop(effect.timer, None)
        if handle is not None:
            handle.cancel()
        if isinstance(effect, SetTimer):
            self._handles[effect.timer] = self._loop.call_later(effect.delay_ms / 1000, self._fire, effect.timer)

    def close(self) -> None:
        """Cancels all timers."""
        for handle in self._handles.values():
            handle.cancel()
        self._handles.clear()

    def _fire(self, timer: Timer) -> None:
        del self._handles[timer]
        self._feed(TimerFired(timer))
