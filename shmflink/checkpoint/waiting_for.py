"""Sentences for people about what checkpoints wait for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Final

from shmflink.checkpoint.pending import CheckpointPhase, PendingCheckpoint
from shmflink.checkpoint.requests import CheckpointRequests
from shmflink.checkpoint.task_ends import TaskEnds
from shmflink.core.ids import SubtaskId

__all__ = ["WaitingFor"]

_NAMED_MAX: Final = 5  # tasks in a message


class WaitingFor:
    """`name_of` returns the name of a task for people, `'enrich → Writer' (2/2)`."""

    def __init__(self, name_of: Callable[[SubtaskId], str]) -> None:
        self._name_of = name_of

    def sentences(
        self, checkpoints: Sequence[PendingCheckpoint], requests: CheckpointRequests, ends: TaskEnds
    ) -> Iterator[str]:
        """The tasks for which each checkpoint in progress, a drain or the end after a savepoint waits."""
        yield from (self._need_of(pending, len(ends.tasks)) for pending in checkpoints)
        if requests.savepoints:
            yield "a savepoint was requested; it begins when the checkpoint in progress is over"
        if requests.stop is None or requests.is_stop_waiting or any(pending.stops for pending in checkpoints):
            return
        if requests.is_stop_saved:
            yield f"the savepoint is complete; tasks that have yet to end: {self._named(ends.running)}"
        else:
            names = self._named(ends.reading)
            yield f"the job drains before the savepoint; tasks not yet at the end of their input: {names}"

    def overdue(self, pending: PendingCheckpoint, timeout_ms: int) -> str:
        """Why a checkpoint is given up."""
        have = "1 task has" if len(pending.waiting) == 1 else f"{len(pending.waiting)} tasks have"
        names = self._named(pending.waiting)
        return f"not complete after {timeout_ms} ms; {have} not acknowledged it: {names}"

    def _need_of(self, pending: PendingCheckpoint, tasks: int) -> str:
        what = f"{'savepoint' if pending.is_savepoint else 'checkpoint'} {pending.checkpoint_id}"
        if pending.phase is CheckpointPhase.STORING:
            return f"all tasks have acknowledged {what}; its metadata file is being written"
        count = len(pending.waiting)
        have = f"{count} of {tasks} tasks {'has' if count == 1 else 'have'}"
        return f"{have} not acknowledged {what}: {self._named(pending.waiting)}"

    def _named(self, tasks: Collection[SubtaskId]) -> str:
        """The names of the first few."""
        names = ", ".join(map(self._name_of, sorted(tasks)[:_NAMED_MAX]))
        return names + (f" and {len(tasks) - _NAMED_MAX} more" if len(tasks) > _NAMED_MAX else "")
