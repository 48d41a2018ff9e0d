"""Which task limits a job's speed, said in one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from .summary import TaskTotals

__all__ = ["bottleneck"]

_BUSY_MIN: Final = 0.6  # of its time: less, and a task waits for something else
_HELD_UP_MIN: Final = 0.2
_SHARE_MIN: Final = 0.5  # of a task's busy time: an operator that explains it


def bottleneck(tasks: Sequence[TaskTotals], upstream: Mapping[int, Sequence[int]]) -> str:
    """A sentence about `tasks`, whose counters are those of a recent span of time; empty where nothing can be said.

    `upstream` gives the vertices that feed each vertex. The bottleneck is the task that is busy while those before it
    are held up and those behind it wait (Flink: "Monitoring Back Pressure").
    """
    known = [task for task in tasks if _total_ns(task) > 0]
    if not known:
        return ""
    busiest = max(known, key=lambda task: (_share(task, task.busy_ns), task.vertex))
    if _share(busiest, busiest.busy_ns) >= _BUSY_MIN:
        return _of_busy(busiest, {task.vertex: task for task in known}, upstream)
    held_up = [task for task in known if _share(task, task.backpressured_ns) >= _HELD_UP_MIN]
    if held_up:
        return _of_held_up(held_up[-1], known, upstream)
    return "No task is busy: the job waits for its input"


def _of_held_up(task: TaskTotals, known: Sequence[TaskTotals], upstream: Mapping[int, Sequence[int]]) -> str:
    said = f"'{task.name}' is held up {_percent(task, task.backpressured_ns)} of the time"
    behind = [one for one in known if task.vertex in upstream.get(one.vertex, ())]
    if not behind:
        return f"{said} by its sink"
    return f"{said}, and what reads from it is not busy: the slots wait for each other or for a CPU"


def _of_busy(task: TaskTotals, tasks: Mapping[int, TaskTotals], upstream: Mapping[int, Sequence[int]]) -> str:
    place = _inside(task)
    before = [tasks[vertex] for vertex in upstream.get(task.vertex, ()) if vertex in tasks]
    held_up = [one for one in before if _share(one, one.backpressured_ns) >= _HELD_UP_MIN]
    busy = f"{place} is busy {_percent(task, task.busy_ns)} of the time"
    if held_up:
        return f"The bottleneck: {busy} and holds up '{held_up[0].name}'"
    return f"The bottleneck: {busy}" + ("; nothing behind it holds it up" if not upstream.get(task.vertex) else "")


def _inside(task: TaskTotals) -> str:
    """The operator that takes most of the task's time, where one does."""
    if task.busy_ns and task.operators:
        largest = max(task.operators, key=lambda operator: operator.busy_ns)
        if task.exchange_ns > max(largest.busy_ns, _SHARE_MIN * task.busy_ns):
            return f"the exchange behind '{task.name}'"
        if len(task.operators) > 1 and largest.busy_ns >= _SHARE_MIN * task.busy_ns:
            return f"'{largest.name}' in '{task.name}'"
    return f"'{task.name}'"


def _total_ns(task: TaskTotals) -> int:
    return task.busy_ns + task.backpressured_ns + task.idle_ns


def _share(task: TaskTotals, part_ns: int) -> float:
    return part_ns / _total_ns(task)


def _percent(task: TaskTotals, part_ns: int) -> str:
    return f"{100 * _share(task, part_ns):.0f} %"
