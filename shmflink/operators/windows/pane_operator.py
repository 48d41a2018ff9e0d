"""Windows of built-in aggregates, a pane at a time: the step behind the shuffle.

::

    input ▸ LocalWindowAggregate ──HASH on the key columns──▸ GlobalWindowAggregate ▸ one row for each key and window

The same results as `window_operator.py` gives with the same functions and the default trigger, which fires when time
has passed a window; rows that come later, and not too late, fire it again: once for each batch, with the keys of these
rows. What a row costs does not depend on how many windows it is in.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa

from shmflink.core.batch import Batch
from shmflink.core.elements import MAX_WATERMARK, ControlElement, Element, Watermark
from shmflink.core.key_groups import key_groups as assign_key_groups
from shmflink.errors import InternalError
from shmflink.operators.base import Operator, OperatorContext, SideOutput
from shmflink.operators.runtime_context import OperatorRuntimeContext
from shmflink.operators.windows.pane_local import (
    LocalWindowAggregateOperator,
    checked_timestamps,
    inputs_of,
)
from shmflink.operators.windows.pane_partials import OUTPUT_ROWS_MAX
from shmflink.operators.windows.pane_spec import ROW_COLUMN, WindowAggregateSpec

__all__ = ["GlobalWindowAggregateOperator", "LocalWindowAggregateOperator", "WindowAggregateSpec"]

Outputs = Iterator[Batch | SideOutput]

_FIRED_KEY: Final = b"fired_until_ms"


class GlobalWindowAggregateOperator(Operator):
    """Keeps what local steps sent by window, and gives results when time has passed the window.

    Event time: by watermarks; in BATCH mode only by the one that ends the input. Processing time: by the clock; what is
    open at the end of the input is dropped, in BATCH mode it leaves. `takes_input`: it stands alone, without a local
    step.
    """

    def __init__(self, spec: WindowAggregateSpec, *, takes_input: bool = False) -> None:
        self._spec = spec
        self._takes_input = takes_input

    def open(self, context: OperatorContext) -> None:
        self._name = context.operator_name
        self._is_batch = context.is_batch
        self._max_parallelism = context.max_parallelism
        self._time = context.processing_time
        self._is_event_time = self._spec.times.is_event_time
        self._scheduled_ms: int | None = None
        self._table = self._spec.window_table()
        self._late_dropped: Any = OperatorRuntimeContext(context).get_metrics_group().counter("numLateRecordsDropped")
        self._is_finished = False
        self._bound, self._result_schema = self._spec.bound_columns, self._spec.result_schema
        self._names_of_partials = self._spec.aggregate.partial_schema.names

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
                self._table.advance(element.timestamp_ms)
                yield from self._results()
        yield element

    def finish(self) -> Outputs:
        if not self._is_batch or self._is_finished:
            return
        self._is_finished = True
        self._table.advance(MAX_WATERMARK.timestamp_ms)
        yield from self._results()

    # --- snapshots ---

    def snapshot(self, key_groups: range) -> dict[int, pa.RecordBatch]:
        """Partial rows of each key group, with what they are part of; empty groups are left out.

        Raises:
            InternalError: a key lies outside of `key_groups`; it was sent to the wrong subtask.
        """
        batches = self._table.snapshot()
        if not batches:
            return {}
        schema = batches[0].schema.with_metadata({_FIRED_KEY: str(self._table.fired_until).encode()})
        rows = pa.Table.from_batches(batches).replace_schema_metadata(schema.metadata)
        [kept] = rows.combine_chunks().to_batches()
        return dict(self._by_group(kept, key_groups))

    def restore(self, snapshot: dict[int, pa.RecordBatch], key_groups: range) -> None:
        """Adds the state of these key groups, whoever had them. Comes after `open` and before any input."""
        mine = [rows for group, rows in snapshot.items() if group in key_groups]
        if not mine:
            return
        # Aligned snapshots of all subtasks saw the same watermarks.
        fired_until = min(int(rows.schema.metadata[_FIRED_KEY]) for rows in mine)
        for rows in mine:
            self._table.restore(rows.replace_schema_metadata(None), fired_until)
        if not self._is_event_time:
            self._schedule()

    def _by_group(self, kept: pa.RecordBatch, key_groups: range) -> Iterator[tuple[int, pa.RecordBatch]]:
        count = len(self._spec.aggregate.keys)
        if not count:
            yield key_groups.start, kept
            return
        groups = assign_key_groups(kept.columns[:count], self._max_parallelism)
        order = np.argsort(groups, kind="stable")
        numbers, starts = np.unique(groups[order], return_index=True)
        for number, indices in zip(numbers.tolist(), np.split(order, starts[1:]), strict=True):
            if number not in key_groups:
                raise InternalError(f"windows of key group {number} in the subtask of key groups {key_groups}")
            yield number, kept.take(pa.array(indices))

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
        """A window leaves a millisecond after its greatest timestamp, as with the timers of `timer_service.py`."""
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
