"""The ends of a task's output edges, and when their open segments are shipped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum, auto

from shmflink.core.batch import Batch
from shmflink.core.lazy_dataclass import dataclass
from shmflink.metrics.counters import TaskCounters
from shmflink.network.channel import ResultPartition
from shmflink.taskmanager.chain import AT_REST, ChainOutput

__all__ = ["OutputEnd", "Pulled", "TaskOutputs"]


@dataclass(slots=True)
class OutputEnd:
    """A result partition with its buffer timeout: 0 = flush after every batch, negative = only full segments."""

    partition: ResultPartition
    buffer_timeout_ns: int = -1
    pending_since_ns: int = -1

    def flush(self) -> None:
        """Ships what waits, unless only full segments are shipped."""
        if self.buffer_timeout_ns >= 0 and self.partition.has_pending:
            self.partition.flush()
            self.pending_since_ns = -1

    def flush_due(self, now_ns: int) -> None:
        """Ships what has waited for the buffer timeout."""
        timeout_ns = self.buffer_timeout_ns
        if timeout_ns < 0 or not self.partition.has_pending:
            self.pending_since_ns = -1
        elif timeout_ns == 0 or (0 <= self.pending_since_ns <= now_ns - timeout_ns):
            self.partition.flush()
            self.pending_since_ns = -1
        elif self.pending_since_ns < 0:
            self.pending_since_ns = now_ns


class Pulled(Enum):
    """Why `TaskOutputs.pull` has stopped."""

    DONE = auto()  # nothing is left
    PAUSED = auto()  # the chain pauses, so that other tasks can run
    AT_REST = auto()  # like PAUSED; if the rest is that of a watermark, a barrier may pass before it
    BLOCKED = auto()  # a partition has no credit for all of the last output


class TaskOutputs:
    """All output ends of one task. At most one of them is blocked."""

    def __init__(self, ends: Sequence[OutputEnd], counters: TaskCounters) -> None:
        self.ends = tuple(ends)
        self.blocked: ResultPartition | None = None
        """The partition whose `write` or `emit` is suspended."""
        self._counters = counters

    def pull(self, outputs: Iterator[ChainOutput]) -> Pulled:
        """Passes outputs on until they end, one is blocked, or the chain pauses."""
        counters = self._counters
        for index, element in outputs:
            if index < 0:
                return Pulled.AT_REST if index == AT_REST else Pulled.PAUSED
            assert element is not None
            partition = self.ends[index].partition
            if isinstance(element, Batch):
                counters.records_out += element.num_rows
                counters.batches_out += 1
                is_done = partition.write(element)
            else:
                is_done = partition.emit(element)
            if not is_done:
                self.blocked = partition
                return Pulled.BLOCKED
        return Pulled.DONE

    def resume(self) -> bool:
        """Continues with the suspended output; True when all of it has been sent."""
        assert self.blocked is not None, "resume() without a suspended output"
        if self.blocked.resume():
            self.blocked = None
        return self.blocked is None

    def flush(self) -> None:
        """Ships open segments when the task is out of input, unless only full ones are shipped.

        A task that one channel blocks has more rows for the others' segments: shipping those half full would cost their
        consumers a batch each. If the blockage lasts, the buffer timeout ships them.
        """
        if self.blocked is None:
            for end in self.ends:
                end.flush()

    def flush_due(self, now_ns: int) -> None:
        """Ships what has waited for its buffer timeout."""
        for end in self.ends:
            end.flush_due(now_ns)

    def deadlines_ns(self) -> list[int]:
        """When `flush_due` has something to ship."""
        return [end.pending_since_ns + end.buffer_timeout_ns for end in self.ends if end.pending_since_ns >= 0]

    @property
    def bytes_out(self) -> int:
        """Over all partitions."""
        return sum(end.partition.bytes_out for end in self.ends)
