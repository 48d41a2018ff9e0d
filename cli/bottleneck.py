"""Says in one sentence which task limits a job's speed, and whether one subtask gets most of the rows. Pure."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Final

from .summary import TaskTotals

__all__ = ["bottleneck", "skews"]

_BUSY_MIN: Final = 0.6  # of its time; below, the task waits for something else
_BACK_PRESSURED_MIN: Final = 0.2
_SHARE_MIN: Final = 0.5  # of a task's busy time; an operator above it explains the task
_SKEW_ROWS_MIN: Final = 100  # fewer rows show nothing
_SKEW_TIMES_MIN: Final = 2.5  # times the fair share, for one of many subtasks


def bottleneck(tasks: Sequence[TaskTotals], upstream: Mapping[int, Sequence[int]]) -> str:
    """A sentence about `tasks`, whose counters cover a recent time span; empty if there is nothing to say.

    `upstream` maps each vertex to the vertices that feed it. The bottleneck is a busy task whose upstream tasks are
    back-pressured and whose downstream tasks wait (Flink: "Monitoring Back Pressure").
    """
    known = [task for task in tasks if _total_ns(task) > 0]
    if not known:
        return ""
    busiest = max(known, key=lambda task: (_share(task, task.busy_ns), task.vertex))
    if _share(busiest, busiest.busy_ns) >= _BUSY_MIN:
        return _of_busy(busiest, {task.vertex: task for task in known}, upstream)
    if said := _of_busy_subtask(known):
        return said
    back_pressured = [task for task in known if _share(task, task.backpressured_ns) >= _BACK_PRESSURED_MIN]
    if back_pressured:
        return _of_back_pressured(back_pressured[-1], known, upstream)
    return "No task is busy: the job waits for its input"


def _of_busy_subtask(known: Sequence[TaskTotals]) -> str:
    """A sentence if one subtask does all the work; otherwise empty."""
    for task in known:
        busy_ns, span_ns = max(task.subtask_busy_ns, default=0), _total_ns(task) / task.parallelism
        if task.parallelism > 1 and busy_ns >= _BUSY_MIN * span_ns:
            subtask = task.subtask_busy_ns.index(busy_ns) + 1
            share = min(100.0, 100 * busy_ns / span_ns)
            return (
                f"The bottleneck: subtask {subtask}/{task.parallelism} of '{task.name}' is busy {share:.0f} % of the "
                "time, the other subtasks less"
            )
    return ""


def _of_back_pressured(task: TaskTotals, known: Sequence[TaskTotals], upstream: Mapping[int, Sequence[int]]) -> str:
    said = f"'{task.name}' is back-pressured {_percent(task, task.backpressured_ns)} of the time"
    behind = [one for one in known if task.vertex in upstream.get(one.vertex, ())]
    if not behind:
        return f"{said} by its sink"
    return f"{said}, but its consumers are not busy: the slots wait for each other or for a CPU"


def _of_busy(task: TaskTotals, tasks: Mapping[int, TaskTotals], upstream: Mapping[int, Sequence[int]]) -> str:
    place = _inside(task)
    before = [tasks[vertex] for vertex in upstream.get(task.vertex, ()) if vertex in tasks]
    back_pressured = [one for one in before if _share(one, one.backpressured_ns) >= _BACK_PRESSURED_MIN]
    busy = f"{place} is busy {_percent(task, task.busy_ns)} of the time"
    if back_pressured:
        return f"The bottleneck: {busy} and back-pressures '{back_pressured[0].name}'"
    return f"The bottleneck: {busy}" + (
        "; nothing downstream back-pressures it" if not upstream.get(task.vertex) else ""
    )


def _inside(task: TaskTotals) -> str:
    """The operator that takes most of the task's time, if one does."""
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


def skews(tasks: Sequence[TaskTotals], keyed: Container[int]) -> list[str]:
    """A sentence for each task in which one subtask gets far more than its share of the rows.

    `keyed`: the vertices whose rows are partitioned by key; there a few keys have most of the rows.
    """
    return [text for task in tasks if (text := _skew(task, is_keyed=task.vertex in keyed))]


def _skew(task: TaskTotals, *, is_keyed: bool) -> str:
    count, rows = len(task.subtask_rows), task.rows_read
    if count < 2 or rows < _SKEW_ROWS_MIN:
        return ""
    most = max(task.subtask_rows)
    if most / rows < min(_SKEW_TIMES_MIN / count, (1 + 1 / count) / 2):
        return ""
    subtask = task.subtask_rows.index(most) + 1
    kind = "key skew" if is_keyed else "skew"
    return f"{kind}: subtask {subtask}/{count} of '{task.name}' gets {100 * most / rows:.0f} % of the rows"
