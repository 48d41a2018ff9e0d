"""The record of a job's checkpoints for people: `shmflink list`, REST, metrics."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from shmflink.core.ids import SubtaskId
from shmflink.core.lazy_dataclass import dataclass

__all__ = ["AcknowledgedTask", "CheckpointCounts", "CheckpointHistory", "CheckpointRecord", "CheckpointState"]


class CheckpointState(enum.StrEnum):
    """Statuses, named as in Flink's REST API."""

    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class AcknowledgedTask:
    """One task's part of a checkpoint; fields as in `CheckpointRecord`. `ack_ms`: when the coordinator heard of it."""

    subtask: SubtaskId
    ack_ms: int
    bytes_written: int
    bytes_all: int
    bytes_in_flight: int
    sync_ns: int
    async_ns: int
    alignment_ns: int


@dataclass(frozen=True, slots=True)
class CheckpointRecord:
    """One checkpoint or savepoint. Times in ms of the coordinator's clock; `*_max`: of the slowest subtask.

    `bytes_written` is for this checkpoint alone, `bytes_all` includes the files of older ones to which it refers,
    `bytes_in_flight` is the data between tasks (unaligned). `subtasks` = acknowledged + finished + missing.
    """

    checkpoint_id: int
    state: CheckpointState
    is_savepoint: bool
    is_unaligned: bool
    triggered_ms: int
    duration_ms: int
    latest_ack_ms: int | None
    bytes_written: int
    bytes_all: int
    bytes_in_flight: int
    sync_ns_max: int
    async_ns_max: int
    alignment_ns_max: int
    acknowledged: int
    finished: int
    subtasks: int
    path: str = ""
    reason: str = ""
    stops: bool = False  # the job ends with it
    tasks: tuple[AcknowledgedTask, ...] = ()  # those that have acknowledged it, in that order


@dataclass(frozen=True, slots=True)
class CheckpointCounts:
    """Over the whole life of the job, savepoints included (Flink: CheckpointStatsCounts)."""

    triggered: int = 0
    in_progress: int = 0
    completed: int = 0
    failed: int = 0
    restored: int = 0


class CheckpointHistory:
    """The latest finished checkpoints, at most `limit`, and the last of each kind."""

    def __init__(self, limit: int) -> None:
        self._over: deque[CheckpointRecord] = deque(maxlen=limit)
        self.counts = CheckpointCounts()
        self.last_completed: CheckpointRecord | None = None  # the job would restart from it
        self.last_savepoint: CheckpointRecord | None = None
        self.last_failed: CheckpointRecord | None = None
        self.last_restored_id: int | None = None

    def triggered(self) -> None:
        counts = self.counts
        self.counts = replace(counts, triggered=counts.triggered + 1, in_progress=counts.in_progress + 1)

    def restored(self, checkpoint_id: int) -> None:
        self.last_restored_id = checkpoint_id
        self.counts = replace(self.counts, restored=self.counts.restored + 1)

    def over(self, record: CheckpointRecord, is_restored_from: bool) -> None:
        """The checkpoint has completed or failed."""
        counts = replace(self.counts, in_progress=self.counts.in_progress - 1)
        self._over.appendleft(record)
        if record.state is CheckpointState.FAILED:
            self.last_failed = record
            self.counts = replace(counts, failed=counts.failed + 1)
            return
        self.counts = replace(counts, completed=counts.completed + 1)
        if record.is_savepoint:
            self.last_savepoint = record
        if is_restored_from:
            self.last_completed = record

    def records(self, in_progress: Iterable[CheckpointRecord]) -> tuple[CheckpointRecord, ...]:
        """The newest first."""
        found = [*in_progress, *self._over]
        return tuple(sorted(found, key=lambda record: -record.checkpoint_id))
