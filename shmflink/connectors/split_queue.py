"""The one enumerator that sources share: a queue of splits, handed out in order to whoever asks first."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from shmflink.connectors.base import Split, SplitEnumerator

__all__ = ["SplitQueue", "even_ranges"]


class SplitQueue(SplitEnumerator):
    """Splits that are all known at the start. Its snapshot is the tuple of those still waiting."""

    def __init__(self, splits: Iterable[Split]) -> None:
        self._waiting = deque(splits)
        self._size = sum(split.size for split in self._waiting)
        self._size_handed_out = 0

    def next_split(self, subtask: int) -> Split | None:
        if not self._waiting:
            return None
        split = self._waiting.popleft()
        self._size_handed_out += split.size
        return split

    @property
    def progress(self) -> tuple[int, int] | None:
        return (self._size_handed_out, self._size) if self._size else None

    @property
    def is_exhausted(self) -> bool:
        return not self._waiting

    def add_splits_back(self, splits: Sequence[Split]) -> None:
        """Puts them in front, in their order: they were handed out before what still waits."""
        self._waiting.extendleft(reversed(splits))
        self._size_handed_out -= sum(split.size for split in splits)

    def snapshot(self) -> tuple[Split, ...]:
        return tuple(self._waiting)


def even_ranges(start: int, stop: int, parts: int) -> list[tuple[int, int]]:
    """Cuts [start, stop) into at most `parts` contiguous non-empty ranges whose sizes differ by one at most.

    The larger ranges come first (Flink: NumberSequenceIterator.split).
    """
    size, extra = divmod(max(0, stop - start), parts)
    ranges = []
    position = start
    for part in range(parts):
        end = position + size + (part < extra)
        if end > position:
            ranges.append((position, end))
        position = end
    return ranges
