"""What came of a schedule, and what it notes on its way."""

from __future__ import annotations

import zlib
from collections import Counter
from dataclasses import field

from shmflink.core.clock import Clock
from shmflink.core.lazy_dataclass import dataclass
from shmflink.testing.simulation.plan import Plan

__all__ = ["Notes", "Outcome"]


@dataclass(slots=True)
class Outcome:
    """`violation` is empty if every promise was kept. `digest` tells two runs apart."""

    plan: Plan
    violation: str = ""
    steps: int = 0
    attempts: int = 0
    checkpoints: int = 0
    digest: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    """How often what happened: faults, restarts by strategy, takeovers, rescales."""
    trace: list[str] = field(default_factory=list)


class Notes:
    """Everything that happens adds to the digest, and to the trace if somebody reads it."""

    def __init__(self, outcome: Outcome, clock: Clock, *, traces: bool) -> None:
        self.traces = traces
        self._outcome = outcome
        self._clock = clock

    def add(self, text: str) -> None:
        outcome = self._outcome
        outcome.digest = zlib.crc32(text.encode(), outcome.digest)
        if self.traces:
            outcome.trace.append(f"{outcome.steps:6} {self._clock.monotonic_ns() // 1000:8} us  {text}")
