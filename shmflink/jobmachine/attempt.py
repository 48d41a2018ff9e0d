"""One attempt of a failover region, from the request for its memory until all memory is released.

::

    BeginAttempt ─ memory ready ─▶ Deploy ─ tasks open ─▶ StartTasks ─ tasks over ─▶ ReleaseMemory ─ released ─▶ over

The states of its tasks, and what follows from them, are those of `attempt_state`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shmflink.core.ids import SubtaskId, TaskManagerId
from shmflink.core.lazy_dataclass import dataclass
from shmflink.graph.execution_graph import ExecutionGraph, taskmanager_of
from shmflink.jobmachine import effects as ask
from shmflink.jobmachine import events
from shmflink.jobmachine.attempt_state import (
    ArmCancellationTimeout,
    AttemptCancelRequested,
    AttemptEnded,
    AttemptFailed,
    AttemptState,
    AttemptStateEntered,
    CancelAll,
    CancellationExpired,
    Deployed,
    Effect,
    KillAll,
    StartAll,
    TaskChanged,
    TaskManagerGone,
)
from shmflink.jobmachine.attempt_state import Event as StateEvent
from shmflink.jobmachine.events import AttemptEvent, Timer, TimerKind
from shmflink.jobmachine.outlet import Outlet
from shmflink.jobmachine.slow_calls import SlowCalls, sentence_of
from shmflink.rpc.messages import Failure
from shmflink.rpc.states import JobState, TaskState

__all__ = ["Attempt", "AttemptTimes"]


@dataclass(frozen=True, slots=True)
class AttemptTimes:
    """`cancellation_ms`: from the cancel to the kill; `cancel_again_ms`: between two requests to cancel."""

    cancellation_ms: int
    cancel_again_ms: int


class Attempt:
    """On the TaskManagers that were granted to it; index i of the execution graph is `taskmanagers[i]`."""

    def __init__(
        self,
        execution: ExecutionGraph,
        taskmanagers: Sequence[TaskManagerId],
        parallelism: Mapping[int, int],
        times: AttemptTimes,
        outlet: Outlet,
    ) -> None:
        """`parallelism`: of each vertex of the job."""
        self.execution = execution
        self.taskmanagers = tuple(taskmanagers)
        self.entered: list[JobState] = []
        """States that its owner has not read yet, oldest first."""
        self.is_running = False
        """Each of its tasks runs or has finished."""
        self.end: tuple[JobState, Failure | None] | None = None
        """Set when all its memory is released."""
        self._parallelism = dict(parallelism)
        self._times = times
        self._outlet = outlet
        per = execution.slots_per_taskmanager
        self._state = AttemptState({task.subtask: taskmanager_of(task.slot, per) for task in execution.tasks})
        self._unprepared = set(execution.taskmanagers)
        self._unreleased = set(execution.taskmanagers)
        self._outcome: tuple[JobState, Failure | None] | None = None
        self._cancelled: tuple[int, ...] = ()
        self._calls = SlowCalls()

    @property
    def epoch(self) -> int:
        return self.execution.epoch

    @property
    def state(self) -> JobState:
        return self._state.state

    @property
    def failure(self) -> Failure | None:
        """Why it fails, or has failed."""
        return self._state.failure

    @property
    def tasks(self) -> Mapping[SubtaskId, TaskState]:
        """The last known state of each."""
        return self._state.tasks

    def begin(self, restore_path: str) -> None:
        """Asks every TaskManager for the attempt's memory."""
        self._outlet.ask(ask.BeginAttempt(self.execution, self.taskmanagers, restore_path))

    # --- events ---

    def handle(self, event: AttemptEvent) -> None:
        """Answers to its effects."""
        match event:
            case events.MemoryRefused(_, failure):
                self._unreleased.clear()
                self.fail(failure)
            case events.MemoryReady(_, taskmanager, failure):
                self._memory_ready(taskmanager, failure)
            case events.MemoryReleased(_, taskmanager):
                self._unreleased.discard(taskmanager)
                self._finish_if_released()
            case events.EnumeratorFailed(_, failure):
                self.fail(failure)

    def task_reported(self, subtask: SubtaskId, state: TaskState, failure: Failure | None) -> None:
        """A task has entered a state."""
        self._advance(TaskChanged(subtask, state, failure))
        is_up = all(one in (TaskState.RUNNING, TaskState.FINISHED) for one in self.tasks.values())
        self.is_running = self.is_running or is_up

    def taskmanager_lost(self, taskmanager: TaskManagerId, failure: Failure) -> None:
        """A TaskManager of the job is gone. It may be newer than this attempt: then only other regions use it."""
        if taskmanager not in self.taskmanagers:
            return
        index = self.taskmanagers.index(taskmanager)
        if index not in self.execution.taskmanagers:
            return
        self._unreleased.discard(index)
        if self._unprepared:  # no task is deployed yet, so the state machine sees no lost task
            self._unprepared.discard(index)
            self.fail(failure)
        self._advance(TaskManagerGone(index, failure))
        self._finish_if_released()

    def fail(self, failure: Failure) -> None:
        """Fails it for a reason that is no single task's."""
        self._advance(AttemptFailed(failure))

    def cancel(self, force: bool) -> None:
        """Stops it; `force` kills its TaskManagers."""
        self._advance(AttemptCancelRequested(force))

    def timer_fired(self, kind: TimerKind) -> None:
        """One of its own."""
        if kind is TimerKind.CANCEL_AGAIN:
            self._cancel_tasks()
        else:
            self._cancellation_expired()

    # --- calls of user code ---

    def call_reported(self, event: events.CallReported) -> str:
        """A message for people; empty if there is nothing to report."""
        call = event.call
        if not self._calls.heard(call, self._outlet.now_ms / 1000):
            return ""
        return f"{sentence_of(call, self._parallelism[call.subtask.vertex])}\n{call.stack.rstrip()}"

    def slow_calls(self, now_ms: int) -> tuple[str, ...]:
        """Sentences about its tasks whose calls do not return."""
        return self._calls.sentences(self._parallelism, now_ms / 1000)

    def slow_call_of(self, subtask: SubtaskId) -> str:
        """`in one call of user code for 34 s: job.py:12 in slow`; empty if no call takes long."""
        return self._calls.of(subtask, self._outlet.now_ms / 1000)

    # --- memory ---

    def _memory_ready(self, taskmanager: int, failure: Failure | None) -> None:
        self._unprepared.discard(taskmanager)
        if failure is not None:
            self.fail(failure)
        elif not self._unprepared and self.state is JobState.CREATED:
            self._outlet.ask(ask.Deploy(self.epoch))
            self._advance(Deployed())

    def _finish_if_released(self) -> None:
        if self._outcome is None or self._unreleased or self.end is not None:
            return
        self.end = self._outcome
        for kind in (TimerKind.CANCELLATION, TimerKind.CANCEL_AGAIN):
            self._outlet.ask(ask.StopTimer(Timer(kind, self.epoch)))
        self._outlet.ask(ask.AttemptOver(self.epoch))

    # --- what its state machine asks for ---

    def _advance(self, event: StateEvent) -> None:
        for effect in self._state.handle(event):
            self._perform(effect)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case AttemptStateEntered(state):
                self.entered.append(state)
            case StartAll():
                self._outlet.ask(ask.StartTasks(self.epoch))
            case CancelAll(taskmanagers):
                self._cancelled = taskmanagers
                self._cancel_tasks()
            case ArmCancellationTimeout():
                self._arm_cancellation()
            case KillAll(taskmanagers):
                why = "".join(f"; {sentence}" for sentence in self.slow_calls(self._outlet.now_ms))
                text = f"did not stop its tasks in time, so it was killed{why}"
                self._outlet.ask(ask.KillTaskManagers(self.epoch, taskmanagers, text))
            case AttemptEnded(state, failure):
                self._release(state, failure)

    def _cancel_tasks(self) -> None:
        """Repeats the request until all tasks are over."""
        if self.state.is_terminal:
            return
        self._outlet.ask(
            ask.CancelTasks(self.epoch, self._cancelled),
            ask.SetTimer(Timer(TimerKind.CANCEL_AGAIN, self.epoch), self._times.cancel_again_ms),
        )

    def _arm_cancellation(self) -> None:
        self._outlet.ask(ask.SetTimer(Timer(TimerKind.CANCELLATION, self.epoch), self._times.cancellation_ms))

    def _cancellation_expired(self) -> None:
        """Also for TaskManagers that do not release their memory: their tasks are over, but user code may still run."""
        self._advance(CancellationExpired())
        if self._outcome is not None and self._unreleased:
            text = "did not release the job's memory in time, so it was killed"
            self._outlet.ask(ask.KillTaskManagers(self.epoch, tuple(sorted(self._unreleased)), text))

    def _release(self, state: JobState, failure: Failure | None) -> None:
        self._outcome = state, failure
        if self._unreleased:
            if not self._cancelled:  # otherwise the cancellation timeout covers the release, too
                self._arm_cancellation()
            self._outlet.ask(ask.ReleaseMemory(self.epoch, tuple(sorted(self._unreleased))))
        self._finish_if_released()
