"""Counters of one subtask, kept as plain integers and stored to the TaskManager's status page once per quantum.

The status page is shared memory that the JobManager maps read-only: reading a metric never disturbs a job.

Layout of a status page, in 64-bit words::

    0              heartbeat: CLOCK_MONOTONIC nanoseconds, stored by a native thread that needs no GIL
    1              number of task blocks in use
    2 .. 15        reserved
    16 + 16 * i    block of task i: the words of `TaskCounters.WORDS`, in that order
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

__all__ = ["BLOCK_WORDS", "HEADER_WORDS", "HEARTBEAT_WORD", "TaskCounters", "page_words", "read_block"]

HEARTBEAT_WORD: Final = 0
HEADER_WORDS: Final = 16
BLOCK_WORDS: Final = 16


class TaskCounters:
    """What one subtask has done since it started. Rows, bytes, nanoseconds; watermark in milliseconds."""

    WORDS: ClassVar[tuple[str, ...]] = (
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
    )
    __slots__ = ("_offset", "_page", *WORDS)

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

    def __init__(self, page: Any = None, block: int = 0) -> None:
        """`page` is a `_core.StatusPage` or None (counted only in this process)."""
        self._page = page
        self._offset = HEADER_WORDS + BLOCK_WORDS * block
        for word in self.WORDS:
            setattr(self, word, 0)

    def publish(self) -> None:
        """Stores all words to the page; relaxed atomics, one call."""
        if self._page is not None:
            self._page.store(self._offset, [getattr(self, word) for word in self.WORDS])

    def as_dict(self) -> dict[str, int]:
        return {word: getattr(self, word) for word in self.WORDS}


def page_words(tasks: int) -> int:
    """Size of a status page for so many tasks, in words."""
    return HEADER_WORDS + BLOCK_WORDS * tasks


def read_block(page: Any, block: int) -> dict[str, int]:
    """The counters of task `block` from a mapped page."""
    values = page.load(HEADER_WORDS + BLOCK_WORDS * block, len(TaskCounters.WORDS))
    return dict(zip(TaskCounters.WORDS, values, strict=True))
