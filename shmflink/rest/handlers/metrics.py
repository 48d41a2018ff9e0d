"""`.../metrics`: without `get` the names, with it the values; aggregated over jobs, TaskManagers and subtasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from shmflink.core.ids import JobId
from shmflink.rest.blocking import in_thread
from shmflink.rest.endpoints import Answer, Call, Endpoint, Query, get
from shmflink.rest.errors import RestError, bad_parameter
from shmflink.rest.handlers.cluster import find_taskmanager
from shmflink.rest.metric_values import (
    Value,
    aggregated,
    job_metrics,
    jobmanager_metrics,
    process_metrics,
    task_metrics,
    text_of,
)
from shmflink.rest.process_facts import process_facts
from shmflink.rest.prometheus import CONTENT_TYPE, exposition
from shmflink.rest.rates import rates
from shmflink.rest.snapshots import UnknownJobError
from shmflink.rest.views.statistics import skew

__all__ = ["ENDPOINTS"]

_AGGREGATES: Final = ("min", "max", "avg", "sum", "skew")


def _answer(call: Call, found: Mapping[str, Value]) -> Answer:
    """Names, or the values of those that are there."""
    if "get" not in call.query:
        return Answer([{"id": name} for name in found])
    wanted = dict.fromkeys(call.query["get"].split(","))
    return Answer([{"id": name, "value": text_of(found[name])} for name in wanted if name in found])


def _aggregated(call: Call, found: Sequence[Mapping[str, Value]]) -> Answer:
    if "get" not in call.query:
        return Answer([{"id": name} for name in dict.fromkeys(name for one in found for name in one)])
    chosen = call.query.get("agg", ",".join(_AGGREGATES)).lower().split(",")
    wanted = dict.fromkeys(call.query["get"].split(","))
    numbers = aggregated(found)
    return Answer([{"id": name, **_of(numbers[name], chosen)} for name in wanted if name in numbers])


def _of(values: Sequence[float], chosen: Sequence[str]) -> dict[str, float]:
    computed = {
        "min": min(values),
        "max": max(values),
        "avg": sum(values) / len(values),
        "sum": sum(values),
        "skew": skew(values),
    }
    return {name: computed[name] for name in _AGGREGATES if name in chosen}


# --- processes ---


async def _jobmanager(call: Call) -> Answer:
    snapshots = call.context.snapshots
    cluster = await snapshots.cluster()
    facts = await in_thread(process_facts, cluster.pid)
    return _answer(call, jobmanager_metrics(cluster, await snapshots.jobs(), facts))


async def _taskmanager(call: Call) -> Answer:
    try:
        one = await find_taskmanager(call)
    except RestError as error:
        if error.status == 500:  # an unknown one has no metrics: 200
            return Answer([])
        raise
    return _answer(call, process_metrics(await in_thread(process_facts, one.pid)))


async def _taskmanagers(call: Call) -> Answer:
    cluster = await call.context.snapshots.cluster()
    chosen = call.query.get("taskmanagers", "").split(",") if "taskmanagers" in call.query else None
    found = [one for one in cluster.taskmanagers if one.is_ready and (chosen is None or one.name in chosen)]
    return _aggregated(call, [process_metrics(await in_thread(process_facts, one.pid)) for one in found])


# --- jobs ---


async def _job(call: Call) -> Answer:
    try:
        read = await call.context.snapshots.job(call.job_id)
    except UnknownJobError:
        return Answer([])
    return _answer(call, job_metrics(read, call.context.snapshots.now_ms()))


async def _jobs(call: Call) -> Answer:
    snapshots = call.context.snapshots
    known = [job.overview.job_id for job in (await snapshots.jobs()).jobs]
    chosen = call.query.get("jobs", "").lower().split(",") if "jobs" in call.query else None
    wanted = [job_id for job_id in known if chosen is None or job_id.hex in chosen]
    return _aggregated(call, [await _metrics_of_job(call, job_id) for job_id in wanted])


async def _metrics_of_job(call: Call, job_id: JobId) -> dict[str, Value]:
    try:
        return job_metrics(await call.context.snapshots.job(job_id), call.context.snapshots.now_ms())
    except UnknownJobError:
        return {}  # it is forgotten since the list was made


# --- vertices ---


async def _tasks(call: Call) -> list[dict[str, Value]]:
    """The metrics of each subtask; none if there is no such vertex."""
    found = await call.context.find_vertex(call.job_id, call.path["vertexid"])
    if found is None:
        return []
    shape, sample = found
    pairs = zip(sample.read.tasks, rates(sample, call.context.snapshots.now_ms()), strict=True)
    return [task_metrics(shape, task, rate) for task, rate in pairs]


async def _vertex(call: Call) -> Answer:
    tasks = await _tasks(call)
    return _answer(call, {f"{index}.{name}": value for index, one in enumerate(tasks) for name, value in one.items()})


async def _subtask(call: Call) -> Answer:
    tasks, index = await _tasks(call), call.number("subtaskindex")
    return _answer(call, tasks[index] if index < len(tasks) else {})


async def _subtasks(call: Call) -> Answer:
    tasks = await _tasks(call)
    chosen = _ranges(call.query["subtasks"], len(tasks)) if "subtasks" in call.query else range(len(tasks))
    return _aggregated(call, [tasks[index] for index in chosen])


def _ranges(text: str, count: int) -> list[int]:
    """`0-2,5`: those of them that there are."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not (first.isascii() and first.isdigit() and (last or first).isascii() and (last or first).isdigit()):
            raise bad_parameter("query", "subtasks", text)
        found |= set(range(min(int(first[:10]), count), min(int((last or first)[:10]) + 1, count)))
    return sorted(found)


async def _coordinator(_: Call) -> Answer:
    return Answer([])  # enumerators have no metrics of their own


# --- Prometheus ---


async def _prometheus(call: Call) -> Answer:
    return Answer(await exposition(call.context), content_type=CONTENT_TYPE)


_GET: Final = Query("get", "Names of metrics; without them all names are listed.", is_list=True)
_AGG: Final = Query("agg", "Which aggregates.", _AGGREGATES, is_list=True)
_JOBS: Final = Query("jobs", "Ids of jobs; default: all.", is_list=True)
_TASKMANAGERS: Final = Query("taskmanagers", "Ids of TaskManagers; default: all.", is_list=True)
_SUBTASKS: Final = Query("subtasks", "Numbers and ranges of subtasks, `0-2,5`; default: all.", is_list=True)
_VERTEX: Final = "/jobs/:jobid/vertices/:vertexid"

ENDPOINTS: Final = (
    get("/jobmanager/metrics", _jobmanager, "Metrics of the JobManager", query=(_GET,)),
    get(
        "/taskmanagers/metrics", _taskmanagers, "Metrics of TaskManagers, aggregated", query=(_GET, _AGG, _TASKMANAGERS)
    ),
    get("/taskmanagers/:taskmanagerid/metrics", _taskmanager, "Metrics of a TaskManager", query=(_GET,)),
    get("/jobs/metrics", _jobs, "Metrics of jobs, aggregated", query=(_GET, _AGG, _JOBS)),
    get("/jobs/:jobid/metrics", _job, "Metrics of a job", query=(_GET,)),
    get(f"{_VERTEX}/metrics", _vertex, "Metrics of a vertex, `<subtask>.<name>`", query=(_GET,)),
    get(
        f"{_VERTEX}/subtasks/metrics",
        _subtasks,
        "Metrics of subtasks, aggregated",
        200,
        400,
        query=(_GET, _AGG, _SUBTASKS),
    ),
    get(f"{_VERTEX}/subtasks/:subtaskindex/metrics", _subtask, "Metrics of a subtask", query=(_GET,)),
    get(f"{_VERTEX}/jm-operator-metrics", _coordinator, "Metrics of coordinators: none", query=(_GET,)),
    Endpoint("GET", "/metrics", _prometheus, "All metrics, for Prometheus", (200, 404), content_type="text/plain"),
)
