"""The feed of a task with inputs: takes elements from its gates, and batches in pieces."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from shmflink.core.batch import Batch
from shmflink.core.elements import Barrier, ControlElement, Element, EndOfData, Watermark, WatermarkStatus
from shmflink.metrics.counters import TaskCounters
from shmflink.operators.base import Operator
from shmflink.taskmanager.chain import drive, emit_all
from shmflink.taskmanager.feed import Outputs, RunningFeed, TaskParts
from shmflink.taskmanager.inputs import TaskInputs

__all__ = ["GateFeed"]


class GateFeed(RunningFeed):
    """Combines watermarks, aligns barriers and records channels for unaligned checkpoints."""

    def __init__(self, parts: TaskParts, inputs: TaskInputs) -> None:
        super().__init__(parts)
        self._inputs = inputs
        self._told_of_ends = type(parts.head.operator).end_input is not Operator.end_input
        self._rest: tuple[int, int, Batch, int] | None = None  # (input index, channel, batch, rows of it processed)

    @property
    def has_input(self) -> bool:
        return self._rest is not None or self._inputs.is_available

    def next(self) -> Outputs | None:
        self.drives_watermark = False
        if self._rest is not None:
            return self._piece(*self._rest)
        taken = self._inputs.poll()
        if taken is None:
            return None
        input_index, channel, element = taken
        is_recorded = self._inputs.is_recorded(channel) and not self._inputs.was_ahead
        if is_recorded and not isinstance(element, (Barrier, EndOfData)):
            self._parts.checkpoints.record(channel, element)
        if isinstance(element, Batch):
            counters = self._parts.counters
            counters.records_in += element.num_rows
            counters.batches_in += 1
            return self._piece(input_index, channel, element, 0)
        return self._control(channel, element)

    def _piece(self, input_index: int, channel: int, batch: Batch, start: int) -> Outputs:
        """As many rows as take a moment; barriers and timers come between two pieces."""
        pace = self._parts.pace
        rows = min(batch.num_rows - start, pace.rows_max)
        pace.begins(rows)
        stop = start + rows
        self._rest = (input_index, channel, batch, stop) if stop < batch.num_rows else None
        return drive(self._parts.head, batch if rows == batch.num_rows else batch.slice(start, rows), input_index)

    def _control(self, channel: int, element: ControlElement) -> Outputs | None:
        if isinstance(element, (Watermark, WatermarkStatus)):
            return self._forward(self._inputs.combine(channel, element))
        if isinstance(element, Barrier):
            aligned = self._parts.checkpoints.effects(self._inputs.barrier(channel, element))
            return None if aligned is None else self.freeze(aligned)
        if isinstance(element, EndOfData):
            return self._channel_ended(channel, element)
        return drive(self._parts.head, element)

    def _channel_ended(self, channel: int, element: EndOfData) -> Outputs:
        parts = self._parts
        parts.end.input_ended(drained=element.drained)
        aligned = parts.checkpoints.effects(self._inputs.end_of_data(channel))
        steps: list[Outputs] = [] if aligned is None else [self.freeze(aligned)]
        if self._told_of_ends and self._inputs.has_input_ended(channel):
            head = parts.head
            steps.append(emit_all(head, head.operator.end_input(self._inputs.input_of(channel))))
        if self._inputs.has_ended:
            steps.append(self.finish(is_drained=parts.end.is_drained))
        return chain.from_iterable(steps)

    def _forward(self, elements: Sequence[Element]) -> Outputs | None:
        """Watermarks and statuses that the valve passes on."""
        head = self._parts.head
        for element in elements:
            if isinstance(element, Watermark):
                self._parts.counters.watermark_ms = element.timestamp_ms
        if len(elements) == 1:
            self.drives_watermark = isinstance(elements[0], Watermark)
            return drive(head, elements[0])
        return (output for element in elements for output in drive(head, element)) if elements else None

    def restore(self, watermark_ms: int, elements: Sequence[tuple[int, Element]]) -> None:
        self._inputs.restore(watermark_ms, elements)

    def drive(self, element: Element) -> Outputs:
        return drive(self._parts.head, element)

    def count(self, counters: TaskCounters) -> None:
        counters.bytes_in = self._inputs.gates.bytes_in
        counters.retained_copies = self._inputs.gates.retained_copies

    def close(self) -> None:
        self._rest = None
        self._inputs.close()

    # --- checkpoints ---

    @property
    def can_take_ahead(self) -> bool:
        return self._inputs.can_take_ahead

    def take_ahead(self) -> None:
        self._parts.checkpoints.take_ahead(self._inputs)

    def rest(self) -> tuple[int, Batch] | None:
        if self._rest is None:
            return None
        _, channel, batch, start = self._rest
        return channel, batch.slice(start, batch.num_rows - start)
