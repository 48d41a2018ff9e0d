"""All that a TaskManager holds for one attempt of a job: its memory, its tasks, its slots and their threads."""

from __future__ import annotations

import ctypes
import gc
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from shmflink._core import Arena, RingMemory
from shmflink.checkpoint.commit_notes import note_commit
from shmflink.checkpoint.settings import CheckpointSettings
from shmflink.config.options import GLOBAL_JOB_PARAMETERS
from shmflink.connectors.base import Split
from shmflink.core.ids import SubtaskId
from shmflink.metrics.counters import BLOCK_WORDS, HEADER_WORDS, blocks_of_task
from shmflink.rpc.messages import DeployTasks, PrepareAttempt, TriggerCheckpoint
from shmflink.rpc.states import TaskState
from shmflink.taskmanager.assembly import TaskResources, build_task
from shmflink.taskmanager.call_watch import CallWatch, SlowCall
from shmflink.taskmanager.checkpoint_writer import CheckpointWriter
from shmflink.taskmanager.listener import TaskListener
from shmflink.taskmanager.remote_edges import SharedMemoryEdges
from shmflink.taskmanager.restore import Restore
from shmflink.taskmanager.slot import Slot
from shmflink.taskmanager.task import Task

__all__ = ["Attempt"]


class _Interrupted(BaseException):
    """Raised in a slot's thread to interrupt user code; no `except Exception` there catches it."""


def _interrupt(thread: threading.Thread) -> None:
    """Raises `_Interrupted` in the thread at its next bytecode; has no effect on a thread that has ended or sleeps in
    C.
    """
    if thread.is_alive() and thread.ident is not None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(_Interrupted))


class Attempt:
    """Used by the control thread; the tasks run in one thread per slot with tasks."""

    def __init__(self, message: PrepareAttempt, slots: int, spin_ns: int, page: Any) -> None:
        """Creates ring memory and arena. ResourceError if there is too little memory."""
        self.epoch = message.epoch
        self._page = page
        self._ring_memory = RingMemory.create(
            message.epoch, slots, message.rings, message.data_capacity, message.control_capacity
        )
        self._arena = Arena.create(message.epoch, message.segment_bytes, message.segments)
        self._peers: dict[int, tuple[RingMemory, Arena]] = {}
        self._slots = [Slot(i, self._ring_memory.doorbell(i), spin_ns=spin_ns) for i in range(slots)]
        self._tasks: list[Task] = []
        self._slot_of: dict[SubtaskId, Slot] = {}
        self._threads: list[threading.Thread] = []
        self._is_cancelled = False
        self._listener: TaskListener | None = None
        self._writer: CheckpointWriter | None = None
        self._tell_of_call: Callable[[SlowCall], None] | None = None
        self._watch: CallWatch | None = None

    @property
    def memory_fds(self) -> tuple[int, int]:
        """Ring memory and arena, lent to the sender of a message."""
        return self._ring_memory.fileno(), self._arena.fileno()

    def connect(self, taskmanagers: Sequence[int], fds: Sequence[int]) -> None:
        """Maps the memory of peers; takes ownership of the descriptors."""
        for index, taskmanager in enumerate(taskmanagers):
            ring_memory = RingMemory.open(fds[2 * index], self.epoch)
            self._peers[taskmanager] = (ring_memory, Arena.open(fds[2 * index + 1], self.epoch))

    def deploy(
        self,
        message: DeployTasks,
        listener: TaskListener,
        writer: CheckpointWriter,
        tell_of_call: Callable[[SlowCall], None],
    ) -> None:
        """Builds the tasks: loads user code, without running any of it. Each reports INITIALIZING or FAILED.

        A separate thread passes calls that do not return to `tell_of_call`.
        """
        self._listener = listener
        self._writer = writer
        self._tell_of_call = tell_of_call
        for one in message.tasks:
            words = BLOCK_WORDS * blocks_of_task(len(one.operators))
            self._page.store(HEADER_WORDS + BLOCK_WORDS * one.block, [0] * words)
        self._peers[message.taskmanager] = (self._ring_memory, self._arena)
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
        settings = CheckpointSettings.of(configuration)
        restore = Restore(message.restore_path, allows_pickle=settings.trusts_pickled_state)
        return TaskResources(
            listener=listener,
            remote=SharedMemoryEdges(message.taskmanager, message.slots_per_taskmanager, self._peers, configuration),
            status_page=self._page,
            configuration=configuration,
            job_parameters=GLOBAL_JOB_PARAMETERS.read(configuration) or {},
            settings=settings,
            restore=restore.of,
            job_id=message.job_id.hex,
            ha_identity=message.ha_identity,
            epoch=message.epoch,
            note_commit=partial(self._note_commit, restore),
        )

    def _note_commit(self, restore: Restore, operator_id: str, subtask: int, checkpoint_id: int) -> None:
        """Writes a note into the checkpoint's folder: a checkpoint of this attempt, or the one that it was restored
        from.
        """
        assert self._writer is not None, "a commit before the deployment"
        directory = self._writer.directory_of(checkpoint_id) or restore.directory_of(checkpoint_id)
        if directory:
            note_commit(directory, operator_id, subtask)

    def start(self) -> None:
        """Opens and runs the tasks, each slot in a thread of its own."""
        watched: list[tuple[Slot, threading.Thread]] = []
        for slot in dict.fromkeys(self._slot_of[task.deployment.subtask] for task in self._tasks):
            for task in self._tasks:
                if self._slot_of[task.deployment.subtask] is slot:
                    slot.add_task(task)
            thread = threading.Thread(target=self._run, args=(slot,), name=f"slot-{slot.index}", daemon=True)
            self._threads.append(thread)
            watched.append((slot, thread))
            thread.start()
        if self._tell_of_call is not None and watched:
            self._watch = CallWatch(watched, self._tell_of_call)
            self._watch.start()

    def _run(self, slot: Slot) -> None:
        """A slot's thread. An escaping exception (sys.exit in user code) fails the tasks of the slot."""
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
        """Every unfinished task reports CANCELED soon. Called again, it interrupts user code."""
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

    def trigger_checkpoint(self, message: TriggerCheckpoint) -> None:
        """Notifies every running task."""
        assert self._writer is not None, "a checkpoint before the tasks were deployed"
        self._writer.begins(message.barrier.checkpoint_id, message.location)
        self._tell(lambda task: task.trigger_checkpoint(message.barrier, stops=message.stops))

    def checkpoint_completed(self, checkpoint_id: int, *, stops: bool) -> None:
        """Notifies every running task."""
        self._tell(lambda task: task.checkpoint_completed(checkpoint_id, stops=stops))

    def checkpoint_aborted(self, checkpoint_id: int) -> None:
        """Notifies every running task."""
        if self._writer is not None:
            self._writer.aborted(checkpoint_id)
        self._tell(lambda task: task.checkpoint_aborted(checkpoint_id))

    def drain(self) -> None:
        """Sources end; every task waits at its end for one more checkpoint."""
        self._tell(lambda task: task.drain())

    def _tell(self, action: Callable[[Task], None]) -> None:
        for slot in dict.fromkeys(self._slot_of.values()):
            slot.tell(action)

    def align(self, subtask: SubtaskId, limit_ms: int) -> None:
        """Limits how far a source may run ahead."""
        self._slot_of[subtask].align(subtask, limit_ms)

    def assign_split(self, subtask: SubtaskId, split: Split | None, *, exhausted: bool) -> None:
        """Hands the answer to a split request to its reader."""
        self._slot_of[subtask].assign_split(subtask, split, exhausted=exhausted)

    def split_failed(self, subtask: SubtaskId, error: BaseException) -> None:
        """Fails the reader of a split that cannot be loaded here."""
        assert self._listener is not None, "a split before the deployment"
        self._listener.task_state_changed(subtask, TaskState.FAILED, error)

    def release(self) -> None:
        """Waits for the slots' threads, then releases everything. The tasks have ended, so this is short.

        It does not wait forever for a thread that user code blocks: the JobManager kills the process in time.
        """
        self._end_threads()
        arenas = [self._arena, *(arena for _, arena in self._peers.values())]
        self._peers.clear()
        gc.collect()  # batches in reference cycles hold segments
        for arena in arenas:
            arena.close()

    def _end_threads(self) -> None:
        """In its own frame: a slot to which a variable still refers would survive the collection and hold memory."""
        for slot in self._slots:
            slot.shutdown()
        for thread in self._threads:
            thread.join()
        if self._watch is not None:
            self._watch.stop()
            self._watch = None
        self._threads.clear()
        if self._writer is not None:
            self._writer.close()
        self._tasks.clear()
        self._slot_of.clear()
        self._slots.clear()
