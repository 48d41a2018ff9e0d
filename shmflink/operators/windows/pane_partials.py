"""Rows aggregated by pane and key, before they are shuffled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa

from shmflink import _core
from shmflink.core.batch import Batch
from shmflink.operators.windows.pane_spec import PaneTimes, WindowAggregateSpec

__all__ = ["OUTPUT_ROWS_MAX", "PartialAggregates"]

OUTPUT_ROWS_MAX: Final = 1 << 14
"""Rows of one batch of partial rows or results: memory for its columns comes from malloc's pools. Columns four times
as large would be mapped and unmapped each time, which costs three times as much as computing them."""

_PANES_MAX: Final = 16  # that have their own table


class PartialAggregates:
    """Groups of some panes.

    A batch whose rows are all in one pane, the usual case, goes to that pane's own table by key. Other batches go to a
    table by pane and key. So a key may have two rows per pane.
    """

    def __init__(self, spec: WindowAggregateSpec) -> None:
        assert isinstance(spec.times, PaneTimes)
        self._spec = spec
        self._times = spec.times
        self._by_pane: dict[int, _core.GroupTable] = {}
        self._spare: list[_core.GroupTable] = []
        self._mixed = spec.pane_table()
        self.rows = 0

    @property
    def groups(self) -> int:
        """The number of rows that a drain would return."""
        return self._mixed.num_groups + sum(table.num_groups for table in self._by_pane.values())

    @property
    def bytes(self) -> int:
        """Memory of the groups."""
        return self._mixed.bytes + sum(table.bytes for table in self._by_pane.values())

    def update(self, inputs: pa.RecordBatch, timestamps: pa.Int64Array, least_ms: int, most_ms: int) -> None:
        """Adds keys and arguments. `least_ms` and `most_ms` are the first and the last timestamp."""
        self.rows += inputs.num_rows
        pane_ms = self._times.pane_of(least_ms)
        if pane_ms != self._times.pane_of(most_ms) or (
            len(self._by_pane) == _PANES_MAX and pane_ms not in self._by_pane
        ):
            self._mixed.update(self._spec.with_panes(inputs, timestamps))
            return
        if pane_ms not in self._by_pane:
            self._by_pane[pane_ms] = self._spare.pop() if self._spare else self._spec.aggregate.table()
        self._by_pane[pane_ms].update(inputs)

    def drain(self) -> Iterator[Batch]:
        """All groups as partial rows, whose timestamps are the starts of their panes; empties the tables."""
        self.rows = 0
        tables, self._by_pane = self._by_pane, {}
        for pane_ms, table in tables.items():
            while (partials := table.drain_partials(OUTPUT_ROWS_MAX)) is not None:
                panes = pa.array(np.full(partials.num_rows, pane_ms, np.int64))
                yield Batch.of_columns(partials, timestamps=panes)
            self._spare.append(table)
        schema = self._spec.aggregate.partial_schema
        while (partials := self._mixed.drain_partials(OUTPUT_ROWS_MAX)) is not None:
            starts, *columns = partials.columns
            rows = pa.RecordBatch.from_arrays(columns, schema=schema) if columns else partials.select([])
            yield Batch.of_columns(rows, timestamps=starts)
