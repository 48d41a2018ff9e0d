"""One operator on a bench: push rows, batches and watermarks in, look at what comes out."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Final, Self

import pyarrow as pa

from shmflink.core.batch import Batch
from shmflink.core.clock import Clock
from shmflink.core.elements import Barrier, ControlElement, Element, Watermark
from shmflink.core.isolation import isolated
from shmflink.core.keys.columns import encode_keys
from shmflink.core.keys.groups import range_of
from shmflink.core.types.typeinfo import TypeInformation
from shmflink.operators.base import PAUSE, Operator, OperatorContext, SideOutput
from shmflink.operators.time.processing_time import ProcessingTimeQueue
from shmflink.operators.time.timer_service import REST
from shmflink.operators.windows.assigners import WindowAssigner
from shmflink.state.descriptors import MapStateDescriptor
from shmflink.state.snapshots import NOTHING_RESTORED, OperatorSnapshot, RestoredState
from shmflink.testing.function_operators import operator_of
from shmflink.testing.manual_clock import ManualClock

__all__ = ["OperatorHarness"]

WAIT_SECONDS_MAX: Final = 30.0  # for results of other threads


class OperatorHarness:
    """Runs one operator as a task would: open, process, finish, close.

    >>> with OperatorHarness.of(lambda word: word.upper()) as harness:
    ...     harness.process_rows(["to", "be"])
    ...     harness.rows()
    ['TO', 'BE']

    A keyed function needs a `key_selector`; a test may look at one output at a time with `outputs_of`. Those who write
    operators of their own give one in place of a function: `OperatorHarness(MyOperator())`.
    """

    def __init__(
        self,
        operator: Operator,
        *,
        key_selector: Callable[[Any], Any] | None = None,
        key_selector2: Callable[[Any], Any] | None = None,
        is_batch: bool = False,
        name: str = "Operator",
        subtask_index: int = 0,
        parallelism: int = 1,
        max_parallelism: int = 128,
        clock: Clock | None = None,
        job_parameters: dict[str, str] | None = None,
        configuration: dict[str, str] | None = None,
        restored: RestoredState = NOTHING_RESTORED,
        key_groups: range | None = None,
    ) -> None:
        """`restored`: the state to resume from, which `restored_from` makes from snapshots. `key_groups`: the
        subtask's.
        """
        self.operator = operator
        self.clock = clock if clock is not None else ManualClock()
        self.elements: list[Element | SideOutput] = []
        self._key_selectors = (key_selector, key_selector2)
        self._processing_time = ProcessingTimeQueue(self.clock)
        self._mail: deque[Callable[[], Any]] = deque()
        self._woken = threading.Event()
        self._is_open = False
        self._barriers = 0
        self.context = OperatorContext(
            operator_name=name,
            operator_id="0" * 32,
            task_name=name,
            subtask_index=subtask_index,
            parallelism=parallelism,
            max_parallelism=max_parallelism,
            attempt=0,
            is_batch=is_batch,
            configuration=configuration or {},
            mailbox=self,
            clock=self.clock,
            job_parameters=job_parameters or {},
            processing_time=self._processing_time.service(0),
            key_groups=range_of(subtask_index, max_parallelism, parallelism) if key_groups is None else key_groups,
            restored=restored,
        )

    @classmethod
    def of(
        cls,
        function: Any,
        *,
        method: str | None = None,
        key_selector: Callable[[Any], Any] | None = None,
        key_selector2: Callable[[Any], Any] | None = None,
        window: WindowAssigner | None = None,
        broadcast_states: Sequence[MapStateDescriptor] = (),
        output_type: TypeInformation | None = None,
        **options: Any,
    ) -> Self:
        """The operator that a stream has for `function`: a function object (not a copy), or a callable.

        A callable is mapped unless `method` names another method of the stream ("flat_map", "filter", "reduce").
        `key_selector` makes the stream keyed, `key_selector2` the second one of a function of two streams. `window`:
        for a window function. `broadcast_states`: for one with a broadcast stream. `options`: as for the harness.
        """
        selectors = (key_selector, key_selector2)
        operator = operator_of(function, method, selectors, window, broadcast_states, output_type)
        if window is not None and key_selector is None:
            key_selector = _no_key
        return cls(operator, key_selector=key_selector, key_selector2=key_selector2, **options)

    # --- life cycle ---

    def open(self) -> None:
        """Called by `with`."""
        self._is_open = True
        self.operator.open(self.context)

    def close(self) -> None:
        """Called by `with`; also after a failed `open`."""
        if self._is_open:
            self._is_open = False
            self.operator.close()

    def __enter__(self) -> Self:
        try:
            self.open()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # --- input ---

    def process_rows(
        self,
        rows: Sequence[Any],
        row_type: TypeInformation | None = None,
        timestamps: Sequence[int] | None = None,
        input_index: int = 0,
    ) -> None:
        """One batch of Python rows, keyed by the key selector where there is one; 1 is the second of two inputs."""
        self.process_batch(self.batch(rows, row_type, timestamps, input_index), input_index)

    def process_batch(self, batch: Batch | pa.RecordBatch, input_index: int = 0) -> None:
        """Processes one batch; collects everything that it causes."""
        self._collect(self.outputs_of(batch, input_index))

    def process_watermark(self, timestamp_ms: int) -> None:
        """A watermark; what it causes is collected, the watermark itself last."""
        self.process_control(Watermark(timestamp_ms))

    def process_control(self, element: ControlElement) -> None:
        """A watermark, status, barrier or marker."""
        self._collect(self.operator.process_control(element))

    def advance_processing_time_ms(self, milliseconds: int) -> None:
        """Moves the clock, which must be a ManualClock; timers that come due run in their order."""
        assert isinstance(self.clock, ManualClock), "a harness with a clock of its own"
        until_ms = self.clock.processing_time_ms() + milliseconds
        while (next_ms := self._processing_time.next_ms) is not None and next_ms <= until_ms:
            self.clock.advance_ms(max(0, next_ms - self.clock.processing_time_ms()))
            self._collect(self._processing_time.take()[1])
        self.clock.advance_ms(until_ms - self.clock.processing_time_ms())

    def snapshot(self, barrier: Barrier | None = None) -> OperatorSnapshot:
        """What the operator freezes at a barrier, by default that of the next checkpoint."""
        self._barriers += 1
        if barrier is None:
            barrier = Barrier(self._barriers, self.clock.processing_time_ms())
        return self.operator.snapshot_state(barrier)

    def wait_for_rows(self, count: int) -> list[Any]:
        """Waits until `count` rows are there, some from calls in other threads. Returns all rows."""
        while len(self.rows()) < count:
            if not self.operator.has_outputs:
                assert self._woken.wait(WAIT_SECONDS_MAX), f"{self.rows()}, and nothing comes"
                self._woken.clear()
            self._collect(self.operator.outputs())
        return self.rows()

    def end_input(self, input_index: int) -> None:
        """The normal end of one of several inputs."""
        self._collect(self.operator.end_input(input_index))

    def finish(self) -> None:
        """The normal end of the input."""
        self._collect(self.operator.finish())

    def _collect(self, outputs: Iterable[Element | SideOutput]) -> None:
        """`REST` is for the slot alone: nothing comes out there. At a `PAUSE` the harness waits as a task does."""
        for output in outputs:
            if output is PAUSE:
                self._wait()
            elif output is not REST:
                self.elements.append(output)

    def _wait(self) -> None:
        while not self.operator.is_available:
            assert self._woken.wait(WAIT_SECONDS_MAX), "the operator waits, and no thread wakes it"
            self._woken.clear()

    def outputs_of(self, batch: Batch | pa.RecordBatch, input_index: int = 0) -> Iterator[Batch | SideOutput]:
        """Yields the outputs of a batch lazily, as a task pulls them; they are not collected."""
        if isinstance(batch, pa.RecordBatch):
            batch = Batch.of_columns(batch)
        return iter(self.operator.process(batch, input_index))

    def batch(
        self,
        rows: Sequence[Any],
        row_type: TypeInformation | None = None,
        timestamps: Sequence[int] | None = None,
        input_index: int = 0,
    ) -> Batch:
        """A batch as `process_rows` makes it."""
        selector = self._key_selectors[input_index]
        keys = None if selector is None else encode_keys([isolated(selector(row)) for row in rows])
        stamps = None if timestamps is None else pa.array(timestamps, pa.int64())
        return Batch.of_rows(list(rows), row_type, timestamps=stamps, keys=keys)

    # --- output ---

    def batches(self) -> list[Batch]:
        """The batches of the main output so far."""
        return [element for element in self.elements if isinstance(element, Batch)]

    def rows(self) -> list[Any]:
        """The rows of the main output so far."""
        return [row for batch in self.batches() for row in batch.rows()]

    def timestamps(self) -> list[int | None]:
        """The timestamps of `rows()`."""
        return [
            stamp
            for batch in self.batches()
            for stamp in ([None] * batch.num_rows if batch.timestamps is None else batch.timestamps.to_pylist())
        ]

    def watermarks(self) -> list[int]:
        """The watermarks passed on so far, in milliseconds."""
        return [element.timestamp_ms for element in self.elements if isinstance(element, Watermark)]

    def side_output(self, tag: str) -> list[Any]:
        """The rows of a side output so far."""
        return [
            row
            for element in self.elements
            if isinstance(element, SideOutput) and element.tag == tag
            for row in element.batch.rows()
        ]

    def clear(self) -> None:
        """Forgets the outputs so far."""
        self.elements.clear()

    # --- the mailbox that the operator sees ---

    def put(self, action: Callable[[], Any]) -> None:
        """Runs at the next `run_mail`."""
        self._mail.append(action)

    def wake(self) -> None:
        """Ends a wait for results of other threads."""
        self._woken.set()

    def run_mail(self) -> None:
        """Runs what other threads have put."""
        while self._mail:
            self._mail.popleft()()


def _no_key(_: Any) -> int:
    return 0
