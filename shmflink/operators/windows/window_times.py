"""Windows that depend only on time and constants, in the form that native operators use."""

from __future__ import annotations

import math
from typing import TypeAlias

import pyarrow as pa

from shmflink import _core
from shmflink.core.lazy_dataclass import dataclass

__all__ = ["PaneTimes", "SessionTimes", "WindowTimes"]


@dataclass(frozen=True, slots=True)
class PaneTimes:
    """Windows of `size_ms` that begin every `slide_ms`; tumbling if both are equal."""

    size_ms: int
    slide_ms: int
    offset_ms: int = 0
    is_event_time: bool = True

    def panes(self, timestamps: pa.Int64Array) -> pa.Int64Array:
        """The start of the pane that contains each timestamp."""
        return _core.window_panes(timestamps, self.size_ms, self.slide_ms, self.offset_ms)

    def pane_of(self, timestamp_ms: int) -> int:
        """The start of the pane that contains a timestamp. Panes here have no gaps between them."""
        slice_ms = math.gcd(self.size_ms, self.slide_ms)
        return timestamp_ms - (timestamp_ms - self.offset_ms) % slice_ms

    def late_before_ms(self, watermark_ms: int, lateness_ms: int) -> int:
        """Timestamps before this are only in windows that are late at this watermark."""
        after_ms = watermark_ms - lateness_ms + 1 - self.size_ms
        return after_ms - (after_ms - self.offset_ms) % self.slide_ms + self.slide_ms

    def __str__(self) -> str:
        kind = "event time" if self.is_event_time else "processing time"
        return f"windows of {self.size_ms} ms every {self.slide_ms} ms from {self.offset_ms} ms in {kind}"

    @property
    def has_gaps(self) -> bool:
        """Whether there are times outside every window."""
        return self.size_ms < self.slide_ms


@dataclass(frozen=True, slots=True)
class SessionTimes:
    """Rows of a key within `gap_ms` of each other."""

    gap_ms: int
    is_event_time: bool = True

    def __str__(self) -> str:
        return f"sessions with a gap of {self.gap_ms} ms in {'event time' if self.is_event_time else 'processing time'}"


WindowTimes: TypeAlias = PaneTimes | SessionTimes
