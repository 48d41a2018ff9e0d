"""When periodic checkpoints are due, and until when one may take."""

from __future__ import annotations

from shmflink.checkpoint.pending import CheckpointPhase, PendingCheckpoint
from shmflink.checkpoint.settings import CheckpointSettings
from shmflink.core.elements import BARRIER_ALIGNED

__all__ = ["Timetable"]


class Timetable:
    """Times are ms of one monotonic clock."""

    def __init__(self, settings: CheckpointSettings) -> None:
        self._settings = settings
        self._next_ms = 0
        self._last_completed_ms: int | None = None

    @property
    def interval_ms(self) -> int | None:
        """None: no periodic checkpoints."""
        interval_ms = self._settings.interval_ms
        return None if interval_ms is None else max(interval_ms, self._settings.min_pause_ms)

    @property
    def due_ms(self) -> int | None:
        """When the next periodic checkpoint is due."""
        if self.interval_ms is None:
            return None
        if self._last_completed_ms is None:
            return self._next_ms
        return max(self._next_ms, self._last_completed_ms + self._settings.min_pause_ms)

    def restart(self, now_ms: int) -> None:
        """The next one comes an interval from now."""
        self._next_ms = now_ms + (self.interval_ms or 0)

    def completed(self, now_ms: int) -> None:
        """The pause between two begins."""
        self._last_completed_ms = now_ms

    def triggered(self, now_ms: int) -> None:
        """A late one, after a pause or a slow checkpoint, replaces all that were missed."""
        interval_ms = self.interval_ms or 0
        self._next_ms += interval_ms
        if self._next_ms <= now_ms:
            self._next_ms = now_ms + interval_ms

    def deadlines(self, pending: PendingCheckpoint) -> list[int]:
        """When it expires; then, if it is aligned and may become unaligned, when it does."""
        if pending.phase is not CheckpointPhase.IN_PROGRESS:
            return []
        aligned_ms = self._settings.aligned_timeout_ms
        expiry_ms = pending.triggered_ms + self._settings.timeout_ms
        if aligned_ms is None or pending.barrier_kind != BARRIER_ALIGNED:
            return [expiry_ms]
        return [expiry_ms, pending.triggered_ms + aligned_ms]
