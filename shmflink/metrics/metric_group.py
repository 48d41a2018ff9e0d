"""The user's own metrics of one operator and subtask, with PyFlink's names (`pyflink.metrics`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

__all__ = ["Counter", "Distribution", "Meter", "MetricGroup"]

_M = TypeVar("_M")


class Counter:
    """A number that goes up and down."""

    __slots__ = ("_count",)

    def __init__(self) -> None:
        self._count = 0

    def inc(self, n: int = 1) -> None:
        self._count += n

    def dec(self, n: int = 1) -> None:
        self._count -= n

    def get_count(self) -> int:
        return self._count


class Meter:
    """Counts events; its reader divides by the time between two readings."""

    __slots__ = ("_count", "time_span_in_seconds")

    def __init__(self, time_span_in_seconds: int) -> None:
        self._count = 0
        self.time_span_in_seconds = time_span_in_seconds

    def mark_event(self, value: int = 1) -> None:
        self._count += value

    def get_count(self) -> int:
        return self._count


class Distribution:
    """Count, sum, minimum and maximum of integer values."""

    __slots__ = ("count", "maximum", "minimum", "sum")

    def __init__(self) -> None:
        self.count = 0
        self.sum = 0
        self.minimum: int | None = None
        self.maximum: int | None = None

    def update(self, value: int) -> None:
        self.count += 1
        self.sum += value
        self.minimum = value if self.minimum is None else min(self.minimum, value)
        self.maximum = value if self.maximum is None else max(self.maximum, value)


class MetricGroup:
    """Metrics under one scope. Asking again for a name returns the same metric."""

    __slots__ = ("_groups", "_metrics", "scope")

    def __init__(self, scope: tuple[str, ...]) -> None:
        self.scope = scope
        self._metrics: dict[str, Any] = {}
        self._groups: dict[tuple[str, ...], MetricGroup] = {}

    def add_group(self, name: str, extra: str | None = None) -> MetricGroup:
        """A subgroup; with `extra` a key-value pair of scopes."""
        parts = (name,) if extra is None else (name, extra)
        return self._groups.setdefault(parts, MetricGroup((*self.scope, *parts)))

    def counter(self, name: str) -> Counter:
        return self._registered(name, Counter())

    def gauge(self, name: str, obj: Callable[[], int]) -> None:
        """Calls `obj()` whenever the metric is read."""
        self._registered(name, obj)

    def meter(self, name: str, time_span_in_seconds: int = 60) -> Meter:
        return self._registered(name, Meter(time_span_in_seconds))

    def distribution(self, name: str) -> Distribution:
        return self._registered(name, Distribution())

    def values(self) -> dict[str, Any]:
        """All metrics of this group and below: `scope.name` to the metric object or the gauge's callable."""
        own = {".".join((*self.scope, name)): metric for name, metric in self._metrics.items()}
        for group in self._groups.values():
            own.update(group.values())
        return own

    def _registered(self, name: str, metric: _M) -> _M:
        return cast(_M, self._metrics.setdefault(name, metric))
