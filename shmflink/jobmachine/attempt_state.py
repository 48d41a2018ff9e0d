"""The states of one attempt: event in, effects out. The first cause of a failure is kept.

::

    CREATED ── Deployed ─▶ RUNNING ── all tasks FINISHED ─▶ FINISHED
       │                     ├─ a task or TaskManager fails ─▶ FAILING ─ all tasks over ─▶ FAILED
       └─ cancel requested ──┴───────────────▶ CANCELLING ─ all tasks over ─▶ CANCELED

A cancel that comes while FAILING changes nothing: the cause stays the failure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from shmflink.core.ids import SubtaskId
from shmflink.core.lazy_dataclass import dataclass
from shmflink.rpc.messages import Failure
from shmflink.rpc.states import JobState, TaskState

__all__ = [
    "ArmCancellationTimeout",
    "AttemptCancelRequested",
    "AttemptEnded",
    "AttemptFailed",
    "AttemptState",
    "AttemptStateEntered",
    "CancelAll",
    "CancellationExpired",
    "Deployed",
    "Effect",
    "Event",
    "KillAll",
    "StartAll",
    "TaskChanged",
    "TaskManagerGone",
]

# --- events ---


@dataclass(frozen=True, slots=True)
class Deployed:
    """Every TaskManager was told to build its tasks."""


@dataclass(frozen=True, slots=True)
class TaskChanged:
    """A TaskManager reports a task's state."""

    subtask: SubtaskId
    state: TaskState
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class TaskManagerGone:
    """A TaskManager of the attempt died."""

    taskmanager: int
    failure: Failure


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """The attempt fails for a reason that is no single task's: memory, an enumerator."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class AttemptCancelRequested:
    """The user cancels; `force` does not ask the tasks."""

    force: bool = False


@dataclass(frozen=True, slots=True)
class CancellationExpired:
    """The cancellation timeout has passed."""


Event: TypeAlias = (
    Deployed | TaskChanged | TaskManagerGone | AttemptFailed | AttemptCancelRequested | CancellationExpired
)

# --- effects ---


@dataclass(frozen=True, slots=True)
class AttemptStateEntered:
    """The attempt is in another state now."""

    state: JobState


@dataclass(frozen=True, slots=True)
class StartAll:
    """Every task is open: let them run."""


@dataclass(frozen=True, slots=True)
class CancelAll:
    """Tell these TaskManagers to cancel the tasks that still run."""

    taskmanagers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ArmCancellationTimeout:
    """Send CancellationExpired when the cancellation timeout is over."""


@dataclass(frozen=True, slots=True)
class KillAll:
    """These TaskManagers have not stopped their tasks in time."""

    taskmanagers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """Every task is in a terminal state."""

    state: JobState
    failure: Failure | None


Effect: TypeAlias = AttemptStateEntered | StartAll | CancelAll | ArmCancellationTimeout | KillAll | AttemptEnded


class AttemptState:
    """Of one failover region. `taskmanager_of` says where each task runs."""

    def __init__(self, taskmanager_of: Mapping[SubtaskId, int]) -> None:
        self.state = JobState.CREATED
        self.failure: Failure | None = None
        self.tasks: dict[SubtaskId, TaskState] = dict.fromkeys(taskmanager_of, TaskState.CREATED)
        self._taskmanager_of = dict(taskmanager_of)
        self._is_started = False

    def handle(self, event: Event) -> list[Effect]:
        """What has to happen because of `event`. Events after the end change nothing."""
        if self.state.is_terminal:
            return []
        match event:
            case Deployed():
                effects = self._deployed()
            case TaskChanged(subtask, state, failure):
                effects = self._task_changed(subtask, state, failure)
            case TaskManagerGone(taskmanager, failure):
                effects = self._taskmanager_gone(taskmanager, failure)
            case AttemptFailed(failure):
                effects = self._fail(failure)
            case AttemptCancelRequested(force):
                effects = self._cancel(force)
            case CancellationExpired():
                effects = [KillAll(self._busy_taskmanagers())]
        return effects + self._end_if_over()

    def _deployed(self) -> list[Effect]:
        if self.state is not JobState.CREATED:
            return []
        self.tasks = dict.fromkeys(self.tasks, TaskState.DEPLOYING)
        return [self._enter(JobState.RUNNING)]

    def _task_changed(self, subtask: SubtaskId, state: TaskState, failure: Failure | None) -> list[Effect]:
        if self.tasks[subtask].is_terminal:
            return []
        self.tasks[subtask] = state
        if state is TaskState.FAILED:
            return self._fail(failure or Failure("InternalError", f"task {subtask} failed without a cause"))
        if state is TaskState.CANCELED and self.state is JobState.RUNNING:
            return self._fail(Failure("InternalError", f"task {subtask} was canceled without a request"))
        return self._start_if_ready()

    def _start_if_ready(self) -> list[Effect]:
        waiting = (TaskState.CREATED, TaskState.DEPLOYING)
        if self._is_started or self.state is not JobState.RUNNING or any(s in waiting for s in self.tasks.values()):
            return []
        self._is_started = True
        return [StartAll()]

    def _taskmanager_gone(self, taskmanager: int, failure: Failure) -> list[Effect]:
        lost = [t for t, tm in self._taskmanager_of.items() if tm == taskmanager and not self.tasks[t].is_terminal]
        if not lost:
            return []  # its tasks were over; what they sent lies in memory that its consumers have mapped
        is_stopping = self.state in (JobState.FAILING, JobState.CANCELLING)
        self.tasks.update(dict.fromkeys(lost, TaskState.CANCELED if is_stopping else TaskState.FAILED))
        return [] if is_stopping else self._fail(failure)

    def _fail(self, failure: Failure) -> list[Effect]:
        if self.state in (JobState.FAILING, JobState.CANCELLING):
            return []
        self.failure = failure
        return [self._enter(JobState.FAILING), *self._stop()]

    def _cancel(self, force: bool) -> list[Effect]:
        effects: list[Effect] = []
        if self.state not in (JobState.FAILING, JobState.CANCELLING):
            effects = [self._enter(JobState.CANCELLING), *self._stop()]
        if force:
            effects.append(KillAll(self._busy_taskmanagers()))
        return effects

    def _stop(self) -> list[Effect]:
        """Tasks that were never deployed are canceled at once; the others are told to cancel."""
        for subtask, state in self.tasks.items():
            if state is TaskState.CREATED:
                self.tasks[subtask] = TaskState.CANCELED
        busy = self._busy_taskmanagers()
        return [CancelAll(busy), ArmCancellationTimeout()] if busy else []

    def _busy_taskmanagers(self) -> tuple[int, ...]:
        return tuple(sorted({self._taskmanager_of[t] for t, state in self.tasks.items() if not state.is_terminal}))

    def _end_if_over(self) -> list[Effect]:
        if self.state is JobState.CREATED or not all(state.is_terminal for state in self.tasks.values()):
            return []
        ends = {
            JobState.RUNNING: JobState.FINISHED,
            JobState.FAILING: JobState.FAILED,
            JobState.CANCELLING: JobState.CANCELED,
        }
        entered = self._enter(ends[self.state])
        return [entered, AttemptEnded(self.state, self.failure)]

    def _enter(self, state: JobState) -> Effect:
        self.state = state
        return AttemptStateEntered(state)
