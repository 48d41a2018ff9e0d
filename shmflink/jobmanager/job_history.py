"""When what happened to one job: its states, the attempts of its tasks, its failures. For who looks at it later."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import field
from typing import Final

from shmflink.core.clock import Clock
from shmflink.core.ids import SubtaskId, TaskManagerId
from shmflink.core.lazy_dataclass import dataclass
from shmflink.graph.execution_graph import taskmanager_of
from shmflink.jobmachine import effects as ask
from shmflink.jobmachine.events import Event, TaskReported
from shmflink.rpc.messages import Failure, TaskSummary
from shmflink.rpc.read_messages import FailureRead
from shmflink.rpc.states import JobState, TaskState

__all__ = ["JobHistory", "TaskTimes", "taskmanager_name"]

_FAILURES_MAX: Final = 16  # Flink: web.exception-history-size


def taskmanager_name(taskmanager: TaskManagerId) -> str:
    """Of one process, unlike its index, which its successor has as well."""
    return f"{taskmanager.host}-{taskmanager.index}-{taskmanager.life}"


@dataclass(slots=True)
class TaskTimes:
    """The last attempt of one task. `number` counts from 0; `entered`: ms since 1970."""

    number: int
    epoch: int
    taskmanager: str
    entered: dict[TaskState, int] = field(default_factory=dict)


class JobHistory:
    """Of one job. Hears its events and effects; used by the event loop alone."""

    def __init__(self, clock: Clock) -> None:
        self.started_ms = clock.processing_time_ms()
        self.entered: dict[JobState, int] = {JobState.CREATED: self.started_ms}
        """When it was last in each state, in ms since 1970."""
        self.tasks: dict[SubtaskId, TaskTimes] = {}
        self.restore: tuple[str, int] | None = None
        """The folder that the latest attempt resumed from, and when."""
        self._failures: deque[FailureRead] = deque(maxlen=_FAILURES_MAX)
        self._causes: deque[tuple[Failure, SubtaskId]] = deque(maxlen=_FAILURES_MAX)  # and whose they were
        self._clock = clock

    @property
    def failures(self) -> tuple[FailureRead, ...]:
        """Newest first."""
        return tuple(reversed(self._failures))

    def listening(self, feed: Callable[[Event], None]) -> Callable[[Event], None]:
        """`feed`, with this history as a listener."""

        def fed(event: Event) -> None:
            if isinstance(event, TaskReported):
                self._task_entered(event.epoch, event.subtask, event.state)
                if event.failure is not None:
                    self._causes.append((event.failure, event.subtask))
            feed(event)

        return fed

    def performed(self, effect: ask.Effect) -> None:
        """An effect that is about to be performed."""
        match effect:
            case ask.StateEntered(state, failure):
                self._entered(state, failure)
            case ask.Over(state, failure):
                self._entered(state, failure)
            case ask.BeginAttempt():
                self._begun(effect)
            case ask.Deploy(epoch):
                for subtask, task in self.tasks.items():
                    if task.epoch == epoch:
                        self._task_entered(epoch, subtask, TaskState.DEPLOYING)

    def over(self, summaries: Iterable[TaskSummary]) -> None:
        """The attempt of these tasks is over: some may have ended without a word."""
        for one in summaries:
            self.seen(SubtaskId(one.vertex, one.subtask), one.state)

    def seen(self, subtask: SubtaskId, state: TaskState) -> None:
        """The task is in this state now; it may have entered it without a word."""
        task = self.tasks[subtask]
        if state not in task.entered:
            task.entered[state] = self._clock.processing_time_ms()

    def _begun(self, effect: ask.BeginAttempt) -> None:
        now_ms, execution = self._clock.processing_time_ms(), effect.execution
        if effect.restore_path:
            self.restore = effect.restore_path, now_ms
        for task in execution.tasks:
            before = self.tasks.get(task.subtask)
            taskmanager = effect.taskmanagers[taskmanager_of(task.slot, execution.slots_per_taskmanager)]
            number = 0 if before is None else before.number + 1
            times = TaskTimes(number, execution.epoch, taskmanager_name(taskmanager), {TaskState.CREATED: now_ms})
            self.tasks[task.subtask] = times

    def _task_entered(self, epoch: int, subtask: SubtaskId, state: TaskState) -> None:
        task = self.tasks.get(subtask)
        if task is not None and task.epoch == epoch:
            task.entered[state] = self._clock.processing_time_ms()

    def _entered(self, state: JobState, failure: Failure | None) -> None:
        now_ms = self._clock.processing_time_ms()
        self.entered[state] = now_ms
        if failure is None:
            return
        subtask = next((subtask for cause, subtask in self._causes if cause == failure), None)
        task = None if subtask is None else self.tasks.get(subtask)
        number, taskmanager = (0, "") if task is None else (task.number, task.taskmanager)
        self._failures.append(FailureRead(failure, now_ms, number, taskmanager))
