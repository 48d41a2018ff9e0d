"""What Flink's REST server does and this one does not: each path answers with the words that help."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from shmflink.rest.endpoints import Answer, Call, Endpoint, delete, get, patch, post, put
from shmflink.rest.errors import RestError, handler_error, internal

__all__ = ["ENDPOINTS"]

_NO_JARS: Final = (
    "JAR files and Java job graphs are not run here, and nothing that comes over HTTP is executed: submit a Python "
    "program with `shmflink run -m CLUSTER job.py` on the cluster's host"
)
_NO_RESCALING: Final = "Rescaling is temporarily disabled. See FLINK-12312."
_NO_REQUIREMENTS: Final = (
    "java.lang.UnsupportedOperationException: The DefaultScheduler does not support changing the parallelism without a "
    "job restart: stop the job with a savepoint and run it with another parallelism"
)
_NO_RESCALES: Final = "AdaptiveScheduler is not enabled for this job ({})."


def _refusing(error: Callable[[Call], RestError]) -> Callable[[Call], Awaitable[Answer]]:
    async def handler(call: Call) -> Answer:
        raise error(call)

    return handler


async def _no_jars(call: Call) -> Answer:
    return Answer({"address": call.context.base_url, "files": []})


async def _no_rescales(call: Call) -> Answer:
    await call.context.job(call.job_id)
    raise handler_error(404, _NO_RESCALES.format(call.job_id.hex))


_jars: Final = _refusing(lambda _: handler_error(404, _NO_JARS))
_rescaling: Final = _refusing(lambda _: handler_error(503, _NO_RESCALING))
_requirements: Final = _refusing(lambda _: internal(_NO_REQUIREMENTS))


def _rescales() -> tuple[Endpoint, ...]:
    names = ("overview", "summary", "history", "config", "details/:rescaleuuid")
    return tuple(get(f"/jobs/:jobid/rescales/{name}", _no_rescales, "No job is rescaled live", 404) for name in names)


ENDPOINTS: Final = (
    get("/jars", _no_jars, "Uploaded JAR files: none"),
    post("/jars/upload", _jars, "Not possible", 404),
    delete("/jars/:jarid", _jars, "Not possible", 404),
    get("/jars/:jarid/plan", _jars, "Not possible", 404),
    post("/jars/:jarid/plan", _jars, "Not possible", 404),
    post("/jars/:jarid/run", _jars, "Not possible", 404),
    post("/jars/:jarid/run-application", _jars, "Not possible", 404),
    post("/jobs", _jars, "Not possible: programs are submitted by the command line", 404),
    get("/jobs/:jobid/resource-requirements", _requirements, "Not possible", 500),
    put("/jobs/:jobid/resource-requirements", _requirements, "Not possible", 500),
    patch("/jobs/:jobid/rescaling", _rescaling, "Not possible", 503),
    get("/jobs/:jobid/rescaling/:triggerid", _rescaling, "Not possible", 503),
    *_rescales(),
)
