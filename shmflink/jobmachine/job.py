"""One job in one JobManager, over all its attempts: restarts them after failures, ends with the last.

It ends once, with the first cause where it fails; what is being written comes before the end.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Final

from shmflink.checkpoint.events import TaskReachedEnd
from shmflink.checkpoint.settings import CheckpointSettings
from shmflink.core.ids import SubtaskId
from shmflink.graph.job_graph import JobGraph
from shmflink.jobmachine import effects as ask
from shmflink.jobmachine import events
from shmflink.jobmachine.attempt import Attempt
from shmflink.jobmachine.checkpoints import SUSPENSION, JobCheckpoints
from shmflink.jobmachine.events import (
    AttemptEvent,
    BeginningEvent,
    CheckpointEvent,
    Event,
    JobEvent,
    RequestEvent,
    TaskEvent,
    Timer,
    TimerKind,
)
from shmflink.jobmachine.failover import Failover
from shmflink.jobmachine.outlet import Outlet, Story
from shmflink.jobmachine.pipelined_region import PipelinedRegion
from shmflink.jobmachine.restart_strategy import RestartStrategy
from shmflink.jobmachine.scheduler import Scheduler, SchedulerState
from shmflink.rpc.messages import CheckpointSummary, Failure
from shmflink.rpc.states import JobState, TaskState

__all__ = ["JobMachine"]

_LAST_CHECKPOINT_MS: Final = 10_000
"""For the checkpoint that is taken before a job is suspended."""


class JobMachine:
    """`handle` is all that changes it. Jitter of restarts comes from `rng`."""

    def __init__(
        self,
        graph: JobGraph,
        configuration: Mapping[str, str],
        settings: CheckpointSettings,
        rng: random.Random,
        *,
        allows_local: bool = True,
    ) -> None:
        """`settings` are those of `configuration`. Without `allows_local` edges within a slot have rings, too.

        Raises:
            ConfigurationError: options contradict each other.
        """
        self.graph = graph
        self.state = JobState.CREATED
        self.story = Story()
        self._settings = settings
        self._outlet = Outlet()
        self._checkpoints = JobCheckpoints(graph, settings, self._slow_call_of, self._outlet)
        self._scheduler = Scheduler(
            graph,
            configuration,
            self._outlet,
            remembers_splits=settings.interval_ms is not None,
            allows_local=allows_local,
        )
        strategy = RestartStrategy.of(configuration)
        self._failover = Failover(strategy, self._scheduler, self._checkpoints, rng, self._outlet)
        self._fatal: Failure | None = None  # what still runs is being stopped for it
        self._is_cancelled = False
        self._is_suspending = False
        self._is_refused = False
        self._is_opening = True  # its storage
        self._outcome: tuple[JobState, Failure | None] | None = None  # nothing runs any longer
        self._is_closing = False

    # --- what others may know ---

    @property
    def restarts(self) -> int:
        """So far."""
        return self._failover.restarts

    @property
    def restore_points(self) -> tuple[str, ...]:
        """Folders of the checkpoints that it would restart from, newest first."""
        return self._checkpoints.points.directories

    @property
    def slots(self) -> int:
        """How many it needs."""
        return self._scheduler.slots.required

    def missing_taskmanagers(self, per: int) -> int:
        """How many it wants, of `per` slots each, besides those that it has."""
        return self._scheduler.slots.missing(per)

    @property
    def attempts(self) -> list[Attempt]:
        return self._scheduler.attempts

    def slow_calls(self, now_ms: int) -> tuple[str, ...]:
        """Sentences about calls of user code that do not return."""
        return tuple(sentence for attempt in self.attempts for sentence in attempt.slow_calls(now_ms))

    def waits_for(self, now_ms: int) -> tuple[str, ...]:
        """Sentences about what its checkpoints and savepoints, or else its tasks, wait for."""
        self._outlet.now_ms = max(now_ms, self._outlet.now_ms)  # names of tasks say how long their calls take
        return self._checkpoints.waits_for() or self.slow_calls(now_ms)

    def checkpoint_summary(self, now_ms: int) -> CheckpointSummary | None:
        """None where checkpointing is off."""
        return self._checkpoints.summary(now_ms)

    def _slow_call_of(self, task: SubtaskId) -> str:
        return ", ".join(call for attempt in self.attempts if (call := attempt.slow_call_of(task)))

    # --- events ---

    def handle(self, event: Event, now_ms: int) -> list[ask.Effect]:
        """What has to happen because of `event`, in this order. `now_ms`: of a clock that never goes back.

        Where it raises, what was asked for so far comes with the next event, which should be Crashed.
        """
        self._outlet.now_ms = max(now_ms, self._outlet.now_ms)
        effects: list[ask.Effect] = []
        self.story.add(self._outlet.now_ms, event, effects)
        if self.state.is_terminal:
            return effects
        self._react(event)
        self._settle()
        effects += self._outlet.take()
        return effects

    def _react(self, event: Event) -> None:
        if isinstance(event, TaskEvent):
            self._task_says(event)
        elif isinstance(event, AttemptEvent):
            attempt = self._attempt_of(event.epoch)
            if attempt is not None:
                attempt.handle(event)
        elif isinstance(event, CheckpointEvent):
            self._checkpoints.handle(event)
        elif isinstance(event, RequestEvent):
            self._react_to_request(event)
        elif isinstance(event, BeginningEvent):
            self._react_to_beginning(event)
        else:
            self._react_to_world(event)

    def _attempt_of(self, epoch: int) -> Attempt | None:
        region = self._scheduler.region_of(epoch)
        return None if region is None else region.attempt

    def _react_to_world(self, event: JobEvent) -> None:
        match event:
            case events.TaskManagerLost():
                self._taskmanager_lost(event)
            case events.TimerFired(timer):
                self._timer_fired(timer)
            case events.EndKept():
                self._close_storage()
            case events.StorageClosed():
                self._over()
            case events.Crashed(failure):
                self._crashed(failure)

    def _taskmanager_lost(self, event: events.TaskManagerLost) -> None:
        self._scheduler.slots.lose(event.taskmanager)
        for attempt in self.attempts:
            attempt.taskmanager_lost(event.taskmanager, event.failure)

    def _react_to_beginning(self, event: BeginningEvent) -> None:
        match event:
            case events.SlotsGranted():
                self._scheduler.granted(event)
            case events.StorageOpened():
                self._is_opening = False
                self._scheduler.is_storage_open = True
                self._checkpoints.opened(event)
            case events.StorageRefused(failure):
                self._is_opening = False
                self._is_refused = True
                self._fail(failure)
            case events.RestorePrepared():
                self._prepared(event)
            case events.EnumeratorsOpened():
                if self._scheduler.state is SchedulerState.PREPARING:
                    self._scheduler.begin()
            case events.RestoreFailed(failure) | events.EnumeratorsFailed(failure):
                self._fail(failure)

    def _react_to_request(self, event: RequestEvent) -> None:
        match event:
            case events.Submitted():
                self._outlet.ask(ask.OpenStorage())
                self._scheduler.want()
            case events.CancelRequested(force):
                self._cancel(force)
            case events.SuspendRequested():
                self._suspend()
            case events.SavepointWanted():
                self._checkpoints.savepoint(event)
            case events.CheckpointWanted(request_id):
                self._checkpoints.checkpoint(request_id)

    def _timer_fired(self, timer: Timer) -> None:
        attempt = self._attempt_of(timer.epoch)
        match timer.kind:
            case TimerKind.RESTART:
                self._scheduler.delay_is_over()
            case TimerKind.CHECKPOINTS:
                self._checkpoints.tick()
            case TimerKind.SUSPEND:
                self._checkpoints.is_suspension_due = True
            case _ if attempt is not None:
                attempt.timer_fired(timer.kind)

    def _task_says(self, event: TaskEvent) -> None:
        epoch = event.call.epoch if isinstance(event, events.CallReported) else event.epoch
        region = self._scheduler.region_of(epoch)
        if region is None or region.attempt is None:
            return  # of an attempt that is over
        match event:
            case events.CallReported():
                text = region.attempt.call_reported(event)
                self._outlet.ask(*([ask.Notice(text)] if text else []))
            case events.TaskSaid(_, said):
                if isinstance(said, TaskReachedEnd):
                    region.task_ending(said.subtask)
                if self._scheduler.are_all_running:
                    self._checkpoints.said(said)
            case events.TaskReported(_, subtask, state, failure):
                region.attempt.task_reported(subtask, state, failure)
                if state is TaskState.FINISHED:
                    region.task_finished(subtask)
                if region.is_running and state is TaskState.FINISHED and self._scheduler.are_all_running:
                    self._checkpoints.task_finished(subtask)

    def _prepared(self, event: events.RestorePrepared) -> None:
        for directory, why in event.damaged:
            self._checkpoints.leave_out(directory, why)
        points = self._checkpoints.points
        if event.restore is None and points.damage:
            self._fail(Failure("CheckpointCorruptedError", f"no checkpoint is left to go on from: {points.damage}"))
        elif self._scheduler.state is SchedulerState.PREPARING:
            if event.leftovers is not None:
                self._outlet.ask(*points.begin_attempt(event.leftovers))
            self._scheduler.prepared(event)

    # --- requests ---

    def _cancel(self, force: bool) -> None:
        self._is_cancelled = True
        self._stop_attempts(force)

    def _stop_attempts(self, force: bool = False) -> None:
        """Nothing begins any longer."""
        self._scheduler.stop()
        self._failover.stop()
        for attempt in self.attempts:
            attempt.cancel(force)

    def _suspend(self) -> None:
        """Behind one more checkpoint, where that can be had: the less there is to be done again."""
        self._is_suspending = True
        if self.state is JobState.RUNNING and self._checkpoints.is_on:
            self._outlet.ask(ask.SetTimer(Timer(TimerKind.SUSPEND), _LAST_CHECKPOINT_MS))
            self._checkpoints.checkpoint(SUSPENSION)
        else:
            self._checkpoints.is_suspension_due = True

    # --- regions ---

    def _look_at(self, region: PipelinedRegion) -> None:
        """What has become of its attempt."""
        attempt = region.attempt
        assert attempt is not None, "a look at no attempt"
        entered, attempt.entered = attempt.entered, []
        for state in entered:
            self._region_entered(state)
        if attempt.is_running and not region.is_running:
            region.is_running = True
            self._region_started()
        if attempt.end is not None:
            self._region_ended(region, *attempt.end)

    def _region_entered(self, state: JobState) -> None:
        if state in (JobState.FAILING, JobState.CANCELLING):
            self._checkpoints.attempt_ended(f"the job is {state.value}")
        is_whole = len(self._scheduler.regions) == 1
        is_news = state is not self.state and (is_whole or state is not JobState.FAILING)
        is_restarting = self._scheduler.state in (SchedulerState.DELAYED, SchedulerState.WANTED)
        if not state.is_terminal and is_news and (state is not JobState.RUNNING or not is_restarting):
            self._enter(state)

    def _region_started(self) -> None:
        """With the last one checkpoints begin; they hear of tasks of the others that are over or wait by then."""
        if not self._scheduler.are_all_running:
            return
        regions = self._scheduler.regions
        finished = [task for region in regions for task in sorted(region.over)]
        ending = [task for region in regions for task in sorted(region.ending)]
        epochs = [attempt.epoch for attempt in self.attempts]
        self._checkpoints.attempts_started(epochs, finished, ending, self._scheduler.restored_id)

    def _region_ended(self, region: PipelinedRegion, state: JobState, failure: Failure | None) -> None:
        """After a failure: a restart, unless it is one too many."""
        region.end(state is JobState.FINISHED)
        if state is not JobState.FINISHED:  # what its tasks said of their ends since they were stopped counts no more
            self._checkpoints.attempt_ended(f"the job is {state.value}")
        if state is JobState.FAILED and self._fatal is None and not self._is_cancelled:
            self._failover.postpone(failure or Failure("InternalError", "an attempt failed without a cause"))

    # --- after every event ---

    def _settle(self) -> None:
        while self._follow_up():
            pass
        if self._failover.is_idle:
            self._scheduler.prepare_if_ready(self.restore_points)
        self._end_if_over()

    def _follow_up(self) -> bool:
        """Something that follows from what has happened; False where nothing does."""
        news = next((region for region in self._scheduler.regions if region.has_news), None)
        if news is not None:
            self._look_at(news)
        elif self._checkpoints.must_restart_whole:
            self._checkpoints.must_restart_whole = False
            self._restart_whole()
        elif self._checkpoints.failure is not None:
            failure, self._checkpoints.failure = self._checkpoints.failure, None
            for attempt in self.attempts:
                attempt.fail(failure)
        elif self._is_suspending and self._checkpoints.is_suspension_due and not self._is_cancelled:
            self._cancel(force=False)
        elif self._failover.is_due:
            fatal = self._failover.go_on()
            if fatal is not None:
                self._fail(fatal)
        elif self._failover.restarting is not None:
            failure, self._failover.restarting = self._failover.restarting, None
            self._enter(JobState.RESTARTING, failure)
        else:
            return False
        return True

    def _restart_whole(self) -> None:
        """A part of the job failed behind a drain, or behind the savepoint that stops it: the others end early, so that
        the restart has to take them along (Flink: global failover).
        """
        if self._is_cancelled or self._fatal is not None:
            return
        causes = [attempt.failure for attempt in self.attempts if attempt.failure is not None]
        cause = next(iter([*self._failover.failures, *causes]), None)
        for attempt in self.attempts:
            attempt.fail(cause or Failure("CheckpointError", "a part of the job failed while it was being stopped"))
        self._scheduler.revive()

    def _fail(self, failure: Failure) -> None:
        """For good: what still runs is stopped."""
        self._fatal = self._fatal or failure
        self._stop_attempts()

    def _crashed(self, failure: Failure) -> None:
        if self._is_closing:  # whatever is left behind: the job ends
            self._over()
        else:
            self._fail(failure)

    def _enter(self, state: JobState, failure: Failure | None = None) -> None:
        self.state = state
        self._outlet.ask(ask.StateEntered(state, failure))

    # --- the end ---

    def _end_if_over(self) -> None:
        """A cause to fail comes before everything else. What is being written comes before the end."""
        is_idle = not self.attempts and self._scheduler.state is SchedulerState.NOTHING and not self._failover.failures
        if self._outcome is None and is_idle:
            self._outcome = self._outcome_now()
        is_busy = self._checkpoints.is_busy or self._is_opening
        if self._outcome is None or is_busy or self._is_closing or self.state.is_terminal:
            return
        self._is_closing = True
        self._checkpoints.close()
        self._outlet.ask(ask.StopTimer(Timer(TimerKind.SUSPEND)), ask.CloseEnumerators())
        state, failure = self._outcome
        if state.is_globally_terminal and not self._is_refused:
            self._outlet.ask(ask.KeepEnd(state, failure, self._keeps_checkpoints))
        else:
            self._close_storage()

    def _close_storage(self) -> None:
        self._outlet.ask(ask.CloseStorage(self._keeps_checkpoints))

    @property
    def _keeps_checkpoints(self) -> bool:
        return self._keeps and bool(self.restore_points)

    def _outcome_now(self) -> tuple[JobState, Failure | None] | None:
        if self._fatal is not None:
            return JobState.FAILED, self._fatal
        if self._scheduler.are_all_finished:
            return JobState.FINISHED, None
        if not self._is_cancelled:
            return None
        return JobState.SUSPENDED if self._is_suspending else JobState.CANCELED, None

    @property
    def _keeps(self) -> bool:
        """Whether its checkpoints stay."""
        assert self._outcome is not None, "kept before the end"
        keeps = {
            JobState.CANCELED: self._settings.retain_on_cancellation,
            JobState.FAILED: self._settings.retain_on_failure,
            JobState.SUSPENDED: True,
        }
        return keeps.get(self._outcome[0], False)

    def _over(self) -> None:
        assert self._outcome is not None, "closed before the end"
        self.state, failure = self._outcome
        self._outlet.ask(ask.Over(self.state, failure, self._keeps, self._is_refused))
