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
    """A position inside one split. Used only by the slot's thread."""

    @abstractmethod
    def next_batch(self) -> Batch | SideOutput | Poll | None:
        """The next batch (or side output), `Poll.WAIT` or `Poll.AGAIN` if there is none yet, None at the end."""

    @abstractmethod
    def remaining(self) -> Split:
        """The rest of the split: what a reader needs to resume after the last emitted batch."""

    def close(self) -> None:  # noqa: B027  many have nothing to free
        """Frees files. Called once."""


class SplitReader(SourceReader):
    """Reads splits in the order in which they were added."""

    def __init__(
        self,
        open_split: Callable[[Split], SplitCursor],
        finish: Callable[[], None] | None = None,
        close: Callable[[], None] | None = None,
        before_snapshot: Callable[[], None] | None = None,
    ) -> None:
        """`finish` is called once, after the last split was read or reading has stopped; `close` is always called once,
        at the end.
        """
        self._before_snapshot = before_snapshot
        self._open_split = open_split
        self._finish = finish
        self._close = close
        self._waiting: deque[Split] = deque()
        self._cursor: SplitCursor | None = None
        self._is_last = False
        self._begun = 0

    @property
    def splits_begun(self) -> int:
        return self._begun

    def add_split(self, split: Split) -> None:
        self._waiting.append(split)

    def no_more_splits(self) -> None:
        self._is_last = True

    def poll(self) -> Batch | SideOutput | Poll:
        while True:
            if self._cursor is None:
                if not self._waiting:
                    return self._end() if self._is_last else Poll.NEED_SPLIT
                self._cursor = self._open_split(self._waiting.popleft())
                self._begun += 1
            answer = self._cursor.next_batch()
            if answer is not None:
                return answer
            self._close_cursor()

    def snapshot(self) -> Sequence[Split]:
        if self._before_snapshot is not None:
            self._before_snapshot()
        in_hand = () if self._cursor is None else (self._cursor.remaining(),)
        return (*in_hand, *self._waiting)

    def stop(self, *, drained: bool) -> None:
        self._close_cursor()
        self._waiting.clear()
        self._end()

    def close(self) -> None:
        self._close_cursor()
        self._waiting.clear()
        close, self._close = self._close, None
        if close is not None:
            close()

    def _end(self) -> Poll:
        finish, self._finish = self._finish, None
        if finish is not None:
            finish()
        return Poll.END

    def _close_cursor(self) -> None:
        cursor, self._cursor = self._cursor, None
        if cursor is not None:
            cursor.close()
