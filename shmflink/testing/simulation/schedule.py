"""Runs one job under one seed: the seed says who is next, what is delivered when, what fails and which process dies."""

from __future__ import annotations

import random
from typing import Final

from shmflink.rpc.messages import Failure
from shmflink.rpc.states import JobState
from shmflink.testing.manual_clock import ManualClock
from shmflink.testing.simulation.actors import Actors
from shmflink.testing.simulation.cluster import SimulatedCluster
from shmflink.testing.simulation.disk import SimulatedStore
from shmflink.testing.simulation.faults import Faults
from shmflink.testing.simulation.jobs import JOBS
from shmflink.testing.simulation.outcome import Notes, Outcome
from shmflink.testing.simulation.plan import Plan
from shmflink.testing.simulation.promises import Promises
from shmflink.testing.simulation.taskmanager import SimulatedSlot
from shmflink.testing.simulation.world import ViolationError, World, enter_world

__all__ = ["STEPS_MAX", "Outcome", "Plan", "Schedule", "run_schedule"]

STEPS_MAX: Final = 60_000
"""A schedule that takes longer makes no progress any longer."""
_IDLE_MS_MAX: Final = 600_000
_STEPS_OF_TIME: Final = 4000  # then time stands still while anybody works, so that short timeouts are met in the end


class Schedule:
    """One run. Everything that happens is a step of one actor; the seed picks the actor."""

    def __init__(self, seed: int, *, jobs: tuple[str, ...] = tuple(JOBS), traces: bool = False) -> None:
        self._rng = random.Random(seed)  # noqa: S311 - a schedule, not a secret
        self.plan = Plan.of(seed, self._rng, jobs)
        self.outcome = Outcome(self.plan)
        self._clock = ManualClock(1)
        self._notes = Notes(self.outcome, self._clock, traces=traces)
        self._faults = Faults(self.plan.faults, self._rng, self._notes)
        self._world = World(self._faults.may_fail)
        self._world.is_checked = self.plan.settings.is_exactly_once
        self._store = SimulatedStore(self._world)
        self._promises = Promises(self.plan, self._world, self._store)
        self._actors = Actors(self._rng, self._notes)
        self._slots: list[SimulatedSlot] = []  # among the actors
        self._asks_at_restart = False  # for a savepoint, once the job restarts
        self._deposes_while_writing = False  # the leader, once it writes to the HA directory
        self._cluster = SimulatedCluster(
            self.outcome, self._rng, self._clock, self._world, self._store, self._faults, self._notes
        )

    # --- one run ---

    def run(self) -> Outcome:
        """To the end of the job, or the first violation."""
        enter_world(self._world)
        try:
            while not self._is_finished():
                self._step()
            self._cluster.end()
            self._promises.check_edges(self._cluster.edges.values(), self._rng)
            self._promises.check_output(self._cluster.epochs_of_deposed, is_drained=self._cluster.jobmanager.is_drained)
        except ViolationError as violation:
            self.outcome.violation = str(violation)
        except AssertionError as error:
            self.outcome.violation = f"an assertion failed: {error}"
        if not self.outcome.violation and self._world.violations:
            self.outcome.violation = self._world.violations[0]  # a task took it for an error of user code
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
        """The end of the job. If it was only stopped, suspended or has failed, another JobManager resumes it."""
        if self._world.violations:
            raise ViolationError(self._world.violations[0])
        jobmanager = self._cluster.jobmanager
        if jobmanager.ended is None:
            return self._cluster.is_over
        if jobmanager.ended.state is JobState.FINISHED and not jobmanager.is_stopped:
            self._promises.check_disk()
            return True
        self._notes.add(f"the job is {jobmanager.ended.state.value}; it begins again")
        self._cluster.resume(jobmanager.ended.state)
        return False

    # --- one step ---

    def _step(self) -> None:
        self.outcome.steps += 1
        if self.outcome.steps > STEPS_MAX:
            self._stuck("makes no progress")
        fault = self._faults.take_due(self._store.completed)
        if fault:
            self._inject(fault)
            return
        if (self._asks_at_restart or self._deposes_while_writing) and self._has_injected_later():
            return
        if self._cluster.has_changed:
            self._set_actors()
        if self.outcome.steps % 4 == 0 and self.outcome.steps < _STEPS_OF_TIME:
            self._advance(self._rng.randrange(1_000_000))
        if not self._actors.act():
            self._wait()

    def _set_actors(self) -> None:
        self._cluster.has_changed = False
        spread = self._rng.choice((1, 1, 10, 100))
        actors, self._slots = self._cluster.actors(spread)
        self._actors.set(actors, spread)

    def _advance(self, duration_ns: int) -> None:
        self._clock.advance_ns(duration_ns)
        now_ns = self._clock.monotonic_ns()
        for slot in self._slots:
            slot.time_has_passed(now_ns)

    def _wait(self) -> None:
        """Nobody has anything to do: time passes until somebody has."""
        due_ns, now_ns = self._cluster.next_due_ns(), self._clock.monotonic_ns()
        if due_ns is None or due_ns > now_ns + _IDLE_MS_MAX * 1_000_000:
            self._stuck("stands still: nobody can do anything, and no time is waited for")
            return
        self._advance(max(due_ns - now_ns, 0))
        self._cluster.time_has_passed()
        self._notes.add(f"time passes to {self._clock.monotonic_ns() // 1_000_000} ms")

    def _stuck(self, what: str) -> None:
        run = self._cluster.jobmanager.run
        story = "\n".join(run.story())
        raise ViolationError(f"the job {what}: {run.state.value}, {self._cluster.states()}\n{story}")

    # --- faults ---

    def _inject(self, kind: str) -> None:
        self._notes.add(f"fault: {kind}")
        self._world.counts[f"fault: {kind}"] += 1
        match kind:
            case "task" | "savepoint at restart":
                self._faults.fail_user_code()
                self._asks_at_restart |= kind != "task"
            case "taskmanager":
                self._cluster.kill_taskmanager()
            case "jobmanager":
                self._cluster.kill_jobmanager()
            case "leadership" if self._rng.random() < 0.5:
                self._cluster.depose()
            case "leadership":
                self._deposes_while_writing = True
            case "disk":
                whose = self._rng.choice(("disk", "disk of keyed state"))
                self._faults.refuse(whose, self._rng.randint(1, 3))
            case "metadata" | "folder" | "memory":
                self._faults.refuse(kind, 1)
            case "suspend":
                self._cluster.jobmanager.run.suspend()
            case "savepoint" | "stop" | "drain":
                self._request_savepoint(stops=kind != "savepoint", drains=kind == "drain")

    def _has_injected_later(self) -> bool:
        """What waited for the right moment comes now."""
        jobmanager = self._cluster.jobmanager
        if self._deposes_while_writing and jobmanager.is_writing:
            self._deposes_while_writing = False
            self._cluster.depose()
            return True
        if self._asks_at_restart and jobmanager.run.state is JobState.RESTARTING:
            self._asks_at_restart = False
            self._inject("savepoint")
            return True
        return False

    def _request_savepoint(self, *, stops: bool, drains: bool) -> None:
        jobmanager = self._cluster.jobmanager
        if jobmanager.run.state is JobState.RESTARTING:
            self._world.counts["savepoints asked of a restarting job"] += 1

        def answered(answer: str | Failure) -> None:
            is_refused = isinstance(answer, Failure)
            self._notes.add(f"answer: {'refused' if is_refused else answer}")
            if isinstance(answer, Failure) and jobmanager.is_stuck(answer.message):
                self._world.violated(f"a savepoint is stuck: {answer}")

        jobmanager.run.savepoint("savepoints", stops=stops, drains=drains, answer=answered)


def run_schedule(seed: int, *, jobs: tuple[str, ...] = tuple(JOBS), traces: bool = False) -> Outcome:
    """The schedule of a seed: always the same."""
    return Schedule(seed, jobs=jobs, traces=traces).run()
