"""The one reader that sources share: reads its splits one after the other through a cursor."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence

from shmflink.connectors.base import Poll, SourceReader, Split
from shmflink.core.batch import Batch
from shmflink.operators.base import SideOutput

__all__ = ["SplitCursor", "SplitReader"]


class SplitCursor(ABC):
    """A place inside one split. Used by the slot's thread alone."""

    @abstractmethod
    def next_batch(self) -> Batch | SideOutput | Poll | None:
        """The next batch (or side output), `Poll.WAIT` or `Poll.AGAIN` when there is none yet, None at the end."""

    @abstractmethod
    def remaining(self) -> Split:
        """The split from here on: what a reader needs to go on after the last batch handed out."""

    def close(self) -> None:  # noqa: B027  many have nothing to free
        """Frees files. Called once."""


class SplitReader(SourceReader):
    """Reads splits in the order in which they were added."""

    def __init__(self, open_split: Callable[[Split], SplitCursor]) -> None:
        self._open_split = open_split
        self._waiting: deque[Split] = deque()
        self._cursor: SplitCursor | None = None
        self._is_last = False

    def add_split(self, split: Split) -> None:
        self._waiting.append(split)

    def no_more_splits(self) -> None:
        self._is_last = True

    def poll(self) -> Batch | SideOutput | Poll:
        while True:
            if self._cursor is None:
                if not self._waiting:
                    return Poll.END if self._is_last else Poll.NEED_SPLIT
                self._cursor = self._open_split(self._waiting.popleft())
            answer = self._cursor.next_batch()
            if answer is not None:
                return answer
            self._close_cursor()

    def snapshot(self) -> Sequence[Split]:
        in_hand = () if self._cursor is None else (self._cursor.remaining(),)
        return (*in_hand, *self._waiting)

    def close(self) -> None:
        self._close_cursor()
        self._waiting.clear()

    def _close_cursor(self) -> None:
        cursor, self._cursor = self._cursor, None
        if cursor is not None:
            cursor.close()
