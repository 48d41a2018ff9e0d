"""States of jobs, vertices and subtasks as Flink names and counts them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from shmflink.rpc.read_messages import TaskRead

__all__ = [
    "JOB_STATES",
    "OVERVIEW_STATES",
    "TASK_STATES",
    "TERMINAL",
    "Times",
    "counts",
    "status_counts",
    "vertex_state",
]

JOB_STATES: Final = (
    "INITIALIZING", "CREATED", "RUNNING", "FAILING", "FAILED", "CANCELLING", "CANCELED", "FINISHED", "RESTARTING",
    "SUSPENDED", "RECONCILING",
)  # fmt: skip
TASK_STATES: Final = (
    "CREATED", "SCHEDULED", "DEPLOYING", "INITIALIZING", "RUNNING", "FINISHED", "CANCELING", "CANCELED", "FAILED",
    "RECONCILING",
)  # fmt: skip
OVERVIEW_STATES: Final = tuple(state.lower() for state in TASK_STATES)
TERMINAL: Final = frozenset({"FINISHED", "CANCELED", "FAILED"})
_WORST_FIRST: Final = ("FAILED", "CANCELING", "CANCELED", "INITIALIZING", "RUNNING")

Times = tuple[int, int, int]
"""Start, end and duration in ms; -1 where there is none yet."""


def counts(states: Mapping[str, int]) -> dict[str, int]:
    """With the states that none is in."""
    return {state: states.get(state, 0) for state in TASK_STATES}


def status_counts(tasks: Iterable[TaskRead]) -> dict[str, int]:
    """How many of them are in each state."""
    return counts(Counter(task.summary.state.value for task in tasks))


def vertex_state(states: Mapping[str, int], parallelism: int) -> str:
    """Of all subtasks together (Flink: ExecutionJobVertex.getAggregateJobVertexState)."""
    for state in _WORST_FIRST:
        if states.get(state, 0):
            return state
    finished = states.get("FINISHED", 0)
    if not finished:
        return "CREATED"
    return "FINISHED" if finished == parallelism else "RUNNING"
