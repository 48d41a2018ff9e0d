"""The failover regions of one job and their attempts."""

from __future__ import annotations

from shmflink.core.ids import SubtaskId, TaskManagerId
from shmflink.graph.job_graph import JobGraph
from shmflink.jobmachine.attempt import Attempt
from shmflink.jobmachine.pipelined_region import PipelinedRegion
from shmflink.rpc.messages import Failure

__all__ = ["Regions", "TaskNames"]


class Regions:
    """One per job. There are none until the first slots are granted: only then is it known which edges stay local."""

    def __init__(self) -> None:
        self.all: tuple[PipelinedRegion, ...] = ()

    @property
    def attempts(self) -> list[Attempt]:
        """Of all regions that have one, in any state."""
        return [region.attempt for region in self.all if region.attempt is not None]

    @property
    def idle(self) -> tuple[PipelinedRegion, ...]:
        """Those that wait for their next attempt."""
        return tuple(region for region in self.all if region.is_idle)

    @property
    def are_all_running(self) -> bool:
        return all(region.is_running for region in self.all)

    @property
    def are_all_finished(self) -> bool:
        return bool(self.all) and all(region.is_finished for region in self.all)

    @property
    def news(self) -> PipelinedRegion | None:
        """A region whose attempt has changed since its owner looked at it."""
        return next((region for region in self.all if region.has_news), None)

    def of(self, epoch: int) -> PipelinedRegion | None:
        """The one whose attempt has this epoch; None if that attempt is over."""
        for region in self.all:
            if region.attempt is not None and region.attempt.epoch == epoch:
                return region
        return None

    def attempt_of(self, epoch: int) -> Attempt | None:
        """None if it is over."""
        region = self.of(epoch)
        return None if region is None else region.attempt

    def revive(self) -> None:
        """Regions that have finished begin again with the others."""
        for region in self.all:
            if region.is_finished:
                region.end(is_finished=False)

    def taskmanager_lost(self, taskmanager: TaskManagerId, failure: Failure) -> None:
        """Every attempt with a task there fails."""
        for attempt in self.attempts:
            attempt.taskmanager_lost(taskmanager, failure)

    def fail(self, failure: Failure) -> None:
        """All attempts fail for a reason that is no single task's."""
        for attempt in self.attempts:
            attempt.fail(failure)

    def cancel(self, force: bool) -> None:
        """Stops all attempts; `force` kills their TaskManagers."""
        for attempt in self.attempts:
            attempt.cancel(force)

    # --- calls of user code ---

    def slow_calls(self, now_ms: int) -> tuple[str, ...]:
        """Sentences about calls of user code that do not return."""
        return tuple(sentence for attempt in self.attempts for sentence in attempt.slow_calls(now_ms))

    def slow_call_of(self, task: SubtaskId) -> str:
        """In which call of user code a task is; empty if it is in none that takes long."""
        return ", ".join(call for attempt in self.attempts if (call := attempt.slow_call_of(task)))


class TaskNames:
    """Names of the tasks of one job in messages for people."""

    def __init__(self, graph: JobGraph, regions: Regions) -> None:
        self._vertices = graph.vertices
        self._regions = regions

    def of(self, task: SubtaskId) -> str:
        """`'enrich' (2/4)`, and in which call of user code the task is if that call takes long."""
        vertex = self._vertices[task.vertex]
        call = self._regions.slow_call_of(task)
        return f"'{vertex.name}' ({task.subtask + 1}/{vertex.parallelism}){f', {call}' if call else ''}"
