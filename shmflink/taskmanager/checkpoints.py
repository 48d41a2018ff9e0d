"""A task's part in checkpoints: when its state is frozen, what is recorded on its channels, what it passes on.

Freezing is done here, in the slot's thread, between two elements; `checkpoint_writer` does the rest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from shmflink.checkpoint.handles import FINAL_CHECKPOINT_ID
from shmflink.checkpoint.state_files import dumps_elements, loads_elements
from shmflink.core.batch import Batch
from shmflink.core.clock import Clock
from shmflink.core.elements import BARRIER_UNALIGNED, MIN_TIMESTAMP_MS, Barrier, Element, EndOfData
from shmflink.core.ids import SubtaskId
from shmflink.state.operator_state import OperatorStatePart, Redistribution
from shmflink.state.snapshots import OperatorSnapshot, RestoredState
from shmflink.taskmanager.barriers import AlignmentEffects
from shmflink.taskmanager.chain import ChainNode, ChainOutput, pass_barrier
from shmflink.taskmanager.inputs import TaskInputs
from shmflink.taskmanager.listener import TaskListener
from shmflink.taskmanager.task_states import TaskSnapshot

__all__ = [
    "TaskCheckpoints",
    "restored_watermark",
]

WATERMARK_STATE: Final = "_watermark"
"""Operator state of a chain's first operator: its event time (a restored job must not consider late rows early)."""


class TaskCheckpoints:
    """Used by the slot's thread alone."""

    def __init__(
        self,
        subtask: SubtaskId,
        nodes: Sequence[ChainNode],
        inputs: TaskInputs | None,
        places: Sequence[tuple[int, int]],
        listener: TaskListener,
        clock: Clock,
    ) -> None:
        """`places`: (edge, producing subtask) of each channel of `inputs`. `nodes`: upstream first."""
        self.stops_id: int | None = None
        """The savepoint after which nothing further is read."""
        self._subtask = subtask
        self._nodes = nodes
        self._inputs = inputs
        self._places = places
        self._listener = listener
        self._clock = clock
        self._to_begin: deque[Barrier] = deque()
        self._announced: dict[int, Barrier] = {}
        self._overtaken: Barrier | None = (
            None  # the last checkpoint that this slow task began by itself, with the barrier that other tasks see
        )
        self._last_id = -1
        self._aborted: set[int] = set()  # newer than `_last_id`
        self._frozen: list[tuple[str, OperatorSnapshot]] = []
        self._sync_ns = 0
        self._aligning_since_ns = -1
        self._waiting: TaskSnapshot | None = None  # for the record of its channels
        self._record: dict[int, list[Element]] = {}

    # --- when ---

    def trigger(self, barrier: Barrier, *, stops: bool, is_slow: bool = False) -> None:
        """The JobManager begins a checkpoint. Sources, unaligned tasks and those without open inputs take part now.

        So does a slow task with many rows before the barrier: unprocessed rows become part of the checkpoint, as in an
        unaligned one. Savepoints stay aligned: a job that resumes from one may have other edges.
        """
        if stops:
            self.stops_id = barrier.checkpoint_id
        if self._is_past(barrier.checkpoint_id):  # a checkpoint that became unaligned is triggered twice
            return
        if self._inputs is None or barrier.kind == BARRIER_UNALIGNED or self._inputs.has_ended:
            self._to_begin.append(barrier)
        elif is_slow and self._inputs.blocks and not (barrier.is_savepoint or stops):
            self._to_begin.append(replace(barrier, kind=BARRIER_UNALIGNED))
            self._overtaken = barrier
        else:
            self._announced[barrier.checkpoint_id] = barrier

    def inputs_ended(self) -> None:
        """No further barrier will come: checkpoints that were waited for begin now."""
        self._to_begin += [b for n, b in sorted(self._announced.items()) if not self._is_past(n)]
        self._announced.clear()

    @property
    def has_begin(self) -> bool:
        """True if a checkpoint should begin as soon as nothing is suspended."""
        return bool(self._to_begin)

    @property
    def last_begin_id(self) -> int | None:
        """The latest checkpoint that should begin, or None."""
        return self._to_begin[-1].checkpoint_id if self._to_begin else None

    def is_to_begin(self, checkpoint_id: int) -> bool:
        """Whether the task has yet to begin this one."""
        return any(barrier.checkpoint_id == checkpoint_id for barrier in self._to_begin)

    def next_begin(self) -> Barrier | None:
        """The barrier with which the task begins by itself; None if it has already taken part in all of them."""
        while self._to_begin:
            barrier = self._to_begin.popleft()
            begun = barrier if self._inputs is None else self.effects(self._inputs.start_checkpoint(barrier))
            if begun is not None:
                return begun
        return None

    def effects(self, effects: AlignmentEffects) -> Barrier | None:
        """The barrier whose snapshot is due now, if any."""
        if effects.aborted_id is not None:
            self._give_up(effects.aborted_id, "a newer checkpoint overtook it")
        if effects.recorded_id is not None:
            self._recorded()
        if effects.block and self._aligning_since_ns < 0:
            self._aligning_since_ns = self._clock.monotonic_ns()
        self._to_begin += effects.aligned_next
        return effects.aligned

    def abort(self, checkpoint_id: int) -> None:
        """The checkpoint will not complete."""
        self._announced.pop(checkpoint_id, None)
        self._to_begin = deque(b for b in self._to_begin if b.checkpoint_id != checkpoint_id)
        if checkpoint_id > self._last_id:
            self._aborted.add(checkpoint_id)  # and no other: an older checkpoint may still have to begin here
        if self._inputs is not None:
            self._inputs.abort_checkpoint(checkpoint_id)
        if self._waiting is not None and self._waiting.barrier.checkpoint_id == checkpoint_id:
            self._drop_waiting()
        self._aligning_since_ns = -1

    def _is_past(self, checkpoint_id: int) -> bool:
        """The task has frozen its state for it or for a newer one, or it was aborted."""
        return checkpoint_id <= self._last_id or checkpoint_id in self._aborted

    # --- freezing ---

    def snapshot(
        self,
        head: ChainNode,
        barrier: Barrier,
        watermark_ms: int,
        rest: tuple[int, Element] | None = None,
        *,
        passes: bool,
    ) -> Iterator[ChainOutput]:
        """Freezes every operator; `passes` the barrier on if the outputs have not ended yet.

        `rest`: rows that the task has received from a channel and not processed; they are saved as if still in flight.
        """
        self._last_id = barrier.checkpoint_id
        self._aborted = {number for number in self._aborted if number > barrier.checkpoint_id}
        self._announced.pop(barrier.checkpoint_id, None)
        # Splits that wait for the snapshot of one of these must not wait for a later one.
        self._to_begin = deque(one for one in self._to_begin if not self._is_past(one.checkpoint_id))
        aligned_ns = self._clock.monotonic_ns()
        alignment_ns = aligned_ns - self._aligning_since_ns if self._aligning_since_ns >= 0 else 0
        self._aligning_since_ns = -1
        self._frozen, self._sync_ns = [], 0
        for channel, element in (*(() if rest is None else (rest,)), *(self._inputs.ahead if self._inputs else ())):
            if not isinstance(element, (Barrier, EndOfData)):
                self.record(channel, element)
        if self._overtaken is not None and self._overtaken.checkpoint_id == barrier.checkpoint_id:
            barrier = self._overtaken
        if passes:
            yield from pass_barrier(head, barrier, lambda node: self._freeze(node, barrier, watermark_ms))
        else:
            for node in self._nodes:
                self._freeze(node, barrier, watermark_ms)
        is_recording = self._inputs is not None and self._inputs.recording_id == barrier.checkpoint_id
        frozen = TaskSnapshot(
            self._subtask,
            barrier,
            tuple(self._frozen),
            () if is_recording else self._recorded_channels(),
            head.context.key_groups,
            self._sync_ns,
            alignment_ns,
        )
        self._frozen = []
        if is_recording:
            self._waiting = frozen
        else:
            self._listener.snapshot_taken(frozen)

    def final_snapshot(self, sinks: Sequence[ChainNode]) -> None:
        """At the end of a task without checkpoints: prepares what its sinks still have to commit."""
        barrier = Barrier(FINAL_CHECKPOINT_ID, 0)
        operators = tuple((node.context.operator_id, node.operator.snapshot_state(barrier)) for node in sinks)
        self._listener.snapshot_taken(TaskSnapshot(self._subtask, barrier, operators))

    def _freeze(self, node: ChainNode, barrier: Barrier, watermark_ms: int) -> None:
        began_ns = self._clock.monotonic_ns()
        snapshot = node.operator.snapshot_state(barrier)
        self._sync_ns += self._clock.monotonic_ns() - began_ns
        if node is self._nodes[0]:
            part = OperatorStatePart(Redistribution.UNION, [watermark_ms], "watermark")
            snapshot = replace(snapshot, operator_state={**snapshot.operator_state, WATERMARK_STATE: part})
        self._frozen.append((node.context.operator_id, snapshot))

    # --- recording ---

    def record(self, channel: int, element: Element) -> Element:
        """Records a copy of an element that came after the snapshot and before its channel's barrier; returns
        the copy.
        """
        copy = _owned(element)
        self._record.setdefault(channel, []).append(copy)
        return copy

    def take_ahead(self, inputs: TaskInputs) -> None:
        """Copies the in-flight elements that an unaligned checkpoint needs; the task processes them later. Barriers
        then do not wait for functions, and producers have the credit to send their own elements.
        """
        while (taken := inputs.take_ahead()) is not None:
            self._taken_ahead(inputs, *taken)
            taken = None  # its segment is credit for the next

    def _taken_ahead(self, inputs: TaskInputs, channel: int, element: Element) -> None:
        if isinstance(element, Barrier) and element.checkpoint_id == inputs.recording_id:
            self.effects(inputs.barrier(channel, element))
            inputs.pass_ahead(channel)
            return
        if isinstance(element, EndOfData):
            self.effects(inputs.ended_ahead(channel))
        elif isinstance(element, Barrier):
            pass  # of another checkpoint: it waits for its turn
        elif inputs.is_recorded(channel):
            element = self.record(channel, element)
        else:
            element = _owned(element)
            inputs.pass_ahead(channel)
        inputs.put_ahead(channel, element)

    def _recorded(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self._listener.snapshot_taken(replace(waiting, channels=self._recorded_channels()))

    def _recorded_channels(self) -> tuple[tuple[int, int, list[Element]], ...]:
        channels = tuple((*self._places[channel], elements) for channel, elements in sorted(self._record.items()))
        self._record.clear()
        return channels

    def _give_up(self, checkpoint_id: int, reason: str) -> None:
        if self._waiting is not None and self._waiting.barrier.checkpoint_id == checkpoint_id:
            self._drop_waiting()
        self._listener.snapshot_given_up(self._subtask, checkpoint_id, reason)

    def _drop_waiting(self) -> None:
        waiting, self._waiting = self._waiting, None
        self._record.clear()
        if waiting is not None:
            for _, snapshot in waiting.operators:
                for keyed in snapshot.keyed:
                    keyed.saved(False)


def _owned(element: Element) -> Element:
    """A copy that holds no segment."""
    (copy,) = loads_elements(dumps_elements([element]))
    if isinstance(copy, Batch) and isinstance(element, Batch):
        copy.row_type = element.row_type
    return copy


def restored_watermark(restored: RestoredState) -> int:
    """The event time of the subtask that was furthest behind."""
    part = restored.operator_state.get(WATERMARK_STATE)
    return min(part.elements) if part is not None and part.elements else MIN_TIMESTAMP_MS
