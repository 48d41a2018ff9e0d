"""The processes of a simulated cluster: JobManagers, one of which leads, TaskManagers, attempts and their edges."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from typing import Any

from shmflink.rpc.messages import DeployTasks
from shmflink.rpc.states import JobState, TaskState
from shmflink.taskmanager.assembly import TaskResources
from shmflink.taskmanager.control import Listener
from shmflink.taskmanager.restore import Restore
from shmflink.testing.manual_clock import ManualClock
from shmflink.testing.simulation.actors import ALWAYS, Actor
from shmflink.testing.simulation.channels import SimulatedEdges
from shmflink.testing.simulation.disk import SimulatedStore
from shmflink.testing.simulation.faults import Faults
from shmflink.testing.simulation.jobmanager import SimulatedJobManager
from shmflink.testing.simulation.jobs import job_graph
from shmflink.testing.simulation.outcome import Notes, Outcome
from shmflink.testing.simulation.taskmanager import (
    SimulatedAttempt,
    SimulatedOutbox,
    SimulatedSlot,
    SimulatedTaskManager,
    Surroundings,
)
from shmflink.testing.simulation.world import World

__all__ = ["SimulatedCluster"]


class SimulatedCluster:
    """`has_changed`: there are other actors since its owner has read it and set it to False."""

    def __init__(
        self,
        outcome: Outcome,
        rng: random.Random,
        clock: ManualClock,
        world: World,
        store: SimulatedStore,
        faults: Faults,
        notes: Notes,
    ) -> None:
        """Starts the first JobManager."""
        self.has_changed = True
        self.is_over = False
        """The end of the job was durable when its JobManager died."""
        self.edges: dict[int, tuple[SimulatedEdges, list[SimulatedAttempt]]] = {}
        """By epoch."""
        self._outcome = outcome
        self._plan = outcome.plan
        self._rng = rng
        self._clock = clock
        self._world = world
        self._store = store
        self._faults = faults
        self._notes = notes
        self._lives = 0
        self._start = ""  # the savepoint that the job was started from
        self._deposed: list[SimulatedJobManager] = []  # they still act, and have not noticed that another one leads
        self._epochs_of_deposed: set[int] = set()
        self.jobmanager = self._new_jobmanager()

    # --- JobManagers ---

    def _new_jobmanager(self) -> SimulatedJobManager:
        plan = self._plan
        parallelism = plan.parallelisms[self._lives % len(plan.parallelisms)]
        graph = job_graph(plan.job, parallelism, plan.watermark_interval_ms)
        if self._lives and parallelism != plan.parallelisms[(self._lives - 1) % len(plan.parallelisms)]:
            self._world.counts["rescales"] += 1
        self._lives += 1
        self.has_changed = True
        return SimulatedJobManager(
            graph,
            {**graph.configuration, **plan.strategy},
            plan.settings,
            self._store,
            self._clock,
            plan.slots_per_taskmanager,
            self._start,
            self._new_taskmanager,
            self._faults.refuses,
            self._world,
        )

    def resume(self, state: JobState | None) -> None:
        """In a new JobManager, after this end of the job in the one before; None if it had none."""
        for taskmanager in self.jobmanager.taskmanagers.values():
            taskmanager.kill()
        self._store.result = None
        self._world.counts["takeovers" if state is None else f"resumed after {state.value}"] += 1
        if state is JobState.FINISHED:
            self._start = self.jobmanager.savepoint
        self.jobmanager = self._new_jobmanager()

    def kill_jobmanager(self) -> None:
        """The leader's process dies."""
        self._kill(self.jobmanager)
        result = self._store.result
        if result is JobState.FINISHED and not self.jobmanager.is_stopped:
            self.is_over = True
        else:
            self.resume(result)

    def _kill(self, jobmanager: SimulatedJobManager) -> None:
        """All TaskManagers die with it. What it was writing is durable or not."""
        jobmanager.loop.die(self._rng)
        for taskmanager in jobmanager.taskmanagers.values():
            for _ in range(self._rng.randrange(20)):  # until they notice
                for slot in taskmanager.slots():
                    if taskmanager.is_alive and not _commit(slot):
                        slot.step(self._rng)
            taskmanager.kill()

    # --- two JobManagers at a time ---

    def depose(self) -> None:
        """Another JobManager takes over; the leader and its TaskManagers continue until they notice."""
        if self._store.result is not None:  # there is nothing to take over
            self.kill_jobmanager()
            return
        self._world.counts["takeovers from a JobManager that still acts"] += 1
        self._deposed.append(self.jobmanager)
        self.jobmanager = self._new_jobmanager()

    def _lease_ends(self, jobmanager: SimulatedJobManager) -> bool:
        """A deposed JobManager notices, at last."""
        self._deposed.remove(jobmanager)
        self._epochs_of_deposed |= jobmanager.epochs_used
        self._kill(jobmanager)
        self.has_changed = True
        return True

    def _step_ha(self, jobmanager: SimulatedJobManager) -> bool:
        has_stepped = jobmanager.step_ha()
        if jobmanager.has_given_up:
            self._world.counts["deposed JobManagers whose calls were refused"] += 1
            self._lease_ends(jobmanager)
        return has_stepped

    def end(self) -> None:
        """The job is over: deposed JobManagers notice."""
        for jobmanager in [*self._deposed]:
            self._lease_ends(jobmanager)

    @property
    def epochs_of_deposed(self) -> set[int]:
        """Epochs of attempts whose JobManager was deposed. Nobody removes what their sinks staged since then, until the
        next attempt begins.
        """
        return self._epochs_of_deposed

    @property
    def _jobmanagers(self) -> list[SimulatedJobManager]:
        """All that act."""
        return [self.jobmanager, *self._deposed]

    # --- TaskManagers and attempts ---

    def kill_taskmanager(self) -> None:
        """One that is alive, if there is one."""
        alive = [taskmanager for taskmanager in self.jobmanager.taskmanagers.values() if taskmanager.is_alive]
        if alive:
            self._rng.choice(alive).kill()

    def _new_taskmanager(self, jobmanager: SimulatedJobManager, index: int, life: int) -> SimulatedTaskManager:
        self.has_changed = True
        surroundings = partial(self._surroundings, jobmanager.term)
        refuses, changed = self._faults.refuses, self._attempts_changed
        return SimulatedTaskManager(index, life, self._clock, jobmanager.told, surroundings, refuses, changed)

    def _attempts_changed(self) -> None:
        self.has_changed = True

    def _surroundings(self, term: int, message: DeployTasks, listener: Listener) -> Surroundings:
        plan, epoch = self._plan, message.epoch
        self.has_changed = True
        if epoch not in self.edges:
            self._outcome.attempts += 1
            self._notes.add(f"attempt {epoch} from {message.restore_path or 'nothing'}")
            self.edges[epoch] = SimulatedEdges(self._world, plan.credits, plan.controls, plan.segment_rows), []
        self._world.is_in_time = not self._store.has_drained
        edges, attempts = self.edges[epoch]
        # Manifests lie in memory, and what is in them was pickled by this process.
        restore = Restore(message.restore_path, allows_pickle=True, load=partial(self._store.load, term=term))
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

    def slots(self) -> Iterator[SimulatedSlot]:
        """Of all TaskManagers that are alive."""
        for jobmanager in self._jobmanagers:
            for taskmanager in jobmanager.taskmanagers.values():
                if taskmanager.is_alive:
                    yield from taskmanager.slots()

    def states(self) -> dict[str, str]:
        """Of all tasks, by name."""
        taskmanagers = self.jobmanager.taskmanagers.values()
        return {str(task): state.value for tm in taskmanagers for task, state in tm.states().items()}

    # --- time ---

    def next_due_ns(self) -> int | None:
        """When time alone gives somebody something to do; None if it never does."""
        dues = [task.next_deadline_ns() for slot in self.slots() for task in slot.running()]
        dues = [due for due in dues if due >= 0]
        timers = [jobmanager.loop.next_due_ns() for jobmanager in self._jobmanagers]
        dues += [due for due in timers if due is not None]
        return min(dues, default=None)

    def time_has_passed(self) -> None:
        """Nobody had anything to do: outputs whose buffer timeout is over leave."""
        for slot in self.slots():
            for task in slot.running():
                task.flush_due()

    # --- actors ---

    def actors(self, spread: int) -> tuple[list[Actor], list[SimulatedSlot]]:
        """All that can act, and the slots among them. `spread`: how much slower a slow channel is."""
        rng = self._rng
        actors: list[Actor] = []
        slots: list[SimulatedSlot] = []
        epochs: set[int] = set()
        for jobmanager in self._jobmanagers:
            for number, tm in jobmanager.taskmanagers.items():
                deliver = partial(self._deliver_up, jobmanager, tm)
                is_told = (
                    tm.outbox if tm.is_alive else ALWAYS
                )  # the last thing to hear of a dead one is that it is gone
                actors.append(Actor(f"from TaskManager {number}", deliver, is_told))
                if tm.is_alive:
                    epochs.update(tm.attempts)
                    actors += self._taskmanager_actors(number, tm, slots)
        for epoch in sorted(epochs):
            edges = self.edges[epoch][0]
            edges.set_speeds(rng, spread)
            actors.append(Actor("network", partial(edges.step, rng), edges.busy))
        for jobmanager in self._jobmanagers:
            actors += self._jobmanager_actors(jobmanager)
        actors += [Actor("lease", partial(self._lease_ends, jobmanager)) for jobmanager in self._deposed]
        return actors, slots

    def _taskmanager_actors(self, number: int, tm: SimulatedTaskManager, slots: list[SimulatedSlot]) -> Iterator[Actor]:
        """Adds its slots to `slots`."""
        yield Actor(f"to TaskManager {number}", partial(self._deliver_down, tm), tm.inbox)
        for attempt in tm.attempts.values():
            for slot_number, slot in attempt.slots.items():
                slots.append(slot)
                yield Actor(f"slot {slot_number}", partial(slot.step, self._rng), slot.signs)
                yield Actor(f"committer {slot_number}", partial(_commit, slot), slot.outboxes)
            yield Actor(f"writer {number}", attempt.write, attempt.writer.waiting)

    def _jobmanager_actors(self, jobmanager: SimulatedJobManager) -> list[Actor]:
        rng, loop = self._rng, jobmanager.loop
        return [
            Actor("timer", loop.fire),
            Actor("thread", partial(loop.work, rng), loop.to_work),
            Actor("loop", partial(loop.hear, rng), loop.to_hear),
            Actor("soon", loop.run_soon, loop.soon),
            Actor("slots", jobmanager.grant),
            Actor("HA directory", partial(self._step_ha, jobmanager)),
        ]

    def _deliver_down(self, taskmanager: SimulatedTaskManager) -> object:
        if not taskmanager.is_alive or not taskmanager.inbox:
            return False
        message = taskmanager.inbox.popleft()
        taskmanager.handle(message)
        return self._summary(message)

    def _deliver_up(self, jobmanager: SimulatedJobManager, taskmanager: SimulatedTaskManager) -> object:
        message = jobmanager.hear(taskmanager)
        return False if message is None else self._summary(message)

    def _summary(self, message: object) -> object:
        """For the trace, if somebody reads it."""
        if not self._notes.traces:
            return True
        text = type(message).__name__
        for name in ("subtask", "state", "checkpoint_id", "barrier", "stops", "exhausted", "failure"):
            value: Any = getattr(message, name, None)
            if value is not None:
                value = f"{value.kind}: {value.message}" if name == "failure" else value
                text += f" {name}={value.value if isinstance(value, TaskState) else value}"
        return text


def _commit(slot: SimulatedSlot) -> bool:
    return any(outbox.step() for outbox in slot.outboxes)
