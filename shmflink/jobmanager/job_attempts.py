"""The attempts of one job in this process, and their TaskManagers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shmflink.config.options import SLOTS_PER_TASKMANAGER
from shmflink.core.ids import SubtaskId, TaskManagerId
from shmflink.graph.job_graph import JobGraph
from shmflink.jobmachine import effects as ask
from shmflink.jobmachine.events import Event
from shmflink.jobmachine.job import JobMachine
from shmflink.jobmanager.attempt_run import AttemptEffect, AttemptRun
from shmflink.jobmanager.enumerators import Enumerators
from shmflink.jobmanager.job_loop import JobLoop
from shmflink.jobmanager.taskmanager_gateway import TaskManagerGateway
from shmflink.rpc.messages import (
    CheckpointAborted,
    CheckpointCompleted,
    DrainSources,
    TaskSummary,
    TriggerCheckpoint,
)
from shmflink.rpc.states import TaskState

__all__ = ["AttemptMessage", "JobAttempts"]

AttemptMessage = ask.TriggerCheckpoint | ask.SwitchToUnaligned | ask.TellCompleted | ask.TellAborted | ask.DrainSources


class JobAttempts:
    """The attempts of one job, from the first one to the job's end. Used only by the event loop."""

    def __init__(
        self,
        graph: JobGraph,
        configuration: Mapping[str, str],
        machine: JobMachine,
        enumerators: Enumerators,
        loop: JobLoop,
        feed: Callable[[Event], None],
        ha_identity: str,
    ) -> None:
        """Only reads `machine`."""
        self._graph = graph
        self._configuration = configuration
        self._machine = machine
        self._enumerators = enumerators
        self._loop = loop
        self._feed = feed
        self._ha_identity = ha_identity
        self._taskmanagers: dict[TaskManagerId, TaskManagerGateway] = {}
        self._attempts: dict[int, AttemptRun] = {}  # by epoch
        self._over: dict[tuple[int, int], TaskSummary] = {}  # counters of attempts that have ended

    # --- TaskManagers ---

    def granted(self, taskmanagers: Sequence[TaskManagerGateway]) -> tuple[TaskManagerId, ...]:
        """Assigns TaskManagers to the job; returns their ids."""
        granted = {taskmanager.id: taskmanager for taskmanager in taskmanagers}
        self._taskmanagers |= granted
        return tuple(granted)

    def lost(self, taskmanager: TaskManagerId) -> None:
        """Removes a TaskManager that is gone."""
        del self._taskmanagers[taskmanager]

    def message(self, taskmanager: TaskManagerGateway, message: Any) -> None:
        """Passes a TaskManager's message to the attempt that it names; no effect if that attempt is over."""
        attempt = self._attempts.get(message.epoch)
        if attempt is not None:
            attempt.message(taskmanager, message)

    # --- effects ---

    def begin(self, effect: ask.BeginAttempt) -> None:
        """Begins an attempt on the TaskManagers that the machine chose."""
        execution = effect.execution
        attempt = next(one for one in self._machine.attempts if one.epoch == execution.epoch)
        run = AttemptRun(
            self._graph,
            attempt,
            effect.restore_path,
            [self._taskmanagers[one] for one in effect.taskmanagers],
            {**self._configuration, SLOTS_PER_TASKMANAGER.key: str(execution.slots_per_taskmanager)},
            self._loop,
            self._feed,
            self._enumerators.splits,
            self._ha_identity,
        )
        self._attempts[execution.epoch] = run
        run.begin()

    def tell(self, effect: AttemptMessage) -> None:
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

    def perform(self, effect: AttemptEffect) -> None:
        """Performs an effect of an attempt's machine."""
        self._attempts[effect.epoch].perform(effect)

    def over(self, epoch: int) -> tuple[TaskSummary, ...]:
        """Nothing of the attempt is left but its counters, which are returned."""
        attempt = self._attempts.pop(epoch)
        summaries = attempt.summaries()
        self._over |= {(one.vertex, one.subtask): one for one in summaries}
        attempt.close()
        return summaries

    # --- counters ---

    def summaries(self, vertex: int | None = None) -> tuple[TaskSummary, ...]:
        """Counters of all subtasks, or of those of one vertex: of the last attempt of each."""
        found = {key: one for key, one in self._over.items() if vertex in (None, key[0])}
        for attempt in self._attempts.values():
            found |= {(one.vertex, one.subtask): one for one in attempt.summaries(vertex)}
        return tuple(one for _, one in sorted(found.items()))

    def states(self) -> dict[SubtaskId, TaskState]:
        """Of the last attempts of all tasks."""
        found = {SubtaskId(*key): one.state for key, one in self._over.items()}
        for attempt in self._machine.attempts:
            found |= attempt.tasks
        return found
