"""A failover region of a job: its tasks, its attempts one after the other, how it stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from shmflink.core.ids import SubtaskId
from shmflink.jobmanager.attempt_run import AttemptRun
from shmflink.rpc.messages import Failure, TaskEnding, TaskStateChanged
from shmflink.rpc.states import JobState

__all__ = ["Region", "RegionOwner"]


class RegionOwner(Protocol):
    """Who is told of a region's life."""

    def region_state_entered(self, region: Region, state: JobState) -> None: ...

    def region_started(self, region: Region) -> None: ...

    def region_message(self, region: Region, message: object) -> None: ...

    def region_notice(self, text: str) -> None: ...

    def attempt_is_over(self, attempt: AttemptRun) -> None: ...

    def region_ended(self, region: Region, state: JobState, failure: Failure | None) -> None: ...


class Region:
    """Used by the event loop alone. The owner of its attempts."""

    def __init__(self, tasks: frozenset[SubtaskId], owner: RegionOwner) -> None:
        self.tasks = tasks
        self.attempt: AttemptRun | None = None
        self.is_running = False
        """All its tasks run, or are over in good order."""
        self.is_finished = False
        self.finished: set[SubtaskId] = set()
        self.ending: set[SubtaskId] = set()
        self._owner = owner

    def begin(self, attempt: AttemptRun) -> None:
        """Runs an attempt; the one before has ended."""
        assert self.attempt is None, "two attempts of a region at a time"
        self.attempt = attempt
        self.is_running = False
        self.finished.clear()
        self.ending.clear()
        attempt.start()

    # --- what its attempt tells ---

    def attempt_state_entered(self, state: JobState) -> None:
        self._owner.region_state_entered(self, state)

    def attempt_started(self, tasks: Sequence[SubtaskId]) -> None:
        self.is_running = True
        self._owner.region_started(self)

    def attempt_message(self, message: object) -> None:
        match message:
            case TaskStateChanged(_, subtask):
                self.finished.add(subtask)
                self.ending.discard(subtask)
            case TaskEnding(_, subtask):
                self.ending.add(subtask)
        self._owner.region_message(self, message)

    def attempt_notice(self, text: str) -> None:
        self._owner.region_notice(text)

    def attempt_ended(self, state: JobState, failure: Failure | None) -> None:
        assert self.attempt is not None, "the end of no attempt"
        self._owner.attempt_is_over(self.attempt)
        self.attempt = None
        self.is_finished = state is JobState.FINISHED
        self.is_running = self.is_finished
        self._owner.region_ended(self, state, failure)
