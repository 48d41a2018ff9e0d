"""Any job machine, whatever happens in whatever order: promises that hold at every step, against a naive model.

The model knows nothing of how the machine works: which checkpoints are durable, which folders are pointed to, which
attempts are there, who asked for what.
"""

from __future__ import annotations

import random
from collections import deque

import pytest

from shmflink.checkpoint.events import Acknowledged, Declined, TaskReachedEnd
from shmflink.checkpoint.handles import CheckpointLocation
from shmflink.checkpoint.manifest import Manifest
from shmflink.checkpoint.settings import CheckpointSettings
from shmflink.core.ids import LOCAL_HOST, JobId, SubtaskId, TaskManagerId
from shmflink.graph.job_graph import ChainedOperator, JobEdge, JobGraph, JobVertex, NodeKind, ShipStrategy
from shmflink.jobmachine import effects as ask
from shmflink.jobmachine import events
from shmflink.jobmachine.job import JobMachine
from shmflink.rpc.messages import Failure
from shmflink.rpc.states import JobState, TaskState

SEEDS = range(60)
STEPS = 400
CAUSES = ("ValueError", "TaskManagerLostError", "CheckpointCorruptedError", "ConfigurationError")


def graph_of(parallelism: int, *, is_connected: bool) -> JobGraph:
    source = ChainedOperator("a" * 32, "orders", "", "orders", NodeKind.SOURCE, b"")
    sink = ChainedOperator("b" * 32, "out", "", "out", NodeKind.SINK, b"")
    vertices = tuple(
        JobVertex(index, op.name, parallelism, 128, "default", None, (op,)) for index, op in enumerate((source, sink))
    )
    ship = ShipStrategy.REBALANCE if is_connected else ShipStrategy.FORWARD
    return JobGraph(JobId("c" * 32), "job", False, vertices, (JobEdge(0, 0, 0, 1, 0, ship),))


class Model:
    """A world that answers late, or wrongly, and remembers what it was asked for."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        strategy = self.rng.choice(("none", "fixed-delay", "failure-rate", "exponential-delay"))
        settings = CheckpointSettings(
            interval_ms=self.rng.choice((None, 10, 50)),
            max_concurrent=self.rng.choice((1, 3)),
            tolerable_failures=self.rng.choice((0, 5)),
            timeout_ms=self.rng.choice((40, 1000)),
            num_retained=self.rng.choice((1, 2)),
            min_pause_ms=0,
        )
        graph = graph_of(self.rng.choice((1, 3)), is_connected=self.rng.random() < 0.5)
        configuration = {"restart-strategy.type": strategy, "restart-strategy.fixed-delay.attempts": "3"}
        self.machine = JobMachine(graph, configuration, settings, random.Random(seed))
        self.now_ms = 0
        self.open: list[ask.Effect] = []  # effects that wait for their answer
        self.timers: dict[events.Timer, int] = {}
        self.tasks: dict[tuple[int, SubtaskId], TaskState] = {}  # by epoch: what each task will report next from
        self.attempts: dict[int, ask.BeginAttempt] = {}  # that there are
        self.durable: dict[str, Manifest] = {}
        self.pointed: tuple[str, ...] = ()  # what is known to be durable in the HA directory
        self.triggered: dict[int, set[tuple[int, SubtaskId]]] = {}
        self.answers: dict[int, int] = {}
        self.folders: dict[int, str] = {}
        self.told_stops: set[int] = set()
        self.was_cancelled = self.was_suspended = False
        self.over: ask.Over | None = None
        self._events: deque[events.Event] = deque()
        self._epoch = 0
        self._life = 0

    # --- the machine ---

    def feed(self, event: events.Event) -> None:
        self._events.append(event)
        while self._events:
            for effect in self.machine.handle(self._events.popleft(), self.now_ms):
                assert self.over is None, f"{effect} after the end"
                self.check(effect)
                self.take(effect)

    def check(self, effect: ask.Effect) -> None:
        """What is promised of each effect."""
        match effect:
            case ask.BeginAttempt(execution):
                there = {task.subtask for one in self.attempts.values() for task in one.execution.tasks}
                assert not there & {task.subtask for task in execution.tasks}, "two attempts of a task"
                assert not any(isinstance(one, ask.StoreCheckpoint) for one in self.open), "begins while one is stored"
                assert effect.restore_path in ("", *self.durable), "from what is not durable"
                assert len(set(effect.taskmanagers)) == len(effect.taskmanagers)
            case ask.TellCompleted(_, checkpoint_id) if checkpoint_id in self.folders:
                assert self.folders[checkpoint_id] in self.pointed, "a commit before its pointer is durable"
            case ask.DeleteFiles(deletions):
                gone = {self.folders.get(checkpoint_id) for checkpoint_id in deletions.checkpoints}
                assert not gone & set(self.pointed), "a pointer into nothing"
            case ask.DiscardFolder(directory):
                assert directory not in self.pointed, "a pointer into nothing"
            case ask.Answer(request_id):
                self.answers[request_id] += 1
                assert self.answers[request_id] == 1, "answered twice"
            case ask.CloseStorage():
                assert not self.attempts, "closed while tasks run"
                busy = (ask.StoreCheckpoint, ask.MakeFolder, ask.KeepPointers, ask.OpenStorage)
                assert not any(isinstance(one, busy) for one in self.open), "closed while the disk is busy"
            case ask.Over(state, failure):
                assert (failure is not None) == (state is JobState.FAILED)
                assert state is not JobState.SUSPENDED or self.was_suspended
                assert state is not JobState.CANCELED or self.was_cancelled
                assert all(count == 1 for count in self.answers.values()), "a request without an answer"

    def take(self, effect: ask.Effect) -> None:
        match effect:
            case ask.SetTimer(timer, delay_ms):
                self.timers[timer] = self.now_ms + delay_ms
            case ask.StopTimer(timer):
                self.timers.pop(timer, None)
            case ask.AttemptOver(epoch):
                del self.attempts[epoch]
            case ask.TriggerCheckpoint(epochs, barrier):
                checkpoint_id = barrier.checkpoint_id
                tasks = {task for task in self.tasks if task[0] in epochs}
                self.triggered[checkpoint_id] = tasks
                if self.rng.random() < 0.05:
                    self._events.append(events.TriggerRefused(checkpoint_id, "the enumerator raised"))
                else:
                    self._events.append(events.Triggered(checkpoint_id, {}))
            case ask.BeginAttempt(execution):
                self.attempts[execution.epoch] = effect
                self.open.append(effect)
            case ask.Over():
                self.over = effect
            case _:
                self.open.append(effect)

    # --- the world ---

    def step(self) -> None:
        """Something happens."""
        choices = [self.answer] * 6 + [self.report] * 6 + [self.acknowledge] * 4 + [self.pass_time] * 3 + [self.disturb]
        self.rng.choice(choices)()

    def settle(self) -> None:
        """No disturbances any longer."""
        self.rng.choice((self.answer, self.answer, self.pass_time))()

    def answer(self) -> None:
        if self.open:
            effect = self.open.pop(self.rng.randrange(len(self.open)) if not self.are_kept_in_order else 0)
            for event in self.answers_of(effect):
                self.feed(event)

    @property
    def are_kept_in_order(self) -> bool:
        """Pointers are answered in their order."""
        return any(isinstance(one, ask.KeepPointers) for one in self.open)

    def answers_of(self, effect: ask.Effect) -> list[events.Event]:
        fails = self.rng.random() < 0.1
        match effect:
            case ask.OpenStorage():
                return [events.StorageOpened()]
            case ask.WantSlots():
                return [self.granted()]
            case ask.PrepareRestore():
                return [self.prepared(effect)]
            case ask.OpenEnumerators():
                return [events.EnumeratorsOpened()]
            case ask.KeepEnd():
                return [events.EndKept()]
            case ask.CloseStorage():
                return [events.StorageClosed()]
            case ask.KeepPointers(directories):
                assert set(directories) <= set(self.durable), "a pointer to what is not durable"
                self.pointed = directories
                return [events.PointersKept()]
            case ask.MakeFolder(checkpoint_id, target):
                folder = f"/chk-{checkpoint_id}" if target is None else f"{target}/savepoint-{checkpoint_id}"
                if fails:
                    return [events.FolderRefused(checkpoint_id, "no space")]
                return [events.FolderMade(checkpoint_id, CheckpointLocation(folder, "", 0), 0)]
            case ask.StoreCheckpoint(store, _, location):
                if fails:
                    return [events.CheckpointNotStored(store.checkpoint_id, "no space")]
                manifest = Manifest(store.checkpoint_id, "c" * 32, "job", 0, "checkpoint")
                self.durable[location.directory] = manifest
                self.folders[store.checkpoint_id] = location.directory
                return [events.CheckpointStored(store.checkpoint_id, manifest)]
            case _:
                return self.answers_of_tasks(effect, fails=fails)

    def answers_of_tasks(self, effect: ask.Effect, *, fails: bool) -> list[events.Event]:
        match effect:
            case ask.BeginAttempt(execution):
                if fails:
                    return [events.MemoryRefused(execution.epoch, Failure("ResourceError", "too much"))]
                return [events.MemoryReady(execution.epoch, index) for index in execution.taskmanagers]
            case ask.Deploy(epoch) if epoch in self.attempts:
                for task in self.attempts[epoch].execution.tasks:
                    self.tasks[epoch, task.subtask] = TaskState.DEPLOYING
            case ask.StartTasks(epoch):
                self.move(epoch, TaskState.INITIALIZING, TaskState.RUNNING)
            case ask.CancelTasks(epoch):
                alive = [task for task in self.tasks if task[0] == epoch]
                for task in alive:
                    del self.tasks[task]
                return [events.TaskReported(*task, TaskState.CANCELED) for task in alive]
            case ask.ReleaseMemory(epoch, taskmanagers):
                return [events.MemoryReleased(epoch, index) for index in taskmanagers]
            case ask.KillTaskManagers(epoch, taskmanagers) if epoch in self.attempts:
                return [self.lost(self.attempts[epoch].taskmanagers[index]) for index in taskmanagers]
        return []

    def move(self, epoch: int, before: TaskState, after: TaskState) -> None:
        for task, state in self.tasks.items():
            if task[0] == epoch and state is before:
                self.tasks[task] = after

    def granted(self) -> events.SlotsGranted:
        missing = self.machine.missing_taskmanagers(1)
        self._life += missing
        ids = [TaskManagerId(LOCAL_HOST, n, self._life - n) for n in range(missing)]
        return events.SlotsGranted(tuple(ids), 1)

    def prepared(self, effect: ask.PrepareRestore) -> events.RestorePrepared:
        readable = [one for one in effect.directories if self.rng.random() < 0.95]
        first = next(iter(readable), None)
        upto = effect.directories.index(first) if first is not None else len(effect.directories)
        damaged = tuple((one, "bit rot") for one in effect.directories[:upto])
        epochs = tuple(range(self._epoch + 1, self._epoch + 1 + effect.attempts))
        self._epoch += effect.attempts
        restore = None if first is None else events.RestorePoint(first, self.durable[first])
        leftovers = events.Leftovers() if effect.is_whole else None
        return events.RestorePrepared(restore, epochs, damaged, {}, leftovers)

    def lost(self, taskmanager: TaskManagerId) -> events.TaskManagerLost:
        for epoch, begun in self.attempts.items():
            if taskmanager in begun.taskmanagers:
                index = begun.taskmanagers.index(taskmanager)
                for task in begun.execution.tasks:
                    if task.slot == index:
                        self.tasks.pop((epoch, task.subtask), None)
        return events.TaskManagerLost(taskmanager, Failure("TaskManagerLostError", str(taskmanager)))

    def report(self) -> None:
        """A task goes on, or ends."""
        if not self.tasks:
            return
        (epoch, subtask), state = self.rng.choice(sorted(self.tasks.items(), key=lambda item: item[0]))
        if self.rng.random() < 0.03:
            del self.tasks[epoch, subtask]
            failure = Failure(self.rng.choice(CAUSES[:3]), f"of {subtask}")
            self.feed(events.TaskReported(epoch, subtask, TaskState.FAILED, failure))
        elif state is TaskState.DEPLOYING:
            self.tasks[epoch, subtask] = TaskState.INITIALIZING
            self.feed(events.TaskReported(epoch, subtask, TaskState.INITIALIZING))
        elif state is TaskState.RUNNING:
            self.run(epoch, subtask)

    def run(self, epoch: int, subtask: SubtaskId) -> None:
        chance = self.rng.random()
        if chance < 0.02:
            del self.tasks[epoch, subtask]
            self.feed(events.TaskReported(epoch, subtask, TaskState.FINISHED))
        elif chance < 0.04:
            self.feed(events.TaskSaid(epoch, TaskReachedEnd(subtask)))
        else:
            self.feed(events.TaskReported(epoch, subtask, TaskState.RUNNING))

    def acknowledge(self) -> None:
        waiting = [(checkpoint_id, task) for checkpoint_id, tasks in self.triggered.items() for task in sorted(tasks)]
        if not waiting:
            return
        checkpoint_id, task = self.rng.choice(waiting)
        self.triggered[checkpoint_id].discard(task)
        epoch, subtask = task
        if self.rng.random() < 0.03:
            self.feed(events.TaskSaid(epoch, Declined(subtask, checkpoint_id, "no space")))
        else:
            self.feed(events.TaskSaid(epoch, Acknowledged(subtask, checkpoint_id)))

    def pass_time(self) -> None:
        self.now_ms += self.rng.choice((1, 5, 20, 1000))
        for timer in [timer for timer, due_ms in self.timers.items() if due_ms <= self.now_ms]:
            if self.timers.get(timer, self.now_ms + 1) <= self.now_ms:
                del self.timers[timer]
                self.feed(events.TimerFired(timer))

    def disturb(self) -> None:
        chance = self.rng.random()
        request = len(self.answers) + 1
        if chance < 0.3:
            self.answers[request] = 0
            stops = self.rng.random() < 0.3
            drains = self.rng.random() < 0.2
            self.feed(events.SavepointWanted(request, "/s", stops=stops, drains=drains))
        elif chance < 0.6:
            self.answers[request] = 0
            self.feed(events.CheckpointWanted(request))
        elif chance < 0.8 and self.attempts:
            begun = self.rng.choice(list(self.attempts.values()))
            self.feed(self.lost(self.rng.choice(begun.taskmanagers)))
        elif chance < 0.82:
            self.cancel()
        elif chance < 0.84:
            self.was_suspended = True
            self.feed(events.SuspendRequested())
        elif chance < 0.85:
            self.feed(events.Crashed(Failure("InternalError", "a bug")))

    def cancel(self) -> None:
        self.was_cancelled = True
        self.feed(events.CancelRequested(force=self.rng.random() < 0.5))


@pytest.mark.parametrize("block", range(10))
def test_promises_hold_whatever_happens_and_a_cancelled_job_ends(block):
    """After the disturbances it is cancelled; when all that it asks for is answered, it is over."""
    for seed in SEEDS:
        model = Model(block * len(SEEDS) + seed)
        try:
            play(model)
        except AssertionError as error:
            story = "\n".join(model.machine.story.lines())
            raise AssertionError(f"seed {block * len(SEEDS) + seed}: {error}\n{story}") from error


def play(model: Model) -> None:
    model.feed(events.Submitted())
    for _ in range(STEPS):
        if model.over is not None:
            return
        model.step()
    if model.over is None:
        model.cancel()
    for _ in range(20 * STEPS):
        if model.over is not None:
            return
        model.settle()
    raise AssertionError("a cancelled job does not end")
