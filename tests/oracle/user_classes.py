"""Classes as a job's own modules have them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Moved:
    """Gone at the restore of what was pickled."""

    number: int
