"""`/jobs/:jobid/vertices`: subtasks, times, TaskManagers, watermarks, back-pressure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from shmflink.rest.endpoints import Answer, Call, Query, get
from shmflink.rest.errors import handler_error
from shmflink.rest.snapshots import VertexSample
from shmflink.rest.views import vertices as view
from shmflink.rest.views.backpressure import NO_BACKPRESSURE, backpressure
from shmflink.rpc.read_messages import TaskRead, VertexShape

__all__ = ["ENDPOINTS"]

_FLAME_GRAPH_DISABLED: Final = -2  # Flink: JobVertexFlameGraph.disabled()

View = Callable[[VertexShape, Sequence[TaskRead], int, str], dict[str, object]]


async def _found(call: Call) -> tuple[VertexShape, VertexSample]:
    return await call.context.vertex(call.job_id, call.path["vertexid"])


async def _detail(call: Call) -> Answer:
    return await _shown(call, view.vertex_detail)


async def _times(call: Call) -> Answer:
    return await _shown(call, view.subtask_times)


async def _taskmanagers(call: Call) -> Answer:
    return await _shown(call, view.by_taskmanager)


async def _shown(call: Call, show: View) -> Answer:
    shape, sample = await _found(call)
    return Answer(show(shape, sample.read.tasks, call.context.snapshots.now_ms(), call.context.host))


async def _watermarks(call: Call) -> Answer:
    shape, sample = await _found(call)
    return Answer(view.watermarks(shape, sample.read.tasks))


async def _backpressure(call: Call) -> Answer:
    found = await call.context.find_vertex(call.job_id, call.path["vertexid"])
    if found is None:
        return Answer(NO_BACKPRESSURE)
    return Answer(backpressure(found[1], call.context.snapshots.now_ms()))


# --- subtasks ---


async def _task(call: Call) -> TaskRead:
    _, sample = await _found(call)
    index = call.number("subtaskindex")
    if index >= len(sample.read.tasks):
        raise handler_error(404, f"Invalid subtask index for vertex {call.path['vertexid']}")
    return sample.read.tasks[index]


async def _subtask(call: Call) -> Answer:
    task = await _task(call)
    return Answer(view.subtask(task, call.context.snapshots.now_ms(), call.context.host))


async def _attempt_of(call: Call) -> TaskRead:
    task = await _task(call)
    if call.number("attempt") != task.attempt:
        raise handler_error(404, f"Invalid attempt num {call.number('attempt')}")
    return task


async def _attempt(call: Call) -> Answer:
    task = await _attempt_of(call)
    return Answer(view.subtask(task, call.context.snapshots.now_ms(), call.context.host))


# --- what the engine does not have ---


async def _accumulators(call: Call) -> Answer:
    shape, _ = await _found(call)
    return Answer(view.no_accumulators(shape))


async def _subtask_accumulators(call: Call) -> Answer:
    shape, sample = await _found(call)
    return Answer(view.no_subtask_accumulators(shape, sample.read.tasks, call.context.host))


async def _attempt_accumulators(call: Call) -> Answer:
    task = await _attempt_of(call)
    identity = f"{call.job_id.hex}_{call.path['vertexid']}_{task.summary.subtask}_{task.attempt}"
    return Answer({"subtask": task.summary.subtask, "attempt": task.attempt, "id": identity, "user-accumulators": []})


async def _flame_graph(call: Call) -> Answer:
    await _found(call)
    return Answer({"endTimestamp": _FLAME_GRAPH_DISABLED})


_VERTEX: Final = "/jobs/:jobid/vertices/:vertexid"
_SUBTASK: Final = f"{_VERTEX}/subtasks/:subtaskindex"
_FLAME: Final = (
    Query("type", "Which stacks.", ("full", "on_cpu", "off_cpu")),
    Query("subtaskindex", "Of one subtask.", is_number=True),
)

ENDPOINTS: Final = (
    get(_VERTEX, _detail, "A vertex with its subtasks", 200, 404),
    get(f"{_VERTEX}/accumulators", _accumulators, "Accumulators of a vertex: none", 200, 404),
    get(f"{_VERTEX}/backpressure", _backpressure, "How busy and how back-pressured the subtasks are"),
    get(f"{_VERTEX}/flamegraph", _flame_graph, "Not sampled", 200, 404, query=_FLAME),
    get(f"{_VERTEX}/subtasks/accumulators", _subtask_accumulators, "Accumulators of the subtasks: none", 200, 404),
    get(f"{_VERTEX}/subtasktimes", _times, "When the subtasks entered their states", 200, 404),
    get(f"{_VERTEX}/taskmanagers", _taskmanagers, "The subtasks of a vertex, by TaskManager", 200, 404),
    get(f"{_VERTEX}/watermarks", _watermarks, "The watermarks of the subtasks", 200, 404),
    get(_SUBTASK, _subtask, "The last attempt of a subtask", 200, 404),
    get(f"{_SUBTASK}/attempts/:attempt", _attempt, "The last attempt of a subtask, by its number", 200, 404),
    get(f"{_SUBTASK}/attempts/:attempt/accumulators", _attempt_accumulators, "Its accumulators: none", 200, 404),
)
