"""The inputs of one task: elements of all its gates, combined watermarks, aligned barriers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from shmflink.core.batch import Batch
from shmflink.core.elements import Barrier, Element, Watermark, WatermarkStatus
from shmflink.network.channel import InputGate
from shmflink.taskmanager.barriers import AlignmentEffects, BarrierAlignment, BarrierTracker, InputBarriers
from shmflink.taskmanager.gates import TaskGates
from shmflink.taskmanager.watermarks import TaskWatermarks

__all__ = ["TaskInputs"]

_AHEAD_MAX: Final = 4096  # elements taken from the gates before their turn


class TaskInputs:
    """The inputs of one task, from its first poll to its end."""

    def __init__(self, gates: Sequence[tuple[int, InputGate]], *, blocks: bool = True) -> None:
        """`gates` as (input index, gate). `blocks`: channels wait for each other at barriers (exactly-once)."""
        self.gates = TaskGates(gates)
        self.blocks = blocks
        self._input_of_channel = self.gates.input_of_channel
        self._watermarks = TaskWatermarks(self._input_of_channel)
        self._open = set(range(len(self._input_of_channel)))
        self._alignment: InputBarriers = BarrierAlignment(self._open) if blocks else BarrierTracker(self._open)
        self._ahead: deque[tuple[int, Element]] = (
            deque()
        )  # restored, or taken before their turn: `poll` returns these first
        self._waits_for_ahead = False  # a barrier of another checkpoint is among them
        self._passed: list[int] = []  # channels from which nothing more is taken before its turn
        self.was_ahead = False
        """Whether `poll` returned an element that was restored, or that was taken before its turn and recorded then."""

    @property
    def is_available(self) -> bool:
        return bool(self._ahead) or self.gates.is_available

    @property
    def has_ended(self) -> bool:
        """True when every channel has delivered its EndOfData."""
        return not self._open

    def input_of(self, channel: int) -> int:
        """The input index of a channel."""
        return self._input_of_channel[channel]

    def has_input_ended(self, channel: int) -> bool:
        """True when every channel of this channel's input has delivered its EndOfData."""
        index = self.input_of(channel)
        return all(self.input_of(other) != index for other in self._open)

    def poll(self) -> tuple[int, int, Element] | None:
        """(input index, channel, element): first the elements in flight at a checkpoint, then those of the gates."""
        self.was_ahead = bool(self._ahead)
        if not self._ahead:
            return self.gates.poll()
        channel, element = self._ahead.popleft()
        if not self._ahead:
            self._release_passed()
        if isinstance(element, Batch):
            element = element.with_row_type(self.gates.row_type_of(channel))
        return self._input_of_channel[channel], channel, element

    def close(self) -> None:
        self.gates.close()

    # --- elements ahead of their turn ---

    @property
    def ahead(self) -> tuple[tuple[int, Element], ...]:
        """(channel, element) that `poll` will return before any other."""
        return tuple(self._ahead)

    @property
    def can_take_ahead(self) -> bool:
        """Whether a checkpoint waits for elements that have arrived and have not had their turn."""
        is_wanted = self._alignment.recording_id is not None and not self._waits_for_ahead
        return is_wanted and len(self._ahead) < _AHEAD_MAX and self.gates.is_available

    def take_ahead(self) -> tuple[int, Element] | None:
        """(channel, element) from a gate before its turn. The caller processes the element, or passes a copy of it to
        `put_ahead`.
        """
        taken = self.gates.poll(is_ahead=True) if self.can_take_ahead else None
        if taken is None:
            if not self._ahead:
                self._release_passed()
            return None
        _, channel, element = taken
        return channel, element

    def put_ahead(self, channel: int, element: Element) -> None:
        """Queues an element behind all that were queued here before. `element` must hold no segment."""
        self._ahead.append((channel, element))
        self._waits_for_ahead |= isinstance(element, Barrier)

    def pass_ahead(self, channel: int) -> None:
        """The checkpoint has all it needs from this channel: later elements of the channel wait for their turn."""
        if self._alignment.recording_id is not None:
            self.gates.block((channel,))
            self._passed.append(channel)

    def ended_ahead(self, channel: int) -> AlignmentEffects:
        """The end of a channel was taken before its turn: a checkpoint expects no more elements of this channel."""
        return self._apply(self._alignment.end_of_data(channel))

    def _release_passed(self) -> None:
        self._waits_for_ahead = self._waits_for_ahead and bool(self._ahead)
        self.gates.unblock(self._passed)
        self._passed.clear()

    # --- event time ---

    def combine(self, channel: int, element: Watermark | WatermarkStatus) -> list[Watermark | WatermarkStatus]:
        """What the task passes on when a channel delivers a watermark or a status."""
        return self._watermarks.combine(channel, element)

    # --- checkpoints ---

    def restore(self, watermark_ms: int, elements: Iterable[tuple[int, Element]]) -> None:
        """Resumes from a checkpoint: its watermark, and (channel, element) that were in flight."""
        self._watermarks.restore(watermark_ms)
        self._ahead.extend(elements)

    def barrier(self, channel: int, barrier: Barrier) -> AlignmentEffects:
        """A barrier arrived; blocks and unblocks channels as the returned effects say."""
        return self._apply(self._alignment.barrier(channel, barrier))

    def start_checkpoint(self, barrier: Barrier) -> AlignmentEffects:
        """The task begins a checkpoint by itself; blocks and unblocks channels as the returned effects say."""
        return self._apply(self._alignment.start(barrier))

    def abort_checkpoint(self, checkpoint_id: int) -> None:
        """The checkpoint will not complete: no channel waits for it any longer."""
        self._apply(self._alignment.abort(checkpoint_id))

    def end_of_data(self, channel: int) -> AlignmentEffects:
        """A channel has ended and counts as aligned; blocks and unblocks channels as the returned effects say."""
        self._open.discard(channel)
        return self._apply(self._alignment.end_of_data(channel))

    def is_recorded(self, channel: int) -> bool:
        """Whether an element of this channel belongs to the checkpoint in progress."""
        return channel in self._alignment.recording

    @property
    def recording_id(self) -> int | None:
        """The checkpoint for which elements are recorded."""
        return self._alignment.recording_id

    def _apply(self, effects: AlignmentEffects) -> AlignmentEffects:
        if self._passed and self._alignment.recording_id is None:
            self._release_passed()
        self.gates.unblock(effects.unblock)
        self.gates.block(effects.block)
        return effects
