"""One job in this process: performs the effects of its machine on the event loop, and disk effects in threads."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, Protocol

from shmflink.checkpoint.settings import CheckpointSettings
from shmflink.core.clock import Clock
from shmflink.graph.job_graph import JobGraph
from shmflink.jobmachine import effects as ask
from shmflink.jobmachine import events
from shmflink.jobmachine.job import JobMachine
from shmflink.jobmanager.attempt_run import AttemptEffect
from shmflink.jobmanager.disk_calls import DiskCalls, DiskEffect, JobDisk
from shmflink.jobmanager.enumerators import EnumeratorEffect, Enumerators
from shmflink.jobmanager.job_attempts import AttemptMessage, JobAttempts
from shmflink.jobmanager.job_history import JobHistory
from shmflink.jobmanager.job_loop import JobLoop
from shmflink.jobmanager.job_reading import JobReading
from shmflink.jobmanager.job_requests import JobRequests
from shmflink.jobmanager.job_timers import JobTimers
from shmflink.jobmanager.machine_events import MachineEvents
from shmflink.jobmanager.taskmanager_gateway import TaskManagerGateway
from shmflink.rpc.messages import (
    CheckpointSummary,
    Failure,
    JobEnded,
    SourceProgress,
    TaskSummary,
)
from shmflink.rpc.states import JobState

__all__ = ["JobOwner", "JobRun"]

_LOG: Final = logging.getLogger(__name__)


class JobOwner(Protocol):
    """Receives the job's reports, and grants it TaskManagers."""

    def job_state_entered(self, run: JobRun, state: JobState, failure: Failure | None) -> None:
        """The job has entered a state, except its end. `failure`: why it restarts."""
        ...

    def job_ending(self, run: JobRun, ended: JobEnded, kept: Callable[[], None]) -> None:
        """The job has ended: no JobManager may run it again. Calls `kept` when that is durable. Its checkpoints
        still exist.
        """
        ...

    def job_ended(self, run: JobRun, ended: JobEnded) -> None:
        """Its TaskManagers are free."""
        ...

    def job_refused(self, run: JobRun, ended: JobEnded) -> None:
        """The job could not begin."""
        ...

    def job_notice(self, run: JobRun, text: str) -> None:
        """A message for people about a job that continues."""
        ...

    def job_log(self, run: JobRun, text: str, level: str) -> None:
        """A message for the log of the process; `level` is a name of `logging`."""
        ...

    def taskmanagers_wanted(self, run: JobRun) -> None:
        """Requests TaskManagers. Answered by `granted` when as many as `missing_taskmanagers` returns are free."""
        ...

    def epochs(self, count: int, granted: Callable[[tuple[int, ...]], None]) -> None:
        """Calls `granted` with `count` epochs for attempts, each higher than all before."""
        ...

    def restore_points_changed(self, run: JobRun, directories: Sequence[str], kept: Callable[[], None]) -> None:
        """The checkpoint from which the job restarts has changed. Calls `kept` when that is durable, in order."""
        ...


class JobRun:
    """A job from its submission to its end. Used only by the event loop."""

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
        resumption: str = "",
    ) -> None:
        """`settings` and `disk`: for its checkpoints. `ha_identity`: of the HA directory that stores the job, if any.
        `resumption`: a message that is reported once its checkpoints have been examined and can be used.

        Raises:
            ConfigurationError: options contradict each other.
        """
        self.graph = graph
        self.configuration = configuration
        self.started_ms = clock.processing_time_ms()
        rng = random.Random(graph.job_id.hex)  # noqa: S311 - jitter, not a secret
        self._machine = JobMachine(graph, configuration, settings, rng)
        machine_events = MachineEvents(self._machine, graph.name, clock, self._perform)
        self._history = JobHistory(clock)
        self._feed = self._history.listening(machine_events.feed)
        self._loop = JobLoop(loop, machine_events.crashed)
        self._timers = JobTimers(self._loop, self._feed)
        self._clock = clock
        self._owner = owner
        self._enumerators = Enumerators(graph, self._feed)
        self._attempts = JobAttempts(
            graph, configuration, self._machine, self._enumerators, self._loop, self._feed, ha_identity
        )
        self.folder_going = ""  # the folder of its checkpoints, which is removed once the job's end is durable
        opened = partial(owner.job_notice, self, resumption) if resumption else None
        self._disk = DiskCalls(disk, self._loop, clock, self._feed, owner.epochs, opened)
        self._began_ms = self._now_ms()
        self._requests = JobRequests()
        self.reading = JobReading(graph, configuration, self._machine, self._attempts, self._history, clock)
        """For those who look at it."""

    # --- queries ---

    @property
    def state(self) -> JobState:
        return self._machine.state

    @property
    def restarts(self) -> int:
        return self._machine.restarts

    @property
    def slots(self) -> int:
        """The number of slots that the job needs."""
        return self._machine.slots

    def missing_taskmanagers(self, per: int) -> int:
        """How many TaskManagers with `per` slots each the job needs in addition to those that it has."""
        return self._machine.missing_taskmanagers(per)

    @property
    def duration_ms(self) -> int:
        return self._now_ms() - self._began_ms

    def summaries(self) -> tuple[TaskSummary, ...]:
        """Counters of all subtasks, from the last attempt of each."""
        return self._attempts.summaries()

    def source_progress(self) -> tuple[SourceProgress, ...]:
        """Progress of the sources that know their total."""
        return self._enumerators.progress()

    def slow_calls(self) -> tuple[str, ...]:
        """Sentences about calls of user code that do not return."""
        return self._machine.slow_calls(self._now_ms())

    def waits_for(self) -> tuple[str, ...]:
        """Sentences about what its checkpoints and savepoints, or otherwise its tasks, wait for."""
        return self._machine.waits_for(self._now_ms())

    def checkpoint_summary(self) -> CheckpointSummary | None:
        """The job's checkpoints; None if checkpointing is off."""
        return self._machine.checkpoint_summary(self._now_ms())

    def story(self) -> tuple[str, ...]:
        """How the job reached its state: the latest events with the effects of each, oldest first."""
        return self._machine.story.lines()

    def _now_ms(self) -> int:
        return self._clock.monotonic_ns() // 1_000_000

    # --- events ---

    def start(self) -> None:
        """Begins the job. Called once, after its owner has registered it."""
        self._feed(events.Submitted())

    def savepoint(self, target: str, *, stops: bool, drains: bool, answer: Callable[[str | Failure], None]) -> None:
        """`answer` gets the savepoint's path, or why there is none."""
        self._feed(events.SavepointWanted(self._requests.ask(answer), target, stops, drains))

    def checkpoint(self, answer: Callable[[str | Failure], None]) -> None:
        """`answer` gets the checkpoint's path, or why there is none."""
        self._feed(events.CheckpointWanted(self._requests.ask(answer)))

    def cancel(self, force: bool) -> None:
        """Stops the job; `force` kills its TaskManagers."""
        self._feed(events.CancelRequested(force))

    def suspend(self) -> None:
        """Stops the job here, after one more checkpoint, from which another JobManager can resume it."""
        self._feed(events.SuspendRequested())

    def granted(self, taskmanagers: Sequence[TaskManagerGateway], per: int) -> None:
        """Grants the requested TaskManagers."""
        self._feed(events.SlotsGranted(self._attempts.granted(taskmanagers), per))

    def taskmanager_lost(self, taskmanager: TaskManagerGateway, failure: Failure) -> None:
        """One of the job's TaskManagers is gone."""
        self._attempts.lost(taskmanager.id)
        self._feed(events.TaskManagerLost(taskmanager.id, failure))

    def message(self, taskmanager: TaskManagerGateway, message: Any) -> None:
        """Passes a TaskManager's message to the attempt that it names; no effect if that attempt is over."""
        self._loop.guarded(self._attempts.message, taskmanager, message)

    def guarded(self, call: Callable[[JobRun], object]) -> None:
        """Calls a function with the run; an exception fails the job."""
        self._loop.guarded(call, self)

    # --- effects ---

    def _perform(self, effect: ask.Effect) -> None:
        self._history.performed(effect)
        if isinstance(effect, AttemptEffect):
            self._attempts.perform(effect)
        elif isinstance(effect, AttemptMessage):
            self._attempts.tell(effect)
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
            case ask.KeepEnd(state, failure, keeps):
                self.folder_going = "" if keeps else self._disk.folder
                ended = JobEnded(self.graph.job_id, state, self.duration_ms, failure, ())
                self._owner.job_ending(self, ended, partial(self._loop.guarded, self._feed, events.EndKept()))
            case ask.Over():
                self._end(effect)
            case ask.Answer(request_id, path, failure):
                self._requests.answer(request_id, failure or path or "")
            case ask.Notice(text):
                self._owner.job_notice(self, text)
            case ask.Log(text, level):
                self._owner.job_log(self, text, level)
            case ask.BeginAttempt():
                self._attempts.begin(effect)
            case ask.AttemptOver(epoch):
                self._history.over(self._attempts.over(epoch))
            case ask.KeepPointers(directories):
                kept = partial(self._loop.guarded, self._feed, events.PointersKept())
                self._owner.restore_points_changed(self, directories, kept)

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
