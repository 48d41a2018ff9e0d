"""A TaskManager without processes and threads: real tasks, listener, checkpoint writer; the schedule says who runs."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from shmflink.core.clock import Clock
from shmflink.core.ids import LOCAL_HOST, SubtaskId, TaskManagerId
from shmflink.core.lazy_dataclass import dataclass
from shmflink.errors import CheckpointError
from shmflink.graph.execution_graph import TaskDeployment
from shmflink.metrics.counters import OperatorCounters, TaskCounters
from shmflink.rpc.messages import (
    AttemptPrepared,
    AttemptReleased,
    DeployTasks,
    Failure,
    PrepareAttempt,
    ReleaseAttempt,
    TriggerCheckpoint,
)
from shmflink.rpc.states import TaskState
from shmflink.taskmanager.assembly import TaskResources, build_task
from shmflink.taskmanager.attempt_messages import tell
from shmflink.taskmanager.checkpoint_writer import CheckpointWriter
from shmflink.taskmanager.control import Listener
from shmflink.taskmanager.task import Task
from shmflink.taskmanager.task_states import TaskSnapshot
from shmflink.testing.simulation.channels import SimulatedEdges
from shmflink.testing.simulation.world import ViolationError

__all__ = [
    "SimulatedAttempt",
    "SimulatedOutbox",
    "SimulatedSlot",
    "SimulatedTaskManager",
    "SimulatedWriter",
    "Surroundings",
]


_EARLY_NS: Final = 1_000_000
"""Deadlines of timers are whole milliseconds from now, so that a timer may be due a part of one earlier."""


class SimulatedOutbox:
    """Takes the place of `core.outbox.Outbox` in sinks: its thread runs when the schedule says so."""

    def __init__(self, name: str, mailbox: Any, deliver: Callable[[Any], None]) -> None:
        self._mailbox = mailbox
        self._deliver = deliver
        self._items: deque[Any] = deque()
        self._error: BaseException | None = None
        self._is_closed = False
        mailbox.outboxes.append(self)

    def put(self, item: Any) -> None:
        self.raise_error()
        self._items.append(item)

    def step(self) -> bool:
        """The thread delivers one item."""
        if not self._items or self._error is not None or self._is_closed:
            return False
        try:
            self._deliver(self._items.popleft())
        except Exception as error:
            self._error = error
        self._mailbox.wake()
        return True

    def raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def close(self) -> bool:
        self._is_closed = True
        return True


class SimulatedSlot:
    """The mailbox of its tasks, and the tasks themselves."""

    def __init__(self) -> None:
        self.signs: list[Task | None] = []
        """Tasks for which something may have changed since `step` found nothing to do for them; None: for all. Empty:
        it would find nothing again.
        """
        self._awake: set[Task] = set()
        self._due_ns = -1  # when time alone gives it something to do
        self.tasks: list[Task] = []
        self.mail: deque[Callable[[], Any]] = deque()
        self.outboxes: list[SimulatedOutbox] = []

    def put(self, action: Callable[[], Any]) -> None:
        self.mail.append(action)
        self.signs.append(None)

    def wake(self) -> None:
        if not self.mail or self.mail[-1] != self._wake_tasks:
            self.put(self._wake_tasks)

    def _wake_tasks(self) -> None:
        for task in self.running():
            task.wake()

    def tell(self, action: Callable[[Task], None]) -> None:
        """To each task that runs."""
        for task in self.running():
            action(task)

    def running(self) -> list[Task]:
        return [task for task in self.tasks if not task.is_terminal]

    def step(self, rng: random.Random) -> str | None:
        """The mail, or a quantum of some task; with nothing to run, what waits in open segments leaves."""
        if self.mail:
            self.mail.popleft()()
            return "mail"
        self._wake_signed()
        runnable = [task for task in self.tasks if task in self._awake and task.is_runnable()]
        self._awake = set(runnable)
        if runnable:
            task = runnable[0] if len(runnable) == 1 else rng.choice(runnable)
            self.signs.append(None)  # edges within a slot have nothing under way: others may have input now
            task.run_quantum()
            return f"quantum of {task.deployment.subtask}"
        has_flushed = self._flush()
        dues = [due for task in self.running() if (due := task.next_deadline_ns()) >= 0]
        self._due_ns = min(dues) - _EARLY_NS if dues else -1
        return "flush" if has_flushed else None

    def _wake_signed(self) -> None:
        for task in self.signs:
            if task is None:
                self._awake.update(self.tasks)
            else:
                self._awake.add(task)
        self.signs.clear()

    def _flush(self) -> bool:
        has_flushed = False
        for task in self.running():
            pending = any(output.partition.has_pending for output in task.outputs.ends)
            task.outputs.flush()
            has_flushed |= pending and not any(output.partition.has_pending for output in task.outputs.ends)
        return has_flushed

    def time_has_passed(self, now_ns: int) -> None:
        """A timer may be due."""
        if self._due_ns != -1 and self._due_ns <= now_ns:
            self.signs.append(None)


class SimulatedWriter(CheckpointWriter):
    """Writes one snapshot when the schedule says so; `may_fail` says whether the disk is full."""

    def __init__(self, *arguments: Any, may_fail: Callable[[str], bool]) -> None:
        super().__init__(*arguments)
        self._may_fail = may_fail
        self.waiting: deque[TaskSnapshot] = deque()
        """Snapshots that it has not written yet."""

    def _enqueue(self, snapshot: TaskSnapshot) -> None:
        self.waiting.append(snapshot)

    def step(self) -> bool:
        if not self.waiting:
            return False
        self._run_one(self.waiting.popleft())
        return True

    def _write(self, snapshot: TaskSnapshot) -> None:
        has_keyed_state = any(operator.keyed for _, operator in snapshot.operators)
        if self._may_fail("disk") or (has_keyed_state and self._may_fail("disk of keyed state")):
            for _, operator in snapshot.operators:
                for keyed in operator.keyed:
                    keyed.saved(False)
            raise CheckpointError("no space left on the simulated disk")
        super()._write(snapshot)


class SimulatedAttempt:
    """The tasks of one attempt in one TaskManager: an `attempt_messages.AttemptTasks`."""

    def __init__(
        self, deployments: tuple[TaskDeployment, ...], listener: Listener, writer: SimulatedWriter, world: Surroundings
    ) -> None:
        """Builds the tasks: each reports INITIALIZING."""
        self.writer = writer
        self.slots: dict[int, SimulatedSlot] = {}
        self._slot_of: dict[SubtaskId, SimulatedSlot] = {}
        self._listener = listener
        epoch = world.resources.epoch
        for deployment in deployments:
            slot = self.slots.setdefault(deployment.slot, SimulatedSlot())
            task = build_task(deployment, world.resources, slot)
            world.edges.bells[deployment.subtask].connect(slot.signs, task)
            if epoch % 2:
                task.pace.limit = 1  # batches in pieces, with barriers, timers and faults between them
            task.pace.is_taken_for_slow = epoch % 3 == 1  # and what waits in front of it in the checkpoint
            slot.tasks.append(task)
            self._slot_of[deployment.subtask] = slot
            listener.task_state_changed(deployment.subtask, TaskState.INITIALIZING, None)

    def write(self) -> bool:
        """The writer's thread writes one snapshot; tasks at their end may have waited for that."""
        has_written = self.writer.step()
        for slot in self.slots.values():
            slot.signs.append(None)
        return has_written

    def start(self) -> None:
        for slot in self.slots.values():
            for task in slot.tasks:
                slot.put(task.open)

    def cancel(self) -> None:
        self._tell(lambda task: task.cancel())

    def align(self, subtask: SubtaskId, limit_ms: int) -> None:
        raise ViolationError("no source of a simulated job waits for others")

    def assign_split(self, subtask: SubtaskId, split: Any, *, exhausted: bool) -> None:
        slot = self._slot_of[subtask]
        task = next(task for task in slot.tasks if task.deployment.subtask == subtask)
        slot.put(lambda: None if task.is_terminal else task.assign_split(split, exhausted=exhausted))

    def split_failed(self, subtask: SubtaskId, error: BaseException) -> None:
        self._listener.task_state_changed(subtask, TaskState.FAILED, error)

    def trigger_checkpoint(self, message: TriggerCheckpoint) -> None:
        self.writer.begins(message.barrier.checkpoint_id, message.location)
        self._tell(lambda task: task.trigger_checkpoint(message.barrier, stops=message.stops))

    def checkpoint_completed(self, checkpoint_id: int, *, stops: bool) -> None:
        self._tell(lambda task: task.checkpoint_completed(checkpoint_id, stops=stops))

    def checkpoint_aborted(self, checkpoint_id: int) -> None:
        self.writer.aborted(checkpoint_id)
        self._tell(lambda task: task.checkpoint_aborted(checkpoint_id))

    def drain(self) -> None:
        self._tell(lambda task: task.drain())

    def _tell(self, action: Callable[[Task], None]) -> None:
        for slot in self.slots.values():
            slot.put(partial(slot.tell, action))


@dataclass(slots=True)
class Surroundings:
    """What the tasks of one attempt share over all TaskManagers, and what they run on."""

    edges: SimulatedEdges
    resources: TaskResources
    attempts: list[SimulatedAttempt]
    """In all TaskManagers."""


class SimulatedTaskManager:
    """One process. To jobs, a `jobmanager.taskmanager_gateway.TaskManagerGateway`."""

    def __init__(
        self,
        index: int,
        life: int,
        clock: Clock,
        told: Callable[[object], None],
        surroundings: Callable[[DeployTasks, Listener], Surroundings],
        refuses: Callable[[str], bool],
        has_changed: Callable[[], None],
    ) -> None:
        """`told` hears what is sent to it; `surroundings` are those of an attempt that is deployed here; `refuses` says
        whether the system refuses something; `has_changed`: it has other attempts, or none any longer.
        """
        self.index = index
        self.id = TaskManagerId(LOCAL_HOST, index, life)
        self.is_lost = False
        """The JobManager knows that it is gone."""
        self.is_alive = True
        self.inbox: deque[Any] = deque()
        self.outbox: deque[Any] = deque()
        self.attempts: dict[int, SimulatedAttempt] = {}
        self._clock = clock
        self._surroundings = surroundings
        self._told = told
        self._refuses = refuses
        self._has_changed = has_changed

    # --- the JobManager's side ---

    def send(self, message: object) -> None:
        """The message is in flight."""
        self._told(message)
        self.inbox.append(message)

    def connect_peers(self, epoch: int, peers: Mapping[int, TaskManagerId]) -> None:
        """Attempts meet in their edges."""

    def release_memory(self, epoch: int) -> None:
        """There is none."""

    def task_counters(self, block: int) -> TaskCounters:
        """Nobody counts here."""
        return TaskCounters()

    def operator_counters(self, block: int) -> OperatorCounters:
        """Nobody counts here."""
        return OperatorCounters()

    def kill(self, why: str = "") -> None:
        """SIGKILL: it no longer runs; messages that it has sent may still arrive."""
        self.is_alive = False
        self._has_changed()
        if why:
            raise ViolationError(f"{self.id} {why}")

    # --- its own side ---

    def handle(self, message: Any) -> None:
        """As `taskmanager.control.Control` does."""
        match message:
            case PrepareAttempt(_, epoch):
                failure = Failure("ResourceError", "no memory") if self._refuses("memory") else None
                self.outbox.append(AttemptPrepared(epoch, failure))
            case DeployTasks():
                self._deploy(message)
            case ReleaseAttempt(epoch):
                self.attempts.pop(epoch, None)
                self._has_changed()
                self.outbox.append(AttemptReleased(epoch))
            case _ if message.epoch in self.attempts:
                tell(self.attempts[message.epoch], message)

    def _deploy(self, message: DeployTasks) -> None:
        by_subtask = {deployment.subtask: deployment for deployment in message.tasks}
        send = self.outbox.append
        listener = Listener(message.epoch, by_subtask, send)
        writer = SimulatedWriter(
            message.epoch, self._clock, send, listener.write_failed, listener.task_ending, may_fail=self._refuses
        )
        listener.writer = writer
        surroundings = self._surroundings(message, listener)
        attempt = SimulatedAttempt(message.tasks, listener, writer, surroundings)
        surroundings.attempts.append(attempt)
        self.attempts[message.epoch] = attempt

    def slots(self) -> Iterator[SimulatedSlot]:
        """Of all its attempts."""
        for attempt in self.attempts.values():
            yield from attempt.slots.values()

    def states(self) -> dict[SubtaskId, TaskState]:
        """Of its tasks."""
        return {task.deployment.subtask: task.state for slot in self.slots() for task in slot.tasks}
