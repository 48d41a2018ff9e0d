"""A stage for job machines: answers what they ask for at once, but for what a test holds back."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from shmflink.checkpoint.events import Acknowledged
from shmflink.checkpoint.handles import CheckpointLocation
from shmflink.checkpoint.manifest import Manifest
from shmflink.checkpoint.settings import CheckpointSettings
from shmflink.core.ids import LOCAL_HOST, JobId, SubtaskId, TaskManagerId
from shmflink.graph.job_graph import ChainedOperator, JobGraph, JobVertex, NodeKind
from shmflink.jobmachine import effects as ask
from shmflink.jobmachine import events
from shmflink.jobmachine.job import JobMachine
from shmflink.rpc.states import JobState, TaskState

JOB = JobId("a" * 32)


def graph_of(parallelism: int) -> JobGraph:
    """Sources that write nowhere: each subtask is a failover region of its own."""
    operator = ChainedOperator("f" * 32, "orders", "", "orders", NodeKind.SOURCE, b"")
    vertex = JobVertex(0, "orders", parallelism, 128, "default", None, (operator,))
    return JobGraph(JOB, "job", False, (vertex,), ())


class Stage:
    """One job with a TaskManager for each subtask. `asked` has all effects, in their order."""

    def __init__(self, regions: int, settings: CheckpointSettings, configuration: dict[str, str]) -> None:
        self.machine = JobMachine(graph_of(regions), configuration, settings, random.Random(7))
        self.now_ms = 0
        self.asked: list[ask.Effect] = []
        self.held: set[type[Any]] = set()
        """Effects of these types wait for `release`."""
        self.waiting: deque[ask.Effect] = deque()
        self.disk: dict[str, Manifest] = {}
        self.opened = events.StorageOpened()
        self.timers: dict[events.Timer, int] = {}
        self._events: deque[events.Event] = deque()
        self._epoch = 0
        self._lives = 0
        self._attempts: dict[int, ask.BeginAttempt] = {}

    # --- what a test does ---

    def start(self) -> Stage:
        """The job is submitted; with nothing held, its tasks run."""
        self.feed(events.Submitted())
        return self

    def feed(self, event: events.Event) -> None:
        """And all that follows from it, in order."""
        self._events.append(event)
        if len(self._events) > 1:
            return  # while another is handled
        while self._events:
            for effect in self.machine.handle(self._events[0], self.now_ms):
                self.asked.append(effect)
                self._keep_time(effect)
                if type(effect) in self.held:
                    self.waiting.append(effect)
                else:
                    self.answer(effect)
            self._events.popleft()

    def release(self, kind: type[Any] | None = None) -> None:
        """The oldest effect that waits, of this kind, is answered."""
        effect = next(one for one in self.waiting if kind is None or isinstance(one, kind))
        self.waiting.remove(effect)
        self.answer(effect)

    def pass_time(self, ms: int) -> None:
        """Timers that are due by then fire."""
        self.now_ms += ms
        while due := [timer for timer, due_ms in self.timers.items() if due_ms <= self.now_ms]:
            del self.timers[due[0]]
            self.feed(events.TimerFired(due[0]))

    def report(self, subtask: int, state: TaskState, failure: Any = None) -> None:
        """A task of the newest attempt that has it is in this state."""
        self.feed(events.TaskReported(self.epoch_of(subtask), SubtaskId(0, subtask), state, failure))

    def acknowledge(self, checkpoint_id: int, *subtasks: int) -> None:
        """These tasks have written their part."""
        for subtask in subtasks:
            event = Acknowledged(SubtaskId(0, subtask), checkpoint_id)
            self.feed(events.TaskSaid(self.epoch_of(subtask), event))

    def epoch_of(self, subtask: int) -> int:
        """Of the newest attempt of this task's region."""
        task = SubtaskId(0, subtask)
        return max(e for e, begun in self._attempts.items() if any(t.subtask == task for t in begun.execution.tasks))

    # --- what a test looks at ---

    def all(self, kind: type[Any]) -> list[Any]:
        """Effects of one type."""
        return [effect for effect in self.asked if isinstance(effect, kind)]

    @property
    def states(self) -> list[JobState]:
        """That the job has entered, its end included."""
        kinds = ask.StateEntered | ask.Over
        return [effect.state for effect in self.asked if isinstance(effect, kinds)]

    @property
    def over(self) -> ask.Over:
        """The end, which is the last effect."""
        end = self.asked[-1]
        assert isinstance(end, ask.Over), f"{type(end).__name__} comes last"
        return end

    # --- the world ---

    def _keep_time(self, effect: ask.Effect) -> None:
        if isinstance(effect, ask.SetTimer):
            self.timers[effect.timer] = self.now_ms + effect.delay_ms
        elif isinstance(effect, ask.StopTimer):
            self.timers.pop(effect.timer, None)

    def answer(self, effect: ask.Effect) -> None:
        """As a world does in which nothing goes wrong."""
        for event in self._answers(effect):
            self.feed(event)

    def _answers(self, effect: ask.Effect) -> list[events.Event]:
        match effect:
            case ask.OpenStorage():
                return [self.opened]
            case ask.WantSlots():
                missing = self.machine.missing_taskmanagers(1)
                lives = [self._life() for _ in range(missing)]
                return [
                    events.SlotsGranted(tuple(TaskManagerId(LOCAL_HOST, n, life) for n, life in enumerate(lives)), 1)
                ]
            case ask.PrepareRestore():
                return [self._prepared(effect)]
            case ask.OpenEnumerators():
                return [events.EnumeratorsOpened()]
            case ask.KeepEnd():
                return [events.EndKept()]
            case ask.CloseStorage():
                return [events.StorageClosed()]
            case ask.KeepPointers():
                return [events.PointersKept()]
            case ask.MakeFolder(checkpoint_id, target):
                folder = f"/chk-{checkpoint_id}" if target is None else f"{target}/savepoint"
                return [events.FolderMade(checkpoint_id, CheckpointLocation(folder, "", 0), 0)]
            case ask.TriggerCheckpoint(_, barrier):
                return [events.Triggered(barrier.checkpoint_id, {})]
            case ask.StoreCheckpoint(store, _, location):
                manifest = Manifest(store.checkpoint_id, JOB.hex, "job", 0, "checkpoint")
                self.disk[location.directory] = manifest
                return [events.CheckpointStored(store.checkpoint_id, manifest)]
            case _:
                return self._answers_of_tasks(effect)

    def _answers_of_tasks(self, effect: ask.Effect) -> list[events.Event]:
        match effect:
            case ask.BeginAttempt(execution):
                self._attempts[execution.epoch] = effect
                return [events.MemoryReady(execution.epoch, index) for index in execution.taskmanagers]
            case ask.Deploy(epoch):
                return self._all(epoch, TaskState.INITIALIZING)
            case ask.StartTasks(epoch):
                return self._all(epoch, TaskState.RUNNING)
            case ask.CancelTasks(epoch):
                return self._all(epoch, TaskState.CANCELED)
            case ask.ReleaseMemory(epoch, taskmanagers):
                return [events.MemoryReleased(epoch, index) for index in taskmanagers]
            case _:
                return []

    def _all(self, epoch: int, state: TaskState) -> list[events.Event]:
        tasks = self._attempts[epoch].execution.tasks
        return [events.TaskReported(epoch, task.subtask, state) for task in tasks]

    def _life(self) -> int:
        self._lives += 1
        return self._lives

    def _prepared(self, effect: ask.PrepareRestore) -> events.RestorePrepared:
        first = next(iter(effect.directories), None)
        restore = None if first is None else events.RestorePoint(first, self.disk[first])
        epochs = tuple(range(self._epoch + 1, self._epoch + 1 + effect.attempts))
        self._epoch += effect.attempts
        return events.RestorePrepared(restore, epochs)


@pytest.fixture
def stage() -> Callable[..., Stage]:
    """`stage(regions)`: fixed delay of 100 ms, twice; checkpoints every 10 ms unless `interval_ms` says otherwise."""

    def build(regions: int = 1, **settings: Any) -> Stage:
        configuration = {
            "restart-strategy.type": "fixed-delay",
            "restart-strategy.fixed-delay.attempts": "2",
            "restart-strategy.fixed-delay.delay": "100 ms",
        }
        return Stage(regions, replace(CheckpointSettings(interval_ms=10), **settings), configuration)

    return build
