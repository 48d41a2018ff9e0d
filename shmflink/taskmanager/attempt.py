"""All that a TaskManager holds for one attempt of a job: its memory, its tasks, its slots and their threads."""

from __future__ import annotations

import ctypes
import gc
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from shmflink._core import Arena, Region
from shmflink.config.options import GLOBAL_JOB_PARAMETERS
from shmflink.connectors.base import Split
from shmflink.core.ids import SubtaskId
from shmflink.graph.execution_graph import TaskDeployment
from shmflink.metrics.counters import BLOCK_WORDS, HEADER_WORDS
from shmflink.rpc.messages import DeployTasks, PrepareAttempt
from shmflink.rpc.states import TaskState
from shmflink.taskmanager.assembly import TaskResources, build_task
from shmflink.taskmanager.listener import TaskListener
from shmflink.taskmanager.remote_edges import SharedMemoryEdges
from shmflink.taskmanager.slot import Slot
from shmflink.taskmanager.task import Task

__all__ = ["Attempt"]


class _Interrupted(BaseException):
    """Raised in a slot's thread to get user code to let go; no `except Exception` there stops it."""


def _interrupt(thread: threading.Thread) -> None:
    """Has `_Interrupted` raised at the thread's next bytecode; no effect on one that is over or sleeps in C."""
    if thread.is_alive() and thread.ident is not None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(_Interrupted))


class Attempt:
    """Used by the control thread; the tasks run in one thread per slot that has any."""

    def __init__(self, message: PrepareAttempt, slots: int, spin_ns: int, page: Any) -> None:
        """Creates region and arena. ResourceError where memory does not suffice."""
        self.epoch = message.epoch
        self._page = page
        self._region = Region.create(
            message.epoch, slots, message.rings, message.data_capacity, message.control_capacity
        )
        self._arena = Arena.create(message.epoch, message.segment_bytes, message.segments)
        self._peers: dict[int, tuple[Region, Arena]] = {}
        self._slots = [Slot(i, self._region.doorbell(i), spin_ns=spin_ns) for i in range(slots)]
        self._tasks: list[Task] = []
        self._slot_of: dict[SubtaskId, Slot] = {}
        self._threads: list[threading.Thread] = []
        self._is_cancelled = False
        self._listener: TaskListener | None = None

    @property
    def memory_fds(self) -> tuple[int, int]:
        """Region and arena, to lend to the sender of a message."""
        return self._region.fileno(), self._arena.fileno()

    def connect(self, taskmanagers: Sequence[int], fds: Sequence[int]) -> None:
        """Maps the memory of peers; takes the descriptors over."""
        for index, taskmanager in enumerate(taskmanagers):
            region = Region.open(fds[2 * index], self.epoch)
            self._peers[taskmanager] = (region, Arena.open(fds[2 * index + 1], self.epoch))

    def deploy(self, message: DeployTasks, listener: TaskListener) -> None:
        """Builds the tasks: user code is loaded, nothing of it runs yet. Each reports INITIALIZING or FAILED."""
        self._listener = listener
        blocks = len(message.tasks)
        self._page.store(1, [blocks])
        self._page.store(HEADER_WORDS, [0] * (BLOCK_WORDS * blocks))
        self._peers[message.taskmanager] = (self._region, self._arena)
        resources = self._resources(message, listener)
        for deployment in message.tasks:
            slot = self._slots[deployment.slot % message.slots_per_taskmanager]
            try:
                task = build_task(deployment, resources, slot)
            except Exception as error:
                listener.task_state_changed(deployment.subtask, TaskState.FAILED, error)
                continue
            self._tasks.append(task)
            self._slot_of[deployment.subtask] = slot
            listener.task_state_changed(deployment.subtask, TaskState.INITIALIZING, None)

    def _resources(self, message: DeployTasks, listener: TaskListener) -> TaskResources:
        configuration: Mapping[str, str] = message.configuration
        return TaskResources(
            listener=listener,
            remote=SharedMemoryEdges(message.taskmanager, message.slots_per_taskmanager, self._peers, configuration),
            status_page=self._page,
            configuration=configuration,
            job_parameters=GLOBAL_JOB_PARAMETERS.read(configuration) or {},
        )

    def start(self) -> None:
        """Opens and runs the tasks, each slot in a thread of its own."""
        for slot in dict.fromkeys(self._slot_of[task.deployment.subtask] for task in self._tasks):
            for task in self._tasks:
                if self._slot_of[task.deployment.subtask] is slot:
                    slot.add_task(task)
            thread = threading.Thread(target=self._run, args=(slot,), name=f"slot-{slot.index}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, slot: Slot) -> None:
        """A slot's thread. What escapes (sys.exit in user code) fails the tasks of the slot."""
        try:
            slot.run()
        except _Interrupted:
            for task in slot.tasks:
                task.cancel()
        except BaseException as error:
            assert self._listener is not None
            for task in slot.tasks:
                self._listener.task_state_changed(task.deployment.subtask, TaskState.FAILED, error)

    def cancel(self) -> None:
        """Every task that is not over reports CANCELED soon. Called again, it interrupts user code."""
        if self._threads and self._is_cancelled:
            for thread in self._threads:
                _interrupt(thread)
            return
        self._is_cancelled = True
        if self._threads:
            for slot in self._slots:
                slot.cancel()
            return
        for task in self._tasks:
            task.cancel()

    def align(self, subtask: SubtaskId, limit_ms: int) -> None:
        """How far a source may run ahead."""
        self._slot_of[subtask].align(subtask, limit_ms)

    def assign_split(self, subtask: SubtaskId, split: Split | None, *, exhausted: bool) -> None:
        """Hands the answer to a split request to its reader."""
        self._slot_of[subtask].assign_split(subtask, split, exhausted=exhausted)

    def deployment_of(self, subtask: SubtaskId) -> TaskDeployment | None:
        """The deployment of a task that could be built."""
        return next((t.deployment for t in self._tasks if t.deployment.subtask == subtask), None)

    def release(self) -> None:
        """Waits for the slots' threads, then lets go of everything. The tasks are over, so this is short.

        A thread that user code keeps is not waited for for ever: the JobManager kills the process in time.
        """
        for slot in self._slots:
            slot.shutdown()
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        self._tasks.clear()
        self._slot_of.clear()
        self._slots.clear()
        arenas = [self._arena, *(arena for _, arena in self._peers.values())]
        self._peers.clear()
        gc.collect()  # batches in reference cycles hold segments
        for arena in arenas:
            arena.close()
