"""`/jobs/:jobid/checkpoints`, its configuration, and the details of one checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from shmflink.checkpoint.history import AcknowledgedTask, CheckpointRecord, CheckpointState
from shmflink.checkpoint.settings import CheckpointSettings
from shmflink.rest.views.statistics import summary, summary_of_subtasks
from shmflink.rest.views.vertices import vertex_id
from shmflink.rpc.read_messages import CheckpointsRead, JobRead, VertexShape

__all__ = ["checkpoint_config", "checkpoint_detail", "checkpoint_subtasks", "checkpoints"]

_NEVER_MS: Final = (1 << 63) - 1  # of an interval: no periodic checkpoints
_MATERIALIZATION_MS: Final = 600_000  # what Flink sends while the changelog is off
_NOT_KNOWN: Final = -1
_CLASS_NAMES: Final = {
    CheckpointState.COMPLETED: "completed",
    CheckpointState.FAILED: "failed",
    CheckpointState.IN_PROGRESS: "in_progress",
}

Json = dict[str, object]


# --- all ---


def checkpoints(read: JobRead, found: CheckpointsRead) -> Json:
    """`/checkpoints`."""
    discarded = _discarded(read, found)
    completed = [one for one in found.history if one.state is CheckpointState.COMPLETED]
    counts = found.counts
    latest = {
        "completed": _of_kind(found, CheckpointState.COMPLETED, is_savepoint=False),
        "savepoint": found.last_savepoint,
        "failed": found.last_failed,
    }
    return {
        "counts": {
            "restored": counts.restored,
            "total": counts.triggered + counts.restored,
            "in_progress": counts.in_progress,
            "completed": counts.completed,
            "failed": counts.failed,
        },
        "summary": {
            "checkpointed_size": summary([one.bytes_written for one in completed]),
            "state_size": summary([one.bytes_all for one in completed]),
            "end_to_end_duration": summary([one.duration_ms for one in completed]),
            "alignment_buffered": summary([0]),
            "processed_data": summary([0 for _ in completed]),
            "persisted_data": summary([one.bytes_in_flight for one in completed]),
        },
        "latest": {
            **{kind: None if one is None else _record(one, found, discarded) for kind, one in latest.items()},
            "restored": _restored(found),
        },
        "history": [_record(one, found, discarded) for one in found.history],
    }


def _of_kind(found: CheckpointsRead, state: CheckpointState, *, is_savepoint: bool) -> CheckpointRecord | None:
    fitting = (one for one in found.history if one.state is state and one.is_savepoint is is_savepoint)
    last = found.last_completed
    return next(fitting, last if last is not None and not last.is_savepoint else None)


def _restored(found: CheckpointsRead) -> Json | None:
    if found.restored_id is None:
        return None
    return {
        "id": found.restored_id,
        "restore_timestamp": found.restored_ms,
        "is_savepoint": "/savepoint-" in found.restored_path,
        "external_path": _uri(found.restored_path),
    }


def _discarded(read: JobRead, found: CheckpointsRead) -> frozenset[int]:
    """Completed checkpoints whose files are gone: newer ones took their place."""
    kept = CheckpointSettings.of(read.configuration).num_retained
    own = [one for one in found.history if one.state is CheckpointState.COMPLETED and not one.is_savepoint]
    return frozenset(one.checkpoint_id for one in own[kept:])


def _record(one: CheckpointRecord, found: CheckpointsRead, discarded: frozenset[int]) -> Json:
    """Without tasks: Flink fills them only in the details."""
    offset_ms = found.epoch_offset_ms
    record: Json = {
        "className": _CLASS_NAMES[one.state],
        "id": one.checkpoint_id,
        "status": one.state.value,
        "is_savepoint": one.is_savepoint,
        "savepointFormat": "CANONICAL" if one.is_savepoint else None,
        "trigger_timestamp": one.triggered_ms + offset_ms,
        "latest_ack_timestamp": _NOT_KNOWN if one.latest_ack_ms is None else one.latest_ack_ms + offset_ms,
        "checkpointed_size": one.bytes_written,
        "state_size": one.bytes_all,
        "end_to_end_duration": one.duration_ms,
        "alignment_buffered": 0,
        "processed_data": 0,
        "persisted_data": one.bytes_in_flight,
        "num_subtasks": one.subtasks,
        "num_acknowledged_subtasks": one.acknowledged + one.finished,
        "checkpoint_type": _type(one),
        "tasks": {},
    }
    if one.state is CheckpointState.COMPLETED:
        record["external_path"] = _uri(one.path)
        record["discarded"] = one.checkpoint_id in discarded
    if one.state is CheckpointState.FAILED:
        record["failure_timestamp"] = one.triggered_ms + one.duration_ms + offset_ms
        record["failure_message"] = one.reason
    return record


def _type(one: CheckpointRecord) -> str:
    if one.is_savepoint:
        return "SYNC_SAVEPOINT" if one.stops else "SAVEPOINT"
    return "UNALIGNED_CHECKPOINT" if one.is_unaligned else "CHECKPOINT"


def _uri(path: str) -> str:
    return f"file:{path}" if path else "<checkpoint-not-externally-addressable>"


# --- one ---


def checkpoint_detail(read: JobRead, found: CheckpointsRead, one: CheckpointRecord) -> Json:
    """`/checkpoints/details/:checkpointid`."""
    tasks = {vertex_id(shape): _vertex(shape, found, one) for shape in read.vertices}
    return _record(one, found, _discarded(read, found)) | {"tasks": tasks}


def _vertex(shape: VertexShape, found: CheckpointsRead, one: CheckpointRecord) -> Json:
    tasks = [task for task in one.tasks if task.subtask.vertex == shape.index]
    latest_ms = max((task.ack_ms for task in tasks), default=None)
    return {
        "id": one.checkpoint_id,
        "status": one.state.value,
        "latest_ack_timestamp": _NOT_KNOWN if latest_ms is None else latest_ms + found.epoch_offset_ms,
        "checkpointed_size": sum(task.bytes_written for task in tasks),
        "state_size": sum(task.bytes_all for task in tasks),
        "end_to_end_duration": _NOT_KNOWN if latest_ms is None else latest_ms - one.triggered_ms,
        "alignment_buffered": 0,
        "processed_data": 0,
        "persisted_data": sum(task.bytes_in_flight for task in tasks),
        "num_subtasks": shape.parallelism,
        "num_acknowledged_subtasks": len(tasks),
    }


def checkpoint_subtasks(shape: VertexShape, found: CheckpointsRead, one: CheckpointRecord) -> Json:
    """`/checkpoints/details/:checkpointid/subtasks/:vertexid`."""
    tasks = {task.subtask.subtask: task for task in one.tasks if task.subtask.vertex == shape.index}
    subtasks = [_subtask(index, tasks.get(index), found, one) for index in range(shape.parallelism)]
    return {**_vertex(shape, found, one), "summary": _summary(list(tasks.values()), one), "subtasks": subtasks}


def _summary(tasks: Sequence[AcknowledgedTask], one: CheckpointRecord) -> Json:
    def of(value: Callable[[AcknowledgedTask], int]) -> Json:
        return summary_of_subtasks([value(task) for task in tasks])

    return {
        "checkpointed_size": of(lambda task: task.bytes_written),
        "state_size": of(lambda task: task.bytes_all),
        "end_to_end_duration": of(lambda task: task.ack_ms - one.triggered_ms),
        "checkpoint_duration": {
            "sync": of(lambda task: _ms(task.sync_ns)),
            "async": of(lambda task: _ms(task.async_ns)),
        },
        "alignment": {
            "buffered": summary([0]),
            "processed": of(lambda _: 0),
            "persisted": of(lambda task: task.bytes_in_flight),
            "duration": of(lambda task: _ms(task.alignment_ns)),
        },
        "start_delay": of(lambda _: _NOT_KNOWN),
    }


def _subtask(index: int, task: AcknowledgedTask | None, found: CheckpointsRead, one: CheckpointRecord) -> Json:
    if task is None:
        return {"className": "pending", "index": index, "status": "pending_or_failed"}
    return {
        "className": "completed",
        "index": index,
        "ack_timestamp": task.ack_ms + found.epoch_offset_ms,
        "end_to_end_duration": task.ack_ms - one.triggered_ms,
        "checkpointed_size": task.bytes_written,
        "state_size": task.bytes_all,
        "checkpoint": {"sync": _ms(task.sync_ns), "async": _ms(task.async_ns)},
        "alignment": {
            "buffered": 0,
            "processed": _NOT_KNOWN,
            "persisted": task.bytes_in_flight,
            "duration": _ms(task.alignment_ns),
        },
        "start_delay": _NOT_KNOWN,
        "unaligned_checkpoint": one.is_unaligned,
        "aborted": False,
        "status": "completed",
    }


def _ms(ns: int) -> int:
    return ns // 1_000_000


# --- configuration ---


def checkpoint_config(configuration: Mapping[str, str]) -> Json:
    """`/checkpoints/config`."""
    settings = CheckpointSettings.of(configuration)
    return {
        "mode": "exactly_once" if settings.is_exactly_once else "at_least_once",
        "interval": _NEVER_MS if settings.interval_ms is None else settings.interval_ms,
        "timeout": settings.timeout_ms,
        "min_pause": settings.min_pause_ms,
        "max_concurrent": settings.max_concurrent,
        "externalization": {
            "enabled": settings.retain_on_failure,
            "delete_on_cancellation": not settings.retain_on_cancellation,
        },
        "state_backend": "HashMapStateBackend",
        "checkpoint_storage": "FileSystemCheckpointStorage",
        "unaligned_checkpoints": settings.aligned_timeout_ms is not None,
        "tolerable_failed_checkpoints": settings.tolerable_failures,
        "aligned_checkpoint_timeout": settings.aligned_timeout_ms or 0,
        "checkpoints_after_tasks_finish": settings.after_tasks_finish,
        "state_changelog_enabled": False,
        "changelog_periodic_materialization_interval": _MATERIALIZATION_MS,
        "changelog_storage": "memory",
    }
