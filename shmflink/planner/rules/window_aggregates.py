"""Aggregates by key and window over expressions: natively, by panes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.types.typeinfo import ColumnsTypeInfo, schema_of
from shmflink.errors import JobGraphError, TypeMismatchError
from shmflink.expressions import Expression, col, split_aggregates
from shmflink.operators.aggregates.spec import AggregateSpec
from shmflink.operators.windows.pane_columns import ColumnarLocalWindowAggregate
from shmflink.operators.windows.pane_operator import GlobalWindowAggregateOperator
from shmflink.operators.windows.pane_spec import WindowAggregateSpec, WindowTimes
from shmflink.plan.calls import NamedExpressions, WindowAggregate, Windows
from shmflink.plan.node import Node
from shmflink.planner.lowered import Lowered, Piece, Subtasks
from shmflink.planner.rules.aggregates import as_columns, by_keys, check_keys, described_aggregates, subtasks_of
from shmflink.planner.rules.columns import columns_type
from shmflink.planner.rules.windows import NEEDS_ELEMENTS, has_default_trigger

__all__ = ["native_times", "window_aggregate"]


@dataclass(frozen=True, slots=True)
class _Shown:
    """The columns for start and end; None: left out."""

    start: str | None
    end: str | None

    @property
    def names(self) -> tuple[str, str]:
        return (self.start or "__window_start", self.end or "__window_end")

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(name for name in (self.start, self.end) if name is not None)


def window_aggregate(call: WindowAggregate, inputs: Sequence[Node]) -> Lowered:
    """Local aggregates where the rows are, their partial rows by key, windows of them.

    Raises:
        TypeMismatchError: an expression does not fit the columns, a name is there twice.
        JobGraphError: windows, triggers and evictors that need a function.
    """
    times = native_times(call.windows)
    declared = columns_type(inputs[0].output_type, "aggregate")
    results, shown = dict(call.results), _Shown(call.start, call.end)
    spec = _spec_of(schema_of(declared), call.keys, results, shown)
    windows = WindowAggregateSpec(
        spec,
        times,
        shown.names,
        call.windows.allowed_lateness_ms,
        call.windows.late_data,
        _columns_of(spec, results, shown),
    )
    local = Piece(
        "LocalWindowAggregate",
        ColumnarLocalWindowAggregate(windows),
        ColumnsTypeInfo(spec.partial_schema),
        subtasks=Subtasks.LIKE_INPUT,
    )
    made = ColumnsTypeInfo(windows.result_schema)
    text = f"WindowAggregate({call.windows.assigner}; {described_aggregates(call.keys, results)})"
    last = Piece("WindowAggregate", GlobalWindowAggregateOperator(windows), made, text, subtasks_of(call.keys))
    why = "native: aggregated by window where the rows are made, then once more for each key and window"
    return Lowered(last.name, made, why, (*as_columns(declared), local), by_keys(call.keys), (last,))


def native_times(windows: Windows) -> WindowTimes:
    """The windows as native operators know them.

    Raises:
        JobGraphError: they need a function that is called for each record.
    """
    way_out = "give aggregate() an AggregateFunction, or use reduce(), apply() or process()"
    times = windows.assigner.fixed_times()
    if times is None:
        raise JobGraphError(
            f"aggregate() over expressions works with tumbling and sliding windows and sessions of a fixed gap, not "
            f"with {windows.assigner}: {way_out}"
        )
    if not has_default_trigger(windows):
        trigger = type(windows.trigger).__name__
        raise JobGraphError(
            f"aggregate() over expressions works with the default trigger, not with {trigger}: {way_out}"
        )
    if windows.evictor is not None:
        raise JobGraphError(NEEDS_ELEMENTS)
    return times


def _spec_of(
    schema: pa.Schema, keys: NamedExpressions, results: Mapping[str, Expression], shown: _Shown
) -> AggregateSpec:
    check_keys(keys, results, schema)
    for name in shown.columns:
        if name in results or any(name == key for key, _ in keys) or shown.columns.count(name) > 1:
            raise TypeMismatchError(
                f"aggregate(): `{name}` is the window's column, and the name of a key or a result; give the window "
                "other names: window_start='...', window_end='...'"
            )
    aggregates, _ = split_aggregates(results)
    return AggregateSpec(schema, keys, tuple(aggregates.items()))


def _columns_of(spec: AggregateSpec, results: Mapping[str, Expression], shown: _Shown) -> NamedExpressions:
    """What is made of keys, window and calls; nothing where they leave as they are."""
    _, finished = split_aggregates(results)
    is_plain = [str(result) for result in finished.values()] == [name for name, _ in spec.calls]
    if is_plain and shown.columns == shown.names:
        return ()
    names = [*spec.key_names, *shown.columns]
    return tuple(({name: col(name) for name in names} | finished).items())
