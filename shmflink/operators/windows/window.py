"""Windows themselves: values that name a set of elements of one key."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Self

__all__ = ["MAX_TIMESTAMP_MS", "CountWindow", "GlobalWindow", "TimeWindow", "Window"]

MAX_TIMESTAMP_MS: Final = 2**63 - 1


class Window:
    """A bucket of elements. Windows are equal if they stand for the same bucket, and are hashable."""

    __slots__ = ()

    def max_timestamp(self) -> int:
        """The greatest timestamp that belongs to the window: that of its results."""
        raise NotImplementedError(f"{type(self).__name__} does not define max_timestamp()")


class TimeWindow(Window, tuple[int, int]):
    """[start, end) in milliseconds. A tuple, so that comparing and hashing cost no Python call."""

    __slots__ = ()

    def __new__(cls, start: int, end: int) -> Self:
        return tuple.__new__(cls, (start, end))

    def __getnewargs__(self) -> tuple[int, int]:
        return self[0], self[1]

    @property
    def start(self) -> int:
        """First millisecond."""
        return self[0]

    @property
    def end(self) -> int:
        """The millisecond after the last."""
        return self[1]

    def max_timestamp(self) -> int:
        return self[1] - 1

    def intersects(self, other: TimeWindow) -> bool:
        """Whether the windows overlap or touch."""
        return self[0] <= other[1] and self[1] >= other[0]

    def cover(self, other: TimeWindow) -> TimeWindow:
        """The smallest window that contains both."""
        return TimeWindow(min(self[0], other[0]), max(self[1], other[1]))

    @staticmethod
    def get_window_start_with_offset(timestamp: int, offset: int, window_size: int) -> int:
        """Start of the window that contains a timestamp; also correct for times before 1970."""
        return timestamp - (timestamp - offset) % window_size

    @staticmethod
    def merge_windows(windows: Iterable[TimeWindow], callback: Callable[[set[TimeWindow], TimeWindow], None]) -> None:
        """Calls `callback(merged, result)` for each run of windows that overlap or touch."""
        merge = getattr(callback, "merge", callback)
        current: TimeWindow | None = None
        members: set[TimeWindow] = set()
        for candidate in sorted(windows):
            if current is not None and current.intersects(candidate):
                current = current.cover(candidate)
                members.add(candidate)
                continue
            if current is not None and len(members) > 1:
                merge(members, current)
            current, members = candidate, {candidate}
        if current is not None and len(members) > 1:
            merge(members, current)

    def __repr__(self) -> str:
        return f"TimeWindow(start={self[0]}, end={self[1]})"


class CountWindow(Window):
    """A fixed number of elements of a key."""

    __slots__ = ("id",)

    def __init__(self, id: int) -> None:  # noqa: A002 - PyFlink's name
        self.id = id

    def max_timestamp(self) -> int:
        return MAX_TIMESTAMP_MS

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CountWindow) and self.id == other.id

    def __hash__(self) -> int:
        return self.id

    def __repr__(self) -> str:
        return f"CountWindow(id={self.id})"


class GlobalWindow(Window):
    """All elements of a key."""

    __slots__ = ()

    @staticmethod
    def get() -> GlobalWindow:
        """The only instance."""
        return _GLOBAL

    def max_timestamp(self) -> int:
        return MAX_TIMESTAMP_MS

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GlobalWindow)

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "GlobalWindow"


_GLOBAL: Final = GlobalWindow()
