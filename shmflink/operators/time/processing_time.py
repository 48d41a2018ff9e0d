"""Processing time inside a task: callbacks due at a given time, run between two elements."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from shmflink.core.clock import SYSTEM_CLOCK, Clock

__all__ = ["ProcessingTimeQueue", "ProcessingTimeService", "TimerCallback"]

TimerCallback: TypeAlias = Callable[[int], Iterator[Any]]
"""Receives the time it was scheduled for, in ms; what it yields is emitted like any output of its operator."""


class ProcessingTimeQueue:
    """The scheduled callbacks of all operators of one task. Only the slot's thread uses it."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._heap: list[tuple[int, int, int, TimerCallback]] = []
        self._sequence = 0

    def service(self, operator: int) -> ProcessingTimeService:
        """The scheduler of the operator at this position of the chain."""
        return ProcessingTimeService(self, operator)

    def now_ms(self) -> int:
        return self._clock.processing_time_ms()

    def monotonic_ns(self) -> int:
        return self._clock.monotonic_ns()

    def schedule(self, operator: int, at_ms: int, callback: TimerCallback) -> None:
        """Callbacks of the same time run in the order in which they were scheduled."""
        self._sequence += 1
        heapq.heappush(self._heap, (at_ms, self._sequence, operator, callback))

    @property
    def next_ms(self) -> int | None:
        """When the first callback is due; None if there is none."""
        return self._heap[0][0] if self._heap else None

    @property
    def is_due(self) -> bool:
        """Whether a callback is due now."""
        return bool(self._heap) and self._heap[0][0] <= self._clock.processing_time_ms()

    def take(self) -> tuple[int, Iterator[Any]]:
        """The operator of the first callback, which must be due (`is_due`), and what the callback yields."""
        at_ms, _, operator, callback = heapq.heappop(self._heap)
        return operator, callback(at_ms)

    def deadline_ns(self) -> int:
        """When the first callback is due on the monotonic clock; -1 = none."""
        if not self._heap:
            return -1
        left_ms = max(0, self._heap[0][0] - self._clock.processing_time_ms())
        return self._clock.monotonic_ns() + left_ms * 1_000_000

    def clear(self) -> None:
        """Drops all callbacks: at the end of input nothing waits for processing time."""
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
        """Schedules `callback(at_ms)` for when processing time has reached `at_ms` and no element is in progress.

        It cannot be canceled: a callback that is no longer wanted should yield nothing.
        """
        self._queue.schedule(self._operator, at_ms, callback)
