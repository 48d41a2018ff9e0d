"""`/jobs`, `/jobs/overview`, `/jobs/:jobid`, its status, execution result and accumulators; `/overview`."""

from __future__ import annotations

from collections import Counter
from typing import Final

from shmflink.rest.snapshots import JobSnapshot
from shmflink.rest.throwable import serialized_throwable
from shmflink.rest.views.exceptions import exception_text
from shmflink.rest.views.plan import plan
from shmflink.rest.views.states import JOB_STATES, OVERVIEW_STATES, TASK_STATES, TERMINAL, Times
from shmflink.rest.views.vertices import vertex_summary
from shmflink.rpc.read_messages import ClusterRead, JobRead, JobsRead, JobSummary

__all__ = ["accumulators", "execution_result", "job_detail", "job_ids", "job_overview", "job_times", "jobs", "overview"]

FLINK_VERSION: Final = "2.3.0"
"""Of the API that is served: clients compare it with their own."""
FLINK_COMMIT: Final = "DeadBeef"  # what Flink itself sends where it does not know its commit
_APPLICATION_STATUS: Final = {"FINISHED": "SUCCEEDED", "FAILED": "FAILED", "CANCELED": "CANCELED"}

Json = dict[str, object]


def overview(cluster: ClusterRead, read: JobsRead) -> Json:
    """`/overview`."""
    states = Counter(job.overview.state.value for job in read.jobs)
    ended = sum(states[state] for state in TERMINAL)
    return {
        "taskmanagers": sum(one.is_ready for one in cluster.taskmanagers),
        "slots-total": cluster.slots,
        "slots-available": cluster.slots_free,
        "jobs-running": states.total() - ended - states["SUSPENDED"],
        "jobs-finished": states["FINISHED"],
        "jobs-cancelled": states["CANCELED"],
        "jobs-failed": states["FAILED"],
        "flink-version": FLINK_VERSION,
        "flink-commit": FLINK_COMMIT,
    }


def job_ids(read: JobsRead) -> Json:
    """`/jobs`."""
    return {"jobs": [{"id": job.overview.job_id.hex, "status": job.overview.state.value} for job in read.jobs]}


def jobs(read: JobsRead, now_ms: int) -> Json:
    """`/jobs/overview`."""
    return {"jobs": [job_overview(job, now_ms) for job in read.jobs]}


def job_times(job: JobSummary, now_ms: int) -> Times:
    """Start, end (-1: none yet) and duration."""
    state = job.overview.state.value
    start_ms = job.overview.started_ms
    if state in TERMINAL:
        end_ms = job.entered.get(state, start_ms + job.overview.duration_ms)
        return start_ms, end_ms, end_ms - start_ms
    return start_ms, -1, max(now_ms - start_ms, 0)


def job_overview(job: JobSummary, now_ms: int) -> Json:
    """An element of `/jobs/overview`, and of an application's jobs."""
    start_ms, end_ms, duration_ms = job_times(job, now_ms)
    total = sum(job.tasks.values())
    tasks = {"total": total} | {state: job.tasks.get(state.upper(), 0) for state in OVERVIEW_STATES}
    return {
        "jid": job.overview.job_id.hex,
        "name": job.overview.name,
        "jobType": job_type(job),
        "schedulerType": "Default",
        "start-time": start_ms,
        "end-time": end_ms,
        "duration": duration_ms,
        "state": job.overview.state.value,
        "last-modification": max(job.entered.values(), default=start_ms),
        "tasks": tasks,
        "pending-operators": 0,
    }


def job_type(job: JobSummary) -> str:
    """As Flink spells it."""
    return "BATCH" if job.is_batch else "STREAMING"


def job_detail(snapshot: JobSnapshot) -> Json:
    """`/jobs/:jobid`."""
    read, now_ms = snapshot.read, snapshot.now_ms
    job = read.summary
    start_ms, end_ms, duration_ms = job_times(job, now_ms)
    pairs = zip(read.vertices, snapshot.vertices, strict=True)
    vertices = [vertex_summary(shape, sample.read.tasks, now_ms) for shape, sample in pairs]
    return {
        "jid": job.overview.job_id.hex,
        "application-id": job.overview.job_id.hex,
        "name": job.overview.name,
        "isStoppable": False,
        "state": job.overview.state.value,
        "job-type": job_type(job),
        "schedulerType": "Default",
        "start-time": start_ms,
        "end-time": end_ms,
        "duration": duration_ms,
        "maxParallelism": -1,
        "now": now_ms,
        "timestamps": _timestamps(job),
        "vertices": vertices,
        "status-counts": _vertex_states(vertices),
        "plan": plan(read),
        "pending-operators": 0,
    }


def _timestamps(job: JobSummary) -> dict[str, int]:
    found = {state: job.entered.get(state, 0) for state in JOB_STATES}
    return found | {"INITIALIZING": job.overview.started_ms}


def _vertex_states(vertices: list[Json]) -> dict[str, int]:
    """How many vertices, not subtasks, are in each state."""
    states = Counter(str(vertex["status"]) for vertex in vertices)
    return {state: states[state] for state in TASK_STATES}


def execution_result(read: JobRead, now_ms: int) -> Json:
    """`/jobs/:jobid/execution-result`."""
    job = read.summary
    state = job.overview.state.value
    if state not in TERMINAL:
        return {"status": {"id": "IN_PROGRESS"}}
    start_ms, end_ms, duration_ms = job_times(job, now_ms)
    result: Json = {
        "id": job.overview.job_id.hex,
        "name": job.overview.name,
        "application-status": _APPLICATION_STATUS[state],
        "accumulator-results": {},
        "net-runtime": duration_ms,
        "application-id": job.overview.job_id.hex,
        "start-time": start_ms,
        "end-time": end_ms,
    }
    if state == "FAILED":
        kind, text = "org.apache.flink.runtime.JobException", "the job failed"
        if read.failures:
            text = exception_text(read.failures[0].failure)
        result["failure-cause"] = serialized_throwable(kind, text)
    return {"status": {"id": "COMPLETED"}, "job-execution-result": result}


def accumulators() -> Json:
    """`/jobs/:jobid/accumulators`: the engine has none."""
    return {"job-accumulators": [], "user-task-accumulators": [], "serialized-user-task-accumulators": {}}
