"""How often a dead JobManager is replaced: as long as its jobs progress. Pure."""

from __future__ import annotations

from typing import Final

__all__ = ["RespawnPolicy"]

_WITHOUT_PROGRESS_MAX: Final = 5
_FIRST_DELAY_S: Final = 0.25
_DELAY_MAX_S: Final = 8.0


class RespawnPolicy:
    """The first replacement is immediate; each further one without progress in between waits twice as long."""

    def __init__(self) -> None:
        self.count = 0
        self._in_vain = 0
        self._newest: object = None

    def next_delay_s(self) -> float | None:
        """How long to wait before starting the next JobManager; None if there should be no other."""
        if self._in_vain >= _WITHOUT_PROGRESS_MAX:
            return None
        delay = 0.0 if self._in_vain == 0 else min(_FIRST_DELAY_S * 2 ** (self._in_vain - 1), _DELAY_MAX_S)
        self._in_vain += 1
        self.count += 1
        return delay

    def progressed(self, checkpoint: object) -> None:
        """A job has this newest checkpoint, or has ended; a change since the last call is progress."""
        if checkpoint is not None and checkpoint != self._newest:
            self._newest = checkpoint
            self._in_vain = 0
