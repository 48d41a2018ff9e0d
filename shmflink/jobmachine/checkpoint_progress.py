"""What people are told about the checkpoints of a job."""

from __future__ import annotations

from shmflink.checkpoint.coordinator import CheckpointCoordinator
from shmflink.checkpoint.history import CheckpointHistory, CheckpointRecord
from shmflink.rpc.messages import CheckpointSummary

__all__ = ["CheckpointProgress"]


class CheckpointProgress:
    """One per coordinator."""

    def __init__(self, coordinator: CheckpointCoordinator, *, is_periodic: bool) -> None:
        """`is_periodic`: the job has a checkpoint interval."""
        self.completed_ms = 0
        """When the last checkpoint became durable."""
        self._coordinator = coordinator
        self._is_periodic = is_periodic

    @property
    def is_on(self) -> bool:
        """Whether the job has had, or will have, a checkpoint."""
        return self._is_periodic or bool(self._coordinator.reports.counts.triggered)

    def summary(self, now_ms: int) -> CheckpointSummary | None:
        """None if checkpointing is off and nothing was written."""
        if not self.is_on:
            return None
        counts, last = self._coordinator.reports.counts, self._coordinator.reports.last_completed
        if last is None:
            return CheckpointSummary(counts.completed, counts.failed, counts.in_progress)
        return CheckpointSummary(
            counts.completed,
            counts.failed,
            counts.in_progress,
            last.checkpoint_id,
            last.path,
            now_ms - self.completed_ms,
            last.duration_ms,
            last.bytes_all,
        )

    @property
    def reports(self) -> CheckpointHistory:
        """Counts, and the last checkpoint of each kind."""
        return self._coordinator.reports

    @property
    def history(self) -> tuple[CheckpointRecord, ...]:
        """Those in progress and the latest finished ones, newest first."""
        return self._coordinator.history

    def waits_for(self) -> tuple[str, ...]:
        """A sentence for each checkpoint and savepoint in flight."""
        return self._coordinator.waits_for()
