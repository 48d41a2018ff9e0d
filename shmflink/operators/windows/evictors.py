"""Removes elements of a window that its function should not see (Flink: Evictor). *shmflink only*: PyFlink has none."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeAlias

from shmflink.core.time_units import Time, milliseconds_of
from shmflink.errors import JobGraphError
from shmflink.operators.windows.window import Window

__all__ = ["CountEvictor", "DeltaEvictor", "Evictor", "TimeEvictor", "TimestampedValue"]

TimestampedValue: TypeAlias = tuple[int, Any]
"""(timestamp in ms, element)."""

Elements: TypeAlias = list[TimestampedValue]


class Evictor(ABC):
    """Removes elements from a window that fires, before or after its function sees them."""

    @abstractmethod
    def evict_before(self, elements: Elements, size: int, window: Window, context: Any) -> Elements:
        """The elements, in order of arrival, that the function receives."""

    @abstractmethod
    def evict_after(self, elements: Elements, size: int, window: Window, context: Any) -> Elements:
        """The elements that remain in the window."""


class _Once(Evictor):
    """Evicts before or after, by the same rule."""

    def __init__(self, do_evict_after: bool) -> None:
        self._is_after = do_evict_after

    def evict_before(self, elements: Elements, size: int, window: Window, context: Any) -> Elements:
        return elements if self._is_after else self._kept(elements)

    def evict_after(self, elements: Elements, size: int, window: Window, context: Any) -> Elements:
        return self._kept(elements) if self._is_after else elements

    def _kept(self, elements: Elements) -> Elements:
        raise NotImplementedError(f"{type(self).__name__} does not define _kept()")


class CountEvictor(_Once):
    """Keeps the last `max_count` elements."""

    def __init__(self, max_count: int, do_evict_after: bool = False) -> None:
        if max_count < 1:
            raise JobGraphError(f"CountEvictor: needs a count of at least 1, got {max_count}")
        super().__init__(do_evict_after)
        self._max_count = max_count

    @staticmethod
    def of(max_count: int, do_evict_after: bool = False) -> CountEvictor:
        return CountEvictor(max_count, do_evict_after)

    def _kept(self, elements: Elements) -> Elements:
        return elements[-self._max_count :]


class TimeEvictor(_Once):
    """Keeps the elements that are at most `window_size` older than the newest one."""

    def __init__(self, window_size: int, do_evict_after: bool = False) -> None:
        super().__init__(do_evict_after)
        self._window_size = window_size

    @staticmethod
    def of(window_size: Time, do_evict_after: bool = False) -> TimeEvictor:
        return TimeEvictor(milliseconds_of(window_size), do_evict_after)

    def _kept(self, elements: Elements) -> Elements:
        newest = max((stamp for stamp, _ in elements), default=0)
        return [one for one in elements if one[0] > newest - self._window_size]


class DeltaEvictor(_Once):
    """Keeps the elements whose distance from the last one is below the threshold."""

    def __init__(self, threshold: float, delta: Callable[[Any, Any], float], do_evict_after: bool = False) -> None:
        super().__init__(do_evict_after)
        self._threshold = threshold
        self._delta = delta

    @staticmethod
    def of(threshold: float, delta: Callable[[Any, Any], float], do_evict_after: bool = False) -> DeltaEvictor:
        """`delta(element, last element)` is a distance."""
        return DeltaEvictor(threshold, delta, do_evict_after)

    def _kept(self, elements: Elements) -> Elements:
        last = elements[-1][1] if elements else None
        return [one for one in elements if self._delta(one[1], last) < self._threshold]
