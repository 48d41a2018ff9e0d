"""The operators behind `AsyncDataStream`: many calls of a user's coroutine in flight (Flink: AsyncWaitOperator).

Unlike in PyFlink, calls stay in flight across batches, watermarks and checkpoints. A checkpoint contains the inputs
whose results were not emitted yet; after a restore, their calls are repeated.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Final

import pyarrow as pa

from shmflink.core.batch import Batch
from shmflink.core.elements import MIN_TIMESTAMP_MS, Barrier, ControlElement, Element, Watermark, WatermarkStatus
from shmflink.core.isolation import ISOLATION
from shmflink.core.types.typeinfo import TypeInformation
from shmflink.operators.asynchronous.calls import AsyncCall, AsyncCalls
from shmflink.operators.asynchronous.queue import Entry, OrderedQueue, ResultQueue, UnorderedQueue
from shmflink.operators.asynchronous.retry import RetryStrategy
from shmflink.operators.base import PAUSE, OperatorContext, SideOutput
from shmflink.operators.columns.batch_results import BatchResults, DescribedBatch
from shmflink.operators.functions.function_operator import FunctionOperator
from shmflink.operators.functions.record_outputs import RecordOutputs
from shmflink.operators.functions.user_function import UserFunction
from shmflink.state.operator_state import OperatorStatePart, Redistribution
from shmflink.state.snapshots import OperatorSnapshot

__all__ = ["INPUTS_STATE", "AsyncBatchWaitOperator", "AsyncUserFunction", "AsyncWaitOperator"]

INPUTS_STATE: Final = "_async_wait_inputs"
"""The inputs whose results were not emitted, in order: (row, timestamp in ms), or Arrow IPC streams of one batch
each.
"""

_METHOD: Final = "async_invoke"

Outputs = Iterator[Batch | SideOutput]


class AsyncUserFunction(UserFunction):
    """A function object with a coroutine `async_invoke(value)`."""

    coroutines = frozenset((_METHOD,))

    __slots__ = ()


class _AsyncOperator(FunctionOperator):
    """The common part: calls, their order, checkpoints. Subclasses define the unit for which a call is made."""

    def __init__(
        self,
        function: Any,
        output_type: TypeInformation | None,
        *,
        is_ordered: bool,
        timeout_ms: int,
        capacity: int,
        retry: RetryStrategy | None = None,
    ) -> None:
        """`timeout_ms`: for all attempts of a call; 0 = no limit. `capacity`: calls in flight."""
        self._function = AsyncUserFunction(function, _METHOD)
        self._output_type = output_type
        self._is_ordered = is_ordered
        self._timeout_ms = timeout_ms
        self._capacity = capacity
        self._spare = capacity // 4  # additional inputs, so that no call waits for a batch
        self._retry = retry
        self._calls: AsyncCalls | None = None
        self._is_finishing = False

    @property
    def insert_only_method(self) -> str:
        return f"AsyncDataStream.{'ordered' if self._is_ordered else 'unordered'}_wait()"

    # --- units of calls ---

    @abstractmethod
    def _entries(self, batch: Batch) -> list[Entry]:
        """The calls for a batch."""

    @abstractmethod
    def _checked(self, results: Any) -> Any:
        """Checks the return value of a call; raises if it cannot be emitted."""

    @abstractmethod
    def _emit(self, entry: Entry) -> Outputs:
        """The results of a call; they may be buffered until `_flush`."""

    def _flush(self) -> Outputs:
        """The buffered results."""
        return iter(())

    @abstractmethod
    def _saved(self, entries: Sequence[Entry]) -> list[Any]:
        """The inputs of calls, for a checkpoint."""

    @abstractmethod
    def _restored(self, elements: Sequence[Any]) -> list[Entry]:
        """The calls for inputs of a checkpoint."""

    # --- life cycle ---

    def open(self, context: OperatorContext) -> None:
        self._queue: ResultQueue = OrderedQueue() if self._is_ordered else UnorderedQueue()
        self._failed: Entry | None = None
        function = self._function.function
        timeout_s = self._timeout_ms / 1000 if self._timeout_ms else None
        call = AsyncCall(function.async_invoke, function.timeout, self._checked, timeout_s, self._retry)
        self._calls = AsyncCalls(f"async {context.task_name}", context.mailbox, call, self._capacity)
        self._calls.run(lambda: self._function.open(context))
        restored = context.restored.operator_state.get(INPUTS_STATE)
        if restored is not None:
            self._submit(self._restored(restored.elements))

    def process(self, batch: Batch, input_index: int = 0) -> Iterator[Any]:
        while not self._has_room:
            yield from self._take()
            if not self._has_room:
                yield PAUSE
        self._submit(self._entries(batch))
        yield from self._take()

    def process_control(self, element: ControlElement) -> Iterator[Any]:
        if isinstance(element, (Watermark, WatermarkStatus)):
            self._queue.add_control(element)
            yield from self._take()
        else:
            yield element

    def finish(self) -> Iterator[Any]:
        self._is_finishing = True
        while len(self._queue):
            yield from self._take()
            if len(self._queue):
                yield PAUSE

    def snapshot_state(self, barrier: Barrier) -> OperatorSnapshot:
        elements = self._saved(list(self._queue.inputs()))
        part = OperatorStatePart(Redistribution.SPLIT_DISTRIBUTE, elements, "inputs in flight")
        return OperatorSnapshot(operator_state={**self._function.snapshot(barrier), INPUTS_STATE: part})

    def close(self) -> None:
        calls, self._calls = self._calls, None
        if calls is not None:
            calls.close(super().close)

    # --- results ---

    @property
    def is_available(self) -> bool:
        has_room = not len(self._queue) if self._is_finishing else self._has_room
        return has_room or self.has_outputs

    @property
    def is_slow(self) -> bool:
        return not self._has_room

    @property
    def has_outputs(self) -> bool:
        self._collect()
        return self._failed is not None or self._queue.has_ready

    def outputs(self) -> Iterator[Element | SideOutput]:
        return self._take()

    @property
    def _has_room(self) -> bool:
        return len(self._queue) <= self._capacity

    def _submit(self, entries: list[Entry]) -> None:
        assert self._calls is not None, "an input before open()"
        for entry in entries:
            self._queue.add(entry)
        self._calls.submit(entries)

    def _collect(self) -> None:
        if self._calls is None:
            return
        for entry in self._calls.collect():
            if entry.error is not None and self._failed is None:
                self._failed = entry
            self._queue.complete(entry)

    def _take(self) -> Iterator[Any]:
        """Yields all results that may be emitted. Raises the exception of a failed call."""
        self._collect()
        if self._failed is not None:
            assert self._failed.error is not None, "a call that failed without an error"
            self._function.fail(self._failed.error, self._failed.value, in_method=self._failed.in_method)
        left = 0
        for taken in self._queue.take():
            if isinstance(taken, Entry):
                left += 1
                yield from self._emit(taken)
            else:
                yield from self._flush()
                yield taken
        yield from self._flush()
        if left:
            assert self._calls is not None, "results before open()"
            self._calls.release(left)


class AsyncWaitOperator(_AsyncOperator):
    """A call for each row; its results get the row's timestamp."""

    def open(self, context: OperatorContext) -> None:
        self._outputs = RecordOutputs(self._output_type, context)
        super().open(context)

    @property
    def room(self) -> int:
        return max(1, self._capacity + self._spare - len(self._queue))

    def _entries(self, batch: Batch) -> list[Entry]:
        rows = batch.rows()
        stamps = [MIN_TIMESTAMP_MS] * len(rows) if batch.timestamps is None else batch.timestamps.to_pylist()
        return [Entry(row, stamp) for row, stamp in zip(rows, stamps, strict=True)]

    def _checked(self, results: Any) -> Any:
        if isinstance(results, (list, tuple, set)):
            return results
        where = f"please check the methods 'async_invoke' and 'timeout' of class '{type(self._function.function)}'."
        if results is None:
            raise RuntimeError(f"The result of AsyncFunction cannot be none, {where}")
        if hasattr(results, "__iter__") and not isinstance(results, (str, bytes, bytearray, dict)):
            return list(results)
        kind = type(results).__name__
        raise RuntimeError(f"The result of AsyncFunction should be of list type, {where} It was of type {kind}.")

    def _emit(self, entry: Entry) -> Outputs:
        rest = self._outputs.extend(entry.take_results(), entry.stamp)
        while rest is not None:
            yield from self._outputs.take()
            rest = self._outputs.extend(rest, entry.stamp)

    def _flush(self) -> Outputs:
        return self._outputs.take()

    def _saved(self, entries: Sequence[Entry]) -> list[Any]:
        rows = ISOLATION.isolated_list([entry.value for entry in entries])  # calls in flight may modify their rows
        return [(row, entry.stamp) for row, entry in zip(rows, entries, strict=True)]

    def _restored(self, elements: Sequence[Any]) -> list[Entry]:
        return [Entry(row, stamp) for row, stamp in elements]


class AsyncBatchWaitOperator(_AsyncOperator):
    """A call for each batch of columns; it returns what `BatchResults` describes."""

    is_per_record = False
    keeps_batches = True

    def open(self, context: OperatorContext) -> None:
        self._batches = BatchResults(_METHOD, context.operator_name, self._output_type, self._fail)
        super().open(context)

    def _entries(self, batch: Batch) -> list[Entry]:
        image = _image(batch.without_keys())
        return self._restored([image]) if batch.num_rows else []

    def _checked(self, results: Any) -> Any:
        return results

    def _emit(self, entry: Entry) -> Outputs:
        batch = entry.stamp[0]
        return self._batches.batches(entry.take_results(), batch, batch.columns())

    def _saved(self, entries: Sequence[Entry]) -> list[Any]:
        return [entry.stamp[1] for entry in entries]

    def _restored(self, elements: Sequence[Any]) -> list[Entry]:
        entries = []
        for image in elements:
            batch = Batch.from_wire(pa.ipc.open_stream(image).read_next_batch())
            entries.append(Entry(batch.columns(), (batch, image)))
        return entries

    def _fail(self, error: Exception, described: DescribedBatch) -> Any:
        self._function.fail(error, described, in_method=f"{_METHOD}()")


def _image(batch: Batch) -> bytes:
    """Copies the batch, because its memory is freed or reused while the call is in flight."""
    wire, sink = batch.to_wire(), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, wire.schema) as writer:
        writer.write_batch(wire)
    image: bytes = sink.getvalue().to_pybytes()
    return image
