"""The faults of a schedule: when the next one is due, and what user code, disks and memory refuse until it is over."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from shmflink.testing.simulation.outcome import Notes
from shmflink.testing.simulation.plan import Fault

__all__ = ["Faults"]


class Faults:
    """In the order of the plan: each waits for the one before it, then for checkpoints, then for steps."""

    def __init__(self, faults: Sequence[Fault], rng: random.Random, notes: Notes) -> None:
        self._left = list(faults)
        self._rng = rng
        self._notes = notes
        self._steps_left = -1  # -1: the next fault waits for checkpoints
        self._completed_before = 0  # checkpoints, at the fault before
        self._calls_left = -1  # of user code, until one raises
        self._refusals: Counter[str] = Counter()

    def take_due(self, completed: int) -> str:
        """The fault of this step; empty if there is none. `completed`: how many checkpoints have become durable."""
        if not self._left:
            return ""
        fault = self._left[0]
        if self._steps_left < 0 and completed - self._completed_before >= fault.checkpoints:
            self._steps_left = fault.steps
        if self._steps_left > 0:
            self._steps_left -= 1
            return ""
        if self._steps_left < 0:
            return ""
        self._steps_left = -1
        self._completed_before = completed
        return self._left.pop(0).kind

    # --- user code ---

    def fail_user_code(self) -> None:
        """One of its next calls raises."""
        self._calls_left = self._rng.randrange(12)

    def may_fail(self, place: str) -> bool:
        """Whether the call of user code in this place raises."""
        if self._calls_left < 0:
            return False
        self._calls_left -= 1
        if self._calls_left >= 0:
            return False
        self._notes.add(f"user code fails in {place}")
        return True

    # --- the system ---

    def refuse(self, what: str, times: int) -> None:
        """The system refuses the next requests of this kind."""
        self._refusals[what] = times

    def refuses(self, what: str) -> bool:
        """Whether the system refuses this request."""
        refuses = self._refusals[what] > 0
        self._refusals[what] -= refuses
        return refuses
