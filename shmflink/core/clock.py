"""The only access to time. Everything that needs the time takes a `Clock`."""

from __future__ import annotations

import time
from typing import Final, Protocol

__all__ = ["SYSTEM_CLOCK", "Clock", "SystemClock"]


class Clock(Protocol):
    """A source of time; `shmflink.testing.ManualClock` is another."""

    def monotonic_ns(self) -> int:
        """For durations and timeouts."""
        ...

    def processing_time_ms(self) -> int:
        """Wall-clock milliseconds since 1970 (UTC); only for processing time."""
        ...


class SystemClock:
    """The machine's clocks."""

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def processing_time_ms(self) -> int:
        return time.time_ns() // 1_000_000


SYSTEM_CLOCK: Final[Clock] = SystemClock()
