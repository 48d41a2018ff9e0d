"""How close the tasks of the running attempts are to their end."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from shmflink.core.ids import SubtaskId

__all__ = ["TaskEnds"]


class TaskEnds:
    """reading ─ reached_end ─▶ ending ─ served by a checkpoint ─▶ leaving ─ finish ─▶ finished."""

    def __init__(self, tasks: Sequence[SubtaskId]) -> None:
        self.tasks = tuple(tasks)
        self.finished: set[SubtaskId] = set()
        self.ending: set[SubtaskId] = set()
        """At the end of their input; they wait for a checkpoint."""
        self._leaving: set[SubtaskId] = set()
        self.is_final_due = False
        """A checkpoint is due for which all tasks that are left wait."""

    @property
    def is_over(self) -> bool:
        """Whether no task has more to read and some wait for a checkpoint."""
        return bool(self.ending) and len(self.finished) + len(self.ending) + len(self._leaving) == len(self.tasks)

    @property
    def have_all_finished(self) -> bool:
        return len(self.finished) == len(self.tasks)

    @property
    def running(self) -> set[SubtaskId]:
        """Those that have not finished."""
        return set(self.tasks) - self.finished

    @property
    def reading(self) -> set[SubtaskId]:
        """Those that are not at the end of their input."""
        return self.running - self.ending - self._leaving

    def start(self, tasks: tuple[SubtaskId, ...] | None) -> None:
        """All tasks run; `tasks`, if they are others than before. Some may have reached their end before."""
        if tasks is not None:
            self.tasks = tasks
        self.is_final_due = self.is_over

    def clear(self) -> None:
        """The attempts have ended: what their tasks have reached no longer counts."""
        self.finished.clear()
        self.ending.clear()
        self._leaving.clear()
        self.is_final_due = False

    def reach_end(self, subtask: SubtaskId, covered: Collection[SubtaskId]) -> None:
        """`covered`: tasks that a checkpoint in progress serves, as in `finish`.

        A task that was served may reach its end again: a global committer does if the job is drained.
        """
        self.ending.add(subtask)
        self._leaving.discard(subtask)
        self._look(covered)

    def finish(self, subtask: SubtaskId, covered: Collection[SubtaskId]) -> None:
        """The task has ended in good order."""
        self.finished.add(subtask)
        self.ending.discard(subtask)
        self._leaving.discard(subtask)
        self._look(covered)

    def serve(self, covered: Iterable[SubtaskId]) -> None:
        """A checkpoint is complete for which these waited."""
        served = self.ending & set(covered)
        self._leaving |= served
        self.ending -= served

    def serve_all(self) -> None:
        """Nothing waits any longer."""
        self.serve(tuple(self.ending))

    def _look(self, covered: Collection[SubtaskId]) -> None:
        self.is_final_due = self.is_over and not self.ending <= set(covered)
