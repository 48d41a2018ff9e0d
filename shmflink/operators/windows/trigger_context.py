"""The contexts that the window operator passes to triggers and assigners."""

from __future__ import annotations

from typing import Any

from shmflink.core.types.parameters import T
from shmflink.metrics.metric_group import MetricGroup
from shmflink.operators.base import OperatorContext
from shmflink.operators.functions.runtime_context import OperatorRuntimeContext
from shmflink.operators.time.timer_service import InternalTimerService
from shmflink.operators.windows.assigners import WindowAssignerContext
from shmflink.operators.windows.triggers import OnMergeContext
from shmflink.operators.windows.window_functions import Entry
from shmflink.operators.windows.window_state import merge_entries
from shmflink.state.descriptors import StateDescriptor
from shmflink.state.protocol import KeyedStateBackend

__all__ = ["AssignerContext", "WindowTriggerContext"]


class AssignerContext(WindowAssignerContext):
    """Context of an assigner; state belongs to the element's key."""

    def __init__(self, timers: InternalTimerService, runtime: OperatorRuntimeContext) -> None:
        self._timers = timers
        self._runtime = runtime

    def get_current_processing_time(self) -> int:
        return self._timers.now_ms()

    def get_runtime_context(self) -> OperatorRuntimeContext:
        return self._runtime


class WindowTriggerContext(OnMergeContext):
    """Context of a trigger: timers and state of (key, window). One object for all windows: `at` selects the window."""

    def __init__(self, timers: InternalTimerService, backend: KeyedStateBackend, context: OperatorContext) -> None:
        self._timers = timers
        self._backend = backend
        self._runtime = OperatorRuntimeContext(context)
        self._entry = Entry()
        self._merged: list[Any] = []

    def at(self, key: Any, window: Any) -> WindowTriggerContext:
        """Selects this window."""
        self._entry.entry = (key, window)
        return self

    def merging(self, key: Any, result: Any, merged: list[Any]) -> WindowTriggerContext:
        """Selects the result of a merge of these windows."""
        self._merged = [window for window in merged if window != result]
        return self.at(key, result)

    def get_current_processing_time(self) -> int:
        return self._timers.now_ms()

    def get_metric_group(self) -> MetricGroup:
        return self._runtime.get_metrics_group()

    def get_current_watermark(self) -> int:
        return self._timers.watermark_ms

    def register_processing_time_timer(self, time: int) -> None:
        self._timers.register_processing_timer(time, *self._entry.entry)

    def register_event_time_timer(self, time: int) -> None:
        self._timers.register_event_timer(time, *self._entry.entry)

    def delete_processing_time_timer(self, time: int) -> None:
        self._timers.delete_processing_timer(time, *self._entry.entry)

    def delete_event_time_timer(self, time: int) -> None:
        self._timers.delete_event_timer(time, *self._entry.entry)

    def get_partitioned_state(self, state_descriptor: StateDescriptor[T]) -> T:
        return self._backend.state(state_descriptor, is_namespaced=True, current=self._entry)

    def merge_partitioned_state(self, state_descriptor: StateDescriptor) -> None:
        self.get_partitioned_state(state_descriptor)
        key, _ = self._entry.entry
        table = self._backend.table(state_descriptor.name)
        merge_entries(table, state_descriptor, self._entry.entry, [(key, window) for window in self._merged])
