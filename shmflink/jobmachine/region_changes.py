"""What the job does when tasks report and when the attempt of a region changes."""

from __future__ import annotations

from shmflink.checkpoint.events import TaskReachedEnd
from shmflink.jobmachine import events
from shmflink.jobmachine.checkpoints import JobCheckpoints
from shmflink.jobmachine.effects import Notice
from shmflink.jobmachine.events import TaskEvent
from shmflink.jobmachine.failover import Failover
from shmflink.jobmachine.job_end import JobEnd, JobStatus
from shmflink.jobmachine.outlet import Outlet
from shmflink.jobmachine.pipelined_region import PipelinedRegion
from shmflink.jobmachine.regions import Regions
from shmflink.jobmachine.scheduler import Scheduler
from shmflink.rpc.messages import Failure
from shmflink.rpc.states import JobState, TaskState

__all__ = ["RegionChanges"]


class RegionChanges:
    """One per job. The checkpoints hear of tasks only while all regions run, and of the end of every attempt."""

    def __init__(
        self,
        regions: Regions,
        scheduler: Scheduler,
        checkpoints: JobCheckpoints,
        failover: Failover,
        end: JobEnd,
        status: JobStatus,
        outlet: Outlet,
    ) -> None:
        self._regions = regions
        self._scheduler = scheduler
        self._checkpoints = checkpoints
        self._failover = failover
        self._end = end
        self._status = status
        self._outlet = outlet

    # --- tasks ---

    def task_event(self, event: TaskEvent) -> None:
        """Ignored if the attempt is over."""
        epoch = event.call.epoch if isinstance(event, events.CallReported) else event.epoch
        region = self._regions.of(epoch)
        if region is None or region.attempt is None:
            return
        match event:
            case events.CallReported():
                text = region.attempt.call_reported(event)
                if text:
                    self._outlet.ask(Notice(text))
            case events.TaskSaid(_, said):
                if isinstance(said, TaskReachedEnd):
                    region.task_ending(said.subtask)
                if self._regions.are_all_running:
                    self._checkpoints.said(said)
            case events.TaskReported():
                self._task_reported(region, event)

    def _task_reported(self, region: PipelinedRegion, event: events.TaskReported) -> None:
        assert region.attempt is not None, "a report to no attempt"
        region.attempt.task_reported(event.subtask, event.state, event.failure)
        if event.state is not TaskState.FINISHED:
            return
        region.task_finished(event.subtask)
        if region.is_running and self._regions.are_all_running:
            self._checkpoints.task_finished(event.subtask)

    # --- attempts ---

    def follow(self, region: PipelinedRegion) -> None:
        """Looks at what has changed in the attempt of this region."""
        attempt = region.attempt
        assert attempt is not None, "a look at no attempt"
        entered, attempt.entered = attempt.entered, []
        for state in entered:
            self._entered(state)
        if attempt.is_running and not region.is_running:
            region.is_running = True
            self._started()
        if attempt.end is not None:
            self._ended(region, *attempt.end)

    def _entered(self, state: JobState) -> None:
        if state in (JobState.FAILING, JobState.CANCELLING):
            self._checkpoints.attempt_ended(f"the job is {state.value}")
        is_whole = len(self._regions.all) == 1
        is_news = state is not self._status.state and (is_whole or state is not JobState.FAILING)
        is_restarting = self._scheduler.is_restarting
        if not state.is_terminal and is_news and (state is not JobState.RUNNING or not is_restarting):
            self._status.enter(state)

    def _started(self) -> None:
        """Checkpoints begin with the last region. They hear which tasks are over, or wait at their end, by then."""
        if not self._regions.are_all_running:
            return
        regions = self._regions.all
        finished = [task for region in regions for task in sorted(region.over)]
        ending = [task for region in regions for task in sorted(region.ending)]
        epochs = [attempt.epoch for attempt in self._regions.attempts]
        self._checkpoints.attempts_started(epochs, finished, ending, self._scheduler.restored_id)

    def _ended(self, region: PipelinedRegion, state: JobState, failure: Failure | None) -> None:
        region.end(state is JobState.FINISHED)
        if state is not JobState.FINISHED:  # what tasks said of their ends after they were stopped no longer counts
            self._checkpoints.attempt_ended(f"the job is {state.value}")
        if state is JobState.FAILED and not self._end.is_requested:
            self._failover.postpone(failure or Failure("InternalError", "an attempt failed without a cause"))
