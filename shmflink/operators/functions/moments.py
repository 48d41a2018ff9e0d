"""Emits a slow function's results in small pieces, so that nothing waits for the end of its generator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeAlias

from shmflink.core.clock import Clock
from shmflink.operators.slices import PIECE_NS

__all__ = ["Extend", "Moments"]

Extend: TypeAlias = Callable[[Iterable[Any] | None, int], Iterable[Any] | None]
"""(what a function returned, timestamp) -> its remainder, after the gathered rows have been emitted; as
`RecordBuffer`.
"""

_FAST_NS: Final = 100_000  # per row; below this, a moment is longer than filling a buffer takes


class Moments:
    """Chooses how an operator gathers rows: at full speed or, if rows are slow, while checking the clock."""

    def __init__(self, extend: Extend, clock: Clock) -> None:
        self._extend = extend
        self._clock = clock
        self._is_fast = False  # not known yet
        self._began_ns = 0

    def begin(self) -> Extend:
        """Begins a piece of a batch; returns the buffer for its rows."""
        self._began_ns = self._clock.monotonic_ns()
        return self._extend if self._is_fast else self._extend_for_a_moment

    def end(self, rows: int) -> None:
        """This many rows were read or emitted, whichever number is larger."""
        self._is_fast = self._clock.monotonic_ns() - self._began_ns < rows * _FAST_NS

    def _extend_for_a_moment(self, emitted: Iterable[Any] | None, stamp: int) -> Iterable[Any] | None:
        if emitted is None:
            return None
        moment = emitted if isinstance(emitted, _Moment) else _Moment(iter(emitted), self._clock)
        moment.begin()
        rest = self._extend(moment, stamp)
        return moment if rest is not None or moment.is_over else None


class _Moment:
    """An iterator that pauses when its time is up, after at least one row."""

    __slots__ = ("_clock", "_iterator", "_until_ns", "is_over")

    def __init__(self, iterator: Iterator[Any], clock: Clock) -> None:
        self._iterator = iterator
        self._clock = clock

    def begin(self) -> None:
        self.is_over = False
        self._until_ns = self._clock.monotonic_ns() + PIECE_NS

    def __iter__(self) -> _Moment:
        return self

    def __next__(self) -> Any:
        if self.is_over:
            raise StopIteration
        value = next(self._iterator)
        self.is_over = self._clock.monotonic_ns() >= self._until_ns
        return value
