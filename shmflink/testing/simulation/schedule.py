"""Runs one job under one seed: the seed says who is next, what is delivered when, what fails and which process dies."""

from __future__ import annotations

import random
import zlib
from bisect import bisect
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from typing import Any, Final, NamedTuple
from unittest import mock

from shmflink.checkpoint.settings import CheckpointSettings
from shmflink.graph.job_graph import JobGraph
from shmflink.rpc.states import TaskState
from shmflink.taskmanager import sink as sink_module
from shmflink.taskmanager.restore import Restore
from shmflink.testing.manual_clock import ManualClock
from shmflink.testing.simulation.channels import SimulatedEdges
from shmflink.testing.simulation.jobmanager import LONG_TIMEOUT_MS, CheckpointStore, SimulatedJobManager
from shmflink.testing.simulation.jobs import JOBS, job_graph
from shmflink.testing.simulation.taskmanager import SimulatedOutbox, SimulatedSlot, SimulatedTaskManager
from shmflink.testing.simulation.world import ViolationError, World, enter_world

__all__ = ["STEPS_MAX", "Fault", "Outcome", "Plan", "Schedule", "run_schedule"]

STEPS_MAX: Final = 60_000
"""A schedule that takes longer has stopped to make progress."""
_IDLE_MS_MAX: Final = 600_000
_STEPS_OF_TIME: Final = 4000  # then time stands still while anybody works: short timeouts are kept in the end

_WEIGHTS: Final = {"slot": 3.0, "network": 6.0}

Actor = Callable[[], object]


class Fault(NamedTuple):
    """Comes so many steps after so many more checkpoints have become durable since the fault before."""

    checkpoints: int
    steps: int
    kind: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a seed chose before the first step."""

    seed: int
    job: str
    mode: str
    parallelisms: tuple[int, ...]
    settings: CheckpointSettings
    slots_per_taskmanager: int
    credits: int
    controls: int
    segment_rows: int
    watermark_interval_ms: int
    faults: tuple[Fault, ...]

    @staticmethod
    def of(seed: int, rng: random.Random, jobs: tuple[str, ...]) -> Plan:
        """Every knob that the configuration has, and some that only the world turns."""
        mode = rng.choice(("aligned", "aligned", "unaligned", "switching", "at least once", "no checkpoints"))
        interval_ms = rng.choice((10, 10, 15, 30))
        aligned_timeout_ms = {"unaligned": 0, "switching": rng.choice((1, 5))}.get(mode)
        timeout_ms = rng.choice((12, 60, LONG_TIMEOUT_MS, LONG_TIMEOUT_MS))
        settings = CheckpointSettings(
            interval_ms=None if mode == "no checkpoints" else interval_ms,
            is_exactly_once=mode != "at least once",
            timeout_ms=timeout_ms,
            min_pause_ms=rng.choice((0, 0, 20)),
            max_concurrent=1 if aligned_timeout_ms is not None else rng.choice((1, 1, 2, 3)),
            tolerable_failures=rng.choice((0, 3, 1000)) if timeout_ms > 12 else 1000,
            aligned_timeout_ms=aligned_timeout_ms,
            history=0,
        )
        kinds: tuple[str, ...] = ("savepoint", "stop", "drain")
        if mode != "no checkpoints":  # without, what was committed before a failure comes again
            kinds = ("task", "task", "taskmanager", "taskmanager", "jobmanager", "disk", "metadata", *kinds)
        count = rng.choice((0, 1, 1, 2, 3, 5))
        faults = [
            Fault(rng.choice((0, 1, 1, 2)), int(rng.expovariate(1 / 60)), rng.choice(kinds)) for _ in range(count)
        ]
        return Plan(
            seed=seed,
            job=rng.choice(jobs),
            mode=mode,
            parallelisms=tuple(rng.randint(1, 3) for _ in range(rng.choice((1, 1, 3)))),
            settings=settings,
            slots_per_taskmanager=rng.randint(1, 3),
            credits=rng.randint(1, 3),
            controls=rng.choice((1, 2, 8)),
            segment_rows=rng.randint(1, 4),
            watermark_interval_ms=rng.choice((0, 0, 4)),
            faults=tuple(faults),
        )


@dataclass(slots=True)
class Outcome:
    """What came of a schedule. `violation` empty: every promise was kept. `digest` tells two runs apart."""

    plan: Plan
    violation: str = ""
    steps: int = 0
    attempts: int = 0
    checkpoints: int = 0
    digest: int = 0
    trace: list[str] = field(default_factory=list)


class Schedule:
    """One run. Everything that happens is one of its actors' steps; the seed picks the actor."""

    def __init__(self, seed: int, *, jobs: tuple[str, ...] = tuple(JOBS), traces: bool = False) -> None:
        self._rng = random.Random(seed)  # noqa: S311 - a schedule, not a secret
        self.plan = Plan.of(seed, self._rng, jobs)
        self.outcome = Outcome(self.plan)
        self._traces = traces
        self._clock = ManualClock(1)
        self._world = World(self._may_fail)
        self._world.is_checked = self.plan.settings.is_exactly_once
        self._store = CheckpointStore()
        self._faults = list(self.plan.faults)
        self._fails_in = -1  # calls of user code until one raises
        self._steps_to_fault = -1  # -1: it waits for checkpoints
        self._completed_at_fault = 0
        self._disk_fails = 0
        self._metadata_fails = 0
        self._actors: list[tuple[str, Actor]] = []
        self._weights: list[float] = []
        self._jobmanager = self._new_jobmanager()
        self._taskmanagers: dict[int, SimulatedTaskManager] = {}
        self._edges: SimulatedEdges | None = None
        self._may_be_over = False  # something reached the JobManager

    # --- one run ---

    def run(self) -> Outcome:
        """To the end of the job, or the first violation."""
        enter_world(self._world)
        try:
            self._begin_attempt()
            while not self._is_finished():
                self._step()
            self._check_output()
        except ViolationError as violation:
            self.outcome.violation = str(violation)
        except AssertionError as error:
            self.outcome.violation = f"an assertion failed: {error}"
        if not self.outcome.violation and self._world.violations:
            self.outcome.violation = self._world.violations[0]  # a task took it for user code's error
        self.outcome.checkpoints = self._store.completed
        return self.outcome

    def _is_finished(self) -> bool:
        """The job's end; where an attempt is over and has not come to it, another begins."""
        if self._world.violations:
            raise ViolationError(self._world.violations[0])
        if not self._may_be_over:
            return False
        self._may_be_over = False
        jobmanager = self._jobmanager
        if not jobmanager.is_over:
            return False
        if jobmanager.has_finished and (jobmanager.is_drained or not jobmanager.is_stopped):
            self._check_end()
            return True
        if jobmanager.has_finished:
            self._note("the job has stopped with a savepoint; another begins from it")
            self._jobmanager = self._new_jobmanager()
        self._begin_attempt()
        return False

    def _step(self) -> None:
        self.outcome.steps += 1
        if self.outcome.steps > STEPS_MAX:
            self._stuck("makes no progress")
        if self._faults and self._is_due(self._faults[0]):
            self._inject(self._faults.pop(0).kind)
            return
        if self.outcome.steps % 4 == 0 and self.outcome.steps < _STEPS_OF_TIME:
            self._clock.advance_ns(self._rng.randrange(1_000_000))
        for _ in range(4):
            index = bisect(self._weights, self._rng.random() * self._weights[-1])
            if self._act(index):
                return
        start, count = int(self._rng.random() * len(self._actors)), len(self._actors)
        if not any(self._act((start + offset) % count) for offset in range(count)):
            self._wait()

    def _act(self, index: int) -> bool:
        name, actor = self._actors[index]
        done = actor()
        if done:
            self._note(name if done is True else f"{name}: {done}")
        return bool(done)

    def _wait(self) -> None:
        """Nobody has anything to do: time passes until somebody has."""
        dues = [task.next_deadline_ns() for slot in self._slots() for task in slot.running()]
        dues = [due for due in dues if due >= 0]
        due_ms = self._jobmanager.coordinator.next_deadline_ms()
        if due_ms is not None:
            dues.append(due_ms * 1_000_000)
        if not dues or min(dues) > self._clock.monotonic_ns() + _IDLE_MS_MAX * 1_000_000:
            self._stuck("stands still: nobody can do anything, and no time is waited for")
        self._clock.advance_ns(max(min(dues) - self._clock.monotonic_ns(), 0))
        for slot in self._slots():
            for task in slot.running():
                task.flush_due()
        self._note(f"time passes to {self._clock.monotonic_ns() // 1_000_000} ms")

    def _stuck(self, what: str) -> None:
        states = {str(k): v.value for tm in self._taskmanagers.values() for k, v in tm.states().items()}
        raise ViolationError(f"the job {what}: {states}")

    # --- attempts ---

    def _new_jobmanager(self) -> SimulatedJobManager:
        graph = self._graph()
        plan = self.plan
        return SimulatedJobManager(graph, plan.settings, self._store, self._clock, plan.slots_per_taskmanager)

    def _graph(self) -> JobGraph:
        parallelisms = self.plan.parallelisms
        parallelism = parallelisms[self.outcome.attempts % len(parallelisms)]
        return job_graph(self.plan.job, parallelism, self.plan.watermark_interval_ms)

    def _begin_attempt(self) -> None:
        jobmanager = self._jobmanager
        graph = self._graph()
        self.outcome.attempts += 1
        jobmanager.begin_attempt(graph, {})
        assert jobmanager.execution is not None
        numbers = range(jobmanager.execution.num_taskmanagers)
        plan = self.plan
        self._edges = SimulatedEdges(self._world, plan.credits, plan.controls, plan.segment_rows)
        # Its manifests lie in memory, and what is in them was pickled by this process.
        restore = Restore("simulated" if jobmanager.restored is not None else "", allows_pickle=True)
        restore.__dict__["_manifest"] = jobmanager.restored
        self._world.is_in_time = not self._store.has_drained
        self._taskmanagers = {
            number: SimulatedTaskManager(
                jobmanager.epoch,
                jobmanager.execution.tasks_of(number),
                self._edges,
                graph.configuration,
                plan.settings,
                self._clock,
                restore.of,
                self._disk_may_fail,
            )
            for number in numbers
        }
        jobmanager.outboxes = {number: tm.inbox for number, tm in self._taskmanagers.items()}
        self._note(f"attempt {jobmanager.epoch} from {self._restored_id()}")
        self._make_actors()

    def _restored_id(self) -> str:
        restored = self._jobmanager.restored
        return "nothing" if restored is None else f"checkpoint {restored.checkpoint_id}"

    def _slots(self) -> Iterator[SimulatedSlot]:
        for taskmanager in self._taskmanagers.values():
            if taskmanager.is_alive:
                yield from taskmanager.slots.values()

    def _make_actors(self) -> None:
        """With weights of their own: in some schedules a task, a channel or a disk is a hundred times slower."""
        assert self._edges is not None
        rng = self._rng
        actors: list[tuple[str, Actor]] = []
        spread = rng.choice((1, 1, 10, 100))
        for channel in self._edges.channels.values():
            channel.speed = 1 / rng.choice((1, 1, 1, spread))
        actors.append(("network", partial(self._edges.step, rng)))
        for number, tm in self._taskmanagers.items():
            for slot_number, slot in tm.slots.items():
                actors.append((f"slot {slot_number}", partial(_run_slot, tm, slot, rng)))
                actors.append((f"committer {slot_number}", partial(_run_committer, tm, slot)))
            actors.append((f"writer {number}", partial(_run_writer, tm)))
            actors.append((f"to TaskManager {number}", partial(self._deliver_down, tm)))
            actors.append((f"from TaskManager {number}", partial(self._deliver_up, number, tm)))
        actors += [
            ("tick", lambda: self._jobmanager.tick()),
            ("metadata", self._write_metadata),
            ("jobmanager", self._do_later),
            ("splits", lambda: self._jobmanager.answer_splits()),
        ]
        self._actors = actors
        weights = [_WEIGHTS.get(name.split()[0], 1.0) for name, _ in actors]
        self._weights = list(accumulate(weight / rng.choice((1, 1, 1, spread)) for weight in weights))

    def _deliver_down(self, taskmanager: SimulatedTaskManager) -> object:
        if not taskmanager.is_alive or not taskmanager.inbox:
            return False
        message = taskmanager.inbox.popleft()
        taskmanager.handle(message)
        return _summary(message) if self._traces else True

    def _deliver_up(self, number: int, taskmanager: SimulatedTaskManager) -> object:
        if taskmanager.outbox:
            message = taskmanager.outbox.popleft()
            self._may_be_over = True
            self._jobmanager.handle(message)
            return _summary(message) if self._traces else True
        if not taskmanager.is_alive and number in self._jobmanager.outboxes:
            self._may_be_over = True
            self._jobmanager.taskmanager_lost(number)
            return "lost"
        return False

    def _write_metadata(self) -> object:
        if not self._jobmanager.to_store:
            return False
        self._may_be_over = True
        fails = self._metadata_fails > 0
        self._metadata_fails -= fails
        self._jobmanager.write_next(fails=fails)
        return "failed" if fails else True

    def _do_later(self) -> object:
        if not self._jobmanager.later:
            return False
        self._may_be_over = True
        self._jobmanager.later.popleft()()
        return True

    # --- faults ---

    def _is_due(self, fault: Fault) -> bool:
        if self._steps_to_fault < 0 and self._store.completed - self._completed_at_fault >= fault.checkpoints:
            self._steps_to_fault = fault.steps
        if self._steps_to_fault > 0:
            self._steps_to_fault -= 1
            return False
        is_due = self._steps_to_fault == 0
        if is_due:
            self._steps_to_fault = -1
            self._completed_at_fault = self._store.completed
        return is_due

    def _inject(self, kind: str) -> None:
        self._may_be_over = True
        self._note(f"fault: {kind}")
        rng, jobmanager = self._rng, self._jobmanager
        match kind:
            case "task":
                self._fails_in = rng.randrange(12)
            case "taskmanager":
                alive = [tm for tm in self._taskmanagers.values() if tm.is_alive]
                if alive:
                    rng.choice(alive).kill()
            case "jobmanager":
                self._kill_jobmanager()
            case "disk":
                self._disk_fails = rng.randint(1, 3)
            case "metadata":
                self._metadata_fails = 1
            case "savepoint" | "stop" | "drain":
                jobmanager.request_savepoint(stops=kind != "savepoint", drains=kind == "drain")

    def _kill_jobmanager(self) -> None:
        """All TaskManagers die with it. What it was writing is durable or not."""
        jobmanager = self._jobmanager
        for store in list(jobmanager.to_store):
            if self._rng.random() < 0.5:
                jobmanager.make_durable(store)
        for taskmanager in self._taskmanagers.values():
            for _ in range(self._rng.randrange(20)):  # until they notice
                for slot in taskmanager.slots.values():
                    if not _commit(slot):
                        slot.step(self._rng)
            taskmanager.kill()
        self._jobmanager = self._new_jobmanager()
        self._begin_attempt()

    def _may_fail(self, place: str) -> bool:
        if self._fails_in < 0:
            return False
        self._fails_in -= 1
        if self._fails_in >= 0:
            return False
        self._note(f"user code fails in {place}")
        return True

    def _disk_may_fail(self, place: str) -> bool:
        fails = self._disk_fails > 0
        self._disk_fails -= fails
        return fails

    # --- promises ---

    def _check_end(self) -> None:
        """After a normal end nothing is under way any more."""
        assert self._edges is not None
        while self._edges.step(self._rng):
            pass
        self._edges.check()
        left = [name for name, channel in self._edges.channels.items() if channel.queue]
        if left:
            raise ViolationError(f"elements that nobody has read: {left}")

    def _check_output(self) -> None:
        job = JOBS[self.plan.job]
        visible = self._world.visible_rows()
        lost, more = job.expected - visible, visible - job.expected
        if self._jobmanager.is_drained and job.is_counted:
            lost, more = _gaps(visible), Counter(row for row in visible.elements() if visible[row] > 1)
        elif self._jobmanager.is_drained or (self._store.has_drained and not job.is_counted):
            lost, more = Counter(), Counter()  # windows have fired early, and the job may have gone on
        if not self.plan.settings.is_exactly_once:
            more = Counter()
            if job.has_windows:
                fullest = _highest(visible)
                lost = Counter({row: n for row, n in lost.items() if fullest.get(row[:2], 0) < row[2]})
        if lost or more:
            raise ViolationError(f"lost {dict(lost)}, too many {dict(more)}")
        if self._world.staged:
            raise ViolationError(f"staged and left: {list(self._world.staged)}")

    def _note(self, text: str) -> None:
        self.outcome.digest = zlib.crc32(text.encode(), self.outcome.digest)
        if self._traces:
            self.outcome.trace.append(f"{self.outcome.steps:6} {self._clock.monotonic_ns() // 1000:8} us  {text}")


def _gaps(visible: Counter[Any]) -> Counter[Any]:
    """Counts that are missing although later ones are there: input that ended early is a beginning of all of it."""
    every = Counter((*place, n + 1) for place, count in _highest(visible).items() for n in range(count))
    return every - visible


def _highest(visible: Counter[Any]) -> dict[Any, int]:
    """The largest count of each (source or window, key)."""
    highest: dict[Any, int] = {}
    for name, key, count in visible:
        highest[name, key] = max(count, highest.get((name, key), 0))
    return highest


def _run_slot(taskmanager: SimulatedTaskManager, slot: SimulatedSlot, rng: random.Random) -> object:
    return taskmanager.is_alive and slot.step(rng)


def _run_committer(taskmanager: SimulatedTaskManager, slot: SimulatedSlot) -> object:
    return taskmanager.is_alive and _commit(slot)


def _run_writer(taskmanager: SimulatedTaskManager) -> object:
    return taskmanager.is_alive and taskmanager.writer.step()


def _commit(slot: SimulatedSlot) -> bool:
    return any(outbox.step() for outbox in slot.outboxes)


def _summary(message: object) -> str:
    text = type(message).__name__
    for name in ("subtask", "state", "checkpoint_id", "barrier", "stops", "exhausted", "failure"):
        value = getattr(message, name, None)
        if value is not None:
            value = f"{value.kind}: {value.message}" if name == "failure" else value
            text += f" {name}={value.value if isinstance(value, TaskState) else value}"
    return text


@contextmanager
def simulated_threads() -> Iterator[None]:
    """Sinks made inside commit when the schedule says so, in no thread."""
    with mock.patch.object(sink_module, "Outbox", SimulatedOutbox):
        yield


def run_schedule(seed: int, *, jobs: tuple[str, ...] = tuple(JOBS), traces: bool = False) -> Outcome:
    """The schedule of a seed: always the same."""
    with simulated_threads():
        return Schedule(seed, jobs=jobs, traces=traces).run()
