"""`/jobs/:jobid/checkpoints`: statistics, configuration, details. Triggers are in `handlers.operations`."""

from __future__ import annotations

from typing import Final

from shmflink.checkpoint.history import CheckpointRecord
from shmflink.rest.endpoints import Answer, Call, get
from shmflink.rest.errors import handler_error, not_found
from shmflink.rest.views import checkpoints as view
from shmflink.rest.views.vertices import vertex_id
from shmflink.rpc.read_messages import CheckpointsRead, JobRead

__all__ = ["ENDPOINTS"]


async def _found(call: Call, refusal: str) -> tuple[JobRead, CheckpointsRead]:
    read = await call.context.job(call.job_id)
    if read.checkpoints is None:
        raise handler_error(404, refusal)
    return read, read.checkpoints


async def _statistics(call: Call) -> Answer:
    return Answer(view.checkpoints(*await _found(call, "Checkpointing has not been enabled.")))


async def _config(call: Call) -> Answer:
    read, _ = await _found(call, f"Checkpointing is not enabled for this job ({call.job_id.hex}).")
    return Answer(view.checkpoint_config(read.configuration))


async def _one(call: Call) -> tuple[JobRead, CheckpointsRead, CheckpointRecord]:
    number = call.number("checkpointid")
    unknown = f"Could not find checkpointing statistics for checkpoint {number}."
    read, found = await _found(call, unknown)
    latest = (found.last_completed, found.last_savepoint, found.last_failed)
    known = [*found.history, *(one for one in latest if one is not None)]
    record = next((one for one in known if one.checkpoint_id == number), None)
    if record is None:
        raise handler_error(404, unknown)
    return read, found, record


async def _detail(call: Call) -> Answer:
    return Answer(view.checkpoint_detail(*await _one(call)))


async def _subtasks(call: Call) -> Answer:
    read, found, record = await _one(call)
    shape = next((shape for shape in read.vertices if vertex_id(shape) == call.path["vertexid"]), None)
    if shape is None:
        raise not_found(f"There is no checkpoint statistics for task {call.path['vertexid']}.")
    return Answer(view.checkpoint_subtasks(shape, found, record))


_DETAIL: Final = "/jobs/:jobid/checkpoints/details/:checkpointid"

ENDPOINTS: Final = (
    get("/jobs/:jobid/checkpoints", _statistics, "Counts, sizes and durations of checkpoints", 200, 404),
    get("/jobs/:jobid/checkpoints/config", _config, "How the job takes checkpoints", 200, 404),
    get(_DETAIL, _detail, "One checkpoint, by vertex", 200, 404),
    get(f"{_DETAIL}/subtasks/:vertexid", _subtasks, "One checkpoint, by subtask of a vertex", 200, 404),
)
