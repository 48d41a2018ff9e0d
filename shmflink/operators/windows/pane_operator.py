"""Windows of built-in aggregates, pane by pane: the step after the shuffle.

::

    input ▸ LocalWindowAggregate ──HASH on the key columns──▸ GlobalWindowAggregate ▸ one row per key and window

Gives the same results as `window_operator.py` with the same functions and the default trigger: a window fires when time
has passed its end. Rows that arrive later, but not too late, fire it again: once per batch, for the keys of these rows.
The cost of a row does not depend on how many windows contain it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pyarrow as pa

from shmflink.core.batch import Batch
from shmflink.core.changelog import Changelog
from shmflink.core.elements import MAX_WATERMARK, MIN_TIMESTAMP_MS, Barrier, ControlElement, Element, Watermark
from shmflink.operators.aggregates.snapshots import WINDOWS, TableState
from shmflink.operators.base import Operator, OperatorContext, SideOutput
from shmflink.operators.functions.runtime_context import OperatorRuntimeContext
from shmflink.operators.windows.pane_local import (
    LocalWindowAggregateOperator,
    checked_timestamps,
    inputs_of,
)
from shmflink.operators.windows.pane_partials import OUTPUT_ROWS_MAX
from shmflink.operators.windows.pane_spec import ROW_COLUMN, SessionTimes, WindowAggregateSpec
from shmflink.state.operator_state import OperatorStatePart, Redistribution
from shmflink.state.snapshots import OperatorSnapshot, RestoredState

__all__ = ["GlobalWindowAggregateOperator", "LocalWindowAggregateOperator", "WindowAggregateSpec"]

Outputs = Iterator[Batch | SideOutput]

_FIRED: Final = "fired windows"
"""Operator state: the range of key groups whose windows have fired, and up to which timestamp."""


class GlobalWindowAggregateOperator(Operator):
    """Stores the output of local steps by window, and emits results when time has passed the window.

    Event time: by watermarks; in BATCH mode only by the one that ends the input. Processing time: by the clock; windows
    still open at the end of the input are dropped, in BATCH mode emitted. `takes_input`: the operator has no local
    step. `is_final`: a window with allowed lateness is emitted once, when no row can change it any longer: like a
    window without lateness under a watermark that is earlier by the allowed lateness.
    """

    def __init__(self, spec: WindowAggregateSpec, *, takes_input: bool = False, is_final: bool = False) -> None:
        self._given = spec
        self._takes_input = takes_input
        self._delay_ms = spec.allowed_lateness_ms if is_final else 0
        self._spec = replace(spec, allowed_lateness_ms=0) if is_final else spec

    @property
    def insert_only_method(self) -> str | None:
        return "aggregate() of windows" if self._takes_input else None

    @property
    def changelog(self) -> Changelog | None:
        """Late rows make windows fire again. Sessions that late rows merge are emitted with another start."""
        spec = self._spec
        if not (spec.allowed_lateness_ms and spec.times.is_event_time):
            return None
        start, end = (name if name in spec.result_schema.names else None for name in spec.names)
        window = start or end
        if isinstance(spec.times, SessionTimes) or window is None:
            return Changelog(None, ends_with_input=False)
        return Changelog((*spec.aggregate.key_names, window), ends_with_input=False)

    def with_final_results(self) -> GlobalWindowAggregateOperator:
        return GlobalWindowAggregateOperator(self._given, takes_input=self._takes_input, is_final=True)

    def open(self, context: OperatorContext) -> None:
        self._name = context.operator_name
        self._is_batch = context.is_batch
        self._key_groups, self._max_parallelism = context.key_groups, context.max_parallelism
        self._time = context.processing_time
        self._is_event_time = self._spec.times.is_event_time
        self._scheduled_ms: int | None = None
        self._table = self._spec.window_table()
        self._late_dropped: Any = OperatorRuntimeContext(context).get_metrics_group().counter("numLateRecordsDropped")
        self._is_finished = False
        self._bound, self._result_schema = self._spec.bound_columns, self._spec.result_schema
        self._names_of_partials = self._spec.aggregate.partial_schema.names
        self._state = TableState(context, WINDOWS, self._spec.aggregate, f"{self._spec.times}, ")
        self._restore(context.restored)

    def process(self, batch: Batch, input_index: int = 0) -> Outputs:
        if batch.num_rows == 0:
            return
        if self._takes_input:
            batch = inputs_of(self._spec, batch)
        columns = batch.columns()
        timestamps = self._timestamps(batch)
        rows = None
        if columns.schema.names == self._names_of_partials:
            late = self._table.merge(columns, timestamps)
        else:
            if columns.num_columns and columns.schema.names[-1] == ROW_COLUMN:
                rows = columns.column(columns.num_columns - 1)
                columns = columns.select(range(columns.num_columns - 1))
            late = self._table.update(columns, timestamps)
        if late is not None:
            yield from self._put_aside(late, rows, timestamps)
        yield from self._results()
        if not self._is_event_time:
            self._schedule()

    def process_control(self, element: ControlElement) -> Iterator[Element | SideOutput]:
        if isinstance(element, Watermark):
            if element == MAX_WATERMARK and self._is_batch:
                yield from self.finish()
            elif self._is_event_time and not self._is_batch:
                element = self._delayed(element)  # so that what follows does not consider the windows late
                self._table.advance(element.timestamp_ms)
                yield from self._results()
        yield element

    def _delayed(self, watermark: Watermark) -> Watermark:
        """The time up to which no row can change a window any longer."""
        if watermark == MAX_WATERMARK or not self._delay_ms:
            return watermark
        return Watermark(max(watermark.timestamp_ms - self._delay_ms, MIN_TIMESTAMP_MS))

    def finish(self) -> Outputs:
        if not self._is_batch or self._is_finished:
            return
        self._is_finished = True
        self._table.advance(MAX_WATERMARK.timestamp_ms)
        yield from self._results()

    # --- snapshots ---

    def snapshot_state(self, barrier: Barrier) -> OperatorSnapshot:
        fired = self._table.fired_ranges(self._key_groups.start, self._key_groups.stop)
        return OperatorSnapshot(
            keyed=(self._state.frozen(self._table, barrier),),
            operator_state={_FIRED: OperatorStatePart(Redistribution.UNION, fired, _FIRED)},
        )

    def _restore(self, restored: RestoredState) -> None:
        """Windows that have fired do not fire again after a restore, and rows that were late are late again."""
        for batch in self._state.restored():
            self._table.restore(batch)
        part, mine = restored.operator_state.get(_FIRED), self._key_groups
        # Subtasks that saw the same barrier saw the same watermarks, unless the barrier overtook one.
        fired = [each for each in part.elements if each[0] < mine.stop and mine.start < each[1]] if part else []
        is_late_at = min((until for _, _, until in fired), default=MIN_TIMESTAMP_MS)
        watermark_ms = is_late_at if self._is_event_time else MIN_TIMESTAMP_MS
        self._table.end_restore(fired, watermark_ms, self._max_parallelism)
        if not self._is_event_time:
            self._schedule()

    # --- input and output ---

    def _timestamps(self, batch: Batch) -> pa.Int64Array:
        if self._is_event_time:
            return checked_timestamps(batch, self._name)[0]
        return pa.array(np.full(batch.num_rows, self._time.now_ms(), np.int64))

    def _results(self) -> Iterator[Batch]:
        while (results := self._table.take_results(OUTPUT_ROWS_MAX)) is not None:
            batch = Batch.from_wire(results)
            if self._bound is not None:
                arrays = self._bound.evaluate(batch.columns())
                columns = pa.RecordBatch.from_arrays(arrays, schema=self._result_schema)
                batch = Batch.of_columns(columns, timestamps=batch.timestamps)
            yield batch

    def _put_aside(self, late: pa.Int64Array, rows: pa.StructArray | None, timestamps: pa.Int64Array) -> Outputs:
        tag = self._spec.late_data
        if tag is None or rows is None:
            self._late_dropped.inc(len(late))
            return
        columns = pa.RecordBatch.from_struct_array(rows.take(late))
        yield SideOutput(tag.tag_id, Batch.of_columns(columns, tag.declared_type, timestamps=timestamps.take(late)))

    # --- processing time ---

    def _schedule(self) -> None:
        """A window fires a millisecond after its greatest timestamp, as with the timers of `timer_service.py`."""
        due_ms = self._table.next_due
        if due_ms is not None and (self._scheduled_ms is None or due_ms + 1 < self._scheduled_ms):
            self._scheduled_ms = due_ms + 1
            self._time.schedule(due_ms + 1, self._on_processing_time)

    def _on_processing_time(self, at_ms: int) -> Outputs:
        if self._scheduled_ms == at_ms:
            self._scheduled_ms = None
        self._table.advance(self._time.now_ms() - 1)
        yield from self._results()
        self._schedule()
