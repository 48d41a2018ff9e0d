"""Flink's metrics, of those that the engine can mean honestly: names and values. Pure.

A metric that has no counterpart here is not there at all, as with a Flink that does not report it: there is no JVM with
heaps and collectors, no Netty, no mailbox. `Status.JVM.CPU`, `.Threads`, `.FileDescriptor` and `.Memory.Heap.Used` are
those of the Python process.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from shmflink.rest.process_facts import ProcessFacts
from shmflink.rest.rates import Rates
from shmflink.rest.views.states import TERMINAL
from shmflink.rpc.messages import OperatorSummary
from shmflink.rpc.read_messages import (
    CheckpointsRead,
    ClusterRead,
    JobRead,
    JobsRead,
    JobSummary,
    TaskRead,
    VertexShape,
)

__all__ = [
    "Value",
    "job_metrics",
    "jobmanager_metrics",
    "operator_metrics",
    "operator_scope",
    "process_metrics",
    "task_metrics",
]

Value = int | float | str | bool
_SCOPE: Final = re.compile(r"[^A-Za-z0-9_\->]")
_STATES: Final = {
    "runningTime": "RUNNING",
    "restartingTime": "RESTARTING",
    "failingTime": "FAILING",
    "cancellingTime": "CANCELLING",
    "createdTime": "CREATED",
}


def jobmanager_metrics(cluster: ClusterRead, read: JobsRead, facts: ProcessFacts) -> dict[str, Value]:
    """`/jobmanager/metrics`."""
    running = sum(job.overview.state.value not in {*TERMINAL, "SUSPENDED"} for job in read.jobs)
    return {
        "numRunningJobs": running,
        "numRegisteredTaskManagers": sum(one.is_ready for one in cluster.taskmanagers),
        "taskSlotsAvailable": cluster.slots_free,
        "taskSlotsTotal": cluster.slots,
        **process_metrics(facts),
    }


def process_metrics(facts: ProcessFacts) -> dict[str, Value]:
    """Of a JobManager or TaskManager."""
    return {
        "Status.JVM.CPU.Time": facts.cpu_ns,
        "Status.JVM.Threads.Count": facts.threads,
        "Status.JVM.FileDescriptor.Open": facts.descriptors,
        "Status.JVM.FileDescriptor.Max": facts.descriptors_max,
        "Status.JVM.Memory.Heap.Used": facts.anonymous_bytes,
        "Status.JVM.Memory.Mapped.MemoryUsed": facts.shared_bytes,
    }


# --- jobs ---


def job_metrics(read: JobRead, now_ms: int) -> dict[str, Value]:
    """`/jobs/:jobid/metrics`; none of a job that has ended."""
    job = read.summary
    state = job.overview.state.value
    if state in TERMINAL:
        return {}
    entered_ms = job.entered.get(state, now_ms)
    since_ms = max(now_ms - entered_ms, 0)
    found: dict[str, Value] = {name: since_ms if state == wanted else 0 for name, wanted in _STATES.items()}
    found["uptime"] = since_ms if state == "RUNNING" else 0
    found["downtime"] = _downtime_ms(job, now_ms)
    found["numRestarts"] = job.overview.restarts
    if read.checkpoints is not None:
        found |= _checkpoint_metrics(read.checkpoints)
    return found


def _downtime_ms(job: JobSummary, now_ms: int) -> int:
    """Since the failure, while a job comes back from it."""
    state = job.overview.state.value
    if state not in ("FAILING", "RESTARTING"):
        return 0
    began_ms = min(job.entered.get(one, now_ms) for one in ("FAILING", "RESTARTING"))
    return max(now_ms - max(began_ms, job.entered.get("RUNNING", 0)), 0)


def _checkpoint_metrics(found: CheckpointsRead) -> dict[str, Value]:
    counts, last = found.counts, found.last_completed
    metrics: dict[str, Value] = {
        "totalNumberOfCheckpoints": counts.triggered + counts.restored,
        "numberOfInProgressCheckpoints": counts.in_progress,
        "numberOfCompletedCheckpoints": counts.completed,
        "numberOfFailedCheckpoints": counts.failed,
        "lastCheckpointRestoreTimestamp": found.restored_ms if found.restored_id is not None else -1,
    }
    if last is None:
        unknown = ("Size", "FullSize", "Duration", "PersistedData", "CompletedTimestamp")
        return {**metrics, "lastCompletedCheckpointId": -1, **{f"lastCheckpoint{name}": -1 for name in unknown}}
    return {
        **metrics,
        "lastCompletedCheckpointId": last.checkpoint_id,
        "lastCheckpointSize": last.bytes_written,
        "lastCheckpointFullSize": last.bytes_all,
        "lastCheckpointDuration": last.duration_ms,
        "lastCheckpointPersistedData": last.bytes_in_flight,
        "lastCheckpointExternalPath": f"file:{last.path}",
        "lastCheckpointCompletedTimestamp": last.triggered_ms + last.duration_ms + found.epoch_offset_ms,
    }


# --- tasks and operators ---


def task_metrics(shape: VertexShape, task: TaskRead, found: Rates) -> dict[str, Value]:
    """Of one subtask, and of the operators of its chain as `<operator>.<metric>`; none of one that is over."""
    one = task.summary
    if one.state.value in TERMINAL:
        return {}
    metrics: dict[str, Value] = {
        "numRecordsIn": one.records_in,
        "numRecordsInPerSecond": found.records_in,
        "numRecordsOut": one.records_out,
        "numRecordsOutPerSecond": found.records_out,
        "numBytesIn": one.bytes_in,
        "numBytesInPerSecond": found.bytes_in,
        "numBytesOut": one.bytes_out,
        "numBytesOutPerSecond": found.bytes_out,
        "busyTimeMsPerSecond": round(found.busy_ms),
        "idleTimeMsPerSecond": round(found.idle_ms),
        "backPressuredTimeMsPerSecond": round(found.backpressured_ms),
        "accumulateBusyTimeMs": one.busy_ns // 1_000_000,
        "accumulateIdleTimeMs": one.idle_ns // 1_000_000,
        "accumulateBackPressuredTimeMs": one.backpressured_ns // 1_000_000,
        "isBackPressured": found.backpressured_ms > found.busy_ms,
    }
    if one.watermark_ms is not None and shape.operators[0].kind != "source":
        metrics["currentInputWatermark"] = one.watermark_ms
    for index, operator in enumerate(one.operators):
        scope = operator_scope(operator.name)
        for name, value in operator_metrics(shape, task, found, index, operator).items():
            metrics[f"{scope}.{name}"] = value
    return metrics


def operator_metrics(
    shape: VertexShape, task: TaskRead, found: Rates, index: int, operator: OperatorSummary
) -> dict[str, Value]:
    """Of the operator at `index` of the chain."""
    rate_in, rate_out = found.operators[index]
    metrics: dict[str, Value] = {
        "numRecordsIn": operator.records_in,
        "numRecordsInPerSecond": rate_in,
        "numRecordsOut": operator.records_out,
        "numRecordsOutPerSecond": rate_out,
    }
    if index == 0 and shape.operators[0].kind == "source":
        metrics["numRecordsInErrors"] = operator.malformed_rows
        if task.summary.watermark_ms is not None:
            metrics["currentOutputWatermark"] = task.summary.watermark_ms
    return metrics


def operator_scope(name: str) -> str:
    """An operator's name as a part of a metric's name."""
    return _SCOPE.sub("_", name)


def text_of(value: Value) -> str:
    """As Flink writes values of metrics: always as text."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def aggregated(found: Sequence[Mapping[str, Value]]) -> dict[str, list[float]]:
    """The numbers of each name, over all that have it."""
    gathered: dict[str, list[float]] = {}
    for one in found:
        for name, value in one.items():
            if not isinstance(value, str):
                gathered.setdefault(name, []).append(float(value))
    return gathered
