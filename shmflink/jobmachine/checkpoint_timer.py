"""The timer of the checkpoint coordinator: set again only when its deadline changes."""

from __future__ import annotations

from typing import Final

from shmflink.jobmachine.effects import SetTimer, StopTimer
from shmflink.jobmachine.events import Timer, TimerKind
from shmflink.jobmachine.outlet import Outlet

__all__ = ["CheckpointTimer"]

_TIMER: Final = Timer(TimerKind.CHECKPOINTS)


class CheckpointTimer:
    """One per job."""

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self._due_ms: int | None = None

    def arm(self, due_ms: int | None) -> None:
        """For the coordinator's next deadline; None if it has none."""
        if due_ms == self._due_ms:
            return
        self._due_ms = due_ms
        if due_ms is None:
            self.stop()
        else:
            self._outlet.ask(SetTimer(_TIMER, max(due_ms - self._outlet.now_ms, 0)))

    def fired(self) -> None:
        """It is no longer set."""
        self._due_ms = None

    def stop(self) -> None:
        """It need not fire."""
        self._outlet.ask(StopTimer(_TIMER))
