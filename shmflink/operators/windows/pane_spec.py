"""What a vectorized window computes: windows, keys, aggregates, and the columns of its two steps."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from shmflink import _core
from shmflink import expressions as ex
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.output_tag import OutputTag
from shmflink.errors import TypeMismatchError
from shmflink.operators.aggregates.spec import AggregateSpec
from shmflink.operators.windows.window_times import PaneTimes, SessionTimes, WindowTimes

if TYPE_CHECKING:
    from shmflink.expressions import BoundExpressions, Expression

__all__ = ["ROW_COLUMN", "PaneTimes", "SessionTimes", "WindowAggregateSpec", "WindowTimes"]

ROW_COLUMN: Final = "__row"
"""A struct of all input columns, besides keys and arguments, if late rows are needed."""

_PANE_COLUMN: Final = "__pane"
_WINDOW_TYPE: Final = pa.timestamp("ms")


@dataclass(frozen=True)
class WindowAggregateSpec:
    """Computes `aggregate` in each window of each key.

    `names`: of the columns for a window's start and end (timestamp[ms]), which come between keys and results.
    `columns`: the final output computed from all of them, by name; empty: they are emitted unchanged.

    Raises:
        TypeMismatchError: a name occurs twice.
    """

    aggregate: AggregateSpec
    times: WindowTimes
    names: tuple[str, str] = ("window_start", "window_end")
    allowed_lateness_ms: int = 0
    late_data: OutputTag | None = None
    columns: tuple[tuple[str, Expression], ...] = ()

    def __post_init__(self) -> None:
        names = self.table_schema.names
        for name in self.names:
            if names.count(name) > 1:
                raise TypeMismatchError(
                    f"aggregate(): `{name}` is the window's column and also the name of a key or a result; "
                    f"rename the window's "
                    "columns with window_start='...' and window_end='...'"
                )

    def over(self, schema: pa.Schema) -> WindowAggregateSpec:
        """The same over rows of another schema."""
        return dataclasses.replace(self, aggregate=dataclasses.replace(self.aggregate, schema=schema))

    @cached_property
    def bound_columns(self) -> BoundExpressions | None:
        """The output computed from the table's columns; None if they are emitted unchanged."""
        if not self.columns:
            return None
        return ex.bind([expression for _, expression in self.columns], self.table_schema)

    @property
    def result_schema(self) -> pa.Schema:
        """The emitted columns."""
        bound = self.bound_columns
        if bound is None:
            return self.table_schema
        return pa.schema(list(zip((name for name, _ in self.columns), bound.fields.types, strict=True)))

    @cached_property
    def table_schema(self) -> pa.Schema:
        """Keys, start, end, results of the calls."""
        fields = list(self.aggregate.result_schema)
        count = len(self.aggregate.keys)
        window = [pa.field(name, _WINDOW_TYPE) for name in self.names]
        return pa.schema(fields[:count] + window + fields[count:])

    @property
    def has_local_step(self) -> bool:
        """Whether rows can be aggregated before the shuffle: their pane must be known, and no row must be returned."""
        times = self.times
        return isinstance(times, PaneTimes) and times.is_event_time and not times.has_gaps and self.late_data is None

    def pane_table(self) -> _core.GroupTable:
        """An empty table by pane and key, for rows that `with_panes` made."""
        spec = self.aggregate
        keys = spec.key_schema.insert(0, pa.field(_PANE_COLUMN, pa.int64()))
        return _core.GroupTable(keys, spec.argument_schema, spec.native_calls)

    def with_panes(self, inputs: pa.RecordBatch, timestamps: pa.Int64Array) -> pa.RecordBatch:
        """Keys and arguments, after their panes."""
        assert isinstance(self.times, PaneTimes)
        fields = [pa.field(_PANE_COLUMN, pa.int64()), *inputs.schema]
        return pa.RecordBatch.from_arrays([self.times.panes(timestamps), *inputs.columns], schema=pa.schema(fields))

    def window_table(self) -> _core.WindowTable:
        """An empty table of windows."""
        spec, times, lateness = self.aggregate, self.times, self.allowed_lateness_ms
        parts = (spec.key_schema, spec.argument_schema, spec.native_calls, self.names)
        if isinstance(times, SessionTimes):
            return _core.WindowTable.sessions(*parts, gap=times.gap_ms, lateness=lateness)
        return _core.WindowTable.sliding(
            *parts, size=times.size_ms, slide=times.slide_ms, offset=times.offset_ms, lateness=lateness
        )
