"""A failover region of a job: its tasks, its attempt, and how far both are."""

from __future__ import annotations

from shmflink.core.ids import SubtaskId
from shmflink.jobmachine.attempt import Attempt

__all__ = ["PipelinedRegion"]


class PipelinedRegion:
    """Its attempts come one after the other; between two of them it is idle."""

    def __init__(self, tasks: frozenset[SubtaskId]) -> None:
        self.tasks = tasks
        self.attempt: Attempt | None = None
        self.is_running = False
        """Each of its tasks runs or has finished."""
        self.is_finished = False
        self.finished: set[SubtaskId] = set()
        self.ending: set[SubtaskId] = set()
        """Tasks that only have to commit."""

    @property
    def is_idle(self) -> bool:
        """It waits for another attempt, or for the job's end."""
        return self.attempt is None and not self.is_finished

    @property
    def has_news(self) -> bool:
        """Its attempt has entered a state, runs or is over, and `RegionChanges.follow` has not seen that yet."""
        attempt = self.attempt
        if attempt is None:
            return False
        return bool(attempt.entered) or attempt.end is not None or (attempt.is_running and not self.is_running)

    def begin(self, attempt: Attempt) -> None:
        """The one before has ended."""
        assert self.attempt is None, "two attempts of a region at a time"
        self.attempt = attempt
        self.is_running = False
        self.finished.clear()
        self.ending.clear()

    def end(self, is_finished: bool) -> None:
        """Its attempt is over."""
        self.attempt = None
        self.is_finished = self.is_running = is_finished

    def task_ending(self, subtask: SubtaskId) -> None:
        self.ending.add(subtask)

    def task_finished(self, subtask: SubtaskId) -> None:
        self.finished.add(subtask)
        self.ending.discard(subtask)

    @property
    def over(self) -> frozenset[SubtaskId]:
        """Tasks that have finished."""
        return self.tasks if self.is_finished else frozenset(self.finished)
