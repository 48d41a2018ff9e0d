"""Aggregates by key and window over expressions: natively, by panes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from shmflink import expressions as ex
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.types.typeinfo import ColumnsTypeInfo, schema_of
from shmflink.errors import JobGraphError, TypeMismatchError
from shmflink.operators.windows.pane_columns import ColumnarLocalWindowAggregate
from shmflink.operators.windows.pane_operator import GlobalWindowAggregateOperator
from shmflink.operators.windows.pane_spec import WindowAggregateSpec, WindowTimes
from shmflink.planner.lowered import Lowered, Piece
from shmflink.planner.rules.aggregates import described_aggregates, in_two_halves, local_half, subtasks_of, taken_apart
from shmflink.planner.rules.columns import columns_type
from shmflink.planner.rules.windows import NEEDS_ELEMENTS, has_default_trigger

if TYPE_CHECKING:
    from shmflink.expressions import Expression
    from shmflink.operators.aggregates.spec import AggregateSpec
    from shmflink.plan.calls import NamedExpressions, WindowAggregate, Windows
    from shmflink.plan.node import Node

__all__ = ["native_times", "window_aggregate"]


@dataclass(frozen=True, slots=True)
class _Shown:
    """The columns for start and end; None: omitted."""

    start: str | None
    end: str | None

    @property
    def names(self) -> tuple[str, str]:
        return (self.start or "__window_start", self.end or "__window_end")

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(name for name in (self.start, self.end) if name is not None)


def window_aggregate(call: WindowAggregate, inputs: Sequence[Node]) -> Lowered:
    """Aggregates in the tasks that produce the rows, and merges the partial rows by key and window.

    Raises:
        TypeMismatchError: an expression does not fit the columns, or a name appears twice.
        JobGraphError: the windows, trigger or evictor need a function.
    """
    times = native_times(call.windows)
    declared = columns_type(inputs[0].output_type, "aggregate")
    results, shown = dict(call.results), _Shown(call.start, call.end)
    spec, finished = taken_apart(schema_of(declared), call.keys, results)
    _check_names(shown, [*spec.key_names, *results])
    windows = WindowAggregateSpec(
        spec,
        times,
        shown.names,
        call.windows.allowed_lateness_ms,
        call.windows.late_data,
        _columns_of(spec, finished, shown),
    )
    local = local_half("LocalWindowAggregate", ColumnarLocalWindowAggregate(windows), spec)
    made = ColumnsTypeInfo(windows.result_schema)
    text = f"WindowAggregate({call.windows.assigner}; {described_aggregates(call.keys, results)})"
    last = Piece("WindowAggregate", GlobalWindowAggregateOperator(windows), made, text, subtasks_of(call.keys))
    why = "native: pre-aggregated by window in the tasks that produce the rows, then merged by key and window"
    return in_two_halves(declared, call.keys, local, (last,), why)


def native_times(windows: Windows) -> WindowTimes:
    """The windows in the form that native operators use.

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


def _check_names(shown: _Shown, others: Sequence[str]) -> None:
    """`others`: keys and results."""
    for name in shown.columns:
        if name in others or shown.columns.count(name) > 1:
            raise TypeMismatchError(
                f"aggregate(): `{name}` is the window's column, and the name of a key or a result; give the window "
                "other names: window_start='...', window_end='...'"
            )


def _columns_of(spec: AggregateSpec, finished: Mapping[str, Expression], shown: _Shown) -> NamedExpressions:
    """Expressions over keys, window and aggregates; none if these are emitted unchanged."""
    if not finished and shown.columns == shown.names:
        return ()
    names = [*spec.key_names, *shown.columns]
    columns = {name: ex.col(name) for name in names}
    return tuple((columns | (dict(finished) or {name: ex.col(name) for name, _ in spec.calls})).items())
