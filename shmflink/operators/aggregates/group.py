"""Grouped aggregation over columns: as much as pays before the shuffle, the rest after it.

::

    input ▸ LocalAggregate ──HASH on the key columns──▸ GlobalAggregate ▸ one row per key

The local step sends partial rows if its table reduces the number of rows, otherwise the unchanged rows (keys and
arguments only), which costs no hashing. The global step accepts both and distinguishes them by their columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pyarrow as pa

from shmflink.core.batch import Batch
from shmflink.core.changelog import Changelog
from shmflink.core.elements import MAX_WATERMARK, Barrier, ControlElement, Element
from shmflink.operators.aggregates.snapshots import AGGREGATE, TableState
from shmflink.operators.aggregates.spec import AggregateSpec
from shmflink.operators.base import Operator, OperatorContext
from shmflink.state.operator_state import OperatorStatePart, Redistribution
from shmflink.state.snapshots import OperatorSnapshot

__all__ = ["OUTPUT_ROWS_MAX", "AggregateSpec", "GlobalAggregateOperator", "LocalAggregateOperator"]

_FINAL: Final = "final rows given"
"""Operator state: the input has ended, and the row of an aggregate without keys has been emitted."""

OUTPUT_ROWS_MAX: Final = 1 << 16  # rows of one batch of partial or final results

TABLE_BYTES_MAX: Final = 16 << 20  # of a local table; above this its cache misses cost as much as the shuffle
SAMPLE_ROWS: Final = 1 << 16  # rows in an empty table before its reduction is first judged
GROUPS_OF_SAMPLE_MAX: Final = 0.95  # groups per row of the sample; above this the keys do not repeat
REDUCTION_MIN: Final = 1.5  # rows per group of a full table; below this aggregating does not pay
PASSED_ROWS_MIN: Final = 1 << 21  # rows passed on unchanged before the next attempt ...
PASSED_ROWS_MAX: Final = 1 << 26  # ... doubled after each fruitless attempt, up to this


class LocalAggregateOperator(Operator):
    """Aggregates the input of one subtask before it is shuffled, as long as that pays.

    BATCH: keeps groups until the table is full, or until the end. STREAMING: until the end of each input batch, so that
    nothing is held back. Nothing is kept across a barrier, so there is no state to save. Key and argument expressions
    are evaluated here. Rows are emitted without timestamps.
    """

    def __init__(self, spec: AggregateSpec) -> None:
        self._spec = spec

    @property
    def insert_only_method(self) -> str:
        return "aggregate()" if self._spec.calls else "distinct()"

    def open(self, context: OperatorContext) -> None:
        self._is_batch = context.is_batch
        self._table = self._spec.table()
        self._rows_in_table = 0
        self._pass_rows = 0  # rows that are still to be passed on unchanged
        self._pass_rows_next = PASSED_ROWS_MIN

    def process(self, batch: Batch, input_index: int = 0) -> Iterator[Batch]:
        if self._pass_rows > 0:
            columns = self._spec.inputs(batch.columns())
            self._pass_rows -= columns.num_rows
            yield Batch.of_columns(columns)
            return
        columns = self._spec.table_inputs(batch.columns())
        self._table.update(columns)
        self._rows_in_table += columns.num_rows
        is_full = not self._is_batch or self._table.bytes > TABLE_BYTES_MAX
        if not self._is_worth_it(is_full=is_full) or is_full:
            yield from self._drain()

    def process_control(self, element: ControlElement) -> Iterator[Element]:
        if element == MAX_WATERMARK or isinstance(element, Barrier):
            yield from self._drain()
        yield element

    def finish(self) -> Iterator[Batch]:
        yield from self._drain()

    def _is_worth_it(self, *, is_full: bool) -> bool:
        """False if the table does not reduce the number of rows; from then on rows are passed on unchanged."""
        rows, groups = self._rows_in_table, self._table.num_groups
        if is_full:
            is_in_vain = groups * REDUCTION_MIN > rows
        else:
            is_in_vain = rows >= SAMPLE_ROWS and groups > rows * GROUPS_OF_SAMPLE_MAX
        if is_in_vain:
            self._pass_rows = self._pass_rows_next
            self._pass_rows_next = min(2 * self._pass_rows_next, PASSED_ROWS_MAX)
        elif is_full:
            self._pass_rows_next = PASSED_ROWS_MIN
        return not is_in_vain

    def _drain(self) -> Iterator[Batch]:
        self._rows_in_table = 0
        while (partials := self._table.drain_partials(OUTPUT_ROWS_MAX)) is not None:
            yield Batch.of_columns(partials)


class GlobalAggregateOperator(Operator):
    """Merges the output of local steps and emits the results.

    BATCH, or `is_final`: one row per key at the end of the input; without keys, one row even for empty input.
    STREAMING otherwise: after each input batch, the new result of every key that changed (an upsert). `takes_input`:
    the operator has no local step and evaluates keys and arguments itself.
    """

    def __init__(self, spec: AggregateSpec, *, takes_input: bool = False, is_final: bool = False) -> None:
        self._spec = spec
        self._takes_input = takes_input
        self._is_final = is_final

    @property
    def insert_only_method(self) -> str | None:
        return "aggregate()" if self._takes_input else None

    @property
    def changelog(self) -> Changelog | None:
        """Without calls (`distinct`), each key is emitted once."""
        return Changelog(tuple(self._spec.key_names)) if self._spec.calls and not self._is_final else None

    def with_final_results(self) -> GlobalAggregateOperator:
        return GlobalAggregateOperator(self._spec, takes_input=self._takes_input, is_final=True)

    def open(self, context: OperatorContext) -> None:
        self._waits = context.is_batch or self._is_final
        self._table = self._spec.table(tracks_changes=not self._waits)
        self._is_finished = False
        self._has_given = _FINAL in context.restored.operator_state
        self._state = TableState(context, AGGREGATE, self._spec)
        for batch in self._state.restored():
            self._table.restore(batch)
        self._table.end_restore()

    def process(self, batch: Batch, input_index: int = 0) -> Iterator[Batch]:
        columns = batch.columns()
        if self._takes_input:
            self._table.update(self._spec.table_inputs(columns))
        elif columns.schema.names == self._spec.partial_schema.names:
            self._table.merge(columns)
        else:
            self._table.update(columns)
        if not self._waits:
            while (results := self._table.take_changed(OUTPUT_ROWS_MAX)) is not None:
                yield self._results(results)

    def process_control(self, element: ControlElement) -> Iterator[Element]:
        if element == MAX_WATERMARK:
            yield from self.finish()
        yield element

    def finish(self) -> Iterator[Batch]:
        if not self._waits or self._is_finished:
            return
        self._is_finished = True
        if not self._has_given:
            self._table.ensure_group()
        while (results := self._table.drain_results(OUTPUT_ROWS_MAX)) is not None:
            yield self._results(results)
        self._table.clear()  # the next snapshot says that nothing is left, instead of that nothing changed

    def snapshot_state(self, barrier: Barrier) -> OperatorSnapshot:
        """What was emitted is no longer state: a job restored from a later checkpoint does not emit it again."""
        keyed = (self._state.frozen(self._table, barrier),)
        if not (self._is_finished or self._has_given):
            return OperatorSnapshot(keyed)
        return OperatorSnapshot(keyed, {_FINAL: OperatorStatePart(Redistribution.UNION, [True], _FINAL)})

    def _results(self, results: pa.RecordBatch) -> Batch:
        return Batch.of_columns(results)
