"""The step of a vectorized window before the shuffle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pyarrow as pa

from shmflink.core.batch import Batch
from shmflink.core.elements import (
    MAX_WATERMARK,
    MIN_TIMESTAMP_MS,
    ControlElement,
    Element,
    LatencyMarker,
    Watermark,
)
from shmflink.core.lazy_imports import pc
from shmflink.core.plain_columns import kept
from shmflink.errors import UsageError
from shmflink.operators.aggregates.group import (
    GROUPS_OF_SAMPLE_MAX,
    PASSED_ROWS_MAX,
    PASSED_ROWS_MIN,
    REDUCTION_MIN,
    SAMPLE_ROWS,
    TABLE_BYTES_MAX,
)
from shmflink.operators.base import Operator, OperatorContext
from shmflink.operators.windows.pane_partials import PartialAggregates
from shmflink.operators.windows.pane_spec import ROW_COLUMN, PaneTimes, WindowAggregateSpec

__all__ = ["LocalWindowAggregateOperator", "checked_timestamps", "inputs_of"]

_JUDGED_ROWS_MIN: Final = 1 << 12  # fewer rows between two watermarks show nothing


class LocalWindowAggregateOperator(Operator):
    """Aggregates rows by pane and key as long as that pays; nothing is held back across a watermark or barrier.

    ::

        partial rows     keys, states; their timestamp is the start of their pane
        rows             keys, arguments; of sessions, of processing time, if aggregating does not pay, and those that
            seem late here: the next step decides, and counts them
        rows to return   keys, arguments, `__row`: if late rows go to a side output

    Watermarks here are never behind those of the next step, except for a source that was idle: its partial rows may be
    late there, and count as one late row each.
    """

    def __init__(self, spec: WindowAggregateSpec) -> None:
        self._spec = spec

    @property
    def insert_only_method(self) -> str:
        return "aggregate() of windows"

    def open(self, context: OperatorContext) -> None:
        self._name = context.operator_name
        self._is_batch = context.is_batch
        self._late_before_ms = MIN_TIMESTAMP_MS
        self._partials = PartialAggregates(self._spec) if self._spec.has_local_step else None
        self._pass_rows = 0  # rows that are still to be passed on unchanged
        self._pass_rows_next = PASSED_ROWS_MIN

    def process(self, batch: Batch, input_index: int = 0) -> Iterator[Batch]:
        spec = self._spec
        if batch.num_rows == 0:
            return
        inputs = inputs_of(spec, batch).columns()
        if not spec.times.is_event_time:
            yield Batch.of_columns(inputs, timestamps=batch.timestamps)
            return
        timestamps, least_ms, most_ms = checked_timestamps(batch, self._name)
        if self._partials is None or self._pass_rows > 0:
            self._pass_rows -= batch.num_rows
            yield Batch.of_columns(inputs, timestamps=timestamps)
            return
        if least_ms < self._late_before_ms:
            is_late = pc.less(timestamps, self._late_before_ms)
            yield Batch.of_columns(kept(inputs, is_late), timestamps=timestamps.filter(is_late))
            in_time = pc.invert(is_late)
            inputs, timestamps = kept(inputs, in_time), timestamps.filter(in_time)
            if not inputs.num_rows:
                return
            least_ms = pc.min(timestamps).as_py()
        self._partials.update(inputs, timestamps, least_ms, most_ms)
        if self._partials.bytes > TABLE_BYTES_MAX or self._is_vain_so_far(self._partials):
            yield from self._drain()

    def process_control(self, element: ControlElement) -> Iterator[Element]:
        is_end = element == MAX_WATERMARK
        if not isinstance(element, LatencyMarker) and (is_end or not self._is_batch):
            yield from self._drain()
        if isinstance(element, Watermark) and not is_end and isinstance(self._spec.times, PaneTimes):
            lateness_ms = self._spec.allowed_lateness_ms
            self._late_before_ms = self._spec.times.late_before_ms(element.timestamp_ms, lateness_ms)
        yield element

    def finish(self) -> Iterator[Batch]:
        yield from self._drain()

    def _is_vain_so_far(self, partials: PartialAggregates) -> bool:
        return partials.rows >= SAMPLE_ROWS and partials.groups > partials.rows * GROUPS_OF_SAMPLE_MAX

    def _drain(self) -> Iterator[Batch]:
        """Emits partial rows, and first measures how few they are."""
        partials = self._partials
        if partials is None or partials.rows == 0:
            return
        if partials.rows >= _JUDGED_ROWS_MIN and self._spec.aggregate.keys:
            if partials.groups * REDUCTION_MIN > partials.rows:
                self._pass_rows = self._pass_rows_next
                self._pass_rows_next = min(2 * self._pass_rows_next, PASSED_ROWS_MAX)
            else:
                self._pass_rows_next = PASSED_ROWS_MIN
        yield from partials.drain()


def checked_timestamps(batch: Batch, operator: str) -> tuple[pa.Int64Array, int, int]:
    """The timestamps of all rows, and the first and last of them. The batch must have rows.

    Raises:
        UsageError: one has no timestamp.
    """
    timestamps = batch.timestamps
    if timestamps is not None and not timestamps.null_count:
        bounds = pc.min_max(timestamps)
        least_ms, most_ms = bounds["min"].as_py(), bounds["max"].as_py()
        if least_ms != MIN_TIMESTAMP_MS:
            return timestamps, least_ms, most_ms
    raise UsageError(
        f"operator '{operator}': a record has no timestamp, but event-time windows need one: call "
        "assign_timestamps_and_watermarks(), give from_source() a WatermarkStrategy with timestamps, or use "
        "processing-time windows"
    )


def inputs_of(spec: WindowAggregateSpec, batch: Batch) -> Batch:
    """Keys and arguments, and the whole rows if late ones may have to be returned."""
    columns = batch.columns()
    inputs = spec.aggregate.inputs(columns)
    if spec.late_data is not None:
        inputs = _with_rows(inputs, columns)
    return Batch.of_columns(inputs, timestamps=batch.timestamps)


def _with_rows(inputs: pa.RecordBatch, columns: pa.RecordBatch) -> pa.RecordBatch:
    rows = pa.StructArray.from_arrays(columns.columns, fields=list(columns.schema))
    return pa.RecordBatch.from_arrays(
        [*inputs.columns, rows], schema=inputs.schema.append(pa.field(ROW_COLUMN, rows.type))
    )
