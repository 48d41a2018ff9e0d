"""Counters of subtasks and of their chained operators: plain integers, stored to the TaskManager's status page.

The status page is shared memory that the JobManager maps read-only: reading a metric never disturbs a job.

Layout of a status page, in 64-bit words::

    0              heartbeat: CLOCK_MONOTONIC nanoseconds, stored by a native thread that needs no GIL
    1 .. 15        reserved
    16 + 16 * i    block i: the words of `TaskCounters.WORDS` or of `OperatorCounters.WORDS`, in that order

A task has one block for itself, followed by one for each operator of its chain.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final, Self

__all__ = [
    "BLOCKS_MAX",
    "BLOCK_WORDS",
    "HEADER_WORDS",
    "HEARTBEAT_WORD",
    "Counters",
    "OperatorCounters",
    "TaskCounters",
    "blocks_of_task",
    "page_words",
]

HEARTBEAT_WORD: Final = 0
_WORD_MASK: Final = (1 << 64) - 1
HEADER_WORDS: Final = 16
BLOCK_WORDS: Final = 16
BLOCKS_MAX: Final = 4096
"""Blocks of a status page; memory pages that no task uses are never touched."""


class Counters:
    """Words of one block: rows, bytes, nanoseconds; watermark in milliseconds. Written by one thread."""

    WORDS: ClassVar[tuple[str, ...]] = ()
    __slots__ = ("_offset", "_page")

    def __init__(self, page: Any = None, block: int = 0) -> None:
        """`page` is a `_core.StatusPage` or None (counted only in this process)."""
        self._page = page
        self._offset = HEADER_WORDS + BLOCK_WORDS * block
        for word in self.WORDS:
            setattr(self, word, 0)

    @classmethod
    def read(cls, page: Any, block: int) -> Self:
        """What was last published to a mapped page."""
        counters = cls()
        values = page.load(HEADER_WORDS + BLOCK_WORDS * block, len(cls.WORDS))
        for word, value in zip(cls.WORDS, values, strict=True):
            setattr(counters, word, value - (1 << 64) if value >> 63 else value)  # watermarks may be before 1970
        return counters

    def publish(self) -> None:
        """Stores all words to the page; relaxed atomics, one call."""
        if self._page is not None:
            self._page.store(self._offset, [getattr(self, word) & _WORD_MASK for word in self.WORDS])

    def as_dict(self) -> dict[str, int]:
        return {word: getattr(self, word) for word in self.WORDS}


class TaskCounters(Counters):
    """What one subtask has done since its start."""

    WORDS = (
        "records_in",
        "records_out",
        "bytes_in",
        "bytes_out",
        "batches_in",
        "batches_out",
        "busy_ns",
        "backpressured_ns",
        "idle_ns",
        "watermark_ms",
        "retained_copies",
        "progress",
        "is_idle",
    )
    __slots__ = WORDS

    records_in: int
    records_out: int
    bytes_in: int
    bytes_out: int
    batches_in: int
    batches_out: int
    busy_ns: int
    backpressured_ns: int
    idle_ns: int
    watermark_ms: int
    retained_copies: int
    progress: int
    is_idle: int  # of sources: 1 while the watermark status is idle


class OperatorCounters(Counters):
    """What one operator of a chain has done. `busy_ns` is its own time, without that of downstream operators."""

    WORDS = ("records_in", "records_out", "busy_ns", "malformed_rows")
    __slots__ = WORDS

    records_in: int
    records_out: int
    busy_ns: int
    malformed_rows: int


def blocks_of_task(operators: int) -> int:
    """How many blocks a task with this many chained operators has."""
    return 1 + operators


def page_words(blocks: int) -> int:
    """Size of a status page with this many blocks, in words."""
    return HEADER_WORDS + BLOCK_WORDS * blocks
