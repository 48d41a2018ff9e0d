"""One job in this JobManager, over all its attempts: starts them, restarts them after failures, ends with the last.

::

    waits for slots ─▶ attempt 0 ─ fails ─▶ RESTARTING ─ delay, slots ─▶ attempt 1 ─▶ ... ─▶ the end
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from shmflink.checkpoint.settings import CheckpointSettings
from shmflink.config.options import SLOTS_PER_TASKMANAGER
from shmflink.core.clock import Clock
from shmflink.core.ids import SubtaskId
from shmflink.graph.execution_graph import ExecutionGraph, slots_required
from shmflink.graph.job_graph import JobGraph
from shmflink.jobmanager.attempt_run import AttemptRun, RestorePoint
from shmflink.jobmanager.job_checkpoints import JobCheckpoints
from shmflink.jobmanager.restart_strategy import RestartStrategy
from shmflink.jobmanager.restore_points import RestorePoints
from shmflink.jobmanager.splits import failure_of
from shmflink.jobmanager.taskmanagers import TaskManager
from shmflink.rpc.messages import CheckpointSummary, Failure, JobEnded, SourceProgress, TaskSummary
from shmflink.rpc.states import JobState
from shmflink.rpc.wire import Received

__all__ = ["JobOwner", "JobRun"]


class JobOwner(Protocol):
    """Who is told of the job's life, and grants TaskManagers."""

    def job_state_entered(self, run: JobRun, state: JobState) -> None: ...

    def job_ended(self, run: JobRun, ended: JobEnded) -> None: ...

    def taskmanagers_wanted(self, run: JobRun) -> None:
        """Answered by `begin_attempt` when enough are free."""
        ...

    def taskmanagers_released(self, run: JobRun) -> None:
        """The attempt has left its TaskManagers."""
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
    ) -> None:
        """`pointers`: checkpoints that an earlier JobManager knew of, newest first.

        Raises:
            ShmflinkError: its checkpoints cannot be written, or the one to start from cannot be used.
        """
        self.graph = graph
        self.configuration = configuration
        self.restarts = 0
        self.state = JobState.CREATED
        self.attempt: AttemptRun | None = None
        self.started_ms = clock.processing_time_ms()
        self._loop = loop
        self._clock = clock
        self._owner = owner
        self._points = RestorePoints(graph, CheckpointSettings.of(configuration), pointers)
        self._settings = CheckpointSettings.of(configuration)
        self._strategy = RestartStrategy.of(configuration)
        self._rng = random.Random(graph.job_id.hex)  # noqa: S311 - jitter, not a secret
        self._checkpoints = JobCheckpoints(
            graph, self._settings, self._points, loop, clock, lambda: owner.restore_points_changed(self)
        )
        self._attempts = 0
        self._restored_id: int | None = None
        self._began_ns = clock.monotonic_ns()
        self._restart: asyncio.TimerHandle | None = None
        self._tasks: tuple[TaskSummary, ...] = ()
        self._is_suspending = False

    # --- what others may know ---

    @property
    def slots(self) -> int:
        """How many it needs."""
        return slots_required(self.graph)

    @property
    def restore_points(self) -> Sequence[str]:
        """Folders of the checkpoints that it would restart from, newest first."""
        return self._points.directories

    @property
    def taskmanagers(self) -> Sequence[TaskManager]:
        """Of the attempt that runs."""
        return () if self.attempt is None else self.attempt.taskmanagers

    @property
    def duration_ms(self) -> int:
        return (self._clock.monotonic_ns() - self._began_ns) // 1_000_000

    def summaries(self) -> tuple[TaskSummary, ...]:
        """Counters of all subtasks, of the last attempt where none runs."""
        return self._tasks if self.attempt is None else self.attempt.summaries()

    def source_progress(self) -> tuple[SourceProgress, ...]:
        """Of the sources that know how much there is to read."""
        return () if self.attempt is None else self.attempt.source_progress()

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
        if self.attempt is not None:
            self.attempt.cancel(force)
        elif not self.state.is_terminal:
            self._end(JobState.CANCELED, None)

    def suspend(self) -> None:
        """Stops here; what it would restart from is kept for another JobManager."""
        self._is_suspending = True
        self.cancel(force=False)

    # --- attempts ---

    def begin_attempt(self, taskmanagers: Sequence[TaskManager], epoch: int, per: int) -> None:
        """On these TaskManagers, with `per` slots each."""
        try:
            self._points.begin_attempt()
            restore = self._points.newest()
        except Exception as error:
            self._owner.taskmanagers_released(self)
            self._end(JobState.FAILED, failure_of(error))
            return
        self._restored_id = None if restore is None else restore.manifest.checkpoint_id
        self.attempt = self._attempt_of(restore, taskmanagers, epoch, per)
        self._attempts += 1
        self._checkpoints.attempt_begins(self.attempt)
        self.attempt.start()

    def _attempt_of(
        self, restore: RestorePoint | None, taskmanagers: Sequence[TaskManager], epoch: int, per: int
    ) -> AttemptRun:
        execution = ExecutionGraph.build(self.graph, self._attempts, epoch, per)
        configuration = {**self.configuration, SLOTS_PER_TASKMANAGER.key: str(per)}
        return AttemptRun(self.graph, execution, taskmanagers, configuration, self._loop, self, restore)

    def message(self, taskmanager: TaskManager, received: Received) -> None:
        """What a TaskManager of the attempt says."""
        assert self.attempt is not None, "a message for a job without an attempt"
        self.attempt.message(taskmanager, received)

    def taskmanager_lost(self, taskmanager: TaskManager, failure: Failure) -> None:
        """One of the attempt's TaskManagers is gone."""
        assert self.attempt is not None, "a loss for a job without an attempt"
        self.attempt.taskmanager_lost(taskmanager, failure)

    # --- what attempts tell ---

    def attempt_state_entered(self, state: JobState) -> None:
        if state in (JobState.FAILING, JobState.CANCELLING) or state.is_terminal:
            self._checkpoints.attempt_ended(f"the job is {state.value}")
        if not state.is_terminal:
            self._enter(state)

    def attempt_started(self, tasks: Sequence[SubtaskId]) -> None:
        self._checkpoints.attempt_started(tasks, self._restored_id)

    def attempt_message(self, message: object) -> None:
        self._checkpoints.message(message)

    def attempt_ended(self, state: JobState, failure: Failure | None) -> None:
        """After a failure: a restart, unless it is one too many. It waits for a checkpoint that is being stored."""
        self._tasks = self.summaries()
        self.attempt = None
        self._owner.taskmanagers_released(self)
        if self._checkpoints.is_storing:
            self._checkpoints.when_stored = lambda: self._go_on(state, failure)
        else:
            self._go_on(state, failure)

    def _go_on(self, state: JobState, failure: Failure | None) -> None:
        if state is not JobState.FAILED or failure is None:
            self._end(state, failure)
            return
        if failure.kind == "CheckpointCorruptedError" and self._restored_id is not None:
            if self._points.damaged(failure.message):
                self._owner.restore_points_changed(self)
                self._restart_in(0)
            else:
                self._end(state, failure)
            return
        delay_ms = self._strategy.on_failure(self._clock.monotonic_ns() // 1_000_000, failure, self._rng)
        if delay_ms is None:
            self._end(state, self._strategy.failure)
        else:
            self._restart_in(delay_ms)

    def _restart_in(self, delay_ms: int) -> None:
        self.restarts += 1
        self._enter(JobState.RESTARTING)
        self._restart = self._loop.call_later(delay_ms / 1000, self._owner.taskmanagers_wanted, self)

    def _enter(self, state: JobState) -> None:
        self.state = state
        self._owner.job_state_entered(self, state)

    def _end(self, state: JobState, failure: Failure | None) -> None:
        if self._restart is not None:
            self._restart.cancel()
        if self._is_suspending and state is JobState.CANCELED:
            state = JobState.SUSPENDED
        self.state = state
        keeps = {
            JobState.CANCELED: self._settings.retain_on_cancellation,
            JobState.FAILED: self._settings.retain_on_failure,
            JobState.SUSPENDED: True,
        }
        self._checkpoints.close()
        summary = self._checkpoints.summary()
        is_kept = keeps.get(state, False)
        self._points.close(keeps=is_kept)
        if summary is not None and not is_kept:
            summary = replace(summary, last_path="")
        job_id = self.graph.job_id
        ended = JobEnded(job_id, state, self.duration_ms, failure, self._tasks, summary, self.restarts)
        self._owner.job_ended(self, ended)
