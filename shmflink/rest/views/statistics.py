"""Minimum, mean, percentiles: as Flink computes and writes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

__all__ = ["NAN", "aggregate", "percentile", "skew", "summary", "summary_of_subtasks"]

NAN: Final = "NaN"
"""How Flink's JSON writes a number that is not known."""
_PERCENTILES: Final = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "p999": 99.9}

Json = dict[str, object]


def percentile(ordered: Sequence[int], percent: float) -> float:
    """Of values in ascending order, at least one. Between two neighbors it interpolates (Commons Math, LEGACY)."""
    position = percent * (len(ordered) + 1) / 100
    if position < 1:
        return float(ordered[0])
    if position >= len(ordered):
        return float(ordered[-1])
    low = math.floor(position)
    return ordered[low - 1] + (position - low) * (ordered[low] - ordered[low - 1])


def summary(values: Sequence[int]) -> Json:
    """Of checkpoints: whole numbers, percentiles as floats, or "NaN" without values."""
    if not values:
        return {"min": 0, "max": 0, "avg": 0, **dict.fromkeys(_PERCENTILES, NAN)}
    ordered = sorted(values)
    found: Json = {"min": ordered[0], "max": ordered[-1], "avg": sum(ordered) // len(ordered)}
    return found | {name: percentile(ordered, percent) for name, percent in _PERCENTILES.items()}


def summary_of_subtasks(values: Sequence[int]) -> Json:
    """Of the subtasks of one checkpoint: Flink computes no percentiles there."""
    known = [value for value in values if value >= 0]
    return {**summary(known), **dict.fromkeys(_PERCENTILES, NAN)}


def aggregate(values: Sequence[int]) -> Json:
    """Of the subtasks of a vertex: whole numbers all (Flink: StatsSummary over subtasks)."""
    ordered = sorted(values) or [0]
    at = {"median": 50.0, "p25": 25.0, "p75": 75.0, "p95": 95.0}
    found: Json = {"min": ordered[0], "max": ordered[-1], "avg": sum(ordered) // len(ordered), "sum": sum(ordered)}
    return found | {name: int(percentile(ordered, percent)) for name, percent in at.items()}


def skew(values: Sequence[float]) -> float:
    """The coefficient of variation in percent, at most 100 (Flink: FLIP-418)."""
    mean = sum(values) / len(values) if values else 0.0
    if mean == 0:
        return 0.0
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))
    return min(deviation / abs(mean) * 100, 100.0)
