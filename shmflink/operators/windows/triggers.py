"""Decides when a window fires (PyFlink: Trigger)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import Enum
from typing import Any, Generic, TypeAlias

from shmflink.core.time_units import Time, milliseconds_of
from shmflink.core.types.parameters import T, TakesTypeParameters, W
from shmflink.core.types.typeinfo import Types
from shmflink.metrics.metric_group import MetricGroup
from shmflink.operators.windows.window import Window
from shmflink.state.descriptors import ReducingStateDescriptor, StateDescriptor, ValueStateDescriptor

__all__ = [
    "ContinuousEventTimeTrigger",
    "ContinuousProcessingTimeTrigger",
    "CountTrigger",
    "DeltaTrigger",
    "EventTimeTrigger",
    "NeverTrigger",
    "OnMergeContext",
    "ProcessingTimeTrigger",
    "PurgingTrigger",
    "Trigger",
    "TriggerContext",
    "TriggerResult",
]


class TriggerResult(Enum):
    """(fire, purge): whether results are emitted, and whether the window's contents are cleared."""

    CONTINUE = (False, False)
    FIRE_AND_PURGE = (True, True)
    FIRE = (True, False)
    PURGE = (False, True)

    def is_fire(self) -> bool:
        """Whether results are emitted."""
        return self.value[0]

    def is_purge(self) -> bool:
        """Whether the window's contents are cleared."""
        return self.value[1]


class TriggerContext(TakesTypeParameters, ABC):
    """The context of a trigger: times, timers and state of its key and window."""

    @abstractmethod
    def get_current_processing_time(self) -> int:
        """Milliseconds since 1970 (UTC)."""

    @abstractmethod
    def get_metric_group(self) -> MetricGroup:
        """Metrics of the operator."""

    @abstractmethod
    def get_current_watermark(self) -> int:
        """The last watermark, -2**63 before the first."""

    @abstractmethod
    def register_processing_time_timer(self, time: int) -> None:
        """Registers a call of `on_processing_time` at this time."""

    @abstractmethod
    def register_event_time_timer(self, time: int) -> None:
        """Registers a call of `on_event_time` for when the watermark reaches this time."""

    @abstractmethod
    def delete_processing_time_timer(self, time: int) -> None:
        """Deletes a timer."""

    @abstractmethod
    def delete_event_time_timer(self, time: int) -> None:
        """Deletes a timer."""

    @abstractmethod
    def get_partitioned_state(self, state_descriptor: StateDescriptor[T]) -> T:
        """State of the key and window."""


class OnMergeContext(TriggerContext):
    """The context of a trigger while windows merge: can also merge their state."""

    @abstractmethod
    def merge_partitioned_state(self, state_descriptor: StateDescriptor) -> None:
        """Merges the state of the merged windows into that of the result."""


_Context: TypeAlias = TriggerContext  # the class below has attributes of these names
_MergeContext: TypeAlias = OnMergeContext


class Trigger(TakesTypeParameters, ABC, Generic[T, W]):
    """Decides for each element and timer whether a window fires. One object serves all windows: keep state in `ctx`."""

    TriggerContext: TypeAlias = _Context
    OnMergeContext: TypeAlias = _MergeContext

    @abstractmethod
    def on_element(self, element: T, timestamp: int, window: W, ctx: _Context) -> TriggerResult:
        """An element was added to the window."""

    @abstractmethod
    def on_processing_time(self, time: int, window: W, ctx: _Context) -> TriggerResult:
        """A processing-time timer of the window fired."""

    @abstractmethod
    def on_event_time(self, time: int, window: W, ctx: _Context) -> TriggerResult:
        """An event-time timer of the window fired."""

    def can_merge(self) -> bool:
        """Whether it can be used with windows that merge."""
        return False

    @abstractmethod
    def on_merge(self, window: W, ctx: _MergeContext) -> None:
        """Windows were merged into `window`."""

    @abstractmethod
    def clear(self, window: W, ctx: _Context) -> None:
        """The window ends: clear its state and timers."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class _QuietTrigger(Trigger):
    """Every method does nothing by default."""

    def on_element(self, element: Any, timestamp: int, window: Window, ctx: _Context) -> TriggerResult:
        return TriggerResult.CONTINUE

    def on_processing_time(self, time: int, window: Window, ctx: _Context) -> TriggerResult:
        return TriggerResult.CONTINUE

    def on_event_time(self, time: int, window: Window, ctx: _Context) -> TriggerResult:
        return TriggerResult.CONTINUE

    def on_merge(self, window: Window, ctx: _MergeContext) -> None:
        """There is nothing to merge."""

    def clear(self, window: Window, ctx: _Context) -> None:
        """There is nothing to clear."""


class EventTimeTrigger(_QuietTrigger):
    """Fires when the watermark passes the window's end, and again for each late element that is still allowed."""

    @staticmethod
    def create() -> EventTimeTrigger:
        return EventTimeTrigger()

    def on_element(self, element: Any, timestamp: int, window: Window, ctx: _Context) -> TriggerResult:
        if window.max_timestamp() <= ctx.get_current_watermark():
            return TriggerResult.FIRE
        ctx.register_event_time_timer(window.max_timestamp())
        return TriggerResult.CONTINUE

    def on_event_time(self, time: int, window: Window, ctx: _Context) -> TriggerResult:
        return TriggerResult.FIRE if time == window.max_timestamp() else TriggerResult.CONTINUE

    def can_merge(self) -> bool:
        return True

    def on_merge(self, window: Window, ctx: _MergeContext) -> None:
        if window.max_timestamp() > ctx.get_current_watermark():
            ctx.register_event_time_timer(window.max_timestamp())

    def clear(self, window: Window, ctx: _Context) -> None:
        ctx.delete_event_time_timer(window.max_timestamp())


class ProcessingTimeTrigger(_QuietTrigger):
    """Fires when processing time passes the window's end."""

    @staticmethod
    def create() -> ProcessingTimeTrigger:
        return ProcessingTimeTrigger()

    def on_element(self, element: Any, timestamp: int, window: Window, ctx: _Context) -> TriggerResult:
        ctx.register_processing_time_timer(window.max_timestamp())
        return TriggerResult.CONTINUE

    def on_processing_time(self, time: int, window: Window, ctx: _Context) -> TriggerResult:
        return TriggerResult.FIRE

    def can_merge(self) -> bool:
        return True

    def on_merge(self, window: Window, ctx: _MergeContext) -> None:
        if window.max_timestamp() > ctx.get_current_processing_time():
            ctx.register_processing_time_timer(window.max_timestamp())

    def clear(self, window: Window, ctx: _Context) -> None:
        ctx.delete_processing_time_timer(window.max_timestamp())


class _ContinuousTrigger(_QuietTrigger):
    """Fires at every interval. The time of the next firing is state: one timer per window."""

    def __init__(self, interval: int) -> None:
        self.interval = interval
        self._next = ReducingStateDescriptor("fire-time", min, Types.LONG())

    def can_merge(self) -> bool:
        return True

    def _register(self, ctx: _Context, time: int) -> None:
        raise NotImplementedError(f"{type(self).__name__} does not define _register()")

    def _delete(self, ctx: _Context, time: int) -> None:
        raise NotImplementedError(f"{type(self).__name__} does not define _delete()")

    def _begin(self, time: int, window: Window, ctx: _Context) -> None:
        """The first timer of a window, at the next boundary of the interval after `time`."""
        if ctx.get_partitioned_state(self._next).get() is None:
            self._go_on(time - time % self.interval, window, ctx)

    def _fires(self, time: int, window: Window, ctx: _Context) -> bool:
        """Whether a timer is the expected one; if so, registers the next one."""
        state = ctx.get_partitioned_state(self._next)
        if state.get() != time:
            return False
        state.clear()
        self._go_on(time, window, ctx)
        return True

    def _go_on(self, time: int, window: Window, ctx: _Context) -> None:
        next_ms = min(time + self.interval, window.max_timestamp())
        ctx.get_partitioned_state(self._next).add(next_ms)
        self._register(ctx, next_ms)

    def on_merge(self, window: Window, ctx: _MergeContext) -> None:
        ctx.merge_partitioned_state(self._next)
        next_ms = ctx.get_partitioned_state(self._next).get()
        if next_ms is not None:
            self._register(ctx, next_ms)

    def clear(self, window: Window, ctx: _Context) -> None:
        state = ctx.get_partitioned_state(self._next)
        next_ms = state.get()
        if next_ms is not None:
            self._delete(ctx, next_ms)
            state.clear()


class ContinuousEventTimeTrigger(_ContinuousTrigger):
    """Fires at every interval of event time, and at the window's end."""

    @staticmethod
    def of(interval: Time) -> ContinuousEventTimeTrigger:
        return ContinuousEventTimeTrigger(milliseconds_of(interval))

    def on_element(self, element: Any, timestamp: int, window: Window, ctx: _Context) -> TriggerResult:
        if window.max_timestamp() <= ctx.get_current_watermark():
            return TriggerResult.FIRE
        ctx.register_event_time_timer(window.max_timestamp())
        self._begin(timestamp, window, ctx)
        return TriggerResult.CONTINUE

    def on_event_time(self, time: int, window: Window, ctx: _Context) -> TriggerResult:
        is_due = time == window.max_timestamp() or self._fires(time, window, ctx)
        return TriggerResult.FIRE if is_due else TriggerResult.CONTINUE

    def _register(self, ctx: _Context, time: int) -> None:
        ctx.register_event_time_timer(time)

    def _delete(self, ctx: _Context, time: int) -> None:
        ctx.delete_event_time_timer(time)


class ContinuousProcessingTimeTrigger(_ContinuousTrigger):
    """Fires at every interval of processing time."""

    @staticmethod
    def of(interval: Time) -> ContinuousProcessingTimeTrigger:
        return ContinuousProcessingTimeTrigger(milliseconds_of(interval))

    def on_element(self, element: Any, timestamp: int, window: Window, ctx: _Context) -> TriggerResult:
        self._begin(ctx.get_current_processing_time(), window, ctx)
        return TriggerResult.CONTINUE

    def on_processing_time(self, time: int, window: Window, ctx: _Context) -> TriggerResult:
        return TriggerResult.FIRE if self._fires(time, window, ctx) else TriggerResult.CONTINUE

    def _register(self, ctx: _Context, time: int) -> None:
        ctx.register_processing_time_timer(time)

    def _delete(self, ctx: _Context, time: int) -> None:
        ctx.delete_processing_time_timer(time)


class CountTrigger(_QuietTrigger):
    """Fires after every `window_size` elements of a window, which remain in it."""

    def __init__(self, window_size: int) -> None:
        self._window_size = window_size
        self._count = ReducingStateDescriptor("count", int.__add__, Types.LONG())

    @property
    def window_size(self) -> int:
        """How many elements fire it. *shmflink only.*"""
        return self._window_size

    @staticmethod
    def of(window_size: int) -> CountTrigger:
        return CountTrigger(window_size)

    def on_element(self, element: Any, timestamp: int, window: Window, ctx: _Context) -> TriggerResult:
        count = ctx.get_partitioned_state(self._count)
        count.add(1)
        if (count.get() or 0) < self._window_size:
            return TriggerResult.CONTINUE
        count.clear()
        return TriggerResult.FIRE

    def can_merge(self) -> bool:
        return True

    def on_merge(self, window: Window, ctx: _MergeContext) -> None:
        ctx.merge_partitioned_state(self._count)

    def clear(self, window: Window, ctx: _Context) -> None:
        ctx.get_partitioned_state(self._count).clear()


class DeltaTrigger(_QuietTrigger):
    """*shmflink only.* (Flink: DeltaTrigger.) Fires when an element is far from the one that fired last."""

    def __init__(self, threshold: float, delta: Callable[[Any, Any], float]) -> None:
        self._threshold = threshold
        self._delta = delta
        self._last = ValueStateDescriptor("last-element", Types.PICKLED_BYTE_ARRAY())

    @staticmethod
    def of(threshold: float, delta: Callable[[Any, Any], float]) -> DeltaTrigger:
        """`delta(last, element)` is a distance; above the threshold the window fires."""
        return DeltaTrigger(threshold, delta)

    def on_element(self, element: Any, timestamp: int, window: Window, ctx: _Context) -> TriggerResult:
        last = ctx.get_partitioned_state(self._last)
        before = last.value()
        if before is None:
            last.update(element)
            return TriggerResult.CONTINUE
        if self._delta(before, element) <= self._threshold:
            return TriggerResult.CONTINUE
        last.update(element)
        return TriggerResult.FIRE

    def clear(self, window: Window, ctx: _Context) -> None:
        ctx.get_partitioned_state(self._last).clear()


class NeverTrigger(_QuietTrigger):
    """Never fires: global windows need a trigger from the user."""


class PurgingTrigger(Trigger):
    """When the nested trigger fires, also clears the contents."""

    def __init__(self, nested_trigger: Trigger) -> None:
        self.nested_trigger = nested_trigger

    @staticmethod
    def of(nested_trigger: Trigger) -> PurgingTrigger:
        return PurgingTrigger(nested_trigger)

    def on_element(self, element: Any, timestamp: int, window: Window, ctx: _Context) -> TriggerResult:
        return _purging(self.nested_trigger.on_element(element, timestamp, window, ctx))

    def on_processing_time(self, time: int, window: Window, ctx: _Context) -> TriggerResult:
        return _purging(self.nested_trigger.on_processing_time(time, window, ctx))

    def on_event_time(self, time: int, window: Window, ctx: _Context) -> TriggerResult:
        return _purging(self.nested_trigger.on_event_time(time, window, ctx))

    def can_merge(self) -> bool:
        return self.nested_trigger.can_merge()

    def on_merge(self, window: Window, ctx: _MergeContext) -> None:
        self.nested_trigger.on_merge(window, ctx)

    def clear(self, window: Window, ctx: _Context) -> None:
        self.nested_trigger.clear(window, ctx)


def _purging(result: TriggerResult) -> TriggerResult:
    return TriggerResult.FIRE_AND_PURGE if result.is_fire() else result
