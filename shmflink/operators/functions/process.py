"""`process()` with one input: ProcessFunction, KeyedProcessFunction.

The keyed form is the pattern for all operators with keyed state and timers; `co_process.py` adds a second input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from typing import Any

from shmflink.core.batch import Batch
from shmflink.core.elements import MAX_WATERMARK, MIN_TIMESTAMP_MS, Barrier, ControlElement, Element, Watermark
from shmflink.core.keys.columns import decode_keys
from shmflink.core.types.typeinfo import TypeInformation
from shmflink.errors import InternalError
from shmflink.operators.base import OperatorContext, SideOutput
from shmflink.operators.functions.function_operator import FunctionOperator, is_incremental, restored_backend
from shmflink.operators.functions.process_context import ProcessContext
from shmflink.operators.functions.record_outputs import RecordOutputs
from shmflink.operators.functions.user_function import UserFunction
from shmflink.operators.keyed_sort import KeyedSort
from shmflink.operators.slices import slices_of
from shmflink.operators.time.timer_service import REST, InternalTimerService, NoTimers, TimeDomain, TimerService
from shmflink.state.factory import state_backends
from shmflink.state.keyed_states import NO_KEY
from shmflink.state.namespaces import NO_NAMESPACES, PICKLED_NAMESPACES, NamespaceForm
from shmflink.state.protocol import KeyedStateBackend
from shmflink.state.snapshots import OperatorSnapshot

__all__ = ["KeyedOperator", "KeyedProcessOperator", "ProcessOperator", "RecordOperator"]

Outputs = Iterator[Batch | SideOutput]
Call = Callable[[Any, Any], Any]


class RecordOperator(FunctionOperator):
    """The common part of operators that call a user's function for each record and gather what it emits.

    `methods` are the function's methods for records, one for each input.
    """

    methods: Sequence[str] = ("process_element",)

    def __init__(self, function: Any, output_type: TypeInformation | None = None) -> None:
        self._function = UserFunction(function, self.methods[0])
        self._output_type = output_type

    def _open_outputs(self, context: OperatorContext) -> None:
        self._name = context.operator_name
        self._outputs = RecordOutputs(self._output_type, context)

    def _calls(self) -> list[Call]:
        """The function's methods, one for each input."""
        return [getattr(self._function.function, method) for method in self.methods]

    def _run(self, call: Call, batch: Batch, keys: Any, context: ProcessContext, current: Any) -> Outputs:
        """Per record: the user's own function. Everything that it emits has the record's timestamp."""
        rows = batch.rows()
        stamps: Any = repeat(MIN_TIMESTAMP_MS) if batch.timestamps is None else batch.timestamps.to_pylist()
        outputs = self._outputs
        extend = outputs.moments.begin()
        iterator = iter(rows)
        for key, row, stamp in zip(keys, iterator, stamps, strict=False):
            current.entry = key
            context.stamp = stamp
            try:
                rest = extend(call(row, context), stamp)
                while rest is not None:
                    yield from outputs.take()
                    rest = extend(rest, stamp)
            except Exception as error:
                self._function.fail_at(error, rows, iterator)
        outputs.moments.end(len(rows))
        yield from outputs.take()


class ProcessOperator(RecordOperator):
    """A ProcessFunction on a stream without keys: no state, no timers."""

    def open(self, context: OperatorContext) -> None:
        self._open_outputs(context)
        self._timers = NoTimers(context.processing_time, context.operator_name)
        self._current = _NoKey()
        self._context = ProcessContext(self._current, self._timers)
        self._function.open(context)
        self._record_calls = self._calls()

    def process(self, batch: Batch, input_index: int = 0) -> Outputs:
        call = self._record_calls[input_index]
        for piece in slices_of(batch):
            yield from self._run(call, piece, repeat(NO_KEY), self._context, self._current)

    def process_control(self, element: ControlElement) -> Iterator[Element]:
        if isinstance(element, Watermark):
            self._timers.watermark_ms = element.timestamp_ms
        yield element


class KeyedOperator(RecordOperator):
    """The common part of operators with keyed state and timers.

    BATCH mode: first sorts the input by key and time; at the end of a key its timers fire and its state is cleared.
    """

    namespaces: NamespaceForm | None = None  # form of its namespaced states and its timers in checkpoints

    def open(self, context: OperatorContext) -> None:
        self._open_outputs(context)
        self._key_groups = context.key_groups
        self._max_parallelism = context.max_parallelism
        self._is_incremental = is_incremental(context)
        self._backend = restored_backend(context, self.namespaces or PICKLED_NAMESPACES)
        backends, namespaces = state_backends(context.configuration), self.namespaces or NO_NAMESPACES
        self._timers = InternalTimerService(
            context.processing_time, self._on_timer, backends.timers(namespaces), backends.timers(namespaces)
        )
        self._timers.restore(context.restored)
        self._sort = KeyedSort() if context.is_batch else None

    @property
    def state(self) -> KeyedStateBackend:
        """The keyed state."""
        return self._backend

    @property
    def is_slow(self) -> bool:
        return self._timers.pace.is_slow

    @property
    def timers(self) -> InternalTimerService:
        """The timers."""
        return self._timers

    def snapshot_state(self, barrier: Barrier) -> OperatorSnapshot:
        operator_state = self._function.snapshot(barrier)  # first, because it may change keyed state
        groups = self._key_groups
        timers = self._timers.freeze(barrier, self._max_parallelism, groups, is_incremental=self._is_incremental)
        return OperatorSnapshot((*self._backend.freeze(barrier, groups), *timers), operator_state)

    def _run_piece(self, batch: Batch, keys: Any, input_index: int) -> Outputs:
        """Yields the results of a small batch with these keys."""
        raise NotImplementedError(f"{type(self).__name__} does not define _run_piece()")

    def _on_timer(self, domain: TimeDomain, timestamp_ms: int, key: Any, namespace: Any) -> Outputs:
        """Yields the results of a timer."""
        raise NotImplementedError(f"{type(self).__name__} does not define _on_timer()")

    def process(self, batch: Batch, input_index: int = 0) -> Outputs:
        if batch.keys is None:
            raise InternalError(f"operator '{self._name}' got a batch without keys")
        if self._sort is not None:
            self._sort.add(batch, input_index)
            return
        for piece in slices_of(batch):
            yield from self._run_piece(piece, decode_keys(piece.keys), input_index)
            self._tidy()

    def process_control(self, element: ControlElement) -> Iterator[Element | SideOutput]:
        if isinstance(element, Watermark):
            if self._sort is not None and element == MAX_WATERMARK:
                yield from self._all_keys()
            for output in self._timers.advance_watermark(element.timestamp_ms):
                if output is REST:  # a barrier may pass: every buffered row is in some state
                    yield from self._outputs.take()
                yield output
            yield from self._outputs.take()
            self._tidy()
        yield element

    def _tidy(self) -> None:
        """Does work that snapshots left behind."""
        self._backend.tidy()
        self._timers.tidy()

    def finish(self) -> Outputs:
        if self._sort is not None:
            yield from self._all_keys()

    def close(self) -> None:
        sort = getattr(self, "_sort", None)
        if sort is not None:
            sort.close()
        super().close()

    def _all_keys(self) -> Outputs:
        """BATCH mode: key after key."""
        assert self._sort is not None
        for key, batches in self._sort.groups():
            for input_index, batch in batches:
                for piece in slices_of(batch):
                    yield from self._run_piece(piece, repeat(key), input_index)
            yield from self._timers.end_key()
            yield from self._outputs.take()
            self._backend.clear()
        self._sort.close()


class KeyedProcessOperator(KeyedOperator):
    """A KeyedProcessFunction: state of the record's key, timers."""

    def open(self, context: OperatorContext) -> None:
        super().open(context)
        self._context = ProcessContext(self._backend, TimerService(self._timers, self._backend))
        self._function.open(context, self._backend)
        self._record_calls = self._calls()
        self._timer_call: Call | None = getattr(self._function.function, "on_timer", None)

    def _run_piece(self, batch: Batch, keys: Any, input_index: int) -> Outputs:
        return self._run(self._record_calls[input_index], batch, keys, self._context, self._backend)

    def _on_timer(self, domain: TimeDomain, timestamp_ms: int, key: Any, namespace: Any) -> Outputs:
        self._backend.entry = key
        context = self._context
        context.stamp, context.domain = timestamp_ms, domain
        if self._timer_call is None:
            return
        try:
            emitted = self._timer_call(timestamp_ms, context)
            yield from self._outputs.gather(emitted, timestamp_ms)
        except Exception as error:
            self._function.fail(error, in_method=f"on_timer() of key {context.get_current_key()!r}")
        finally:
            context.domain = None
        if domain is TimeDomain.PROCESSING_TIME:
            yield from self._outputs.take()


class _NoKey:
    """Stands for the current key where there is none."""

    entry: Any = NO_KEY
