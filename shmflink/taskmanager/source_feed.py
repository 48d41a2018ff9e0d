"""The feed of a source task: polls the source, and holds back splits that must be added after a snapshot."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from shmflink.connectors.base import Poll, Split
from shmflink.core.batch import Batch
from shmflink.core.elements import Element, Watermark, WatermarkStatus
from shmflink.operators.base import SideOutput
from shmflink.taskmanager.chain import ChainNode, emit
from shmflink.taskmanager.feed import Outputs, RunningFeed, TaskParts
from shmflink.taskmanager.source import SourceOperator

__all__ = ["SourceFeed"]


class SourceFeed(RunningFeed):
    """Takes batches from a `SourceOperator`, in pieces."""

    def __init__(self, parts: TaskParts, source: SourceOperator, *, is_whole_job: bool) -> None:
        """`is_whole_job`: the task has no outputs, so its output counters show what it reads."""
        super().__init__(parts)
        self._source = source
        self._is_whole_job = is_whole_job
        self._held: deque[tuple[int, Split | None, bool]] = (
            deque()
        )  # (checkpoint after whose snapshot it is assigned, split, exhausted)

    @property
    def has_input(self) -> bool:
        return self._source.has_input

    def next(self) -> Outputs | None:
        context, pace = self._parts.head.context, self._parts.pace
        began_ns = context.clock.monotonic_ns()
        answer = self._source.poll(pace.rows_max)
        context.counters.busy_ns += context.clock.monotonic_ns() - began_ns
        if isinstance(answer, Batch):
            pace.begins(answer.num_rows)
            if self._is_whole_job:
                self._parts.counters.records_out += answer.num_rows
                self._parts.counters.batches_out += 1
            return self._own_outputs(self._source.elements(answer))
        if isinstance(answer, SideOutput):
            return emit(self._parts.head, answer)
        return self.finish(is_drained=self._parts.end.is_drained) if answer is Poll.END else None

    def restore(self, watermark_ms: int, elements: Sequence[tuple[int, Element]]) -> None:
        assert not elements, "a source has no channels on which something could be under way"
        self._source.restore_watermark(watermark_ms)

    def drive(self, element: Element) -> Outputs:
        return emit(self._parts.head, element)

    def timer_outputs(self, node: ChainNode, outputs: Iterator[Element | SideOutput]) -> Outputs:
        return self._own_outputs(outputs) if node is self._parts.head else super().timer_outputs(node, outputs)

    def _own_outputs(self, outputs: Iterator[Element | SideOutput]) -> Outputs:
        """A source's own watermarks are counted: no channel brought them."""
        counters = self._parts.counters
        for output in outputs:
            if isinstance(output, Watermark):
                counters.watermark_ms = output.timestamp_ms
            elif isinstance(output, WatermarkStatus):
                counters.is_idle = int(output.idle)
            yield from emit(self._parts.head, output)

    # --- checkpoints ---

    def freezes(self, checkpoint_id: int) -> None:
        if self._parts.checkpoints.stops_id == checkpoint_id:
            self._source.hold(True)

    def frozen(self) -> None:
        """Assigns splits that wait for no other snapshot, which may be due already."""
        while self._held and not self._parts.checkpoints.is_to_begin(self._held[0][0]):
            _, split, exhausted = self._held.popleft()
            self._source.assign(split, exhausted=exhausted)

    def aborted(self, checkpoint_id: int) -> None:
        if self._parts.checkpoints.stops_id == checkpoint_id:
            self._parts.checkpoints.stops_id = None
            self._source.hold(False)
        self.frozen()

    # --- splits ---

    def wake(self) -> None:
        self._source.wake()

    def assign(self, split: Split | None, *, exhausted: bool) -> None:
        """A split that the enumerator assigned after the trigger of a checkpoint is added after that checkpoint's
        snapshot.
        """
        behind = self._parts.checkpoints.last_begin_id
        if behind is not None:
            self._held.append((behind, split, exhausted))
        else:
            self._source.assign(split, exhausted=exhausted)

    def align(self, limit_ms: int) -> None:
        self._source.align(limit_ms)

    def end(self, *, drained: bool) -> None:
        if not self._parts.end.is_ending:
            self._source.end(drained=drained)
