"""How the CLI describes a job's checkpoints, restarts and delivery guarantee. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from shmflink.config.checkpoint_options import CHECKPOINT_INTERVAL, CHECKPOINTING_MODE
from shmflink.graph.job_graph import JobGraph
from shmflink.rpc.messages import CheckpointSummary, JobEnded

from . import numbers

__all__ = ["checkpoint_text", "delivery_text", "end_text", "restarts_text"]

_WEAKER: Final = ("exactly-once", "at-least-once", "at-most-once", "none")


def checkpoint_text(checkpoints: CheckpointSummary | None) -> str:
    """`#7 3.20 s ago, took 0.05 s, 1.2 MiB; 2 failed`: the checkpoints of a running job."""
    if checkpoints is None:
        return "checkpointing is off"
    failed = f"; {checkpoints.failed} failed" if checkpoints.failed else ""
    if checkpoints.last_id is None:
        return f"none yet{failed}"
    age, took = (numbers.elapsed(ms / 1000) for ms in (checkpoints.last_age_ms, checkpoints.last_duration_ms))
    return f"#{checkpoints.last_id} {age} ago, took {took}, {numbers.size(checkpoints.last_bytes)}{failed}"


def restarts_text(restarts: int) -> str:
    """`restarted once`, `restarted 3 times`; empty if it never restarted."""
    return {0: "", 1: "restarted once"}.get(restarts, f"restarted {restarts} times")


def end_text(ended: JobEnded) -> str:
    """`restarted 2 times, 31 checkpoints (1 failed), last at /c/chk-31`; empty if there is nothing to say."""
    parts = [restarts_text(ended.restarts)]
    checkpoints = ended.checkpoints
    if checkpoints is not None:
        count = f"{checkpoints.completed} checkpoint{'s' * (checkpoints.completed != 1)}"
        parts.append(count + (f" ({checkpoints.failed} failed)" if checkpoints.failed else ""))
        if checkpoints.last_path:
            parts.append(f"last at {checkpoints.last_path}")
    return ", ".join(filter(None, parts))


def delivery_text(graph: JobGraph, configuration: Mapping[str, str]) -> str:
    """The weakest guarantee among the job's sources and sinks, and who gives it; empty without checkpoints.

    The job's own `configuration` overrides the cluster's.
    """
    if CHECKPOINT_INTERVAL.read(configuration) is None:
        return ""
    ends = [(one.delivery, one.name) for vertex in graph.vertices for one in vertex.operators if one.delivery]
    if CHECKPOINTING_MODE.read(configuration) == "AT_LEAST_ONCE":
        ends.append(("at-least-once", "execution.checkpointing.mode"))
    weakest, _ = max(ends, key=lambda end: _WEAKER.index(end[0]), default=("exactly-once", ""))
    whose = [name for guarantee, name in ends if guarantee == weakest]
    return weakest if weakest == _WEAKER[0] else f"{weakest}, because of {', '.join(whose)}"
