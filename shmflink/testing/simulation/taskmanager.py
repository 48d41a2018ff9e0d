"""A TaskManager without processes and threads: real tasks, listener, checkpoint writer; the schedule says who runs."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from shmflink.checkpoint.settings import CheckpointSettings
from shmflink.core.clock import Clock
from shmflink.core.ids import SubtaskId
from shmflink.core.serialization import codec
from shmflink.errors import CheckpointError
from shmflink.graph.execution_graph import TaskDeployment
from shmflink.rpc.messages import (
    AssignSplit,
    CancelTasks,
    CheckpointAborted,
    CheckpointCompleted,
    DrainSources,
    TriggerCheckpoint,
)
from shmflink.rpc.states import TaskState
from shmflink.taskmanager.assembly import TaskResources, build_task
from shmflink.taskmanager.checkpoint_writer import CheckpointWriter
from shmflink.taskmanager.control import Listener
from shmflink.taskmanager.task import Task
from shmflink.taskmanager.task_states import TaskRestore, TaskSnapshot
from shmflink.testing.simulation.channels import SimulatedEdges

__all__ = ["SimulatedOutbox", "SimulatedSlot", "SimulatedTaskManager", "SimulatedWriter"]


class SimulatedOutbox:
    """Takes the place of `connectors.outbox.Outbox` in sinks: its thread runs when the schedule says so."""

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
        self.tasks: list[Task] = []
        self.mail: deque[Callable[[], Any]] = deque()
        self.outboxes: list[SimulatedOutbox] = []

    def put(self, action: Callable[[], Any]) -> None:
        self.mail.append(action)

    def wake(self) -> None:
        if not self.mail or self.mail[-1] != self._wake_tasks:
            self.mail.append(self._wake_tasks)

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
        runnable = [task for task in self.tasks if task.is_runnable()]
        if runnable:
            task = runnable[0] if len(runnable) == 1 else rng.choice(runnable)
            task.run_quantum()
            return f"quantum of {task.deployment.subtask}"
        has_flushed = False
        for task in self.running():
            pending = any(output.partition.has_pending for output in task.outputs.ends)
            task.outputs.flush()
            has_flushed |= pending and not any(output.partition.has_pending for output in task.outputs.ends)
        return "flush" if has_flushed else None


class SimulatedWriter(CheckpointWriter):
    """Writes one snapshot when the schedule says so; `may_fail` says whether the disk is full."""

    def __init__(self, *arguments: Any, may_fail: Callable[[str], bool]) -> None:
        super().__init__(*arguments)
        self._may_fail = may_fail
        self._waiting: deque[TaskSnapshot] = deque()

    def _enqueue(self, snapshot: TaskSnapshot) -> None:
        self._waiting.append(snapshot)

    def step(self) -> bool:
        if not self._waiting:
            return False
        self._run_one(self._waiting.popleft())
        return True

    def _write(self, snapshot: TaskSnapshot) -> None:
        if self._may_fail("disk"):
            for _, operator in snapshot.operators:
                for keyed in operator.keyed:
                    keyed.saved(False)
            raise CheckpointError("no space left on the simulated disk")
        super()._write(snapshot)


class SimulatedTaskManager:
    """The tasks of one attempt in one TaskManager. `inbox`, `outbox`: the two directions of its connection."""

    def __init__(
        self,
        epoch: int,
        deployments: tuple[TaskDeployment, ...],
        edges: SimulatedEdges,
        configuration: Mapping[str, str],
        settings: CheckpointSettings,
        clock: Clock,
        restore: Callable[[TaskDeployment], TaskRestore],
        may_fail: Callable[[str], bool],
    ) -> None:
        self.epoch = epoch
        self.inbox: deque[Any] = deque()
        self.outbox: deque[Any] = deque()
        self.is_alive = True
        by_subtask = {deployment.subtask: deployment for deployment in deployments}
        listener = Listener(epoch, by_subtask, self.outbox.append)
        self.writer = SimulatedWriter(
            epoch, clock, self.outbox.append, listener.write_failed, listener.task_ending, may_fail=may_fail
        )
        listener.writer = self.writer
        resources = TaskResources(
            listener=listener,
            remote=edges,
            configuration=configuration,
            clock=clock,
            settings=settings,
            restore=restore,
            epoch=epoch,
        )
        self.slots: dict[int, SimulatedSlot] = {}
        self._slot_of: dict[SubtaskId, SimulatedSlot] = {}
        for deployment in deployments:
            slot = self.slots.setdefault(deployment.slot, SimulatedSlot())
            task = build_task(deployment, resources, slot)
            if epoch % 2:
                task.pace.limit = 1  # batches in pieces, with barriers, timers and faults between them
            task.pace.is_taken_for_slow = epoch % 3 == 1  # and what waits in front of it in the checkpoint
            slot.tasks.append(task)
            slot.put(task.open)
            self._slot_of[deployment.subtask] = slot

    @property
    def is_over(self) -> bool:
        """All its tasks are, and have said so."""
        return all(task.is_terminal for slot in self.slots.values() for task in slot.tasks)

    def kill(self) -> None:
        """SIGKILL: nothing of it runs any more; what it has sent may still arrive."""
        self.is_alive = False

    def handle(self, message: Any) -> None:
        """As `Control` does, in the same order."""
        match message:
            case TriggerCheckpoint():
                self.writer.begins(message.barrier.checkpoint_id, message.location)
                self._tell(lambda task: task.trigger_checkpoint(message.barrier, stops=message.stops))
            case CheckpointCompleted(_, checkpoint_id, stops):
                self._tell(lambda task: task.checkpoint_completed(checkpoint_id, stops=stops))
            case CheckpointAborted(_, checkpoint_id):
                self.writer.aborted(checkpoint_id)
                self._tell(lambda task: task.checkpoint_aborted(checkpoint_id))
            case DrainSources():
                self._tell(lambda task: task.drain())
            case CancelTasks():
                self._tell(lambda task: task.cancel())
            case AssignSplit(_, subtask, split, exhausted):
                found = codec.loads_value(split) if split else None
                slot = self._slot_of[subtask]
                task = next(task for task in slot.tasks if task.deployment.subtask == subtask)
                slot.put(lambda: None if task.is_terminal else task.assign_split(found, exhausted=exhausted))

    def _tell(self, action: Callable[[Task], None]) -> None:
        for slot in self.slots.values():
            slot.put(partial(slot.tell, action))

    def states(self) -> dict[SubtaskId, TaskState]:
        return {task.deployment.subtask: task.state for slot in self.slots.values() for task in slot.tasks}
