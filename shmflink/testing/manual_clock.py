"""A clock that a test moves."""

from __future__ import annotations

__all__ = ["ManualClock"]


class ManualClock:
    """Stands still until `advance_ms`; takes the place of the machine's clocks.

    >>> clock = ManualClock(processing_time_ms=1000)
    >>> clock.advance_ms(5)
    >>> clock.processing_time_ms()
    1005
    """

    def __init__(self, processing_time_ms: int = 0) -> None:
        self._ns = 0
        self._start_ms = processing_time_ms

    def monotonic_ns(self) -> int:
        """Nanoseconds since the clock was made."""
        return self._ns

    def processing_time_ms(self) -> int:
        """Wall-clock milliseconds: the start plus what the clock was advanced by."""
        return self._start_ms + self._ns // 1_000_000

    def advance_ms(self, milliseconds: int) -> None:
        """Moves both clocks on."""
        self.advance_ns(milliseconds * 1_000_000)

    def advance_ns(self, nanoseconds: int) -> None:
        """Moves both clocks on; time never goes back."""
        assert nanoseconds >= 0, nanoseconds
        self._ns += nanoseconds
