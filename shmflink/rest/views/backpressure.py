"""`.../backpressure`: shares of the time that subtasks were back-pressured, busy, idle."""

from __future__ import annotations

from typing import Final

from shmflink.rest.rates import Rates, rates
from shmflink.rest.snapshots import VertexSample
from shmflink.rest.views.states import TERMINAL
from shmflink.rpc.read_messages import TaskRead

__all__ = ["NO_BACKPRESSURE", "backpressure"]

NO_BACKPRESSURE: Final = {"status": "deprecated"}
"""What Flink sends where there is nothing to tell."""
_LOW, _HIGH = 0.1, 0.5

Json = dict[str, object]


def backpressure(sample: VertexSample, now_ms: int) -> Json:
    """Of the vertex, whose level is that of its worst subtask."""
    running = [
        (task, found)
        for task, found in zip(sample.read.tasks, rates(sample, now_ms), strict=True)
        if task.summary.state.value not in TERMINAL
    ]
    if not running:
        return dict(NO_BACKPRESSURE)
    level = _level(max(found.backpressured_ms / 1000 for _, found in running))
    return {
        "status": "ok",
        "backpressureLevel": level,
        "end-timestamp": now_ms,
        "subtasks": [_subtask(task, found) for task, found in running],
        "backpressure-level": level,
    }


def _subtask(task: TaskRead, found: Rates) -> Json:
    ratio = found.backpressured_ms / 1000
    level = _level(ratio)
    return {
        "subtask": task.summary.subtask,
        "backpressureLevel": level,
        "ratio": round(ratio, 3),
        "idleRatio": round(found.idle_ms / 1000, 3),
        "busyRatio": round(found.busy_ms / 1000, 3),
        "backpressure-level": level,
    }


def _level(ratio: float) -> str:
    if ratio <= _LOW:
        return "ok"
    return "low" if ratio <= _HIGH else "high"
