"""The suspension of a job: it takes one more checkpoint if it can, then stops.

::

    asked ─ not running, or no checkpoints ──────────────────▶ due
      └──── a checkpoint is triggered ─ it ends, or 10 s pass ──▶ due
"""

from __future__ import annotations

from typing import Final

from shmflink.jobmachine.effects import SetTimer, StopTimer
from shmflink.jobmachine.events import Timer, TimerKind
from shmflink.jobmachine.outlet import Outlet

__all__ = ["SUSPENSION", "Suspension"]

SUSPENSION: Final = 0
"""Id of the request for the last checkpoint, which the job itself makes; requests of clients have larger ids."""
_TIMER: Final = Timer(TimerKind.SUSPEND)
_LAST_CHECKPOINT_MS: Final = 10_000


class Suspension:
    """One per job. The fewer rows lie behind the last checkpoint, the fewer the next JobManager processes again."""

    def __init__(self, outlet: Outlet) -> None:
        self.is_requested = False
        self._is_over = False  # the last checkpoint
        self._outlet = outlet

    @property
    def is_due(self) -> bool:
        """The job stops now."""
        return self.is_requested and self._is_over

    def request(self, *, waits: bool) -> None:
        """`waits`: the caller requests the last checkpoint next."""
        self.is_requested = True
        if waits:
            self._outlet.ask(SetTimer(_TIMER, _LAST_CHECKPOINT_MS))
        else:
            self._is_over = True

    def checkpoint_over(self) -> None:
        """The last checkpoint is complete, failed, or takes too long."""
        self._is_over = True

    def close(self) -> None:
        """The job ends."""
        self._outlet.ask(StopTimer(_TIMER))
