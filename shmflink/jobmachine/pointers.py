"""The restore points of a job and the durable pointers to them, by which another JobManager finds them.

::

    a checkpoint is durable ─▶ KeepPointers ─ PointersKept ─▶ sinks commit, files that nobody restores from go

Pointers are kept in the order of the requests, so that answers need no id.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from shmflink.checkpoint.events import Stored
from shmflink.checkpoint.handles import OperatorSubtaskState
from shmflink.jobmachine import effects as ask
from shmflink.jobmachine.events import CheckpointStored, KnownCheckpoint, Leftovers, StorageOpened
from shmflink.jobmachine.outlet import Outlet
from shmflink.jobmachine.restore_points import RestorePoints

__all__ = ["Pointers"]


class Pointers:
    """One per job."""

    def __init__(self, num_retained: int, outlet: Outlet) -> None:
        self._num_retained = num_retained
        self._outlet = outlet
        self._points = RestorePoints(num_retained, StorageOpened())
        self._being_kept: deque[tuple[Stored | None, list[ask.Effect]]] = deque()

    def opened(self, event: StorageOpened) -> None:
        """What the job can start from is known."""
        self._points = RestorePoints(self._num_retained, event)

    @property
    def directories(self) -> tuple[str, ...]:
        """Newest first."""
        return self._points.directories

    @property
    def oldest_id(self) -> int:
        """Id of the oldest restore point; 0 if that is a checkpoint that the job was started from."""
        return self._points.oldest_id

    @property
    def damage(self) -> str:
        """Why the restore point that was left out last cannot be used; empty if none was left out."""
        return self._points.damage

    @property
    def is_busy(self) -> bool:
        """Pointers are being written."""
        return bool(self._being_kept)

    def begin_attempt(self, leftovers: Leftovers) -> None:
        """No task of the job runs: what earlier attempts left behind is deleted."""
        self._outlet.ask(*self._points.begin_attempt(leftovers))

    def acknowledge(self, checkpoint_id: int, states: Iterable[OperatorSubtaskState]) -> None:
        """A task's files are durable."""
        self._points.acknowledge(checkpoint_id, states)

    def add(self, stored: Stored, event: CheckpointStored, *, is_in_folder: bool) -> None:
        """A checkpoint, or the savepoint that stops the job, is durable."""
        known = KnownCheckpoint(stored.path, stored.checkpoint_id, is_in_folder)
        self._keep(stored, self._points.add(known, event.manifest, event.shared_files))

    def discard(self, directory: str) -> None:
        """The job does not restart from it; its folder is removed when the pointers no longer name it."""
        self._points.forget(directory)
        self._keep(None, [ask.DiscardFolder(directory)])

    def leave_out(self, directory: str, why: str) -> None:
        """It is damaged: the job does not restart from it."""
        self._points.damaged(directory, why)
        self._outlet.ask(ask.Log(f"the checkpoint {directory} is left out: {why}"))

    def keep(self) -> None:
        """After `leave_out`."""
        self._keep(None, [])

    def _keep(self, stored: Stored | None, then: list[ask.Effect]) -> None:
        self._being_kept.append((stored, then))
        self._outlet.ask(ask.KeepPointers(self._points.directories))

    def kept(self) -> tuple[Stored | None, list[ask.Effect]]:
        """The oldest pointers that were being written are durable.

        Returns the checkpoint that is complete now, if they were written for one, and the effects that follow.
        """
        return self._being_kept.popleft()
