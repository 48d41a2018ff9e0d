"""All input gates of one task as one: channels numbered consecutively, watermarks combined, barriers aligned."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from shmflink.core.batch import Batch
from shmflink.core.elements import Barrier, Element, Watermark, WatermarkStatus
from shmflink.network.channel import InputGate
from shmflink.taskmanager.barriers import AlignmentEffects, BarrierAlignment, BarrierTracker, InputBarriers
from shmflink.taskmanager.watermarks import InputWatermarks, WatermarkValve

__all__ = ["TaskInputs"]

_AHEAD_MAX: Final = 4096  # elements taken out of the gates before their turn


class TaskInputs:
    """Gates with the same input index (a union) are channels of one input; several inputs (connect) are
    combined.
    """

    def __init__(self, gates: Sequence[tuple[int, InputGate]], *, blocks: bool = True) -> None:
        """`blocks`: channels wait for each other at barriers (exactly-once)."""
        assert gates, "a task without a source has at least one gate"
        self._gates = [gate for _, gate in gates]
        self._input_of_gate = [index for index, _ in gates]
        self._first_channel: list[int] = []
        self._place: list[tuple[int, int]] = []  # channel -> (gate, channel of the gate)
        for index, gate in enumerate(self._gates):
            self._first_channel.append(len(self._place))
            self._place += [(index, channel) for channel in range(gate.num_channels)]
        self._next_gate = 0
        self._open = set(range(len(self._place)))
        self.blocks = blocks
        self._alignment: InputBarriers = BarrierAlignment(self._open) if blocks else BarrierTracker(self._open)
        self._ahead: deque[tuple[int, Element]] = deque()  # restored, or taken before their turn: they come first
        self._waits_for_ahead = False  # a barrier of another checkpoint is among them
        self._passed: list[int] = []  # channels from which nothing further is taken before its turn
        self.was_ahead = False
        """Whether `poll` returned an element that was restored, or taken before its turn and recorded then."""
        self._make_valves()

    @property
    def is_available(self) -> bool:
        return bool(self._ahead) or any(gate.is_available for gate in self._gates)

    @property
    def has_ended(self) -> bool:
        """True when every channel has delivered its EndOfData."""
        return not self._open

    def poll(self) -> tuple[int, int, Element] | None:
        """(input index, channel, element); first what was in flight at a checkpoint, then fair between gates."""
        self.was_ahead = bool(self._ahead)
        if not self._ahead:
            return self._poll_gates()
        channel, element = self._ahead.popleft()
        if not self._ahead:
            self._pass_no_more()
        gate = self._place[channel][0]
        if isinstance(element, Batch):
            element = element.with_row_type(self._gates[gate].row_type)
        return self._input_of_gate[gate], channel, element

    @property
    def ahead(self) -> tuple[tuple[int, Element], ...]:
        """(channel, element) that `poll` will return before anything else."""
        return tuple(self._ahead)

    @property
    def can_take_ahead(self) -> bool:
        """Whether a checkpoint waits for elements that have arrived and have not had their turn."""
        is_wanted = self._alignment.recording_id is not None and not self._waits_for_ahead
        return is_wanted and len(self._ahead) < _AHEAD_MAX and any(gate.is_available for gate in self._gates)

    def take_ahead(self) -> tuple[int, Element] | None:
        """(channel, element) out of a gate before its turn; whoever takes it gives a copy of it to `put_ahead`, or does
        with it what is to be done.
        """
        taken = self._poll_gates(is_ahead=True) if self.can_take_ahead else None
        if taken is None:
            if not self._ahead:
                self._pass_no_more()
            return None
        _, channel, element = taken
        return channel, element

    def put_ahead(self, channel: int, element: Element) -> None:
        """Queues it behind everything queued here before. `element` must hold no segment."""
        self._ahead.append((channel, element))
        self._waits_for_ahead |= isinstance(element, Barrier)

    def pass_ahead(self, channel: int) -> None:
        """The checkpoint has all it needs from this channel: the rest keeps its turn."""
        if self._alignment.recording_id is not None:
            gate, place = self._place[channel]
            self._gates[gate].block(place)
            self._passed.append(channel)

    def ended_ahead(self, channel: int) -> AlignmentEffects:
        """The end of a channel was taken before its turn: a checkpoint need not wait for more of it."""
        return self._apply(self._alignment.end_of_data(channel))

    def _pass_no_more(self) -> None:
        self._waits_for_ahead = self._waits_for_ahead and bool(self._ahead)
        for channel in self._passed:
            gate, place = self._place[channel]
            self._gates[gate].unblock(place)
        self._passed.clear()

    def _poll_gates(self, *, is_ahead: bool = False) -> tuple[int, int, Element] | None:
        count = len(self._gates)
        for step in range(count):
            index = (self._next_gate + step) % count
            taken = self._gates[index].poll(is_ahead=is_ahead)
            if taken is not None:
                self._next_gate = index + 1
                return self._input_of_gate[index], self._first_channel[index] + taken[0], taken[1]
        return None

    def combine(self, channel: int, element: Watermark | WatermarkStatus) -> list[Watermark | WatermarkStatus]:
        """What the task passes on when a channel delivers a watermark or a status."""
        valve, place = self._valve_of_channel[channel]
        passed = self._feed(self._valves[valve], place, element)
        if self._combined is None:
            return passed
        return [output for part in passed for output in self._feed(self._combined, valve, part)]

    def restore(self, watermark_ms: int, elements: Iterable[tuple[int, Element]]) -> None:
        """Resumes from a checkpoint: its watermark, and (channel, element) that were in flight."""
        for valve in self._valves:
            valve.restore(watermark_ms)
        if self._combined is not None:
            self._combined.restore(watermark_ms)
        self._ahead.extend(elements)

    def barrier(self, channel: int, barrier: Barrier) -> AlignmentEffects:
        """A barrier arrived; applies its effects to channels."""
        return self._apply(self._alignment.barrier(channel, barrier))

    def start_checkpoint(self, barrier: Barrier) -> AlignmentEffects:
        """The task begins a checkpoint by itself; applies the effects to channels."""
        return self._apply(self._alignment.start(barrier))

    def abort_checkpoint(self, checkpoint_id: int) -> None:
        """The checkpoint will not complete: nothing waits for it any longer."""
        self._apply(self._alignment.abort(checkpoint_id))

    def end_of_data(self, channel: int) -> AlignmentEffects:
        """A channel has ended, which counts as aligned; applies the effects to channels."""
        self._open.discard(channel)
        return self._apply(self._alignment.end_of_data(channel))

    def is_recorded(self, channel: int) -> bool:
        """Whether an element of this channel belongs to the checkpoint in progress."""
        return channel in self._alignment.recording

    @property
    def recording_id(self) -> int | None:
        """The checkpoint for which elements are recorded."""
        return self._alignment.recording_id

    @property
    def bytes_in(self) -> int:
        """Over all gates."""
        return sum(gate.bytes_in for gate in self._gates)

    @property
    def retained_copies(self) -> int:
        """Over all gates."""
        return sum(gate.retained_copies for gate in self._gates)

    def close(self) -> None:
        for gate in self._gates:
            gate.close()

    def _make_valves(self) -> None:
        inputs = sorted(set(self._input_of_gate))
        places: list[int] = [0] * len(inputs)
        self._valve_of_channel: list[tuple[int, int]] = []
        for index, gate in enumerate(self._gates):
            valve = inputs.index(self._input_of_gate[index])
            for _ in range(gate.num_channels):
                self._valve_of_channel.append((valve, places[valve]))
                places[valve] += 1
        self._valves = [WatermarkValve(count) for count in places]
        self._combined = InputWatermarks(len(inputs)) if len(inputs) > 1 else None

    @staticmethod
    def _feed(
        valve: WatermarkValve | InputWatermarks, place: int, element: Watermark | WatermarkStatus
    ) -> list[Watermark | WatermarkStatus]:
        if isinstance(element, Watermark):
            return valve.watermark(place, element)
        return valve.status(place, element)

    def _apply(self, effects: AlignmentEffects) -> AlignmentEffects:
        if self._passed and self._alignment.recording_id is None:
            self._pass_no_more()
        for channel in effects.unblock:
            gate, place = self._place[channel]
            self._gates[gate].unblock(place)
        for channel in effects.block:
            gate, place = self._place[channel]
            self._gates[gate].block(place)
        return effects
