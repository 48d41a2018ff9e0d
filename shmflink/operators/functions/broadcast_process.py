"""Operators with a broadcast input: BroadcastProcessFunction, KeyedBroadcastProcessFunction.

Input 0 is the other stream, input 1 the broadcast one. In BATCH mode the broadcast input comes first, as in Flink.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import repeat
from typing import Any

from shmflink.core.batch import Batch
from shmflink.core.elements import MAX_WATERMARK, Barrier, ControlElement, Element, Watermark
from shmflink.core.types.typeinfo import TypeInformation
from shmflink.operators.base import OperatorContext, SideOutput
from shmflink.operators.functions.process import KeyedProcessOperator, Outputs, ProcessOperator
from shmflink.operators.functions.process_context import ProcessContext
from shmflink.operators.keyed_sort import owned_batch
from shmflink.operators.slices import slices_of
from shmflink.operators.time.timer_service import NoTimers
from shmflink.state.broadcast_state import BroadcastState, BroadcastStateStore, ReadOnlyBroadcastState
from shmflink.state.descriptors import MapStateDescriptor
from shmflink.state.keyed_states import NO_KEY
from shmflink.state.snapshots import OperatorSnapshot

__all__ = ["BroadcastProcessOperator", "KeyedBroadcastProcessOperator"]

_BROADCAST_INPUT = 1
_METHODS = ("process_element", "process_broadcast_element")


class _ReadOnlyContext(ProcessContext):
    """Context of `process_element` and `on_timer`."""

    __slots__ = ("store",)
    store: BroadcastStateStore

    def get_broadcast_state(self, state_descriptor: MapStateDescriptor) -> ReadOnlyBroadcastState:
        """The state, read-only here."""
        return self.store.read_only(state_descriptor)


class _BroadcastContext(ProcessContext):
    """Context of `process_broadcast_element`: no key, no timers, writable state."""

    __slots__ = ("store",)
    store: BroadcastStateStore

    def get_broadcast_state(self, state_descriptor: MapStateDescriptor) -> BroadcastState:
        """The state, which all subtasks must change in the same way."""
        return self.store.writable(state_descriptor)


class BroadcastProcessOperator(ProcessOperator):
    """A BroadcastProcessFunction."""

    methods = _METHODS

    def __init__(
        self,
        function: Any,
        descriptors: Sequence[MapStateDescriptor],
        output_type: TypeInformation | None = None,
    ) -> None:
        super().__init__(function, output_type)
        self._descriptors = tuple(descriptors)

    def open(self, context: OperatorContext) -> None:
        self.store = BroadcastStateStore(self._descriptors, context.operator_name)
        self.store.restore(context.restored.broadcast_state)
        super().open(context)
        self._context = _ReadOnlyContext(self._current, self._timers)
        self._broadcast_context = _BroadcastContext(self._current, self._timers)
        self._context.store = self._broadcast_context.store = self.store
        self._kept: list[Batch] | None = [] if context.is_batch else None

    def process(self, batch: Batch, input_index: int = 0) -> Outputs:
        if input_index == _BROADCAST_INPUT:
            for piece in slices_of(batch):
                call = self._record_calls[_BROADCAST_INPUT]
                yield from self._run(call, piece, repeat(NO_KEY), self._broadcast_context, self._current)
        elif self._kept is not None:
            self._kept.append(owned_batch(batch))
        else:
            yield from super().process(batch, 0)

    def process_control(self, element: ControlElement) -> Iterator[Element | SideOutput]:  # type: ignore[override]
        if element == MAX_WATERMARK:
            yield from self._rest()
        yield from super().process_control(element)

    def snapshot_state(self, barrier: Barrier) -> OperatorSnapshot:
        return replace(super().snapshot_state(barrier), broadcast_state=self.store.snapshot())

    def finish(self) -> Outputs:
        yield from self._rest()

    def _rest(self) -> Outputs:
        """BATCH mode: the other input follows the broadcast one."""
        while self._kept:
            yield from super().process(self._kept.pop(0), 0)


class KeyedBroadcastProcessOperator(KeyedProcessOperator):
    """A KeyedBroadcastProcessFunction."""

    methods = _METHODS

    def __init__(
        self,
        function: Any,
        descriptors: Sequence[MapStateDescriptor],
        output_type: TypeInformation | None = None,
    ) -> None:
        super().__init__(function, output_type)
        self._descriptors = tuple(descriptors)

    def open(self, context: OperatorContext) -> None:
        self.store = BroadcastStateStore(self._descriptors, context.operator_name)
        self.store.restore(context.restored.broadcast_state)
        super().open(context)
        self._context = _ReadOnlyContext(self._backend, self._context.timer_service())
        self._no_timers = NoTimers(context.processing_time, f"{context.operator_name}: process_broadcast_element()")
        self._broadcast_context = _BroadcastContext(_NoEntry(), self._no_timers)
        self._context.store = self._broadcast_context.store = self.store

    def process(self, batch: Batch, input_index: int = 0) -> Outputs:
        if input_index != _BROADCAST_INPUT:
            yield from super().process(batch, 0)
            return
        self._backend.entry = NO_KEY  # keyed state then raises an error
        call = self._record_calls[_BROADCAST_INPUT]
        for piece in slices_of(batch):
            yield from self._run(call, piece, repeat(NO_KEY), self._broadcast_context, self._broadcast_context.current)

    def process_control(self, element: ControlElement) -> Iterator[Element | SideOutput]:
        if isinstance(element, Watermark):
            self._no_timers.watermark_ms = element.timestamp_ms
        yield from super().process_control(element)

    def snapshot_state(self, barrier: Barrier) -> OperatorSnapshot:
        return replace(super().snapshot_state(barrier), broadcast_state=self.store.snapshot())


class _NoEntry:
    entry: Any = NO_KEY
