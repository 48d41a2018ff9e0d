"""`/jobs`: lists, details, configuration, failures, results, cancellation."""

from __future__ import annotations

from typing import Final

from shmflink.core.ids import JobId
from shmflink.rest.context import Context
from shmflink.rest.endpoints import Answer, Body, Call, Query, get, patch
from shmflink.rest.errors import handler_error, internal, unknown_job_cause
from shmflink.rest.views import jobs as view
from shmflink.rest.views.configuration import job_config
from shmflink.rest.views.exceptions import exceptions
from shmflink.rest.views.plan import plan
from shmflink.rest.views.states import TERMINAL

__all__ = ["ENDPOINTS", "cancel"]

_EXCEPTIONS_SHOWN: Final = 20
_MODE_REMOVED: Final = (
    'The termination mode "stop" has been removed. For an ungraceful shutdown, please use "cancel" instead. For a '
    'graceful shutdown, please use "jobs/:jobid/stop" instead.'
)


async def _ids(call: Call) -> Answer:
    return Answer(view.job_ids(await call.context.snapshots.jobs()))


async def _overview(call: Call) -> Answer:
    snapshots = call.context.snapshots
    return Answer(view.jobs(await snapshots.jobs(), snapshots.now_ms()))


async def _detail(call: Call) -> Answer:
    snapshot = await call.context.whole_job(call.job_id)
    return Answer(call.context.rendered.of(call.job_id, snapshot, view.job_detail))


async def _status(call: Call) -> Answer:
    job = await call.context.find_job(call.job_id)
    if job is None:
        raise internal(unknown_job_cause(call.job_id.hex))
    return Answer({"status": job.overview.state.value})


async def _plan(call: Call) -> Answer:
    return Answer({"plan": plan(await call.context.job(call.job_id))})


async def _config(call: Call) -> Answer:
    return Answer(job_config(await call.context.job(call.job_id)))


async def _exceptions(call: Call) -> Answer:
    limit = int(call.query.get("maxExceptions", _EXCEPTIONS_SHOWN))
    read = await call.context.job(call.job_id)
    return Answer(exceptions(read, max(limit, 0), call.context.host))


async def _execution_result(call: Call) -> Answer:
    context = call.context
    if await context.find_job(call.job_id) is None:
        raise handler_error(404, unknown_job_cause(call.job_id.hex))
    return Answer(view.execution_result(await context.job(call.job_id), context.snapshots.now_ms()))


async def _accumulators(call: Call) -> Answer:
    await call.context.job(call.job_id)
    return Answer(view.accumulators())


# --- cancellation ---


async def _terminate(call: Call) -> Answer:
    if call.query.get("mode", "cancel").lower() == "stop":
        raise handler_error(308, _MODE_REMOVED)
    await cancel(call.context, call.job_id)
    return Answer({}, 202)


async def _yarn_cancel(call: Call) -> Answer:
    await cancel(call.context, call.job_id)
    return Answer({}, 202)


async def _yarn_stop(_: Call) -> Answer:
    raise handler_error(308, _MODE_REMOVED)


async def cancel(context: Context, job_id: JobId) -> None:
    """Begins to cancel. RestError 404 if there is no such job, 409 if it has ended otherwise."""
    context.snapshots.forget()
    job = await context.find_job(job_id)
    if job is None:
        raise handler_error(404, "Job could not be found.")
    state = job.overview.state.value
    if state in TERMINAL:
        if state == "CANCELED":
            return
        text = f"Job cancellation failed because the job has already reached another terminal state ({state})."
        raise handler_error(409, text)
    context.cancellations.begin(job_id)
    context.snapshots.forget()


async def _heartbeat(call: Call) -> Answer:
    context = call.context
    job = await context.find_job(call.job_id)
    if job is not None and job.overview.state.value not in TERMINAL:
        context.cancellations.promised(call.job_id, call.body["expiredTimestamp"])
    return Answer({}, 202)


_MODE: Final = Query("mode", "How to end the job; `stop` is no longer possible.", ("cancel", "stop"))
_HEARTBEAT: Final = Body(
    "JobClientHeartbeatRequestBody", {"expiredTimestamp": {"type": "integer"}}, ("expiredTimestamp",)
)
_MAX: Final = Query("maxExceptions", "The most entries of the history.", is_number=True)
_SERIALIZED: Final = Query("includeSerializedValue", "Accepted; the engine has no accumulators.", ("true", "false"))
_LABELS: Final = Query("failureLabelFilter", "Accepted; failures have no labels.", is_list=True)

ENDPOINTS: Final = (
    get("/jobs", _ids, "Ids and states of all jobs"),
    get("/jobs/overview", _overview, "A summary of each job"),
    get("/jobs/:jobid", _detail, "A job with its vertices and its plan", 200, 404),
    patch("/jobs/:jobid", _terminate, "Cancels a job", 202, 308, 404, 409, query=(_MODE,)),
    get("/jobs/:jobid/yarn-cancel", _yarn_cancel, "Cancels a job, for proxies that only pass GET", 202, 404, 409),
    get("/jobs/:jobid/yarn-stop", _yarn_stop, "No longer possible", 308),
    get("/jobs/:jobid/status", _status, "The state of a job", 200, 500),
    get("/jobs/:jobid/plan", _plan, "The dataflow plan of a job", 200, 404),
    get("/jobs/:jobid/config", _config, "The configuration of a job", 200, 404),
    get("/jobs/:jobid/exceptions", _exceptions, "Why a job failed or restarted", 200, 404, query=(_MAX, _LABELS)),
    get("/jobs/:jobid/execution-result", _execution_result, "How a job ended", 200, 404),
    get("/jobs/:jobid/accumulators", _accumulators, "Accumulators of a job: none", 200, 404, query=(_SERIALIZED,)),
    patch(
        "/jobs/:jobid/clientHeartbeat", _heartbeat, "A client that comes back before the given time", body=_HEARTBEAT
    ),
)
