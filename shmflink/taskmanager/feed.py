"""Where a task takes its elements from: a source, or its input gates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from shmflink.core.batch import Batch
from shmflink.core.elements import MAX_WATERMARK, Barrier, Element, EndOfData
from shmflink.core.lazy_dataclass import dataclass
from shmflink.metrics.counters import TaskCounters
from shmflink.operators.base import SideOutput
from shmflink.operators.time.processing_time import ProcessingTimeQueue
from shmflink.taskmanager.chain import ChainNode, ChainOutput, emit, emit_all, finish, nodes_of
from shmflink.taskmanager.checkpoints import TaskCheckpoints
from shmflink.taskmanager.committing import CommittingOperator
from shmflink.taskmanager.pacing import TaskPace
from shmflink.taskmanager.task_end import TaskEnd

__all__ = ["Feed", "Outputs", "RunningFeed", "TaskParts"]

Outputs: TypeAlias = Iterator[ChainOutput]


@dataclass(frozen=True, slots=True)
class TaskParts:
    """What a feed and its task share."""

    head: ChainNode
    counters: TaskCounters
    pace: TaskPace
    checkpoints: TaskCheckpoints
    end: TaskEnd
    processing_time: ProcessingTimeQueue
    outputs_count: int


class Feed(ABC):
    """What a task takes its elements from. Used only by the slot's thread.

    A generator that a method returns does nothing until it is pulled.
    """

    drives_watermark = False
    """Whether the outputs of the last `next` are caused by a single watermark and nothing else."""

    have_outputs_ended = False
    """Whether only the end follows on the task's outputs."""

    def __init__(self, parts: TaskParts) -> None:
        self._parts = parts
        self._is_drained = True
        self._committing = [node for node in nodes_of(parts.head) if _is_told_of_commits(node)]
        self._emitting = [node for node in nodes_of(parts.head) if node.emits_by_itself]

    @property
    @abstractmethod
    def has_input(self) -> bool:
        """False while `next` can only find nothing."""

    @abstractmethod
    def next(self) -> Outputs | None:
        """The outputs of the next element or piece of a batch; None if it has no outputs."""

    def timer_outputs(self, node: ChainNode, outputs: Iterator[Element | SideOutput]) -> Outputs:
        """Passes the output of a timer of `node` to its readers."""
        for output in outputs:
            yield from emit(node, output)

    def count(self, counters: TaskCounters) -> None:  # noqa: B027  not every feed counts
        """Writes what this feed has counted by itself."""

    def close(self) -> None:  # noqa: B027  a source is closed with its operator
        """Nothing further is taken."""

    # --- the end ---

    def finish(self, *, is_drained: bool) -> Outputs:
        """No input follows: the operators' last outputs, then EndOfData, unless readers are still told of commits."""
        parts = self._parts
        parts.end.inputs_ended()
        parts.processing_time.clear()
        parts.checkpoints.inputs_ended()
        self._is_drained = is_drained
        if not self._committing:
            self.have_outputs_ended = True
        yield from self.last_outputs(is_drained=is_drained)
        if not self._committing:
            yield from self._end_of_data()

    def end_outputs(self) -> Outputs:
        """The end of a task whose outputs are still open: what comes after the last commit, then EndOfData."""
        self.have_outputs_ended = True
        for node in self._committing:
            assert isinstance(node.operator, CommittingOperator)
            for output in node.operator.last_outputs():
                yield from emit(node, output)
        yield from self._end_of_data()

    def own_outputs(self) -> Outputs:
        """Outputs of operators that no input has caused."""
        for node in self._emitting:
            yield from emit_all(node, node.operator.outputs())

    def _end_of_data(self) -> Outputs:
        for index in range(self._parts.outputs_count):
            yield index, EndOfData(self._is_drained)

    @abstractmethod
    def last_outputs(self, *, is_drained: bool) -> Outputs:
        """What comes before EndOfData."""

    # --- checkpoints ---

    def next_checkpoint(self) -> Outputs | None:
        """A checkpoint that the task begins by itself; None if it has already taken part."""
        barrier = self._parts.checkpoints.next_begin()
        if barrier is not None:
            return self.freeze(barrier)
        self.frozen()
        return None

    def freeze(self, barrier: Barrier) -> Outputs:
        """Freezes the operators and passes the barrier on, unless the outputs have ended."""
        self.freezes(barrier.checkpoint_id)
        parts, rest = self._parts, self.rest()
        passes = not self.have_outputs_ended
        yield from parts.checkpoints.snapshot(parts.head, barrier, parts.counters.watermark_ms, rest, passes=passes)
        self.frozen()

    def freezes(self, checkpoint_id: int) -> None:  # noqa: B027  for sources
        """A snapshot for this checkpoint begins."""

    def frozen(self) -> None:  # noqa: B027  for sources
        """A snapshot was taken, or will not be: what waited for it can continue."""

    def aborted(self, checkpoint_id: int) -> None:  # noqa: B027  for sources
        """The checkpoint will not complete."""

    def rest(self) -> tuple[int, Batch] | None:
        """(channel, rows) that were taken and are not processed yet."""
        return None

    @property
    def can_take_ahead(self) -> bool:
        """Whether a checkpoint waits for elements that have arrived and have not had their turn."""
        return False

    def take_ahead(self) -> None:  # noqa: B027  for gates
        """Takes these elements."""


class RunningFeed(Feed):
    """The feed of a task whose operators are open: it drives elements through their chain."""

    @abstractmethod
    def restore(self, watermark_ms: int, elements: Sequence[tuple[int, Element]]) -> None:
        """Restores event time, and (channel, element) that were in flight at a checkpoint."""

    @abstractmethod
    def drive(self, element: Element) -> Outputs:
        """Drives an element through the chain, as if this feed had delivered it."""

    def last_outputs(self, *, is_drained: bool) -> Outputs:
        """MAX_WATERMARK if no upstream sent it, then the operators finish; nothing if the job continues."""
        counters = self._parts.counters
        if is_drained:
            if counters.watermark_ms != MAX_WATERMARK.timestamp_ms:
                counters.watermark_ms = MAX_WATERMARK.timestamp_ms
                yield from self.drive(MAX_WATERMARK)
            yield from finish(self._parts.head)


def _is_told_of_commits(node: ChainNode) -> bool:
    """Whether readers of its outputs are."""
    return isinstance(node.operator, CommittingOperator) and node.operator.ends_outputs
