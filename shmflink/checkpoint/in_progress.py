"""The checkpoints and savepoints that are in progress."""

from __future__ import annotations

from collections.abc import Collection

from shmflink.checkpoint.handles import FINAL_CHECKPOINT_ID
from shmflink.checkpoint.history import CheckpointHistory, CheckpointRecord, CheckpointState
from shmflink.checkpoint.pending import CheckpointPhase, PendingCheckpoint
from shmflink.checkpoint.settings import CheckpointSettings
from shmflink.core.ids import SubtaskId

__all__ = ["CheckpointsInProgress"]


class CheckpointsInProgress:
    """By their ids, oldest first. What is over goes into `reports`."""

    def __init__(self, settings: CheckpointSettings, reports: CheckpointHistory) -> None:
        self._max_concurrent = settings.max_concurrent
        self._reports = reports
        self._pending: dict[int, PendingCheckpoint] = {}

    @property
    def all(self) -> list[PendingCheckpoint]:
        """A list of its own: it may change while somebody goes through it."""
        return list(self._pending.values())

    @property
    def waiting_for_tasks(self) -> list[PendingCheckpoint]:
        """Those whose metadata file is not being written yet."""
        return [pending for pending in self._pending.values() if pending.phase is CheckpointPhase.IN_PROGRESS]

    @property
    def storing(self) -> list[PendingCheckpoint]:
        """Those whose metadata file is being written."""
        return [pending for pending in self._pending.values() if pending.phase is CheckpointPhase.STORING]

    @property
    def has_stop(self) -> bool:
        """Whether one of them stops the job."""
        return any(pending.stops for pending in self._pending.values())

    @property
    def covered(self) -> Collection[SubtaskId]:
        """Tasks that waited for one of them at their end."""
        return {task for pending in self._pending.values() if pending.is_restored_from for task in pending.covers}

    @property
    def has_room(self) -> bool:
        """Whether a checkpoint may begin. Savepoints in progress take room, too: a checkpoint might overtake them."""
        return len(self._pending) < self._max_concurrent

    @property
    def has_room_for_savepoint(self) -> bool:
        """Savepoints are aligned. They run beside aligned checkpoints. They overtake a checkpoint that records its
        channels, until all tasks have acknowledged it; there is none where checkpoints are concurrent.
        """
        is_beside_savepoints = all(pending.is_savepoint for pending in self.waiting_for_tasks)
        return self._max_concurrent > 1 or is_beside_savepoints

    def find(self, checkpoint_id: int, phase: CheckpointPhase) -> PendingCheckpoint | None:
        """None if it is over, or in another phase."""
        pending = self._pending.get(checkpoint_id)
        return pending if pending is not None and pending.phase is phase else None

    def begin(self, pending: PendingCheckpoint) -> None:
        """It is triggered."""
        assert pending.checkpoint_id != FINAL_CHECKPOINT_ID, "a checkpoint with the id of the last commit"
        self._pending[pending.checkpoint_id] = pending
        self._reports.triggered()

    def complete(self, pending: PendingCheckpoint, now_ms: int, path: str) -> None:
        """It exists, at `path`."""
        del self._pending[pending.checkpoint_id]
        record = pending.record(CheckpointState.COMPLETED, now_ms, path=path)
        self._reports.over(record, pending.is_restored_from)

    def give_up(self, pending: PendingCheckpoint, now_ms: int, reason: str) -> None:
        """It will not complete."""
        del self._pending[pending.checkpoint_id]
        self._reports.over(pending.record(CheckpointState.FAILED, now_ms, reason=reason), is_restored_from=False)

    def records(self, now_ms: int) -> tuple[CheckpointRecord, ...]:
        """Of those in progress and the latest that are over, newest first."""
        running = [p.record(CheckpointState.IN_PROGRESS, now_ms) for p in self._pending.values()]
        return self._reports.records(running)
