"""Vertices and their subtasks: `/jobs/:jobid/vertices/...`, and the vertices of `/jobs/:jobid`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from shmflink.core.ids import OperatorId
from shmflink.rest.views.states import TASK_STATES, TERMINAL, Times, status_counts, vertex_state
from shmflink.rest.views.statistics import aggregate
from shmflink.rpc.read_messages import TaskRead, VertexShape

__all__ = [
    "by_taskmanager",
    "io_metrics",
    "no_accumulators",
    "no_subtask_accumulators",
    "slot_sharing_group_id",
    "subtask",
    "subtask_times",
    "vertex_detail",
    "vertex_id",
    "vertex_summary",
    "watermarks",
]

_UNASSIGNED: Final = "(unassigned)"
_DURATIONS: Final = ("CREATED", "SCHEDULED", "DEPLOYING", "INITIALIZING", "RUNNING")

Json = dict[str, object]


def vertex_id(shape: VertexShape) -> str:
    """32 digits: those of the operator at the head of its chain."""
    return shape.operators[0].operator_id


def slot_sharing_group_id(name: str) -> str:
    """32 digits; the same for the same name."""
    return OperatorId.of(f"slot sharing group {name}").hex


# --- times ---


def task_times(task: TaskRead, now_ms: int) -> Times:
    """From its deployment on; -1 where there is none yet."""
    start_ms = task.entered.get("DEPLOYING", -1)
    state = task.summary.state.value
    end_ms = task.entered.get(state, now_ms) if state in TERMINAL else -1
    if start_ms < 0:
        return -1, end_ms, -1
    return start_ms, end_ms, max((end_ms if end_ms >= 0 else now_ms) - start_ms, 0)


def vertex_times(tasks: Sequence[TaskRead], now_ms: int) -> Times:
    """From the first deployment to the last end."""
    times = [task_times(task, now_ms) for task in tasks]
    starts = [start for start, _, _ in times if start >= 0]
    if not starts:
        return -1, -1, -1
    is_over = all(task.summary.state.value in TERMINAL for task in tasks)
    end_ms = max(end for _, end, _ in times) if is_over else -1
    return min(starts), end_ms, max((end_ms if is_over else now_ms) - min(starts), 0)


def status_duration(task: TaskRead, now_ms: int) -> dict[str, int]:
    """How long it was in each state before its end; the present one counts up to now."""
    entered = sorted((at_ms, state) for state, at_ms in task.entered.items())
    ends = [*(at_ms for at_ms, _ in entered[1:]), now_ms]
    spent = {state: max(end - at_ms, 0) for (at_ms, state), end in zip(entered, ends, strict=True)}
    return {state: spent.get(state, 0) for state in _DURATIONS}


# --- counters ---


def io_metrics(tasks: Iterable[TaskRead]) -> dict[str, int | float | bool]:
    """Sums over the subtasks; times in ms."""
    found = [task.summary for task in tasks]
    busy_ms = sum(one.busy_ns for one in found) // 1_000_000
    return {
        "read-bytes": sum(one.bytes_in for one in found),
        "read-bytes-complete": True,
        "write-bytes": sum(one.bytes_out for one in found),
        "write-bytes-complete": True,
        "read-records": sum(one.records_in for one in found),
        "read-records-complete": True,
        "write-records": sum(one.records_out for one in found),
        "write-records-complete": True,
        "accumulated-backpressured-time": sum(one.backpressured_ns for one in found) // 1_000_000,
        "accumulated-idle-time": sum(one.idle_ns for one in found) // 1_000_000,
        "accumulated-busy-time": float(busy_ms),
    }


def _aggregated(tasks: Sequence[TaskRead], now_ms: int) -> Json:
    metrics = [io_metrics([task]) for task in tasks]
    names = [name for name in metrics[0] if not name.endswith("-complete")] if metrics else []
    durations = [status_duration(task, now_ms) for task in tasks]
    return {
        "metrics": {name: aggregate([int(one[name]) for one in metrics]) for name in names},
        "status-duration": {state: aggregate([one[state] for one in durations]) for state in _DURATIONS},
    }


# --- paths ---


def vertex_summary(shape: VertexShape, tasks: Sequence[TaskRead], now_ms: int) -> Json:
    """An element of `vertices` in `/jobs/:jobid`."""
    start_ms, end_ms, duration_ms = vertex_times(tasks, now_ms)
    states = status_counts(tasks)
    return {
        "id": vertex_id(shape),
        "slotSharingGroupId": slot_sharing_group_id(shape.slot_sharing_group),
        "name": shape.name,
        "maxParallelism": shape.max_parallelism,
        "parallelism": shape.parallelism,
        "status": vertex_state(states, shape.parallelism),
        "start-time": start_ms,
        "end-time": end_ms,
        "duration": duration_ms,
        "tasks": states,
        "metrics": io_metrics(tasks),
    }


def vertex_detail(shape: VertexShape, tasks: Sequence[TaskRead], now_ms: int, host: str) -> Json:
    """`/jobs/:jobid/vertices/:vertexid`."""
    return {
        "id": vertex_id(shape),
        "name": shape.name,
        "parallelism": shape.parallelism,
        "maxParallelism": shape.max_parallelism,
        "now": now_ms,
        "subtasks": [subtask(task, now_ms, host) for task in tasks],
        "aggregated": _aggregated(tasks, now_ms),
    }


def subtask(task: TaskRead, now_ms: int, host: str) -> Json:
    """An element of `subtasks`, and `.../subtasks/:index`."""
    start_ms, end_ms, duration_ms = task_times(task, now_ms)
    return {
        "subtask": task.summary.subtask,
        "status": task.summary.state.value,
        "attempt": task.attempt,
        "endpoint": host if task.taskmanager else _UNASSIGNED,
        "start-time": start_ms,
        "end-time": end_ms,
        "duration": duration_ms,
        "metrics": io_metrics([task]),
        "taskmanager-id": task.taskmanager or _UNASSIGNED,
        "status-duration": status_duration(task, now_ms),
        "start_time": start_ms,
    }


def subtask_times(shape: VertexShape, tasks: Sequence[TaskRead], now_ms: int, host: str) -> Json:
    """`.../subtasktimes`: when each subtask entered each state; 0: not yet."""
    return {
        "id": vertex_id(shape),
        "name": shape.name,
        "now": now_ms,
        "subtasks": [
            {
                "subtask": task.summary.subtask,
                "endpoint": host if task.taskmanager else _UNASSIGNED,
                "duration": task_times(task, now_ms)[2],
                "timestamps": {state: task.entered.get(state, 0) for state in TASK_STATES},
            }
            for task in tasks
        ],
    }


def by_taskmanager(shape: VertexShape, tasks: Sequence[TaskRead], now_ms: int, host: str) -> Json:
    """`.../taskmanagers`: the subtasks of each TaskManager together."""
    groups: dict[str, list[TaskRead]] = {}
    for task in tasks:
        groups.setdefault(task.taskmanager or _UNASSIGNED, []).append(task)
    return {
        "id": vertex_id(shape),
        "name": shape.name,
        "now": now_ms,
        "taskmanagers": [_taskmanager(name, group, now_ms, host) for name, group in groups.items()],
    }


def _taskmanager(name: str, tasks: Sequence[TaskRead], now_ms: int, host: str) -> Json:
    start_ms, end_ms, duration_ms = vertex_times(tasks, now_ms)
    states = status_counts(tasks)
    return {
        "endpoint": host if name != _UNASSIGNED else _UNASSIGNED,
        "status": vertex_state(states, len(tasks)),
        "start-time": start_ms,
        "end-time": end_ms,
        "duration": duration_ms,
        "metrics": io_metrics(tasks),
        "status-counts": states,
        "taskmanager-id": name,
        "aggregated": _aggregated(tasks, now_ms),
    }


def watermarks(shape: VertexShape, tasks: Sequence[TaskRead]) -> list[Mapping[str, str]]:
    """`.../watermarks`: none of sources, which have no input, and none of tasks that are over."""
    if shape.operators[0].kind == "source":
        return []
    return [
        {"id": f"{task.summary.subtask}.currentInputWatermark", "value": str(task.summary.watermark_ms)}
        for task in tasks
        if task.summary.watermark_ms is not None and task.summary.state.value not in TERMINAL
    ]


def no_accumulators(shape: VertexShape) -> Json:
    """`.../accumulators`: the engine has none."""
    return {"id": vertex_id(shape), "user-accumulators": []}


def no_subtask_accumulators(shape: VertexShape, tasks: Sequence[TaskRead], host: str) -> Json:
    """`.../subtasks/accumulators`: as above."""
    return {
        "id": vertex_id(shape),
        "parallelism": shape.parallelism,
        "subtasks": [
            {
                "subtask": task.summary.subtask,
                "attempt": task.attempt,
                "endpoint": host if task.taskmanager else _UNASSIGNED,
                "user-accumulators": [],
            }
            for task in tasks
        ],
    }
