"""The ends of a task's output edges, and when what waits in their open segments is shipped."""

from __future__ import annotations

from dataclasses import dataclass

from shmflink.network.channel import ResultPartition

__all__ = ["OutputEnd"]


@dataclass(slots=True)
class OutputEnd:
    """A result partition with its buffer timeout: 0 = flush after every batch, negative = only full segments."""

    partition: ResultPartition
    buffer_timeout_ns: int = -1
    pending_since_ns: int = -1

    def flush(self) -> None:
        """Ships what waits, except where only full segments are shipped."""
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
