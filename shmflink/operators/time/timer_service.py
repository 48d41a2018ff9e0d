"""Timers and the current time as functions see them; how timers fire."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from itertools import islice
from operator import index
from typing import Any, Final, Protocol, TypeAlias

from shmflink.core.batch import Batch
from shmflink.core.elements import MAX_WATERMARK, MIN_TIMESTAMP_MS, Barrier
from shmflink.errors import UsageError
from shmflink.operators.base import SideOutput
from shmflink.operators.slices import Pace
from shmflink.operators.time.processing_time import ProcessingTimeService
from shmflink.state.frozen import FrozenState
from shmflink.state.protocol import TIMER_STATES, Timers
from shmflink.state.snapshots import RestoredState

TIMERS_AT_ONCE: Final = 1024
REST: Final = SideOutput("", Batch.of_rows([]))
"""Output for nobody: here the task may turn to others, and a barrier may pass. The operator buffers nothing, and after
a restore the rest of the work for a watermark is done when the same watermark comes again.
"""

__all__ = ["REST", "TIMERS_AT_ONCE", "InternalTimerService", "NoTimers", "OnTimer", "TimeDomain", "TimerService"]


class TimeDomain(Enum):
    """The kind of time that a timer waits for (`pyflink.datastream.time_domain`)."""

    EVENT_TIME = 0
    PROCESSING_TIME = 1


OnTimer: TypeAlias = Callable[[TimeDomain, int, Any, Any], Iterator[Any]]
"""(domain, timestamp in ms, key, namespace) -> outputs."""


class InternalTimerService:
    """Timers of one operator, by key and namespace. Calls `on_timer` for each that fires, in order of time.

    However many are due, it yields the slot after TIMERS_AT_ONCE of them, and earlier if the function is slow.
    """

    def __init__(
        self, processing_time: ProcessingTimeService, on_timer: OnTimer, event_timers: Timers, processing_timers: Timers
    ) -> None:
        """Both kinds of timers are empty."""
        self.event_timers = event_timers
        self.processing_timers = processing_timers
        self.watermark_ms = MIN_TIMESTAMP_MS
        self.pace = Pace(TIMERS_AT_ONCE)
        self._processing_time = processing_time
        self._on_timer = on_timer
        self._scheduled_ms: int | None = None
        self._is_quiesced = False

    def now_ms(self) -> int:
        """Processing time."""
        return self._processing_time.now_ms()

    def register_event_timer(self, timestamp_ms: int, key: Any, namespace: Any = None) -> None:
        """Fires when the watermark reaches the timestamp; if it already has, at the watermark's next advance."""
        if self._is_quiesced:
            return
        self.event_timers.register(timestamp_ms, key, namespace)

    def delete_event_timer(self, timestamp_ms: int, key: Any, namespace: Any = None) -> None:
        self.event_timers.delete(timestamp_ms, key, namespace)

    def register_processing_timer(self, timestamp_ms: int, key: Any, namespace: Any = None) -> None:
        """Fires when processing time reaches the timestamp; if it already has, as soon as possible."""
        if self._is_quiesced:
            return
        self.processing_timers.register(timestamp_ms, key, namespace)
        self._schedule()

    def delete_processing_timer(self, timestamp_ms: int, key: Any, namespace: Any = None) -> None:
        self.processing_timers.delete(timestamp_ms, key, namespace)

    def advance_watermark(self, watermark_ms: int) -> Iterator[Any]:
        """Fires what is due; the caller forwards the watermark afterwards."""
        self.watermark_ms = watermark_ms
        monotonic_ns = self._processing_time.monotonic_ns
        count, began_ns = 0, monotonic_ns()
        for timestamp_ms, key, namespace in self.event_timers.due(watermark_ms):
            yield from self._on_timer(TimeDomain.EVENT_TIME, timestamp_ms, key, namespace)
            count += 1
            if count >= self.pace.rows:
                self.pace.observe(count, monotonic_ns() - began_ns)
                yield REST
                count, began_ns = 0, monotonic_ns()

    def end_key(self) -> Iterator[Any]:
        """BATCH mode: fires all timers of the key, those of processing time last; then event time starts again.

        Timers registered in the meantime never fire, as in Flink: one that registers itself again would never end.
        """
        self._is_quiesced = True
        yield from self.advance_watermark(MAX_WATERMARK.timestamp_ms)
        for timestamp_ms, key, namespace in self.processing_timers.due(MAX_WATERMARK.timestamp_ms):
            yield from self._on_timer(TimeDomain.PROCESSING_TIME, timestamp_ms, key, namespace)
        self._is_quiesced = False
        self.watermark_ms = MIN_TIMESTAMP_MS

    def freeze(
        self, barrier: Barrier, max_parallelism: int, key_groups: range, *, is_incremental: bool
    ) -> tuple[FrozenState, ...]:
        """All timers at a barrier."""
        queues = (self.event_timers, self.processing_timers)
        return tuple(
            queue.freeze(name, barrier, max_parallelism, key_groups, is_incremental=is_incremental)
            for name, queue in zip(TIMER_STATES, queues, strict=True)
        )

    def restore(self, restored: RestoredState) -> None:
        """Restores saved timers; processing-time timers that came due in the meantime fire at once."""
        for name, queue in zip(TIMER_STATES, (self.event_timers, self.processing_timers), strict=True):
            if name in restored.keyed_names:
                queue.restore(restored.read_keyed(name))
        self._schedule()

    def tidy(self) -> None:
        """Does work that snapshots left behind; called from time to time."""
        self.event_timers.tidy()
        self.processing_timers.tidy()

    def _schedule(self) -> None:
        """A timer fires a millisecond after its time, as in Flink: at `t`, elements of time `t` may still arrive."""
        next_ms = self.processing_timers.next_ms
        if next_ms is not None and (self._scheduled_ms is None or next_ms + 1 < self._scheduled_ms):
            self._scheduled_ms = next_ms + 1
            self._processing_time.schedule(next_ms + 1, self._on_processing_time)

    def _on_processing_time(self, at_ms: int) -> Iterator[Any]:
        if self._scheduled_ms == at_ms:
            self._scheduled_ms = None
        due = self.processing_timers.due(self._processing_time.now_ms() - 1)
        count, began_ns = 0, self._processing_time.monotonic_ns()
        for timestamp_ms, key, namespace in islice(due, self.pace.rows):
            yield from self._on_timer(TimeDomain.PROCESSING_TIME, timestamp_ms, key, namespace)
            count += 1
        if count:
            self.pace.observe(count, self._processing_time.monotonic_ns() - began_ns)
        self._schedule()  # the rest in another turn, after others that wait


class CurrentKeyed(Protocol):
    """Knows the current key, in the form of `core.keys.columns.decode_keys`."""

    entry: Any


class TimerService:
    """`pyflink.datastream.TimerService`: timers of the current key."""

    __slots__ = ("_current", "_internal")

    def __init__(self, internal: InternalTimerService, current: CurrentKeyed) -> None:
        self._internal = internal
        self._current = current

    def current_processing_time(self) -> int:
        """Milliseconds since 1970 (UTC)."""
        return self._internal.now_ms()

    def current_watermark(self) -> int:
        """The last watermark, -2**63 before the first."""
        return self._internal.watermark_ms

    def register_event_time_timer(self, timestamp: int) -> None:
        """`on_timer` is called once when the watermark reaches the timestamp."""
        self._internal.register_event_timer(_checked(timestamp), self._current.entry)

    def register_processing_time_timer(self, timestamp: int) -> None:
        """`on_timer` is called once when processing time reaches the timestamp."""
        self._internal.register_processing_timer(_checked(timestamp), self._current.entry)

    def delete_event_time_timer(self, timestamp: int) -> None:
        """Removes the timer with exactly this time, if it exists."""
        self._internal.delete_event_timer(_checked(timestamp), self._current.entry)

    def delete_processing_time_timer(self, timestamp: int) -> None:
        """Removes the timer with exactly this time, if it exists."""
        self._internal.delete_processing_timer(_checked(timestamp), self._current.entry)


class NoTimers:
    """The timer service of a stream without keys: provides the time and refuses timers."""

    __slots__ = ("_operator", "_processing_time", "watermark_ms")

    def __init__(self, processing_time: ProcessingTimeService, operator: str) -> None:
        self.watermark_ms = MIN_TIMESTAMP_MS
        self._processing_time = processing_time
        self._operator = operator

    def current_processing_time(self) -> int:
        """Milliseconds since 1970 (UTC)."""
        return self._processing_time.now_ms()

    def current_watermark(self) -> int:
        """The last watermark, -2**63 before the first."""
        return self.watermark_ms

    def register_event_time_timer(self, timestamp: int) -> None:
        """Always an error: timers belong to keys."""
        raise self._refused("register_event_time_timer")

    def register_processing_time_timer(self, timestamp: int) -> None:
        """Always an error: timers belong to keys."""
        raise self._refused("register_processing_time_timer")

    def delete_event_time_timer(self, timestamp: int) -> None:
        """Always an error: timers belong to keys."""
        raise self._refused("delete_event_time_timer")

    def delete_processing_time_timer(self, timestamp: int) -> None:
        """Always an error: timers belong to keys."""
        raise self._refused("delete_processing_time_timer")

    def _refused(self, method: str) -> UsageError:
        return UsageError(
            f"operator '{self._operator}': {method}(): timers are only supported on a keyed stream; "
            "call key_by() before process()"
        )


def _checked(timestamp: Any) -> int:
    try:
        checked = index(timestamp)
    except TypeError:
        raise UsageError(f"a timer's timestamp is an int of milliseconds, got {timestamp!r}") from None
    if not MIN_TIMESTAMP_MS <= checked <= MAX_WATERMARK.timestamp_ms:
        raise UsageError(f"a timer's timestamp is an int of milliseconds that fits 64 bits, got {timestamp!r}")
    return checked
