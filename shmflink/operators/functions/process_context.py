"""Contexts of `process_element` and `on_timer`: the record's time and key, and timers (PyFlink's contexts)."""

from __future__ import annotations

from typing import Any, Protocol

from shmflink.core.elements import MIN_TIMESTAMP_MS
from shmflink.errors import UsageError
from shmflink.operators.time.timer_service import NoTimers, TimeDomain, TimerService
from shmflink.state.hashable_keys import key_of_hashable
from shmflink.state.keyed_states import NO_KEY

__all__ = ["ProcessContext"]


class _Current(Protocol):
    entry: Any


class ProcessContext:
    """One object for all records of a subtask: the operator sets `stamp` and `domain` before each call."""

    __slots__ = ("_current", "_timers", "domain", "stamp")

    def __init__(self, current: _Current, timers: TimerService | NoTimers) -> None:
        self._current = current
        self._timers = timers
        self.stamp = MIN_TIMESTAMP_MS
        self.domain: TimeDomain | None = None

    @property
    def current(self) -> _Current:
        """*shmflink only.* Knows the current key."""
        return self._current

    def timestamp(self) -> int | None:
        """Timestamp of the record or of the timer, in ms; None if the record has none."""
        return None if self.stamp == MIN_TIMESTAMP_MS else self.stamp

    def timer_service(self) -> TimerService | NoTimers:
        """Timers of the current key, and the current times."""
        return self._timers

    def get_current_key(self) -> Any:
        """The record's or the timer's key.

        Raises:
            UsageError: there is no key: the stream is not keyed, or the element was broadcast.
        """
        if self._current.entry is NO_KEY:
            raise UsageError("get_current_key(): the element has no key: its stream is not keyed, or is broadcast")
        return key_of_hashable(self._current.entry)

    def time_domain(self) -> TimeDomain:
        """The domain of the timer that fires; only in `on_timer`."""
        if self.domain is None:
            raise UsageError("time_domain() belongs to timers: call it only in on_timer()")
        return self.domain

    def current_processing_time(self) -> int:
        """Milliseconds since 1970 (UTC)."""
        return int(self._timers.current_processing_time())

    def current_watermark(self) -> int:
        """The last watermark, -2**63 before the first."""
        return int(self._timers.current_watermark())
