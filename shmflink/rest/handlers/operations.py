"""Savepoints, stops, checkpoints and disposals: triggers, and what became of them."""

from __future__ import annotations

import re
from typing import Any, Final

from shmflink.checkpoint.disposal import dispose_savepoint
from shmflink.checkpoint.settings import CheckpointSettings, local_directory
from shmflink.core.ids import JobId
from shmflink.errors import ConfigurationError
from shmflink.rest.blocking import in_thread
from shmflink.rest.context import Context
from shmflink.rest.endpoints import Answer, Body, Call, Endpoint, get, post
from shmflink.rest.errors import bad_body, internal
from shmflink.rest.operations import OperationFailed, trigger_id
from shmflink.rest.views.states import TERMINAL
from shmflink.rpc.control_messages import (
    CancelRunningJob,
    CheckpointTaken,
    JobCancelled,
    SavepointCompleted,
    StopJob,
    TakeCheckpoint,
    TriggerSavepoint,
)

__all__ = ["ENDPOINTS"]

_ID: Final = re.compile(r"[0-9a-fA-F]{32}", re.ASCII)
_COMPLETION: Final = "java.util.concurrent.CompletionException"
_CHECKPOINT: Final = "org.apache.flink.runtime.checkpoint.CheckpointException"
_NO_INCREMENTAL: Final = (
    "java.lang.IllegalStateException: Flink does not support triggering incremental checkpoint explicitly. "
    "See FLINK-33723."
)

Json = dict[str, object]


def _trigger(call: Call, body: str) -> str:
    """The client's, or a new one."""
    given = call.body.get("triggerId")
    if given is None:
        return trigger_id()
    if not _ID.fullmatch(given):
        raise bad_body(body)
    return str(given).lower()


async def _running(context: Context, job_id: JobId) -> None:
    """OperationFailed if there is nothing to be saved."""
    context.snapshots.forget()
    job = await context.find_job(job_id)
    if job is None or job.overview.state.value in TERMINAL:
        cause = f"Could not find Flink job ({job_id})" if job is None else f"job {job_id} is {job.overview.state}"
        raise OperationFailed(_COMPLETION, f"org.apache.flink.runtime.messages.FlinkJobNotFoundException: {cause}")


def _folder(target: Any) -> str:
    """As the JobManager takes it; empty: as configured there."""
    try:
        return local_directory(target, "target-directory") if target else ""
    except ConfigurationError as error:
        raise OperationFailed(_CHECKPOINT, str(error)) from None


# --- savepoints and stops ---


async def _savepoint(call: Call) -> Answer:
    context, job_id, body = call.context, call.job_id, call.body
    trigger = _trigger(call, _SAVEPOINT.name)

    async def perform() -> Json:
        await _running(context, job_id)
        request = TriggerSavepoint(job_id, _folder(body.get("target-directory")))
        done = await context.control.ask(request, SavepointCompleted)
        if body.get("cancel-job"):
            await context.control.ask(CancelRunningJob(job_id), JobCancelled, is_urgent=True)
        context.snapshots.forget()
        return {"location": f"file:{done.path}"}

    context.savepoints.start((job_id.hex, trigger), perform)
    return Answer({"request-id": trigger}, 202)


async def _stop(call: Call) -> Answer:
    context, job_id, body = call.context, call.job_id, call.body
    trigger = _trigger(call, _STOP.name)

    async def perform() -> Json:
        await _running(context, job_id)
        request = StopJob(job_id, _folder(body.get("targetDirectory")), bool(body.get("drain")))
        done = await context.control.ask(request, SavepointCompleted)
        context.snapshots.forget()
        return {"location": f"file:{done.path}"}

    context.savepoints.start((job_id.hex, trigger), perform)
    return Answer({"request-id": trigger}, 202)


async def _savepoint_status(call: Call) -> Answer:
    job, trigger = call.job_id.hex, call.path["triggerid"]
    unknown = f"There is no savepoint operation with triggerId={trigger} for job {job}."
    return Answer(call.context.savepoints.status((job, trigger), unknown))


# --- checkpoints ---


async def _checkpoint(call: Call) -> Answer:
    context, job_id = call.context, call.job_id
    kind = call.body.get("checkpointType") or "CONFIGURED"
    if kind == "INCREMENTAL":
        raise internal(_NO_INCREMENTAL)
    trigger = _trigger(call, _TAKE.name)

    async def perform() -> Json:
        await _running(context, job_id)
        if kind == "FULL" and CheckpointSettings.of((await context.job(job_id)).configuration).is_incremental:
            text = (
                "checkpoints of this job refer to files of earlier ones: take a savepoint, or set "
                "execution.checkpointing.incremental: false"
            )
            raise OperationFailed(_CHECKPOINT, text)
        done = await context.control.ask(TakeCheckpoint(job_id), CheckpointTaken)
        context.snapshots.forget()
        return {"checkpointId": done.checkpoint_id}

    context.checkpoints.start((job_id.hex, trigger), perform)
    return Answer({"request-id": trigger}, 202)


async def _checkpoint_status(call: Call) -> Answer:
    job, trigger = call.job_id.hex, call.path["triggerid"]
    unknown = f"There is no checkpoint operation with triggerId={trigger} for job {job}."
    return Answer(call.context.checkpoints.status((job, trigger), unknown))


# --- disposals ---


async def _dispose(call: Call) -> Answer:
    path = call.body["savepoint-path"]
    trigger = trigger_id()

    async def perform() -> Json:
        await in_thread(dispose_savepoint, path)
        return {}

    call.context.disposals.start((trigger,), perform)
    return Answer({"request-id": trigger}, 200)


async def _disposal_status(call: Call) -> Answer:
    trigger = call.path["triggerid"]
    unknown = f"Operation not found under key: {trigger}"
    return Answer(call.context.disposals.status((trigger,), unknown))


async def _no_datasets(_: Call) -> Answer:
    return Answer({"dataSets": []})


async def _delete_dataset(call: Call) -> Answer:
    trigger = trigger_id()

    async def perform() -> Json:
        return {}

    call.context.disposals.start(("dataset", trigger), perform)
    return Answer({"request-id": trigger}, 202)


async def _dataset_status(call: Call) -> Answer:
    trigger = call.path["triggerid"]
    unknown = f"Operation not found under key: {trigger}"
    return Answer(call.context.disposals.status(("dataset", trigger), unknown))


_TEXT: Final = {"type": ["string", "null"]}
_FLAG: Final = {"type": ["boolean", "null"]}
_FORMAT: Final = {"type": ["string", "null"], "enum": ["CANONICAL", "NATIVE", None]}
_KIND: Final = {"type": ["string", "null"], "enum": ["CONFIGURED", "FULL", "INCREMENTAL", None]}
_OWN_ID: Final = {"type": ["string", "null"], "pattern": "^[0-9a-fA-F]{32}$"}
_SAVEPOINT: Final = Body(
    "SavepointTriggerRequestBody",
    {"target-directory": _TEXT, "cancel-job": _FLAG, "formatType": _FORMAT, "triggerId": _OWN_ID},
)
_STOP: Final = Body(
    "StopWithSavepointRequestBody",
    {"targetDirectory": _TEXT, "drain": _FLAG, "formatType": _FORMAT, "triggerId": _OWN_ID},
)
_TAKE: Final = Body("CheckpointTriggerRequestBody", {"checkpointType": _KIND, "triggerId": _OWN_ID})
_DISPOSAL: Final = Body(
    "SavepointDisposalRequest", {"savepoint-path": {"type": "string"}}, ("savepoint-path",), names_missing=True
)

ENDPOINTS: Final = (
    post("/jobs/:jobid/savepoints", _savepoint, "Triggers a savepoint; may cancel the job after it", body=_SAVEPOINT),
    get("/jobs/:jobid/savepoints/:triggerid", _savepoint_status, "What became of a savepoint or a stop", 200, 404),
    post("/jobs/:jobid/stop", _stop, "Stops the job with a savepoint", body=_STOP),
    post("/jobs/:jobid/checkpoints", _checkpoint, "Triggers a checkpoint", 202, 500, body=_TAKE),
    get("/jobs/:jobid/checkpoints/:triggerid", _checkpoint_status, "What became of a checkpoint", 200, 404),
    post("/savepoint-disposal", _dispose, "Deletes a savepoint", 200, body=_DISPOSAL),
    get("/savepoint-disposal/:triggerid", _disposal_status, "What became of a disposal", 200, 404),
    get("/datasets", _no_datasets, "Cached data sets: none"),
    Endpoint("DELETE", "/datasets/:datasetid", _delete_dataset, "Deletes a data set: there is none", (202,)),
    get("/datasets/delete/:triggerid", _dataset_status, "What became of the deletion of a data set", 200, 404),
)
