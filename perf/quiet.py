"""Does anything else use the CPUs? Figures of a busy machine are not written down."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["BUSY_SHARE", "BusyMachineError", "CpuTimes", "Others", "look", "others_share"]

BUSY_SHARE: Final = 0.1
"""Of all CPUs: more than this by others is too much."""

LOOK_SECONDS: Final = 1.0
IDLE_FIELDS: Final = (3, 4)  # idle, iowait; what the host of a virtual machine takes away counts as busy
FIELDS: Final = 8  # guests' time is part of user's


class BusyMachineError(RuntimeError):
    """Other processes use the CPUs."""


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """Seconds since some start: of all CPUs, of that busy, of that by this process and its ended children."""

    all_s: float
    busy_s: float
    own_s: float

    @classmethod
    def now(cls) -> CpuTimes:
        """Reads the kernel's counters."""
        first = Path("/proc/stat").read_text(encoding="ascii").partition("\n")[0]
        own = os.times()
        return cls.of(first, own.user + own.system + own.children_user + own.children_system)

    @classmethod
    def of(cls, line: str, own_s: float) -> CpuTimes:
        """From the line `cpu  user nice system idle …` of /proc/stat."""
        ticks = [int(field) for field in line.split()[1 : FIELDS + 1]]
        per_second = os.sysconf("SC_CLK_TCK")
        idle = sum(ticks[number] for number in IDLE_FIELDS)
        return cls(sum(ticks) / per_second, (sum(ticks) - idle) / per_second, own_s)


def others_share(before: CpuTimes, after: CpuTimes) -> float:
    """The share of all CPUs that others used in between, from 0 to 1."""
    passed_s = after.all_s - before.all_s
    others_s = (after.busy_s - before.busy_s) - (after.own_s - before.own_s)
    return min(1.0, max(0.0, others_s / passed_s)) if passed_s > 0 else 0.0


class Others:
    """What others use from its creation on."""

    def __init__(self) -> None:
        self._start = CpuTimes.now()

    def share(self) -> float:
        """The share of all CPUs, from 0 to 1. Children that still run count as others."""
        return others_share(self._start, CpuTimes.now())

    def require_quiet(self) -> None:
        """Raises BusyMachineError if others used more than `BUSY_SHARE` of the CPUs."""
        share = self.share()
        if share > BUSY_SHARE:
            raise BusyMachineError(
                f"other processes use {share:.0%} of the CPUs, more than {BUSY_SHARE:.0%}: README.md stays. "
                "Run again on a quiet machine, or without --readme"
            )


def look() -> Others:
    """Watches for a moment in which this process does nothing. Raises BusyMachineError on a busy machine."""
    others = Others()
    time.sleep(LOOK_SECONDS)
    others.require_quiet()
    return Others()
