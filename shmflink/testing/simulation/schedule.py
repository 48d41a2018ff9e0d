"""Runs one job under one seed: the seed says who is next, what is delivered when, what fails and which process dies."""

from __future__ import annotations

import random
import zlib
from bisect import bisect
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sized
from dataclasses import field
from functools import partial
from itertools import accumulate, chain, islice
from typing import Any, Final, NamedTuple

from shmflink.checkpoint.settings import CheckpointSettings
from shmflink.core.lazy_dataclass import dataclass
from shmflink.rpc.messages import DeployTasks, Failure
from shmflink.rpc.states import JobState, TaskState
from shmflink.taskmanager.assembly import TaskResources
from shmflink.taskmanager.control import Listener
from shmflink.taskmanager.restore import Restore
from shmflink.testing.manual_clock import ManualClock
from shmflink.testing.simulation.channels import SimulatedEdges
from shmflink.testing.simulation.disk import SimulatedStore
from shmflink.testing.simulation.jobmanager import LONG_TIMEOUT_MS, SimulatedJobManager
from shmflink.testing.simulation.jobs import JOBS, job_graph
from shmflink.testing.simulation.taskmanager import (
    SimulatedAttempt,
    SimulatedOutbox,
    SimulatedSlot,
    SimulatedTaskManager,
    Surroundings,
)
from shmflink.testing.simulation.world import ViolationError, World, enter_world

__all__ = ["STEPS_MAX", "Fault", "Outcome", "Plan", "Schedule", "run_schedule"]

STEPS_MAX: Final = 60_000
"""A schedule that takes longer has stopped to make progress."""
_IDLE_MS_MAX: Final = 600_000
_STEPS_OF_TIME: Final = 4000  # then time stands still while anybody works: short timeouts are kept in the end

_WEIGHTS: Final = {"slot": 3.0, "network": 6.0}

_STRATEGIES: Final[Mapping[str, Mapping[str, str]]] = {
    "none": {"restart-strategy.type": "none"},
    "fixed delay": {
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": "2",
        "restart-strategy.fixed-delay.delay": "3 ms",
    },
    "failure rate": {
        "restart-strategy.type": "failure-rate",
        "restart-strategy.failure-rate.max-failures-per-interval": "2",
        "restart-strategy.failure-rate.failure-rate-interval": "1 s",
        "restart-strategy.failure-rate.delay": "0 ms",
    },
    "exponential delay": {
        "restart-strategy.type": "exponential-delay",
        "restart-strategy.exponential-delay.initial-backoff": "1 ms",
        "restart-strategy.exponential-delay.max-backoff": "50 ms",
    },
}

Actor = Callable[[], object]
_ALWAYS: Final = (True,)  # of an actor that has to be asked


class _Entry(NamedTuple):
    """`ready` is empty while the actor has nothing to do: it need not be asked then."""

    name: str
    actor: Actor
    ready: Sized = _ALWAYS


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
    strategy: Mapping[str, str]
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
        interval_ms = rng.choice((4, 6, 10, 15, 30))
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
            num_retained=rng.choice((1, 2, 3)),
            retain_on_failure=True,
        )
        kinds: tuple[str, ...] = ("savepoint", "stop", "drain")
        if mode != "no checkpoints":  # without, what was committed before a failure comes again
            kinds = ("task", "task", "taskmanager", "taskmanager", "jobmanager", "disk", "disk", *kinds)
            kinds += ("metadata", "folder", "suspend", "memory", "savepoint at restart")
        count = rng.choice((0, 1, 1, 2, 3, 5))
        faults: list[Fault] = []
        for _ in range(count):
            faults.append(Fault(rng.choice((0, 1, 1, 2)), int(rng.expovariate(1 / 60)), rng.choice(kinds)))
            if faults[-1].kind in ("disk", "metadata"):  # what comes after a refusal is restored
                faults.append(Fault(1, int(rng.expovariate(1 / 30)), rng.choice(("task", "taskmanager", "jobmanager"))))
        return Plan(
            seed=seed,
            job=rng.choice(jobs),
            mode=mode,
            parallelisms=tuple(rng.randint(1, 3) for _ in range(rng.choice((1, 1, 3)))),
            settings=settings,
            strategy=_STRATEGIES[rng.choice(sorted(_STRATEGIES))],
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
    counts: Counter[str] = field(default_factory=Counter)
    """How often what happened: faults, restarts by strategy, takeovers, rescales."""
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
        self._store = SimulatedStore(self._world)
        self._faults = list(self.plan.faults)
        self._asks_at_restart = False  # for a savepoint, once the job restarts
        self._fails_in = -1  # calls of user code until one raises
        self._steps_to_fault = -1  # -1: it waits for checkpoints
        self._completed_at_fault = 0
        self._refusals: Counter[str] = Counter()  # how often the disk refuses, and what
        self._actors: list[_Entry] = []
        self._resting: list[SimulatedSlot] = []  # slots among the actors
        self._weights: list[float] = []
        self._are_actors_known = False
        self._lives = 0
        self._start = ""  # the savepoint that the job was started from
        self._is_over = False  # its end was durable when the JobManager died
        self._edges: dict[int, tuple[SimulatedEdges, list[SimulatedAttempt]]] = {}  # by epoch
        self._jobmanager = self._new_jobmanager()

    # --- one run ---

    def run(self) -> Outcome:
        """To the end of the job, or the first violation."""
        enter_world(self._world)
        try:
            while not self._is_finished():
                self._step()
            self._check_end()
            self._check_output()
        except ViolationError as violation:
            self.outcome.violation = str(violation)
        except AssertionError as error:
            self.outcome.violation = f"an assertion failed: {error}"
        if not self.outcome.violation and self._world.violations:
            self.outcome.violation = self._world.violations[0]  # a task took it for user code's error
        self.outcome.checkpoints = self._store.completed
        self._count()
        return self.outcome

    def _count(self) -> None:
        counts = self.outcome.counts
        counts.update(self._world.counts)
        strategy = self.plan.strategy["restart-strategy.type"]
        counts[f"restarts, {strategy}"] = counts.pop("restarts", 0)
        counts["checkpoints"] = self.outcome.checkpoints
        counts[f"schedules, {self.plan.mode}"] = 1
        counts[f"schedules of {self.plan.job}"] = 1

    def _is_finished(self) -> bool:
        """The job's end; where it was only stopped, suspended or has failed, another JobManager resumes it."""
        if self._world.violations:
            raise ViolationError(self._world.violations[0])
        jobmanager = self._jobmanager
        if jobmanager.ended is None:
            return self._is_over
        if jobmanager.ended.state is JobState.FINISHED and not jobmanager.is_stopped:
            self._check_nothing_is_left()
            return True
        self._note(f"the job is {jobmanager.ended.state.value}; it begins again")
        for taskmanager in jobmanager.taskmanagers.values():
            taskmanager.kill()
        self._resume(jobmanager.ended.state)
        return False

    def _resume(self, state: JobState | None) -> None:
        """In a new JobManager, after this end; None where there was none."""
        self._store.result = None
        self._world.counts["takeovers" if state is None else f"resumed after {state.value}"] += 1
        if state is JobState.FINISHED:
            self._start = self._jobmanager.savepoint
        self._jobmanager = self._new_jobmanager()

    def _step(self) -> None:
        self.outcome.steps += 1
        if self.outcome.steps > STEPS_MAX:
            self._stuck("makes no progress")
        if self._faults and self._is_due(self._faults[0]):
            self._inject(self._faults.pop(0).kind)
            return
        if self._asks_at_restart and self._jobmanager.run.state is JobState.RESTARTING:
            self._asks_at_restart = False
            self._inject("savepoint")
            return
        if not self._are_actors_known:
            self._make_actors()
        if self.outcome.steps % 4 == 0 and self.outcome.steps < _STEPS_OF_TIME:
            self._advance(self._rng.randrange(1_000_000))
        actors, weights, draw = self._actors, self._weights, self._rng.random
        for _ in range(4):
            entry = actors[bisect(weights, draw() * weights[-1])]
            if entry.ready and self._act(entry):
                return
        start = int(draw() * len(actors))
        for entry in chain(islice(actors, start, None), islice(actors, start)):
            if entry.ready and self._act(entry):
                return
        self._wait()

    def _act(self, entry: _Entry) -> bool:
        done = entry.actor()
        if done:
            self._note(entry.name if done is True else f"{entry.name}: {done}")
        return bool(done)

    def _advance(self, duration_ns: int) -> None:
        self._clock.advance_ns(duration_ns)
        now_ns = self._clock.monotonic_ns()
        for slot in self._resting:
            slot.time_has_passed(now_ns)

    def _wait(self) -> None:
        """Nobody has anything to do: time passes until somebody has."""
        dues = [task.next_deadline_ns() for slot in self._slots() for task in slot.running()]
        dues = [due for due in dues if due >= 0]
        due_ns = self._jobmanager.loop.next_due_ns()
        if due_ns is not None:
            dues.append(due_ns)
        if not dues or min(dues) > self._clock.monotonic_ns() + _IDLE_MS_MAX * 1_000_000:
            self._stuck("stands still: nobody can do anything, and no time is waited for")
        self._advance(max(min(dues) - self._clock.monotonic_ns(), 0))
        for slot in self._slots():
            for task in slot.running():
                task.flush_due()
        self._note(f"time passes to {self._clock.monotonic_ns() // 1_000_000} ms")

    def _stuck(self, what: str) -> None:
        taskmanagers = self._jobmanager.taskmanagers.values()
        states = {str(k): v.value for tm in taskmanagers for k, v in tm.states().items()}
        story = "\n".join(self._jobmanager.run.story())
        raise ViolationError(f"the job {what}: {self._jobmanager.run.state.value}, {states}\n{story}")

    # --- JobManagers, TaskManagers and attempts ---

    def _new_jobmanager(self) -> SimulatedJobManager:
        plan = self.plan
        parallelism = plan.parallelisms[self._lives % len(plan.parallelisms)]
        graph = job_graph(plan.job, parallelism, plan.watermark_interval_ms)
        if self._lives and parallelism != plan.parallelisms[(self._lives - 1) % len(plan.parallelisms)]:
            self._world.counts["rescales"] += 1
        self._lives += 1
        self._are_actors_known = False
        return SimulatedJobManager(
            graph,
            {**graph.configuration, **plan.strategy},
            plan.settings,
            self._store,
            self._clock,
            plan.slots_per_taskmanager,
            self._start,
            self._new_taskmanager,
            self._refuses,
            self._world,
        )

    def _new_taskmanager(self, index: int, life: int) -> SimulatedTaskManager:
        self._are_actors_known = False
        return SimulatedTaskManager(
            index, life, self._clock, self._jobmanager.told, self._surroundings, self._refuses, self._has_changed
        )

    def _surroundings(self, message: DeployTasks, listener: Listener) -> Surroundings:
        plan, epoch = self.plan, message.epoch
        self._are_actors_known = False
        if epoch not in self._edges:
            self.outcome.attempts += 1
            self._note(f"attempt {epoch} from {message.restore_path or 'nothing'}")
            self._edges[epoch] = SimulatedEdges(self._world, plan.credits, plan.controls, plan.segment_rows), []
        self._world.is_in_time = not self._store.has_drained
        edges, attempts = self._edges[epoch]
        # Manifests lie in memory, and what is in them was pickled by this process.
        restore = Restore(message.restore_path, allows_pickle=True, load=self._store.load)
        resources = TaskResources(
            listener=listener,
            remote=edges,
            configuration=message.configuration,
            clock=self._clock,
            settings=plan.settings,
            restore=restore.of,
            epoch=epoch,
            open_outbox=SimulatedOutbox,
        )
        return Surroundings(edges, resources, attempts)

    def _has_changed(self) -> None:
        self._are_actors_known = False

    def _slots(self) -> Iterator[SimulatedSlot]:
        for taskmanager in self._jobmanager.taskmanagers.values():
            if taskmanager.is_alive:
                yield from taskmanager.slots()

    def _make_actors(self) -> None:
        """With weights of their own: in some schedules a task, a channel or a disk is a hundred times slower."""
        self._are_actors_known = True
        rng, jobmanager = self._rng, self._jobmanager
        actors: list[_Entry] = []
        self._resting = []
        spread = rng.choice((1, 1, 10, 100))
        epochs: set[int] = set()
        for number, tm in jobmanager.taskmanagers.items():
            is_told = tm.outbox if tm.is_alive else _ALWAYS  # behind the last message of a dead one, that it is gone
            actors.append(_Entry(f"from TaskManager {number}", partial(self._deliver_up, tm), is_told))
            if not tm.is_alive:
                continue
            actors.append(_Entry(f"to TaskManager {number}", partial(self._deliver_down, tm), tm.inbox))
            for epoch, attempt in tm.attempts.items():
                epochs.add(epoch)
                for slot_number, slot in attempt.slots.items():
                    self._resting.append(slot)
                    actors.append(_Entry(f"slot {slot_number}", partial(slot.step, rng), slot.signs))
                    actors.append(_Entry(f"committer {slot_number}", partial(_commit, slot), slot.outboxes))
                actors.append(_Entry(f"writer {number}", attempt.write, attempt.writer.waiting))
        for epoch in sorted(epochs):
            edges = self._edges[epoch][0]
            for channel in edges.channels.values():
                channel.speed = 1 / rng.choice((1, 1, 1, spread))
            actors.append(_Entry("network", partial(edges.step, rng), edges.busy))
        actors += self._jobmanager_actors()
        self._actors = actors
        weights = [_WEIGHTS.get(entry.name.split()[0], 1.0) for entry in actors]
        self._weights = list(accumulate(weight / rng.choice((1, 1, 1, spread)) for weight in weights))

    def _jobmanager_actors(self) -> list[_Entry]:
        rng, jobmanager = self._rng, self._jobmanager
        loop = jobmanager.loop
        return [
            _Entry("timer", loop.fire),
            _Entry("thread", partial(loop.work, rng), loop.to_work),
            _Entry("loop", partial(loop.hear, rng), loop.to_hear),
            _Entry("soon", loop.run_soon, loop.soon),
            _Entry("slots", jobmanager.grant),
            _Entry("HA directory", jobmanager.step_ha),
        ]

    def _deliver_down(self, taskmanager: SimulatedTaskManager) -> object:
        if not taskmanager.is_alive or not taskmanager.inbox:
            return False
        message = taskmanager.inbox.popleft()
        taskmanager.handle(message)
        return _summary(message) if self._traces else True

    def _deliver_up(self, taskmanager: SimulatedTaskManager) -> object:
        message = self._jobmanager.hear(taskmanager)
        if message is None:
            return False
        return _summary(message) if self._traces else True

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
        self._note(f"fault: {kind}")
        self._world.counts[f"fault: {kind}"] += 1
        rng, jobmanager = self._rng, self._jobmanager
        match kind:
            case "task" | "savepoint at restart":
                self._fails_in = rng.randrange(12)
                self._asks_at_restart |= kind != "task"
            case "taskmanager":
                alive = [tm for tm in jobmanager.taskmanagers.values() if tm.is_alive]
                if alive:
                    rng.choice(alive).kill()
            case "jobmanager":
                self._kill_jobmanager()
            case "disk":
                self._refusals[kind] = rng.randint(1, 3)
            case "metadata" | "folder" | "memory":
                self._refusals[kind] = 1
            case "suspend":
                jobmanager.run.suspend()
            case "savepoint" | "stop" | "drain":
                stops, drains = kind != "savepoint", kind == "drain"
                if jobmanager.run.state is JobState.RESTARTING:
                    self._world.counts["savepoints asked of a restarting job"] += 1
                jobmanager.run.savepoint("savepoints", stops=stops, drains=drains, answer=self._answered)

    def _answered(self, answer: object) -> None:
        is_stuck = isinstance(answer, Failure) and self._jobmanager.is_stuck(answer.message)
        self._note(f"answer: {'refused' if isinstance(answer, Failure) else answer}")
        if is_stuck:
            self._world.violated(f"a savepoint is stuck: {answer}")

    def _kill_jobmanager(self) -> None:
        """All TaskManagers die with it. What it was writing is durable or not."""
        jobmanager = self._jobmanager
        jobmanager.loop.die(self._rng)
        for taskmanager in jobmanager.taskmanagers.values():
            for _ in range(self._rng.randrange(20)):  # until they notice
                for slot in taskmanager.slots():
                    if taskmanager.is_alive and not _commit(slot):
                        slot.step(self._rng)
            taskmanager.kill()
        result = self._store.result
        if result is JobState.FINISHED and not jobmanager.is_stopped:
            self._is_over = True
        else:
            self._resume(result)

    def _may_fail(self, place: str) -> bool:
        if self._fails_in < 0:
            return False
        self._fails_in -= 1
        if self._fails_in >= 0:
            return False
        self._note(f"user code fails in {place}")
        return True

    def _refuses(self, what: str) -> bool:
        refuses = self._refusals[what] > 0
        self._refusals[what] -= refuses
        return refuses

    # --- promises ---

    def _check_end(self) -> None:
        """After a normal end nothing is under way any more."""
        for edges, attempts in self._edges.values():
            tasks = [task for attempt in attempts for slot in attempt.slots.values() for task in slot.tasks]
            if any(task.state is not TaskState.FINISHED for task in tasks):
                continue
            while edges.step(self._rng):
                pass
            edges.check()
            left = [name for name, channel in edges.channels.items() if channel.queue]
            if left:
                raise ViolationError(f"elements that nobody has read: {left}")

    def _check_nothing_is_left(self) -> None:
        """Of its checkpoints, on the disk."""
        left = self._store.checkpoint_ids()
        if left:
            raise ViolationError(f"checkpoints that are left behind: {sorted(left)}")

    def _check_output(self) -> None:
        visible = self._world.visible_rows()
        lost, more = self._differences(visible)
        if not self.plan.settings.is_exactly_once:
            more = Counter()
            if JOBS[self.plan.job].has_windows:
                fullest = _highest(visible)
                lost = Counter({row: n for row, n in lost.items() if fullest.get(row[:2], 0) < row[2]})
        if lost or more:
            raise ViolationError(f"lost {dict(lost)}, too many {dict(more)}")
        if self._world.staged:
            raise ViolationError(f"staged and left: {list(self._world.staged)}")

    def _differences(self, visible: Counter[Any]) -> tuple[Counter[Any], Counter[Any]]:
        """Rows that are missing, and rows that are too many."""
        job, is_drained = JOBS[self.plan.job], self._jobmanager.is_drained
        if is_drained and job.is_counted:
            return _gaps(visible), _repeated(visible)
        if is_drained or (self._store.has_drained and not job.is_counted and not job.updates):
            return Counter(), Counter()  # windows have fired early, and the job may have gone on
        if job.updates:
            unknown = Counter({row: n for row, n in visible.items() if row not in job.updates})
            return job.expected - visible, unknown + _repeated(visible)
        return job.expected - visible, visible - job.expected

    def _note(self, text: str) -> None:
        self.outcome.digest = zlib.crc32(text.encode(), self.outcome.digest)
        if self._traces:
            self.outcome.trace.append(f"{self.outcome.steps:6} {self._clock.monotonic_ns() // 1000:8} us  {text}")


def _gaps(visible: Counter[Any]) -> Counter[Any]:
    """Counts that are missing although later ones are there: input that ended early is a beginning of all of it."""
    every = Counter((*place, n + 1) for place, count in _highest(visible).items() for n in range(count))
    return every - visible


def _repeated(visible: Counter[Any]) -> Counter[Any]:
    return Counter({row: n - 1 for row, n in visible.items() if n > 1})


def _highest(visible: Counter[Any]) -> dict[Any, int]:
    """The largest count of each (source or window, key)."""
    highest: dict[Any, int] = {}
    for name, key, count in visible:
        highest[name, key] = max(count, highest.get((name, key), 0))
    return highest


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


def run_schedule(seed: int, *, jobs: tuple[str, ...] = tuple(JOBS), traces: bool = False) -> Outcome:
    """The schedule of a seed: always the same."""
    return Schedule(seed, jobs=jobs, traces=traces).run()
