"""The enumerator that sources share: a queue of splits, assigned in order to the readers that request them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Final

from shmflink.connectors.base import Split, SplitEnumerator
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.serialization.codec import dumps_state, loads_state
from shmflink.core.serialization.plain_values import is_plain, register_plain

__all__ = ["PackedSplits", "PickledSplits", "SplitQueue", "WaitingSplits", "even_ranges"]

_BLOCK_SPLITS: Final = 1024


@dataclass(frozen=True, slots=True)
class PackedSplits:
    """Waiting splits in a snapshot; iterating yields them in order. Most of them are already bytes, in blocks of plain
    form; `PickledSplits` is for splits without a plain form.

    `size_before`: the total size of the splits assigned before, for progress reports.
    """

    first: tuple[Split, ...]
    blocks: tuple[bytes, ...]
    last: tuple[Split, ...]
    size_before: int = 0

    def __post_init__(self) -> None:
        """Not called for state of older releases, which pickled both the blocks and the whole."""
        if not all(map(is_plain, self.blocks)):
            raise ValueError("a block of splits is not in plain form")

    def __iter__(self) -> Iterator[Split]:
        return chain(self.first, chain.from_iterable(map(loads_state, self.blocks)), self.last)

    def __len__(self) -> int:
        return len(self.first) + len(self.blocks) * _BLOCK_SPLITS + len(self.last)


@dataclass(frozen=True, slots=True)
class PickledSplits(PackedSplits):
    """The same with a source's own objects. It has no plain form: all of it is pickled."""

    def __post_init__(self) -> None:
        """Blocks may have any form."""


@dataclass(slots=True)
class _Block:
    """Up to _BLOCK_SPLITS splits, and their bytes once a snapshot has requested them."""

    splits: Sequence[Split]
    packed: bytes = b""


class WaitingSplits:
    """A queue whose snapshot costs only as much as has changed.

    Serializing 100 k splits of files at every checkpoint would block the JobManager for a second each time. Therefore
    splits are serialized in blocks, each block once.
    """

    def __init__(self, splits: Iterable[Split] = ()) -> None:
        self._first: deque[Split] = deque()
        self._blocks: deque[_Block] = deque()
        self._last: list[Split] = []
        for split in splits:
            self.append(split)

    def __len__(self) -> int:
        return len(self._first) + len(self._blocks) * _BLOCK_SPLITS + len(self._last)

    def append(self, split: Split) -> None:
        """Appends splits at the end."""
        self._last.append(split)
        if len(self._last) == _BLOCK_SPLITS:
            self._blocks.append(_Block(self._last))
            self._last = []

    def put_back(self, splits: Sequence[Split]) -> None:
        """Inserts splits at the front, in their order."""
        self._first.extendleft(reversed(splits))

    def take(self) -> Split | None:
        """The first split, or None."""
        if not self._first:
            if self._blocks:
                self._first.extend(self._blocks.popleft().splits)
            else:
                self._first.extend(self._last)
                self._last = []
        return self._first.popleft() if self._first else None

    def pack(self) -> PackedSplits:
        """All of them, for the constructor."""
        for block in self._blocks:
            block.packed = block.packed or dumps_state(tuple(block.splits))
        blocks = tuple(block.packed for block in self._blocks)
        kind = PackedSplits if all(map(is_plain, blocks)) else PickledSplits
        return kind(tuple(self._first), blocks, tuple(self._last))


class SplitQueue(SplitEnumerator):
    """Splits that are all known at the start. Its snapshot iterates over those still waiting."""

    def __init__(self, splits: Iterable[Split]) -> None:
        held = list(splits)
        self._waiting = WaitingSplits(held)
        self._size_handed_out = splits.size_before if isinstance(splits, PackedSplits) else 0
        self._size = self._size_handed_out + sum(split.size for split in held)

    def next_split(self, subtask: int) -> Split | None:
        split = self._waiting.take()
        if split is not None:
            self._size_handed_out += split.size
        return split

    @property
    def progress(self) -> tuple[int, int] | None:
        return (self._size_handed_out, self._size) if self._size else None

    @property
    def is_exhausted(self) -> bool:
        return not self._waiting

    def add_splits_back(self, splits: Sequence[Split]) -> None:
        """Puts them in front, in their order: they were assigned before the splits that still wait."""
        self._waiting.put_back(splits)
        self._size_handed_out -= sum(split.size for split in splits)

    def snapshot(self) -> PackedSplits:
        return replace(self._waiting.pack(), size_before=self._size_handed_out)


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


register_plain(PackedSplits)
