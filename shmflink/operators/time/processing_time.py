"""Processing time inside a task: callbacks that are due at a moment, run between two elements."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from shmflink.core.clock import SYSTEM_CLOCK, Clock

__all__ = ["ProcessingTimeQueue", "ProcessingTimeService", "TimerCallback"]

TimerCallback: TypeAlias = Callable[[int], Iterator[Any]]
"""Gets the time it was scheduled for, in ms; what it yields leaves its operator like any output."""


class ProcessingTimeQueue:
    """The scheduled callbacks of all operators of one task. Used by the slot's thread alone."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._heap: list[tuple[int, int, int, TimerCallback]] = []
        self._sequence = 0

    def service(self, operator: int) -> ProcessingTimeService:
        """What the operator at this place of the chain schedules with."""
        return ProcessingTimeService(self, operator)

    def now_ms(self) -> int:
        return self._clock.processing_time_ms()

    def monotonic_ns(self) -> int:
        return self._clock.monotonic_ns()

    def schedule(self, operator: int, at_ms: int, callback: TimerCallback) -> None:
        """Those of one moment run in the order in which they were scheduled."""
        self._sequence += 1
        heapq.heappush(self._heap, (at_ms, self._sequence, operator, callback))

    @property
    def next_ms(self) -> int | None:
        """When the first callback is due; None without one."""
        return self._heap[0][0] if self._heap else None

    @property
    def is_due(self) -> bool:
        """Whether a callback waits to be run now."""
        return bool(self._heap) and self._heap[0][0] <= self._clock.processing_time_ms()

    def take(self) -> tuple[int, Iterator[Any]]:
        """The operator of the first callback, which `is_due`, and what it yields."""
        at_ms, _, operator, callback = heapq.heappop(self._heap)
        return operator, callback(at_ms)

    def deadline_ns(self) -> int:
        """When the first callback is due on the monotonic clock; -1 = none."""
        if not self._heap:
            return -1
        left_ms = max(0, self._heap[0][0] - self._clock.processing_time_ms())
        return self._clock.monotonic_ns() + left_ms * 1_000_000

    def clear(self) -> None:
        """Drops what is scheduled: at the end of input nothing waits for processing time."""
        self._heap.clear()


class ProcessingTimeService:
    """Processing time as one operator sees it."""

    __slots__ = ("_operator", "_queue")

    def __init__(self, queue: ProcessingTimeQueue, operator: int) -> None:
        self._queue = queue
        self._operator = operator

    def now_ms(self) -> int:
        """Wall-clock milliseconds since 1970 (UTC)."""
        return self._queue.now_ms()

    def monotonic_ns(self) -> int:
        """For durations."""
        return self._queue.monotonic_ns()

    def schedule(self, at_ms: int, callback: TimerCallback) -> None:
        """Has `callback(at_ms)` run as soon as processing time has reached `at_ms` and no element is in progress.

        It cannot be taken back: a callback that is not wanted any more yields nothing.
        """
        self._queue.schedule(self._operator, at_ms, callback)
