"""Windows of a keyed stream, element by element (Flink: WindowOperator, EvictingWindowOperator).

The state of a window, its trigger's state and its timers are stored under (key, window). Windows that merge store their
contents under the first of them (`merging.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat
from typing import Any, Final, NoReturn

from shmflink.core.batch import Batch
from shmflink.core.changelog import Changelog
from shmflink.core.elements import MIN_TIMESTAMP_MS
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.output_tag import OutputTag
from shmflink.core.types.parameters import T
from shmflink.core.types.typeinfo import TypeInformation, Types
from shmflink.errors import UsageError
from shmflink.operators.base import OperatorContext
from shmflink.operators.functions.process import KeyedOperator, Outputs
from shmflink.operators.functions.runtime_context import OperatorRuntimeContext
from shmflink.operators.functions.user_function import UserFunction, has_user_frame, row_index, shorten_record
from shmflink.operators.time.timer_service import TimeDomain
from shmflink.operators.windows.assigners import MergingWindowAssigner, WindowAssigner
from shmflink.operators.windows.evictors import Evictor
from shmflink.operators.windows.merging import MergingWindowSet
from shmflink.operators.windows.trigger_context import AssignerContext, WindowTriggerContext
from shmflink.operators.windows.triggers import (
    ContinuousEventTimeTrigger,
    ContinuousProcessingTimeTrigger,
    Trigger,
    TriggerResult,
)
from shmflink.operators.windows.window import MAX_TIMESTAMP_MS
from shmflink.operators.windows.window_functions import (
    Entry,
    RefusedStateStore,
    StateStore,
    WindowContext,
    WindowFunctionAdapter,
)
from shmflink.operators.windows.window_namespaces import WINDOW_NAMESPACES
from shmflink.operators.windows.window_state import WindowContents
from shmflink.state.descriptors import ListStateDescriptor, StateDescriptor
from shmflink.state.entries import ABSENT
from shmflink.state.hashable_keys import key_of_hashable
from shmflink.state.protocol import KeyedStateBackend

__all__ = ["WINDOW_STATE_NAME", "WindowOperator", "WindowSpec"]

WINDOW_STATE_NAME: Final = "window-contents"
_MERGING_STATE_NAME: Final = "merging-window-set"


@dataclass(frozen=True, slots=True)
class WindowSpec:
    """The program's definition of a windowed stream. `contents` describes how elements are stored."""

    assigner: WindowAssigner
    trigger: Trigger
    contents: StateDescriptor
    allowed_lateness_ms: int = 0
    late_data: OutputTag | None = None
    evictor: Evictor | None = None
    is_all: bool = False


class WindowOperator(KeyedOperator):
    """Stores each element in its windows; calls the window function when a trigger fires."""

    methods = ("process",)
    namespaces = WINDOW_NAMESPACES

    def __init__(self, spec: WindowSpec, function: Any, output_type: TypeInformation | None = None) -> None:
        """`function`: a window function, or None to emit the contents."""
        given = function if function is not None else _pass_on
        self._function = UserFunction(given, "process" if hasattr(given, "process") else "apply")
        self._window_function = function
        self._spec = spec
        self._output_type = output_type

    @property
    def changelog(self) -> Changelog | None:
        """Late elements, and triggers that fire in between, call the function again for the same window."""
        spec = self._spec
        is_late = spec.allowed_lateness_ms > 0 and spec.assigner.is_event_time()
        fires_again = isinstance(spec.trigger, ContinuousEventTimeTrigger | ContinuousProcessingTimeTrigger)
        if not (is_late or fires_again):
            return None
        return Changelog(None, of_records=True, is_per_record=True, has_final=False)

    def open(self, context: OperatorContext) -> None:
        super().open(context)
        spec, backend = self._spec, self._backend
        self._is_event_time = spec.assigner.is_event_time()
        self._key_entry, self._window_entry = Entry(), Entry()
        self._contents = WindowContents(backend, _kept(spec))
        merges = isinstance(spec.assigner, MergingWindowAssigner)
        self._merging = backend.value_state(_MERGING_STATE_NAME) if merges else None
        self._trigger_context = WindowTriggerContext(self._timers, backend, context)
        runtime = OperatorRuntimeContext(context, _KeyState(backend, self._key_entry))
        self._assigner_context = AssignerContext(self._timers, runtime)
        window_context = WindowContext(
            self._timers,
            StateStore(backend, self._key_entry, is_namespaced=False),
            (RefusedStateStore if merges else StateStore)(backend, self._window_entry, is_namespaced=True),
        )
        self._function.open(context, _KeyState(backend, self._key_entry))
        adapter = WindowFunctionAdapter(self._window_function, is_all=spec.is_all)
        self._evaluate: Callable[..., Any] = adapter.bound(window_context)
        self._clear_function = adapter.clearing(window_context)
        self._late_dropped = self._metrics_of(context)

    @staticmethod
    def _metrics_of(context: OperatorContext) -> Any:
        return OperatorRuntimeContext(context).get_metrics_group().counter("numLateRecordsDropped")

    # --- elements ---

    def _run_piece(self, batch: Batch, keys: Any, input_index: int) -> Outputs:
        rows = batch.rows()
        stamps: Any = repeat(MIN_TIMESTAMP_MS) if batch.timestamps is None else batch.timestamps.to_pylist()
        iterator = iter(rows)
        outputs = self._outputs
        for key, row, stamp in zip(keys, iterator, stamps, strict=False):
            try:
                # a loop per row: assigner, trigger and function may be the user's
                yield from self._element(key, row, stamp)
            except Exception as error:
                self._fail(error, rows[row_index(rows, iterator)])
            if outputs.is_full:
                yield from outputs.take()
        yield from outputs.take()

    def _fail(self, error: Exception, record: Any) -> NoReturn:
        """Raises our own error about an element, which is not a failure of the user's function."""
        if isinstance(error, UsageError) and not has_user_frame(error):
            raise type(error)(f"operator '{self._name}': {error}\nrecord: {shorten_record(record)}") from error
        self._function.fail(error, record)

    def _element(self, key: Any, row: Any, stamp: int) -> Outputs:
        self._key_entry.entry = key
        is_skipped = True
        for assigned in self._spec.assigner.assign_windows(row, stamp, self._assigner_context):
            window = state_window = assigned
            if self._merging is not None:
                merging = self._merging_set(key)
                window = merging.add(assigned, lambda *merge: self._merge(key, *merge))
                if self._is_late(window):
                    self._retire(key, window)
                    continue
                state_window = merging.state_window(window)
            elif self._is_late(window):
                continue
            is_skipped = False
            self._contents.at(key, state_window).add(row if self._spec.evictor is None else (stamp, row))
            trigger_context = self._trigger_context.at(key, window)
            result = self._spec.trigger.on_element(row, stamp, window, trigger_context)
            yield from self._act(result, key, window, state_window)
            self._register_cleanup(key, window)
        if is_skipped and self._is_event_time and stamp + self._spec.allowed_lateness_ms <= self._timers.watermark_ms:
            self._drop_late(row, stamp)

    def _drop_late(self, row: Any, stamp: int) -> None:
        if self._spec.late_data is not None:
            self._outputs.put_aside(self._spec.late_data, row, stamp)
        else:
            self._late_dropped.inc()

    # --- timers ---

    def _on_timer(self, domain: TimeDomain, timestamp_ms: int, key: Any, namespace: Any) -> Outputs:
        window = state_window = namespace
        if self._merging is not None:
            windows = self._merging.get(key)
            state_window = None if windows is ABSENT else windows.get(window)
            if state_window is None:
                return  # the timer of a window that was merged into another
        self._key_entry.entry = key
        is_event_time = domain is TimeDomain.EVENT_TIME
        trigger = self._spec.trigger
        decide = trigger.on_event_time if is_event_time else trigger.on_processing_time
        try:
            result = decide(timestamp_ms, window, self._trigger_context.at(key, window))
            yield from self._act(result, key, window, state_window)
            if is_event_time is self._is_event_time and timestamp_ms == self._cleanup_ms(window):
                self._clear(key, window, state_window)
        except Exception as error:
            self._function.fail(error, in_method=f"{window} of key {key_of_hashable(key)!r}")
        if self._outputs.is_full or not is_event_time:
            yield from self._outputs.take()

    # --- firing ---

    def _act(self, result: TriggerResult, key: Any, window: Any, state_window: Any) -> Outputs:
        if result is TriggerResult.CONTINUE:
            return
        if result.is_fire():
            elements = self._contents.at(key, state_window).elements()
            if not elements:
                return  # nothing to evaluate, and nothing to purge
            yield from self._emit(key, window, state_window, elements)
        if result.is_purge():
            self._contents.at(key, state_window).clear()

    def _emit(self, key: Any, window: Any, state_window: Any, elements: list[Any]) -> Outputs:
        """Results have the window's greatest timestamp."""
        self._window_entry.entry = (key, window)
        evictor = self._spec.evictor
        if evictor is not None:
            elements = evictor.evict_before(elements, len(elements), window, self._trigger_context)
        values = elements if evictor is None else [value for _, value in elements]
        emitted = self._evaluate(key_of_hashable(key), window, values)
        yield from self._outputs.gather(emitted, window.max_timestamp())
        if evictor is not None:
            left = evictor.evict_after(elements, len(elements), window, self._trigger_context)
            self._contents.at(key, state_window).replace(left)

    # --- merging and the end of windows ---

    def _merging_set(self, key: Any) -> MergingWindowSet:
        assert self._merging is not None
        assert isinstance(self._spec.assigner, MergingWindowAssigner)
        windows = self._merging.own(key)
        if windows is ABSENT:
            windows = {}
            self._merging.put(key, windows)
        return MergingWindowSet(self._spec.assigner, windows)

    def _retire(self, key: Any, window: Any) -> None:
        """Clears a window that has ended; a key without windows has no state."""
        assert self._merging is not None
        self._merging_set(key).retire(window)
        if not self._merging.get(key):
            self._merging.remove(key)

    def _merge(self, key: Any, result: Any, merged: list[Any], state_window: Any, state_windows: list[Any]) -> None:
        now_ms = self._timers.watermark_ms if self._is_event_time else self._timers.now_ms()
        if self._cleanup_ms(result) <= now_ms:
            raise UsageError(
                f"the window {result}, made by merging, ended before the current time {now_ms}: a merging assigner "
                "must not make windows end earlier"
            )
        context = self._trigger_context.merging(key, result, merged)
        self._spec.trigger.on_merge(result, context)
        for window in merged:
            self._spec.trigger.clear(window, self._trigger_context.at(key, window))
            self._delete_cleanup(key, window)
        self._contents.merge(key, state_window, state_windows)

    def _cleanup_ms(self, window: Any) -> int:
        end: int = window.max_timestamp()
        if not self._is_event_time:
            return end
        return min(end + self._spec.allowed_lateness_ms, MAX_TIMESTAMP_MS)

    def _is_late(self, window: Any) -> bool:
        return self._is_event_time and self._cleanup_ms(window) <= self._timers.watermark_ms

    def _register_cleanup(self, key: Any, window: Any) -> None:
        at_ms = self._cleanup_ms(window)
        if at_ms == MAX_TIMESTAMP_MS:
            return  # unreachable
        if self._is_event_time:
            self._timers.register_event_timer(at_ms, key, window)
        else:
            self._timers.register_processing_timer(at_ms, key, window)

    def _delete_cleanup(self, key: Any, window: Any) -> None:
        at_ms = self._cleanup_ms(window)
        if self._is_event_time:
            self._timers.delete_event_timer(at_ms, key, window)
        else:
            self._timers.delete_processing_timer(at_ms, key, window)

    def _clear(self, key: Any, window: Any, state_window: Any) -> None:
        self._contents.at(key, state_window).clear()
        self._spec.trigger.clear(window, self._trigger_context.at(key, window))
        if self._clear_function is not None:
            self._window_entry.entry = (key, window)
            self._clear_function(window)
        if self._merging is not None:
            self._retire(key, window)


class _KeyState:
    """The backend for states that belong only to the key."""

    def __init__(self, backend: KeyedStateBackend, entry: Entry) -> None:
        self._backend = backend
        self._entry = entry

    def state(self, descriptor: StateDescriptor[T]) -> T:
        return self._backend.state(descriptor, current=self._entry)


def _kept(spec: WindowSpec) -> StateDescriptor:
    """The stored form of elements: with timestamps if there is an evictor."""
    contents = spec.contents
    if spec.evictor is None:
        return contents
    return ListStateDescriptor(contents.name, Types.TUPLE([Types.LONG(), contents.type_info]))


def _pass_on(*_: Any) -> None:
    """Replaces the function if contents are emitted unchanged."""
