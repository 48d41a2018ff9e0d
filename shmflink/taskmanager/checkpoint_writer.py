"""The thread of an attempt that writes frozen state and acknowledges it."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from shmflink.checkpoint.handles import (
    FINAL_CHECKPOINT_ID,
    ChannelState,
    CheckpointLocation,
    KeyedStateHandle,
    OperatorSubtaskState,
    StateFile,
)
from shmflink.checkpoint.state_files import StateFileWriter
from shmflink.core.clock import Clock
from shmflink.core.ids import SubtaskId
from shmflink.errors import InternalError
from shmflink.rpc.messages import CheckpointAcknowledged
from shmflink.state.snapshots import KeyedSnapshot, OperatorSnapshot
from shmflink.taskmanager.task_states import TaskSnapshot

__all__ = ["CheckpointWriter"]

_LOCATIONS_MAX: Final = 64


class CheckpointWriter:
    """`put`, `begins`, `aborted` may be called from any thread; `close` by its owner.

    Files of one keyed state form a chain: one with all entries, then one per set of changes. A saved file
    stays in its chain, even if its checkpoint is aborted by others.
    """

    def __init__(
        self,
        epoch: int,
        clock: Clock,
        acknowledge: Callable[[CheckpointAcknowledged], None],
        failed: Callable[[SubtaskId, int, BaseException], None],
        ending: Callable[[SubtaskId], None],
    ) -> None:
        self._epoch = epoch
        self._clock = clock
        self._acknowledge = acknowledge
        self._failed = failed
        self._ending = ending
        self._locations: dict[int, CheckpointLocation] = {}
        self._early: list[TaskSnapshot] = []  # of checkpoints that the JobManager has not announced yet
        self._unwritten: Counter[SubtaskId] = Counter()
        self._afterwards: dict[SubtaskId, Callable[[], None]] = {}
        self._aborted: set[int] = set()
        self._chains: dict[tuple[str, int, str], tuple[StateFile, ...]] = {}
        self._queue: queue.SimpleQueue[TaskSnapshot | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def begins(self, checkpoint_id: int, location: CheckpointLocation) -> None:
        """Announces where a checkpoint is written; its barrier may have arrived before."""
        with self._lock:
            self._locations[checkpoint_id] = location
            while len(self._locations) > _LOCATIONS_MAX:
                del self._locations[min(self._locations)]
            ready = [one for one in self._early if one.barrier.checkpoint_id == checkpoint_id]
            self._early = [one for one in self._early if one not in ready]
        for one in ready:
            self._enqueue(one)

    def directory_of(self, checkpoint_id: int) -> str:
        """Where a checkpoint that has begun is written; empty if that is no longer known. Any thread."""
        with self._lock:
            location = self._locations.get(checkpoint_id)
        return "" if location is None else location.directory

    def put(self, snapshot: TaskSnapshot) -> None:
        """Queues it to be written, in order."""
        checkpoint_id = snapshot.barrier.checkpoint_id
        with self._lock:
            self._unwritten[snapshot.subtask] += 1
            if checkpoint_id != FINAL_CHECKPOINT_ID and checkpoint_id not in self._locations:
                self._early.append(snapshot)
                return
        self._enqueue(snapshot)

    def aborted(self, checkpoint_id: int) -> None:
        """Skips what has not been written yet: its changes go into the next checkpoint."""
        with self._lock:
            self._aborted.add(checkpoint_id)
            while len(self._aborted) > _LOCATIONS_MAX:
                self._aborted.discard(min(self._aborted))
            dropped = [one for one in self._early if one.barrier.checkpoint_id == checkpoint_id]
            self._early = [one for one in self._early if one not in dropped]
        for one in dropped:
            _give_up(one)
            self._is_done_with(one.subtask)

    def after_writing(self, subtask: SubtaskId, action: Callable[[], None]) -> None:
        """Calls `action`, in any thread, when nothing of the task is left to be written, so that a task reports its
        end after its acknowledgments. A task that has ended without acknowledging a checkpoint has no state in it.
        """
        with self._lock:
            if self._unwritten[subtask]:
                self._afterwards[subtask] = action
                return
        action()

    def close(self) -> None:
        """Ends the thread after its current item; what is still queued is not written."""
        if self._thread is not None:
            while True:
                with suppress(queue.Empty):
                    self._queue.get_nowait()
                    continue
                break
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def _enqueue(self, snapshot: TaskSnapshot) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="checkpoint-writer", daemon=True)
                self._thread.start()
        self._queue.put(snapshot)

    def _run(self) -> None:
        while (snapshot := self._queue.get()) is not None:
            self._run_one(snapshot)

    def _run_one(self, snapshot: TaskSnapshot) -> None:
        try:
            self._write(snapshot)
        except Exception as error:
            self._failed(snapshot.subtask, snapshot.barrier.checkpoint_id, error)
        self._is_done_with(snapshot.subtask)

    def _is_done_with(self, subtask: SubtaskId) -> None:
        with self._lock:
            self._unwritten[subtask] -= 1
            action = None if self._unwritten[subtask] else self._afterwards.pop(subtask, None)
        if action is not None:
            action()

    def _write(self, snapshot: TaskSnapshot) -> None:
        checkpoint_id = snapshot.barrier.checkpoint_id
        if checkpoint_id == FINAL_CHECKPOINT_ID:
            for _, operator in snapshot.operators:
                if operator.pending is not None:
                    operator.pending()
            self._ending(snapshot.subtask)
            return
        if checkpoint_id in self._aborted:
            _give_up(snapshot)
            return
        began_ns = self._clock.monotonic_ns()
        files = _Files(self._locations[checkpoint_id], self._epoch, snapshot, self._chains)
        self._acknowledge(
            CheckpointAcknowledged(
                self._epoch,
                snapshot.subtask,
                checkpoint_id,
                files.write(),
                snapshot.sync_ns,
                self._clock.monotonic_ns() - began_ns,
                snapshot.alignment_ns,
                files.bytes_written,
            )
        )


def _give_up(snapshot: TaskSnapshot) -> None:
    for _, operator in snapshot.operators:
        for keyed in operator.keyed:
            keyed.saved(False)


class _Files:
    """One task's files of one checkpoint: all of them, or none."""

    def __init__(
        self,
        location: CheckpointLocation,
        epoch: int,
        snapshot: TaskSnapshot,
        chains: dict[tuple[str, int, str], tuple[StateFile, ...]],
    ) -> None:
        self._writer = StateFileWriter(location, epoch, snapshot.barrier.checkpoint_id)
        self._is_shared = bool(location.shared_directory)
        self._snapshot = snapshot
        self._chains = chains
        self._new: dict[tuple[str, int, str], tuple[StateFile, ...]] = {}

    @property
    def bytes_written(self) -> int:
        """Of only this checkpoint."""
        return self._writer.bytes_written

    def write(self) -> tuple[OperatorSubtaskState, ...]:
        """Makes everything durable; if it raises, no file is left and changes count as not saved."""
        try:
            states = tuple(self._operator(*operator) for operator in self._snapshot.operators)
            if self._snapshot.channels:
                states = (self._with_channels(states[0]), *states[1:])
            self._writer.sync_folders()
        except BaseException:
            self._writer.abandon()
            _give_up(self._snapshot)
            raise
        self._chains.update(self._new)
        for _, operator in self._snapshot.operators:
            for keyed in operator.keyed:
                keyed.saved(True)
        return states

    def _operator(self, operator_id: str, snapshot: OperatorSnapshot) -> OperatorSubtaskState:
        subtask = self._snapshot.subtask.subtask
        value = self._writer.write_value
        operator_state = {**snapshot.operator_state, **(snapshot.pending() if snapshot.pending else {})}
        broadcast_state = snapshot.broadcast_state
        return OperatorSubtaskState(
            operator_id,
            subtask,
            tuple(self._keyed(operator_id, subtask, keyed) for keyed in snapshot.keyed),
            value(operator_id, subtask, "operator", operator_state) if operator_state else None,
            value(operator_id, subtask, "broadcast", dict(broadcast_state)) if broadcast_state else None,
        )

    def _keyed(self, operator_id: str, subtask: int, keyed: KeyedSnapshot) -> KeyedStateHandle:
        key = (operator_id, subtask, keyed.name)
        files: tuple[StateFile, ...] = ()
        if keyed.is_delta:
            if key not in self._chains:
                raise InternalError(f"changes of the state '{keyed.name}' before all of it was saved")
            files = self._chains[key]
        file = self._writer.write_keyed(operator_id, subtask, keyed, self._is_shared)
        if file.length or not files:  # nothing has changed: no file
            files = (*files, file)
        if self._is_shared:
            self._new[key] = files
        groups = self._snapshot.key_groups
        return KeyedStateHandle(keyed.name, groups.start, groups.stop - 1, files)

    def _with_channels(self, state: OperatorSubtaskState) -> OperatorSubtaskState:
        channels = tuple(
            ChannelState(edge, producer, self._writer.write_batches(state.operator_id, state.subtask, elements))
            for edge, producer, elements in self._snapshot.channels
        )
        return OperatorSubtaskState(
            state.operator_id, state.subtask, state.keyed, state.operator_state, state.broadcast_state, channels
        )
