"""The user's window function and its context (PyFlink: WindowFunction, ProcessWindowFunction)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shmflink.core.types.parameters import T
from shmflink.errors import UsageError
from shmflink.operators.time.timer_service import InternalTimerService
from shmflink.operators.windows.window import Window
from shmflink.state.descriptors import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    StateDescriptor,
    ValueStateDescriptor,
)
from shmflink.state.keyed_states import NO_KEY, AggregatingState, ListState, MapState, ReducingState, ValueState
from shmflink.state.protocol import KeyedStateBackend

__all__ = ["Entry", "RefusedStateStore", "StateStore", "WindowContext", "WindowFunctionAdapter"]


class Entry:
    """Knows the current entry of a table: a key, or (key, window)."""

    __slots__ = ("entry",)

    def __init__(self) -> None:
        self.entry: Any = NO_KEY


class StateStore:
    """State of the key, or of the key and window (PyFlink: KeyedStateStore)."""

    __slots__ = ("_backend", "_current", "_is_namespaced")

    def __init__(self, backend: KeyedStateBackend, current: Entry, *, is_namespaced: bool) -> None:
        self._backend = backend
        self._current = current
        self._is_namespaced = is_namespaced

    def get_state(self, state_descriptor: ValueStateDescriptor) -> ValueState[Any]:
        """A ValueState."""
        return self._state(state_descriptor)

    def _state(self, state_descriptor: StateDescriptor[T]) -> T:
        return self._backend.state(state_descriptor, is_namespaced=self._is_namespaced, current=self._current)

    def get_list_state(self, state_descriptor: ListStateDescriptor) -> ListState[Any]:
        """A ListState."""
        return self._state(state_descriptor)

    def get_map_state(self, state_descriptor: MapStateDescriptor) -> MapState[Any, Any]:
        """A MapState."""
        return self._state(state_descriptor)

    def get_reducing_state(self, state_descriptor: ReducingStateDescriptor) -> ReducingState[Any]:
        """A ReducingState."""
        return self._state(state_descriptor)

    def get_aggregating_state(self, state_descriptor: AggregatingStateDescriptor) -> AggregatingState[Any, Any]:
        """An AggregatingState."""
        return self._state(state_descriptor)


class RefusedStateStore(StateStore):
    """Stands for the state of merging windows, which have none: windows come and go, so it could not be kept."""

    __slots__ = ()

    def _state(self, state_descriptor: StateDescriptor[T]) -> T:
        raise UsageError(
            f"window_state(): '{state_descriptor.name}': windows that merge have no state of their own, as in Flink; "
            "use global_state(), which belongs to the key"
        )


class WindowContext:
    """The context of a window function's `process`. One object for all windows of a subtask."""

    __slots__ = ("_global", "_timers", "_window", "_windows")

    def __init__(self, timers: InternalTimerService, global_state: StateStore, window_state: StateStore) -> None:
        self._timers = timers
        self._global = global_state
        self._windows = window_state
        self._window: Window | None = None

    def of(self, window: Window) -> WindowContext:
        """*shmflink only.* For this window."""
        self._window = window
        return self

    def window(self) -> Window | None:
        """The window that is evaluated."""
        return self._window

    def current_processing_time(self) -> int:
        """Milliseconds since 1970 (UTC)."""
        return self._timers.now_ms()

    def current_watermark(self) -> int:
        """The last watermark, -2**63 before the first."""
        return self._timers.watermark_ms

    def window_state(self) -> StateStore:
        """State of the key and window; clear it in `clear`."""
        return self._windows

    def global_state(self) -> StateStore:
        """State per key, shared by all its windows."""
        return self._global


class WindowFunctionAdapter:
    """Calls a window function in its own form: (key, context, elements), (key, window, elements) or no function."""

    def __init__(self, function: Any, *, is_all: bool) -> None:
        """`is_all`: for `window_all`, whose functions receive no key. `function` None passes elements on."""
        self.function = function
        self._is_all = is_all

    def bound(self, context: WindowContext) -> Callable[[Any, Window, Any], Any]:
        """(key, window, elements) -> emitted values."""
        function = self.function
        if function is None:
            return lambda _key, _window, elements: elements
        process = getattr(function, "process", None)
        if callable(process):
            if self._is_all:
                return lambda _key, window, elements: process(context.of(window), elements)
            return lambda key, window, elements: process(key, context.of(window), elements)
        apply = getattr(function, "apply", function)
        if self._is_all:
            return lambda _key, window, elements: apply(window, elements)
        return lambda key, window, elements: apply(key, window, elements)

    def clearing(self, context: WindowContext) -> Callable[[Window], Any] | None:
        """Called when a window ends; None if the function has no `clear`."""
        if not callable(getattr(self.function, "process", None)):
            return None
        clear = getattr(self.function, "clear", None)
        return None if clear is None else lambda window: clear(context.of(window))
