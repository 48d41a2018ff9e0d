"""One job in one JobManager, over all its attempts: events are routed to smaller machines, then what follows happens.

::

    Scheduler ─▶ Regions ─▶ Attempt        when attempts begin, and what becomes of each
        ▲           │
        │           ▼
    Failover ◀─ RegionChanges ─▶ JobCheckpoints ─▶ CheckpointsInFlight, Pointers
                                      ▲
    JobEnd ◀─ requests ─▶ Suspension ─┘

The job ends once, with the first cause if it fails. The end waits for what is being written.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from shmflink.checkpoint.settings import CheckpointSettings
from shmflink.graph.job_graph import JobGraph
from shmflink.jobmachine import effects as ask
from shmflink.jobmachine import events
from shmflink.jobmachine.attempt import Attempt
from shmflink.jobmachine.checkpoint_progress import CheckpointProgress
from shmflink.jobmachine.checkpoints import JobCheckpoints
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
from shmflink.jobmachine.job_end import JobEnd, JobStatus
from shmflink.jobmachine.outlet import Outlet, Story
from shmflink.jobmachine.pointers import Pointers
from shmflink.jobmachine.region_changes import RegionChanges
from shmflink.jobmachine.regions import Regions, TaskNames
from shmflink.jobmachine.restart_strategy import RestartStrategy
from shmflink.jobmachine.scheduler import Scheduler
from shmflink.jobmachine.suspension import SUSPENSION, Suspension
from shmflink.rpc.messages import CheckpointSummary, Failure
from shmflink.rpc.states import JobState

__all__ = ["JobMachine"]


class JobMachine:
    """Only `handle` changes it. Jitter of restarts comes from `rng`."""

    def __init__(
        self,
        graph: JobGraph,
        configuration: Mapping[str, str],
        settings: CheckpointSettings,
        rng: random.Random,
        *,
        allows_local: bool = True,
    ) -> None:
        """`settings` are those of `configuration`. Without `allows_local`, edges within a slot have rings, too.

        Raises:
            ConfigurationError: options contradict each other.
        """
        self.graph = graph
        self.story = Story()
        self._outlet = outlet = Outlet()
        self._status = JobStatus(outlet)
        self._suspension = Suspension(outlet)
        self._pointers = pointers = Pointers(settings.num_retained, outlet)
        self._regions = regions = Regions()
        names = TaskNames(graph, regions)
        self._checkpoints = JobCheckpoints(graph, settings, names.of, pointers, self._suspension, outlet)
        self._scheduler = Scheduler(
            graph,
            configuration,
            regions,
            pointers,
            outlet,
            remembers_splits=settings.interval_ms is not None,
            allows_local=allows_local,
        )
        strategy = RestartStrategy.of(configuration)
        self._failover = Failover(strategy, regions, self._scheduler, self._checkpoints, pointers, rng, outlet)
        self._end = JobEnd(settings, pointers, self._status, outlet)
        self._changes = RegionChanges(
            regions, self._scheduler, self._checkpoints, self._failover, self._end, self._status, outlet
        )

    # --- what others may know ---

    @property
    def state(self) -> JobState:
        return self._status.state

    @property
    def restarts(self) -> int:
        """So far."""
        return self._failover.restarts

    @property
    def restore_points(self) -> tuple[str, ...]:
        """Folders of the checkpoints that the job would restart from, newest first."""
        return self._pointers.directories

    @property
    def slots(self) -> int:
        """How many the job needs."""
        return self._scheduler.slots.required

    def missing_taskmanagers(self, per: int) -> int:
        """How many the job needs, with `per` slots each, besides those that it has."""
        return self._scheduler.slots.missing(per)

    @property
    def attempts(self) -> list[Attempt]:
        """Of all regions that have one."""
        return self._regions.attempts

    def slow_calls(self, now_ms: int) -> tuple[str, ...]:
        """Sentences about calls of user code that do not return."""
        return self._regions.slow_calls(now_ms)

    def waits_for(self, now_ms: int) -> tuple[str, ...]:
        """Sentences about what its checkpoints and savepoints wait for; if there are none, about slow calls."""
        self._outlet.now_ms = max(now_ms, self._outlet.now_ms)  # names of tasks say how long their calls take
        return self._checkpoints.progress.waits_for() or self.slow_calls(now_ms)

    def checkpoint_summary(self, now_ms: int) -> CheckpointSummary | None:
        """None if checkpointing is off."""
        return self._checkpoints.progress.summary(now_ms)

    @property
    def checkpoints(self) -> CheckpointProgress:
        """What there is to tell of them."""
        return self._checkpoints.progress

    # --- events ---

    def handle(self, event: Event, now_ms: int) -> list[ask.Effect]:
        """What has to happen because of `event`, in this order. `now_ms`: of a clock that never goes back.

        If it raises, the effects so far come with the next event, which should be Crashed.
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
            self._changes.task_event(event)
        elif isinstance(event, AttemptEvent):
            attempt = self._regions.attempt_of(event.epoch)
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

    def _react_to_beginning(self, event: BeginningEvent) -> None:
        match event:
            case events.SlotsGranted():
                self._scheduler.granted(event)
            case events.StorageOpened():
                self._scheduler.is_storage_open = True
                self._checkpoints.opened(event)
            case events.StorageRefused(failure):
                self._end.is_refused = True
                self._fail(failure)
            case events.RestorePrepared():
                damage = self._scheduler.prepared(event)
                if damage is not None:
                    self._fail(damage)
            case events.EnumeratorsOpened():
                self._scheduler.enumerators_opened()
            case events.RestoreFailed(failure) | events.EnumeratorsFailed(failure):
                self._fail(failure)

    def _react_to_world(self, event: JobEvent) -> None:
        match event:
            case events.TaskManagerLost():
                self._taskmanager_lost(event)
            case events.TimerFired(timer):
                self._timer_fired(timer)
            case events.EndKept():
                self._end.kept()
            case events.StorageClosed():
                self._end.over()
            case events.Crashed() if self._end.is_closing:  # the job ends, whatever is left behind
                self._end.over()
            case events.Crashed(failure):
                self._fail(failure)

    def _taskmanager_lost(self, event: events.TaskManagerLost) -> None:
        self._scheduler.slots.lose(event.taskmanager)
        self._regions.taskmanager_lost(event.taskmanager, event.failure)

    def _timer_fired(self, timer: Timer) -> None:
        attempt = self._regions.attempt_of(timer.epoch)
        match timer.kind:
            case TimerKind.RESTART:
                self._scheduler.delay_is_over()
            case TimerKind.CHECKPOINTS:
                self._checkpoints.tick()
            case TimerKind.SUSPEND:
                self._suspension.checkpoint_over()
            case _ if attempt is not None:
                attempt.timer_fired(timer.kind)

    # --- ends ---

    def _suspend(self) -> None:
        waits = self.state is JobState.RUNNING and self._checkpoints.progress.is_on
        self._end.is_suspended = True
        self._suspension.request(waits=waits)
        if waits:
            self._checkpoints.checkpoint(SUSPENSION)

    def _cancel(self, force: bool) -> None:
        self._end.cancel()
        self._stop(force)

    def _fail(self, failure: Failure) -> None:
        self._end.fail(failure)
        self._stop(force=False)

    def _stop(self, force: bool) -> None:
        """No attempt begins any longer; those that exist are canceled."""
        self._scheduler.stop()
        self._failover.stop()
        self._regions.cancel(force)

    # --- after every event ---

    def _settle(self) -> None:
        while self._follow_up():
            pass
        if self._failover.is_idle:
            self._scheduler.prepare_if_ready()
        self._end_if_over()

    def _follow_up(self) -> bool:
        """One thing that follows from what has happened; False if nothing does."""
        region = self._regions.news
        if region is not None:
            self._changes.follow(region)
        elif self._checkpoints.must_restart_whole:
            self._checkpoints.must_restart_whole = False
            if not self._end.is_requested:
                self._failover.restart_whole()
        elif self._checkpoints.failure is not None:
            failure, self._checkpoints.failure = self._checkpoints.failure, None
            self._regions.fail(failure)
        elif self._suspension.is_due and not self._end.is_cancelled:
            self._cancel(force=False)
        elif self._failover.is_due:
            fatal = self._failover.proceed()
            if fatal is not None:
                self._fail(fatal)
        elif self._failover.restarting is not None:
            failure, self._failover.restarting = self._failover.restarting, None
            self._status.enter(JobState.RESTARTING, failure)
        else:
            return False
        return True

    def _end_if_over(self) -> None:
        """The end waits for attempts, restarts, and what is being written."""
        if not self.attempts and self._scheduler.is_idle and not self._failover.has_failures:
            self._end.determine(are_all_finished=self._regions.are_all_finished)
        is_opening = not (self._scheduler.is_storage_open or self._end.is_refused)
        if self._end.is_due and not is_opening and not self._checkpoints.is_busy:
            self._checkpoints.close()
            self._suspension.close()
            self._end.close()
