"""What a job can restart from: its checkpoints, the savepoint that stopped it, the checkpoint it was started from.

It says what can be deleted; others delete, after what is restarted from instead is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from shmflink.checkpoint.handles import OperatorSubtaskState
from shmflink.checkpoint.manifest import Manifest
from shmflink.checkpoint.retention import Deletions, Retention
from shmflink.core.lazy_dataclass import dataclass
from shmflink.jobmachine.effects import DeleteFiles, DiscardClaimed, Effect
from shmflink.jobmachine.events import KnownCheckpoint, Leftovers, RestorePoint, StorageOpened

__all__ = ["RestorePoints"]


@dataclass(frozen=True, slots=True)
class _Point:
    checkpoint_id: int
    is_in_folder: bool


class RestorePoints:
    """One per job and JobManager."""

    def __init__(self, num_retained: int, opened: StorageOpened) -> None:
        self._num_retained = num_retained
        self._points = {one.directory: _Point(one.checkpoint_id, one.is_in_folder) for one in reversed(opened.known)}
        self._retention = Retention(num_retained, opened.retained)
        self._claimed: RestorePoint | None = opened.claimed
        self.damage = ""
        """Why the restore point that was left out last cannot be used; empty if none was left out."""

    @property
    def directories(self) -> tuple[str, ...]:
        """Newest first."""
        return tuple(reversed(self._points))

    @property
    def oldest_id(self) -> int:
        """Of the oldest checkpoint that could be restored; 0 where that is one that the job was started from."""
        return min((point.checkpoint_id for point in self._points.values()), default=0)

    def damaged(self, directory: str, why: str) -> None:
        """It cannot be used. Its folder stays, for people to look at, until the next attempt of the whole job."""
        self.damage = why
        self.forget(directory)

    def forget(self, directory: str) -> None:
        """It is not restarted from."""
        point = self._points.pop(directory, None)
        if point is not None and point.is_in_folder:
            self._retention.forget(point.checkpoint_id)

    def begin_attempt(self, leftovers: Leftovers) -> list[Effect]:
        """No task of the job runs: deletes what earlier attempts left behind."""
        return _deletions(self._retention.begin_attempt(leftovers.checkpoints, leftovers.shared_files))

    def acknowledge(self, checkpoint_id: int, states: Iterable[OperatorSubtaskState]) -> None:
        """A task's files are durable."""
        self._retention.acknowledge(checkpoint_id, states)

    def add(self, known: KnownCheckpoint, manifest: Manifest, shared_files: Sequence[str] = ()) -> list[Effect]:
        """A checkpoint, or the savepoint that stops the job, is durable: what retained ones follow may go."""
        self._points[known.directory] = _Point(known.checkpoint_id, known.is_in_folder)
        self._points = dict(sorted(self._points.items(), key=lambda item: item[1].checkpoint_id))
        if not known.is_in_folder:
            return []
        effects = _deletions(self._retention.complete(manifest, shared_files))
        retained = self._retention.retained
        if len(retained) >= self._num_retained:
            self._points = {one: point for one, point in self._points.items() if point.checkpoint_id >= retained[0]}
            effects += self._leave_claimed()
        return effects

    def _leave_claimed(self) -> list[Effect]:
        """The job has checkpoints of its own: the one that it was started from goes, where it was the job's to keep."""
        claimed, self._claimed = self._claimed, None
        return [] if claimed is None else [DiscardClaimed(claimed.directory, claimed.manifest)]


def _deletions(deletions: Deletions) -> list[Effect]:
    return [DeleteFiles(deletions)] if deletions.checkpoints or deletions.shared_files else []
