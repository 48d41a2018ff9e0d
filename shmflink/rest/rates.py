"""Rates per second, from two samples of counters. Pure."""

from __future__ import annotations

from collections.abc import Callable

from shmflink.core.lazy_dataclass import dataclass
from shmflink.rest.snapshots import VertexSample
from shmflink.rpc.messages import TaskSummary
from shmflink.rpc.read_messages import TaskRead

__all__ = ["Rates", "rates"]


@dataclass(frozen=True, slots=True)
class Rates:
    """Of one subtask. Rows and bytes per second; `*_ms`: ms of each second, at most 1000. `operators`: rows in, rows
    out per second, in the order of the chain.
    """

    records_in: float
    records_out: float
    bytes_in: float
    bytes_out: float
    busy_ms: float
    backpressured_ms: float
    idle_ms: float
    operators: tuple[tuple[float, float], ...]


def rates(sample: VertexSample, now_ms: int) -> list[Rates]:
    """Of each subtask, since the sample before; of one that has begun since then, or without one: since its start."""
    earlier = () if sample.before is None else sample.before.tasks
    return [
        _rates(task, earlier[index] if index < len(earlier) else None, sample, now_ms)
        for index, task in enumerate(sample.read.tasks)
    ]


def _rates(task: TaskRead, before: TaskRead | None, sample: VertexSample, now_ms: int) -> Rates:
    old: TaskSummary | None = None
    if before is not None and before.attempt == task.attempt and before.summary.operators:
        old, elapsed_ms = before.summary, sample.at_ms - sample.before_ms
    else:
        elapsed_ms = now_ms - task.entered.get("RUNNING", now_ms)
    seconds = max(elapsed_ms, 1) / 1000
    new = task.summary

    def rate(value: Callable[[TaskSummary], int]) -> float:
        return max(value(new) - (0 if old is None else value(old)), 0) / seconds

    def share(value: Callable[[TaskSummary], int]) -> float:
        return min(rate(value) / 1_000_000, 1000.0)

    return Rates(
        rate(lambda one: one.records_in),
        rate(lambda one: one.records_out),
        rate(lambda one: one.bytes_in),
        rate(lambda one: one.bytes_out),
        share(lambda one: one.busy_ns),
        share(lambda one: one.backpressured_ns),
        share(lambda one: one.idle_ns),
        tuple(
            (
                rate(lambda one, i=index: one.operators[i].records_in),  # type: ignore[misc]
                rate(lambda one, i=index: one.operators[i].records_out),  # type: ignore[misc]
            )
            for index in range(len(new.operators))
        ),
    )
