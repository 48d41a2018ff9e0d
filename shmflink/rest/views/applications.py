"""`/applications`: Flink 2 wraps each submitted job in an application of its id; the overview page lists those."""

from __future__ import annotations

from typing import Final

from shmflink.rest.views.jobs import job_overview, job_times
from shmflink.rpc.read_messages import JobsRead, JobSummary

__all__ = ["application", "applications"]

_STATUS: Final = {"CANCELLING": "CANCELING", "INITIALIZING": "CREATED", "RESTARTING": "RUNNING", "SUSPENDED": "RUNNING"}
_STATES: Final = ("CREATED", "RUNNING", "FAILING", "FAILED", "CANCELING", "CANCELED", "FINISHED")

Json = dict[str, object]


def applications(read: JobsRead, now_ms: int) -> Json:
    """`/applications/overview`."""
    return {
        "applications": [
            {**_head(job, now_ms), "jobs": {job.overview.state.value: 1}}  # only the states that occur
            for job in read.jobs
        ]
    }


def application(job: JobSummary, now_ms: int) -> Json:
    """`/applications/:id`."""
    entered = {_STATUS.get(state, state): at_ms for state, at_ms in job.entered.items()}
    timestamps = {state: entered.get(state, 0) for state in _STATES} | {"CREATED": job.overview.started_ms}
    return {**_head(job, now_ms), "timestamps": timestamps, "jobs": [job_overview(job, now_ms)]}


def _head(job: JobSummary, now_ms: int) -> Json:
    start_ms, end_ms, duration_ms = job_times(job, now_ms)
    state = job.overview.state.value
    return {
        "id": job.overview.job_id.hex,
        "name": f"SingleJobApplication({job.overview.name})",
        "start-time": start_ms,
        "end-time": end_ms,
        "duration": duration_ms,
        "status": _STATUS.get(state, state),
    }
