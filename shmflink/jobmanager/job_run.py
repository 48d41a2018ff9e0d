"""One job in this JobManager, over all its attempts: starts them, restarts them after failures, ends with the last.

::

    waits for slots ─▶ attempt 0 ─ fails ─▶ RESTARTING ─ delay, slots ─▶ attempt 1 ─▶ ... ─▶ the end

Each failover region has attempts of its own: what is not connected to the tasks that failed goes on.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol

from shmflink.checkpoint.reading import coordinator_state
from shmflink.checkpoint.settings import CheckpointSettings
from shmflink.config.options import SLOTS_PER_TASKMANAGER
from shmflink.core.clock import Clock
from shmflink.errors import ShmflinkError
from shmflink.graph.execution_graph import ExecutionGraph, slots_required, taskmanager_of
from shmflink.graph.job_graph import JobGraph
from shmflink.graph.regions import part_of, regions_of
from shmflink.graph.watermark_alignment import AlignmentGroups
from shmflink.jobmanager.attempt_run import AttemptRun, RestorePoint
from shmflink.jobmanager.job_checkpoints import JobCheckpoints
from shmflink.jobmanager.job_loop import JobLoop
from shmflink.jobmanager.region import Region
from shmflink.jobmanager.restart_strategy import RestartStrategy
from shmflink.jobmanager.restore_points import RestorePoints
from shmflink.jobmanager.splits import SplitServer, failure_of
from shmflink.jobmanager.taskmanagers import TaskManager
from shmflink.rpc.limits import system_error_text
from shmflink.rpc.messages import (
    CheckpointSummary,
    Failure,
    JobEnded,
    SourceProgress,
    TaskEnding,
    TaskStateChanged,
    TaskSummary,
)
from shmflink.rpc.states import JobState, TaskState
from shmflink.rpc.wire import Received

__all__ = ["JobOwner", "JobRun"]

_LOG: Final = logging.getLogger(__name__)


class JobOwner(Protocol):
    """Who is told of the job's life, and grants TaskManagers."""

    def job_state_entered(self, run: JobRun, state: JobState) -> None: ...

    def job_ended(self, run: JobRun, ended: JobEnded) -> None: ...

    def job_notice(self, run: JobRun, text: str) -> None:
        """Something that a person should know of a job that goes on."""
        ...

    def taskmanagers_wanted(self, run: JobRun) -> None:
        """Answered by `granted` when as many as `missing_taskmanagers` says are free."""
        ...

    def taskmanagers_released(self, run: JobRun) -> None:
        """The job needs none any more."""
        ...

    def next_epoch(self) -> int:
        """Of an attempt: larger than any before."""
        ...

    def restore_points_changed(self, run: JobRun) -> None:
        """`run.restore_points` is another."""
        ...


class JobRun:
    """From its submission to its end. Used by the event loop alone."""

    def __init__(
        self,
        graph: JobGraph,
        configuration: Mapping[str, str],
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        owner: JobOwner,
        pointers: Sequence[str] = (),
        ha_identity: str = "",
    ) -> None:
        """`pointers`: checkpoints that an earlier JobManager knew of, newest first. `ha_identity`: of the HA directory.

        Raises:
            ShmflinkError: its checkpoints cannot be written, or the one to start from cannot be used.
        """
        self.graph = graph
        self.configuration = configuration
        self.restarts = 0
        self.state = JobState.CREATED
        self.last_failure: Failure | None = None
        self.started_ms = clock.processing_time_ms()
        self._loop = JobLoop(loop, self._crashed)
        self._clock = clock
        self._owner = owner
        self._ha_identity = ha_identity
        self._points = RestorePoints(graph, CheckpointSettings.of(configuration), pointers, ha_identity)
        self._settings = CheckpointSettings.of(configuration)
        self._strategy = RestartStrategy.of(configuration)
        self._rng = random.Random(graph.job_id.hex)  # noqa: S311 - jitter, not a secret
        self._checkpoints = JobCheckpoints(
            graph, self._settings, self._points, self._loop, clock, lambda: owner.restore_points_changed(self)
        )
        self._attempts = 0
        self._restored_id: int | None = None
        self._began_ns = clock.monotonic_ns()
        self._restart: asyncio.TimerHandle | None = None
        self._restarts_for: Failure | None = None
        self._per = 1
        self._taskmanagers: list[TaskManager | None] = []
        self._regions: tuple[Region, ...] = ()
        self._splits: SplitServer | None = None
        self._over: dict[tuple[int, int], TaskSummary] = {}  # of attempts that have ended
        self._is_suspending = False
        self._is_cancelled = False
        self._is_ending = False  # nothing runs any more
        self._fatal: Failure | None = None  # the regions that still run are being stopped for it

    # --- what others may know ---

    @property
    def slots(self) -> int:
        """How many it needs."""
        return slots_required(self.graph)

    @property
    def restore_points(self) -> Sequence[str]:
        """Folders of the checkpoints that it would restart from, newest first."""
        return self._points.directories

    def missing_taskmanagers(self, per: int) -> int:
        """How many it wants, of `per` slots each, besides those that it has."""
        needed = taskmanager_of(self.slots - 1, per) + 1
        return needed - sum(taskmanager is not None for taskmanager in self._taskmanagers)

    @property
    def duration_ms(self) -> int:
        return (self._clock.monotonic_ns() - self._began_ns) // 1_000_000

    def summaries(self) -> tuple[TaskSummary, ...]:
        """Counters of all subtasks, of the last attempt of each."""
        found = dict(self._over)
        for attempt in self._attempts_running():
            found |= {(one.vertex, one.subtask): one for one in attempt.summaries()}
        return tuple(one for _, one in sorted(found.items()))

    def source_progress(self) -> tuple[SourceProgress, ...]:
        """Of the sources that know how much there is to read."""
        return () if self._splits is None else self._splits.progress()

    def slow_calls(self) -> tuple[str, ...]:
        """Sentences about calls of user code that do not return."""
        return tuple(sentence for attempt in self._attempts_running() for sentence in attempt.slow_calls)

    def waits_for(self) -> tuple[str, ...]:
        """Sentences about what its checkpoints and savepoints, or else its tasks, wait for."""
        return self._checkpoints.waits_for() or self.slow_calls()

    def _attempts_running(self) -> list[AttemptRun]:
        return [region.attempt for region in self._regions if region.attempt is not None]

    def checkpoint_summary(self) -> CheckpointSummary | None:
        """None where checkpointing is off."""
        return self._checkpoints.summary()

    # --- requests ---

    def savepoint(self, target: str, *, stops: bool, drains: bool, answer: Callable[[str | Failure], None]) -> None:
        """`answer` gets the savepoint's path, or why there is none."""
        if self.graph.is_batch:
            answer(Failure("CheckpointError", "a job in BATCH mode has no checkpoints and no savepoints"))
            return
        self._checkpoints.savepoint(target, stops=stops, drains=drains, answer=answer)

    def checkpoint(self, answer: Callable[[str | Failure], None]) -> None:
        """`answer` gets the checkpoint's path, or why there is none."""
        self._checkpoints.checkpoint(answer)

    def cancel(self, force: bool) -> None:
        """Stops the job; `force` kills its TaskManagers."""
        self._is_cancelled = True
        self._stop_restarting()
        attempts = self._attempts_running()
        for attempt in attempts:
            attempt.cancel(force)
        if not attempts and not self.state.is_terminal:
            self._end(JobState.CANCELED, None)

    def suspend(self) -> None:
        """Stops here; what it would restart from is kept for another JobManager."""
        self._is_suspending = True
        self.cancel(force=False)

    # --- attempts ---

    def granted(self, taskmanagers: Sequence[TaskManager], per: int) -> None:
        """As many as it wants: every region that does not run begins an attempt."""
        self._loop.guarded(self._granted, taskmanagers, per)

    def _granted(self, taskmanagers: Sequence[TaskManager], per: int) -> None:
        self._restart, self._restarts_for = None, None
        self._per = per
        needed = taskmanager_of(self.slots - 1, per) + 1
        self._taskmanagers += [None] * (needed - len(self._taskmanagers))
        fresh = iter(taskmanagers)
        self._taskmanagers = [one if one is not None else next(fresh) for one in self._taskmanagers]
        if not self._regions:
            self._regions = self._make_regions()
        idle = [region for region in self._regions if region.attempt is None and not region.is_finished]
        try:
            restore = self._prepare(idle)
        except Exception as error:
            self._fail(failure_of(error))
            return
        self._attempts += 1
        for region in idle:
            if self.state.is_terminal or self._is_cancelled:
                break
            region.begin(self._attempt_of(region, restore))

    def _make_regions(self) -> tuple[Region, ...]:
        execution = ExecutionGraph.build(self.graph, 0, 0, self._per)
        if AlignmentGroups(self.graph).interval_ms is not None:  # its sources wait for each other, so they are one
            return (Region(frozenset(task.subtask for task in execution.tasks), self),)
        return tuple(Region(tasks, self) for tasks in regions_of(execution))

    def _prepare(self, idle: Sequence[Region]) -> RestorePoint | None:
        """What the regions begin from. Where none runs, files of former attempts and enumerators begin anew, too."""
        is_all = len(idle) == len(self._regions)
        if is_all:
            self._points.begin_attempt()
        restore = self._points.newest()
        self._restored_id = None if restore is None else restore.manifest.checkpoint_id
        if is_all or self._splits is None:
            if self._splits is not None:
                self._splits.close()
            trusts = self._settings.trusts_pickled_state
            self._splits = SplitServer.of(self.graph, {} if restore is None else _enumerators(restore, trusts))
            if len(self._regions) > 1 and self._settings.interval_ms is not None:
                self._splits.remember_assignments()
        else:
            for task in sorted(task for region in idle for task in region.tasks):
                if self.graph.vertices[task.vertex].is_source:
                    self._splits.reset(task, self._restored_id)
        return restore

    def _attempt_of(self, region: Region, restore: RestorePoint | None) -> AttemptRun:
        execution = ExecutionGraph.build(self.graph, self._attempts - 1, self._owner.next_epoch(), self._per)
        configuration = {**self.configuration, SLOTS_PER_TASKMANAGER.key: str(self._per)}
        taskmanagers = [one for one in self._taskmanagers if one is not None]
        assert len(taskmanagers) == len(self._taskmanagers), "an attempt before all TaskManagers were granted"
        part = part_of(execution, region.tasks)
        assert self._splits is not None, "an attempt before its enumerators"
        return AttemptRun(
            self.graph,
            part,
            taskmanagers,
            configuration,
            self._loop,
            region,
            self._splits,
            restore,
            self._ha_identity,
        )

    def guarded(self, call: Callable[[JobRun], object]) -> None:
        """Calls it with the run; what it raises is the job's failure."""
        self._loop.guarded(call, self)

    def message(self, taskmanager: TaskManager, received: Received) -> None:
        """What a TaskManager of the job says, to the attempt that it means."""
        self._loop.guarded(self._message, taskmanager, received)

    def _message(self, taskmanager: TaskManager, received: Received) -> None:
        epoch = received.message.epoch
        for attempt in self._attempts_running():
            if attempt.epoch == epoch:
                attempt.message(taskmanager, received)
                return
        for fd in received.fds:  # of an attempt that is over
            os.close(fd)

    def taskmanager_lost(self, taskmanager: TaskManager, failure: Failure) -> None:
        """One of the job's TaskManagers is gone."""
        self._loop.guarded(self._lost, taskmanager, failure)

    def _lost(self, taskmanager: TaskManager, failure: Failure) -> None:
        self._taskmanagers = [None if one is taskmanager else one for one in self._taskmanagers]
        for attempt in self._attempts_running():
            attempt.taskmanager_lost(taskmanager, failure)

    # --- what regions tell ---

    def region_state_entered(self, region: Region, state: JobState) -> None:
        if state in (JobState.FAILING, JobState.CANCELLING):
            self._checkpoints.attempt_ended(f"the job is {state.value}")
        is_whole = len(self._regions) == 1
        is_news = state is not self.state and (is_whole or state is not JobState.FAILING)
        if not state.is_terminal and is_news and (state is not JobState.RUNNING or self._restart is None):
            self._enter(state)

    def region_started(self, region: Region) -> None:
        """With the last one checkpoints begin; they hear of tasks of the others that are over or wait by then."""
        if not all(one.is_running for one in self._regions):
            return
        assert self._splits is not None, "tasks run before their enumerators"
        self._checkpoints.attempt_started(self._attempts_running(), self._splits, self._restored_id)
        for one in self._regions:
            for subtask in sorted(one.tasks if one.is_finished else one.finished):
                self._checkpoints.message(TaskStateChanged(0, subtask, TaskState.FINISHED))
            for subtask in sorted(one.ending):
                self._checkpoints.message(TaskEnding(0, subtask))

    def region_message(self, region: Region, message: object) -> None:
        if all(one.is_running for one in self._regions):
            self._checkpoints.message(message)

    def region_notice(self, text: str) -> None:
        self._owner.job_notice(self, text)

    def region_ended(self, region: Region, state: JobState, failure: Failure | None) -> None:
        """After a failure: a restart, unless it is one too many. It waits for a checkpoint that is being stored."""
        if state is not JobState.FINISHED:  # what its tasks said of their ends since they were stopped counts no more
            self._checkpoints.attempt_ended(f"the job is {state.value}")
        if state is JobState.FAILED and failure is not None and self._fatal is None and not self._is_cancelled:
            if self._checkpoints.is_storing:
                self._checkpoints.when_stored(lambda: self._go_on(failure))
            else:
                self._go_on(failure)
        elif not self._attempts_running() and self._restart is None:
            self._end_with(state)

    def attempt_is_over(self, attempt: AttemptRun) -> None:
        """Its counters stay to be shown."""
        self._over |= {(one.vertex, one.subtask): one for one in attempt.summaries()}

    def _go_on(self, failure: Failure) -> None:
        if self._is_cancelled or self._fatal is not None:
            if not self._attempts_running():
                self._end_with(JobState.CANCELED)
            return
        if self._restart is not None and failure == self._restarts_for:
            return  # several regions failed for the same reason: they restart together
        if failure.kind == "CheckpointCorruptedError" and self._restored_id is not None:
            if self._points.damaged(failure.message):
                self._owner.restore_points_changed(self)
                self._restart_in(0, failure)
            else:
                self._fail(failure)
            return
        delay_ms = self._strategy.on_failure(self._clock.monotonic_ns() // 1_000_000, failure, self._rng)
        if delay_ms is None:
            self._fail(self._strategy.failure or failure)
        else:
            self._restart_in(delay_ms, failure)

    def _restart_in(self, delay_ms: int, failure: Failure) -> None:
        self.last_failure = failure
        if self._restart is None:
            self.restarts += 1
            cause = failure.message.partition("\n")[0]
            _LOG.debug("job '%s' restarts in %d ms: %s", self.graph.name, delay_ms, cause)
            self._enter(JobState.RESTARTING)
        self._stop_restarting()
        self._restarts_for = failure
        self._restart = self._loop.call_later(delay_ms / 1000, self._owner.taskmanagers_wanted, self)

    def _stop_restarting(self) -> None:
        if self._restart is not None:
            self._restart.cancel()
            self._restart = None

    def _fail(self, failure: Failure) -> None:
        """For good: what still runs is stopped."""
        self._fatal = failure
        self._stop_restarting()
        attempts = self._attempts_running()
        for attempt in attempts:
            attempt.cancel(force=False)
        if not attempts:
            self._end_with(JobState.FAILED)

    def _end_with(self, state: JobState) -> None:
        """No region runs any more. A cause to fail comes before everything else."""
        if self._fatal is not None:
            self._end(JobState.FAILED, self._fatal)
        elif self._is_cancelled and not all(region.is_finished for region in self._regions):
            self._end(JobState.CANCELED, None)
        elif all(region.is_finished for region in self._regions):
            self._end(JobState.FINISHED, None)
        else:
            self._end(state, None)

    def _crashed(self, error: Exception) -> None:
        """Our code raised while it served this job: the job cannot be trusted any more, the others can."""
        _LOG.error("job '%s': internal error", self.graph.name, exc_info=error)
        if not self.state.is_terminal and self._fatal is None:
            self._fail(_internal(error))

    def _enter(self, state: JobState) -> None:
        self.state = state
        self._owner.job_state_entered(self, state)

    def _end(self, state: JobState, failure: Failure | None) -> None:
        """Once. A checkpoint that is being stored comes first: written later, its files would be left behind."""
        if self._is_ending:
            return
        self._is_ending = True
        self._stop_restarting()
        if self._checkpoints.is_storing:
            self._checkpoints.when_stored(lambda: self._close(state, failure))
        else:
            self._close(state, failure)

    def _close(self, state: JobState, failure: Failure | None) -> None:
        if self._is_suspending and state is JobState.CANCELED:
            state = JobState.SUSPENDED
        self.state = state
        keeps = {
            JobState.CANCELED: self._settings.retain_on_cancellation,
            JobState.FAILED: self._settings.retain_on_failure,
            JobState.SUSPENDED: True,
        }
        self._checkpoints.close()
        if self._splits is not None:
            self._splits.close()
        summary, is_kept = self._checkpoints.summary(), keeps.get(state, False)
        self._points.close(keeps=is_kept)
        if summary is not None and not is_kept:
            summary = replace(summary, last_path="")
        self._owner.taskmanagers_released(self)
        tasks = self.summaries()
        ended = JobEnded(self.graph.job_id, state, self.duration_ms, failure, tasks, summary, self.restarts)
        self._owner.job_ended(self, ended)


def _internal(error: Exception) -> Failure:
    if isinstance(error, ShmflinkError):
        return failure_of(error)
    if isinstance(error, OSError):
        return replace(failure_of(error), kind="ResourceError", message=system_error_text(error))
    text = f"the JobManager cannot go on with the job: {type(error).__name__}: {error}"
    return replace(failure_of(error), kind="InternalError", message=text)


def _enumerators(restore: RestorePoint, trusts_pickle: bool) -> dict[str, bytes]:
    known = [op for op in restore.manifest.operators if op.coordinator is not None]
    return {op.operator_id: coordinator_state(restore.directory, op, allows_pickle=trusts_pickle) for op in known}
