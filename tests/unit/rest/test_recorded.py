"""Every exchange that a Flink 2.3.0 was recorded with, asked of this server: the same status, the same fields."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from shmflink.rpc.control_messages import JobCancelled
from shmflink.rpc.states import JobState
from tests.unit.rest.cluster import CANCELED, FAILED, FINISHED, RUNNING, SOURCE_ID, TASKMANAGER, WINDOW_ID, Server
from tests.unit.rest.recorded import differences, exchanges

NOT_HERE = {
    "POST /jobs": "nothing that comes over HTTP is executed",
    "/jars": "nothing that comes over HTTP is executed",
    "/rescales": "no job is rescaled live",
    "/rescaling/": "its 503 needs a trigger id of Flink's",
    "resource-requirements 200": "no job is rescaled live",
    "resource-requirements 400": "answered before the body is read",
    "/flamegraph": "stacks are not sampled",
    "/profiler": "there is no profiler",
    "/logs/:name": "in the stories of log files",
    "/log 200": "in the stories of log files",
    "/stdout 200": "in the stories of log files",
    "backpressure 500": "Flink's own metrics had not come yet",
    "history server": "another server",
    "includeSerializedValue": "the engine has no accumulators",
    "checkpoints/:triggerid": "in the stories of operations",
    "savepoints/:triggerid": "in the stories of operations",
    "savepoint-disposal": "in the stories of operations",
    "DELETE /cluster": "in the stories of the cluster",
}
OTHERWISE = {  # differences that are meant, and why
    "accumulator-results.seen": "the engine has no accumulators",
    ".history[": "other kinds of checkpoints than in the recording; each kind is compared under `latest`",
    ".stream-graph": "only Flink's scheduler of batch jobs has one",
    ".user-config.": "the recorded job had parameters",
    "is not 'string e.g. NaN'": "the time is known here",
    ".entries[0].taskName": "the failure itself, without another one around it that names the restart strategy",
    ".entries[0].endpoint": "as above",
    ".entries[0].taskManagerId": "as above",
}
JOBS = {"running": RUNNING, "finished": FINISHED, "failed": FAILED, "canceled": CANCELED}
BODIES = {
    "bad JSON body": b"{nonsense",
    "unknown body field": {"nosuch": 1},
    "wrong enumeration value": {"formatType": "WRONG", "checkpointType": "WRONG"},
    "INCREMENTAL": {"checkpointType": "INCREMENTAL"},
    "missing field": {},
}


def cases() -> Iterator[Any]:
    for exchange in exchanges():
        words = f"{exchange['method']} {exchange['path']} {exchange['status']} {exchange['notes']}"
        if any(part in words for part in NOT_HERE) or (exchange["method"] == "POST" and exchange["path"] == "/jobs"):
            continue
        for job in jobs_of(exchange["notes"]):
            yield pytest.param(exchange, job, id=f"{words[:90]}-{job.hex[:1]}")


def jobs_of(notes: str) -> list[Any]:
    """The jobs that the exchange was recorded with; without a word, it is one that runs."""
    if notes.startswith("[slow job]"):
        return [RUNNING]
    found = [job for word, job in JOBS.items() if word in notes]
    return list(dict.fromkeys(found)) or [RUNNING]


def target_of(path: str, notes: str, job: Any) -> str:
    is_slow = notes.startswith("[slow job]")
    is_second = "vertex 1" in notes and "vertex 0" not in notes
    vertex = WINDOW_ID if is_second or is_slow else SOURCE_ID
    checkpoint = "4" if not is_slow else "5" if "in_progress" in notes else "1"
    return (
        path.replace("/:jobid", f"/{job}")
        .replace("/<unknown", "/" + "0" * 32 + "<", 1)
        .replace("< trigger>", "").replace("<>", "")
        .replace("applications/:id", f"applications/{job}")
        .replace("details/:id", f"details/{checkpoint}")
        .replace("/:vertexid", f"/{vertex}")
        .replace(":tm", TASKMANAGER)
        .replace("<jobid>", str(job))
        .replace("get=a,b", "get=Status.JVM.Threads.Count,Status.JVM.CPU.Time")
    )  # fmt: skip


@pytest.mark.parametrize(("exchange", "job"), list(cases()))
def test_an_answer_has_the_status_and_the_fields_of_flink(exchange: dict[str, Any], job: Any, server: Server) -> None:
    server.jobmanager.answers = {
        kind: lambda request: JobCancelled(request.job_id, JobState.CANCELED) for kind in all_requests()
    }
    notes, path = exchange["notes"], exchange["path"]
    body = next((found for word, found in BODIES.items() if word in notes), {})
    if "clientHeartbeat" in path and exchange["status"] == 202:
        body = {"expiredTimestamp": 1 << 50}
    status, answer, _ = server.ask(exchange["method"], target_of(path, notes, job), body)
    assert status == exchange["status"], answer
    if exchange["shape"] is None or job is not jobs_of(notes)[0]:  # one shape stands for all these jobs
        return
    found = differences(answer, exchange["shape"])
    assert [one for one in found if not any(part in one for part in OTHERWISE)] == []


def all_requests() -> list[type]:
    from shmflink.rpc import control_messages as control

    return [control.CancelRunningJob, control.TriggerSavepoint, control.StopJob, control.TakeCheckpoint]


def test_what_is_not_asked_has_a_reason() -> None:
    words = [f"{e['method']} {e['path']} {e['status']} {e['notes']}" for e in exchanges()]
    assert [part for part in NOT_HERE if not any(part in one for one in words)] == []
