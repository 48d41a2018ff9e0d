"""One job in this process: performs what its machine asks for, on the event loop and in threads for the disk."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, Protocol

from shmflink.checkpoint.settings import CheckpointSettings
from shmflink.config.options import SLOTS_PER_TASKMANAGER
from shmflink.core.clock import Clock
from shmflink.core.ids import TaskManagerId
from shmflink.errors import InternalError, ShmflinkError
from shmflink.graph.job_graph import JobGraph
from shmflink.jobmachine import effects as ask
from shmflink.jobmachine import events
from shmflink.jobmachine.events import Event
from shmflink.jobmachine.job import JobMachine
from shmflink.jobmanager.attempt_run import AttemptEffect, AttemptRun
from shmflink.jobmanager.disk_calls import DiskCalls, DiskEffect, JobDisk
from shmflink.jobmanager.enumerators import EnumeratorEffect, Enumerators
from shmflink.jobmanager.job_loop import JobLoop
from shmflink.jobmanager.job_timers import JobTimers
from shmflink.jobmanager.splits import failure_of
from shmflink.jobmanager.taskmanager_gateway import TaskManagerGateway
from shmflink.rpc.limits import system_error_text
from shmflink.rpc.messages import (
    CheckpointAborted,
    CheckpointCompleted,
    CheckpointSummary,
    DrainSources,
    Failure,
    JobEnded,
    SourceProgress,
    TaskSummary,
    TriggerCheckpoint,
)
from shmflink.rpc.states import JobState

__all__ = ["JobOwner", "JobRun"]

_LOG: Final = logging.getLogger(__name__)
_Message = ask.TriggerCheckpoint | ask.SwitchToUnaligned | ask.TellCompleted | ask.TellAborted | ask.DrainSources


class JobOwner(Protocol):
    """Who is told of the job's life, and grants TaskManagers."""

    def job_state_entered(self, run: JobRun, state: JobState, failure: Failure | None) -> None:
        """Not of its end. `failure`: why it restarts."""
        ...

    def job_ending(self, run: JobRun, ended: JobEnded, kept: Callable[[], None]) -> None:
        """No JobManager must run it again; `kept` is called when that is durable. Its checkpoints are there yet."""
        ...

    def job_ended(self, run: JobRun, ended: JobEnded) -> None:
        """Its TaskManagers are free."""
        ...

    def job_refused(self, run: JobRun, ended: JobEnded) -> None:
        """It could not even begin."""
        ...

    def job_notice(self, run: JobRun, text: str) -> None:
        """Something that a person should know of a job that goes on."""
        ...

    def job_log(self, run: JobRun, text: str, level: str) -> None:
        """For the log of the process; `level` as `logging` names it."""
        ...

    def taskmanagers_wanted(self, run: JobRun) -> None:
        """Answered by `granted` when as many as `missing_taskmanagers` says are free."""
        ...

    def epochs(self, count: int, granted: Callable[[tuple[int, ...]], None]) -> None:
        """`granted` gets so many for attempts, each larger than any before."""
        ...

    def restore_points_changed(self, run: JobRun, directories: Sequence[str], kept: Callable[[], None]) -> None:
        """What it restarts from is another; `kept` is called when that is durable, in the order of the calls."""
        ...


class JobRun:
    """From its submission to its end. Used by the event loop alone."""

    def __init__(
        self,
        graph: JobGraph,
        configuration: Mapping[str, str],
        settings: CheckpointSettings,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        owner: JobOwner,
        disk: JobDisk,
        ha_identity: str = "",
    ) -> None:
        """`settings` and `disk`: of its checkpoints. `ha_identity`: of the HA directory, where one keeps the job.

        Raises:
            ConfigurationError: options contradict each other.
        """
        self.graph = graph
        self.configuration = configuration
        self.started_ms = clock.processing_time_ms()
        rng = random.Random(graph.job_id.hex)  # noqa: S311 - jitter, not a secret
        self._machine = JobMachine(graph, configuration, settings, rng)
        self._loop = JobLoop(loop, self._crashed)
        self._timers = JobTimers(self._loop, self._feed)
        self._clock = clock
        self._owner = owner
        self._ha_identity = ha_identity
        self._enumerators = Enumerators(graph, self._feed)
        self._disk = DiskCalls(disk, self._loop, clock, self._feed, owner.epochs)
        self._began_ms = self._now_ms()
        self._events: deque[Event] = deque()
        self._is_feeding = False
        self._taskmanagers: dict[TaskManagerId, TaskManagerGateway] = {}
        self._attempts: dict[int, AttemptRun] = {}
        self._answers: dict[int, Callable[[str | Failure], None]] = {}
        self._requests = 0
        self._over: dict[tuple[int, int], TaskSummary] = {}  # of attempts that have ended

    # --- what others may know ---

    @property
    def state(self) -> JobState:
        return self._machine.state

    @property
    def restarts(self) -> int:
        return self._machine.restarts

    @property
    def slots(self) -> int:
        """How many it needs."""
        return self._machine.slots

    def missing_taskmanagers(self, per: int) -> int:
        """How many it wants, of `per` slots each, besides those that it has."""
        return self._machine.missing_taskmanagers(per)

    @property
    def duration_ms(self) -> int:
        return self._now_ms() - self._began_ms

    def summaries(self) -> tuple[TaskSummary, ...]:
        """Counters of all subtasks, of the last attempt of each."""
        found = dict(self._over)
        for attempt in self._attempts.values():
            found |= {(one.vertex, one.subtask): one for one in attempt.summaries()}
        return tuple(one for _, one in sorted(found.items()))

    def source_progress(self) -> tuple[SourceProgress, ...]:
        """Of the sources that know how much there is to read."""
        return self._enumerators.progress()

    def slow_calls(self) -> tuple[str, ...]:
        """Sentences about calls of user code that do not return."""
        return self._machine.slow_calls(self._now_ms())

    def waits_for(self) -> tuple[str, ...]:
        """Sentences about what its checkpoints and savepoints, or else its tasks, wait for."""
        return self._machine.waits_for(self._now_ms())

    def checkpoint_summary(self) -> CheckpointSummary | None:
        """None where checkpointing is off."""
        return self._machine.checkpoint_summary(self._now_ms())

    def story(self) -> tuple[str, ...]:
        """How it came to its state: the latest events and what followed from each, oldest first."""
        return self._machine.story.lines()

    def _now_ms(self) -> int:
        return self._clock.monotonic_ns() // 1_000_000

    # --- what happens to it ---

    def start(self) -> None:
        """Once, when its owner knows it."""
        self._feed(events.Submitted())

    def savepoint(self, target: str, *, stops: bool, drains: bool, answer: Callable[[str | Failure], None]) -> None:
        """`answer` gets the savepoint's path, or why there is none."""
        self._feed(events.SavepointWanted(self._ask(answer), target, stops, drains))

    def checkpoint(self, answer: Callable[[str | Failure], None]) -> None:
        """`answer` gets the checkpoint's path, or why there is none."""
        self._feed(events.CheckpointWanted(self._ask(answer)))

    def _ask(self, answer: Callable[[str | Failure], None]) -> int:
        self._requests += 1
        self._answers[self._requests] = answer
        return self._requests

    def cancel(self, force: bool) -> None:
        """Stops the job; `force` kills its TaskManagers."""
        self._feed(events.CancelRequested(force))

    def suspend(self) -> None:
        """Stops here, behind one more checkpoint; what it would restart from is kept for another JobManager."""
        self._feed(events.SuspendRequested())

    def granted(self, taskmanagers: Sequence[TaskManagerGateway], per: int) -> None:
        """As many as it wants."""
        granted = {taskmanager.id: taskmanager for taskmanager in taskmanagers}
        self._taskmanagers |= granted
        self._feed(events.SlotsGranted(tuple(granted), per))

    def taskmanager_lost(self, taskmanager: TaskManagerGateway, failure: Failure) -> None:
        """One of the job's TaskManagers is gone."""
        del self._taskmanagers[taskmanager.id]
        self._feed(events.TaskManagerLost(taskmanager.id, failure))

    def message(self, taskmanager: TaskManagerGateway, message: Any) -> None:
        """What a TaskManager of the job says, to the attempt that it means; nothing if that is over."""
        attempt = self._attempts.get(message.epoch)
        if attempt is not None:
            self._loop.guarded(attempt.message, taskmanager, message)

    def guarded(self, call: Callable[[JobRun], object]) -> None:
        """Calls it with the run; what it raises is the job's failure."""
        self._loop.guarded(call, self)

    # --- the machine ---

    def _feed(self, event: Event) -> None:
        """Events that come while one is handled wait for their turn."""
        self._events.append(event)
        if self._is_feeding:
            return
        self._is_feeding = True
        try:
            while self._events:
                self._handle(self._events.popleft())
        finally:
            self._is_feeding = False

    def _handle(self, event: Event) -> None:
        try:
            effects = self._machine.handle(event, self._now_ms())
        except Exception as error:
            if isinstance(event, events.Crashed):
                raise
            self._crashed(error)
            return
        for effect in effects:
            try:
                self._perform(effect)
            except Exception as error:
                if isinstance(event, events.Crashed):
                    raise
                self._crashed(error)

    def _crashed(self, error: Exception) -> None:
        """Our code raised while it served this job: the job cannot be trusted any more, the others can."""
        _LOG.error("job '%s': internal error", self.graph.name, exc_info=error)
        self._feed(events.Crashed(_internal(error, self._machine.story.lines())))

    # --- effects ---

    def _perform(self, effect: ask.Effect) -> None:
        if isinstance(effect, AttemptEffect):
            self._attempts[effect.epoch].perform(effect)
        elif isinstance(effect, _Message):
            self._tell(effect)
        elif isinstance(effect, DiskEffect):
            self._disk.perform(effect)
        elif isinstance(effect, EnumeratorEffect):
            self._enumerators.perform(effect)
        elif isinstance(effect, ask.SetTimer | ask.StopTimer):
            self._timers.perform(effect)
        else:
            self._perform_other(effect)

    def _perform_other(
        self,
        effect: ask.StateEntered
        | ask.WantSlots
        | ask.KeepEnd
        | ask.Over
        | ask.Answer
        | ask.Notice
        | ask.Log
        | ask.BeginAttempt
        | ask.AttemptOver
        | ask.KeepPointers,
    ) -> None:
        match effect:
            case ask.StateEntered(state, failure):
                self._owner.job_state_entered(self, state, failure)
            case ask.WantSlots():
                self._owner.taskmanagers_wanted(self)
            case ask.KeepEnd(state, failure):
                ended = JobEnded(self.graph.job_id, state, self.duration_ms, failure, ())
                self._owner.job_ending(self, ended, partial(self._loop.guarded, self._feed, events.EndKept()))
            case ask.Over():
                self._end(effect)
            case ask.Answer(request_id, path, failure):
                self._answers.pop(request_id)(failure or path or "")
            case ask.Notice(text):
                self._owner.job_notice(self, text)
            case ask.Log(text, level):
                self._owner.job_log(self, text, level)
            case ask.BeginAttempt():
                self._begin(effect)
            case ask.AttemptOver(epoch):
                attempt = self._attempts.pop(epoch)
                self._over |= {(one.vertex, one.subtask): one for one in attempt.summaries()}
                attempt.close()
            case ask.KeepPointers(directories):
                kept = partial(self._loop.guarded, self._feed, events.PointersKept())
                self._owner.restore_points_changed(self, directories, kept)

    def _begin(self, effect: ask.BeginAttempt) -> None:
        execution = effect.execution
        attempt = next(one for one in self._machine.attempts if one.epoch == execution.epoch)
        run = AttemptRun(
            self.graph,
            attempt,
            effect.restore_path,
            [self._taskmanagers[one] for one in effect.taskmanagers],
            {**self.configuration, SLOTS_PER_TASKMANAGER.key: str(execution.slots_per_taskmanager)},
            self._loop,
            self._feed,
            self._enumerators.splits,
            self._ha_identity,
        )
        self._attempts[execution.epoch] = run
        run.begin()

    def _tell(self, effect: _Message) -> None:
        """Each attempt with its epoch."""
        match effect:
            case ask.TriggerCheckpoint(epochs, barrier, location, stops):
                if self._enumerators.trigger(barrier.checkpoint_id):
                    self._tell_each(epochs, lambda epoch: TriggerCheckpoint(epoch, barrier, location, stops))
            case ask.SwitchToUnaligned(epochs, barrier, location, stops):
                self._tell_each(epochs, lambda epoch: TriggerCheckpoint(epoch, barrier, location, stops))
            case ask.TellCompleted(epochs, checkpoint_id, stops):
                self._tell_each(epochs, lambda epoch: CheckpointCompleted(epoch, checkpoint_id, stops))
            case ask.TellAborted(epochs, checkpoint_id):
                self._tell_each(epochs, lambda epoch: CheckpointAborted(epoch, checkpoint_id))
            case ask.DrainSources(epochs):
                self._tell_each(epochs, DrainSources)

    def _tell_each(self, epochs: Sequence[int], message_of: Callable[[int], object]) -> None:
        for epoch in epochs:
            if epoch in self._attempts:
                self._attempts[epoch].tell_all(message_of(epoch))

    # --- the end ---

    def _end(self, effect: ask.Over) -> None:
        self._timers.close()
        summary = self.checkpoint_summary()
        if summary is not None and not effect.is_kept:
            summary = replace(summary, last_path="")
        job_id, failure = self.graph.job_id, effect.failure
        if effect.is_refused:
            self._owner.job_refused(self, JobEnded(job_id, effect.state, 0, failure, ()))
            return
        tasks = self.summaries()
        self._owner.job_ended(
            self, JobEnded(job_id, effect.state, self.duration_ms, failure, tasks, summary, self.restarts)
        )


def _internal(error: Exception, story: Sequence[str]) -> Failure:
    """An error of ours; where it says nothing to a user, with what the job came by."""
    if isinstance(error, OSError):
        return replace(failure_of(error), kind="ResourceError", message=system_error_text(error))
    if isinstance(error, ShmflinkError) and not isinstance(error, InternalError):
        return failure_of(error)
    text = f"the JobManager cannot go on with the job: {type(error).__name__}: {error}"
    told = failure_of(error)
    lines = "\n".join(["The latest transitions of the job, oldest first:", *story])
    return replace(told, kind="InternalError", message=text, traceback_text=f"{told.traceback_text}\n{lines}")
