"""Aggregates by key and window over expressions: how they are recorded. All of it *shmflink only*."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shmflink.core.output_tag import OutputTag
from shmflink.core.types.typeinfo import TypeInformation, schema_of
from shmflink.datastream.aggregates import (
    NamedKeys,
    as_columns,
    check_keys,
    described_aggregates,
    expand_branches,
    operator_on,
    partitioned_by,
)
from shmflink.datastream.columns import named_expressions
from shmflink.errors import JobGraphError, TypeMismatchError
from shmflink.expressions import Expression, col, split_aggregates
from shmflink.operators.aggregates.spec import AggregateSpec
from shmflink.operators.windows.assigners import WindowAssigner
from shmflink.operators.windows.pane_columns import ColumnarLocalWindowAggregate
from shmflink.operators.windows.pane_operator import GlobalWindowAggregateOperator
from shmflink.operators.windows.pane_spec import WindowAggregateSpec, times_of
from shmflink.operators.windows.triggers import EventTimeTrigger, ProcessingTimeTrigger, Trigger

if TYPE_CHECKING:
    from shmflink.datastream.data_stream import DataStream
    from shmflink.datastream.recording import Program
    from shmflink.planner.transformations import Transformation

__all__ = ["WindowSettings", "aggregate_expressions", "are_expressions"]


@dataclass(frozen=True, slots=True)
class WindowSettings:
    """What a program says of windows before it says what is done with them."""

    assigner: WindowAssigner
    trigger: Trigger | None = None
    evictor: Any = None
    allowed_lateness_ms: int = 0
    late_data: OutputTag | None = None


@dataclass(frozen=True, slots=True)
class _Window:
    """The columns for start and end; None: left out."""

    start: str | None
    end: str | None

    @property
    def names(self) -> tuple[str, str]:
        return (self.start or "__window_start", self.end or "__window_end")

    @property
    def shown(self) -> tuple[str, ...]:
        return tuple(name for name in (self.start, self.end) if name is not None)


def are_expressions(positional: tuple[Any, ...], named: Mapping[str, Any]) -> bool:
    """Whether `aggregate()` was called with expressions, not with a function of the user's."""
    return bool(named) or any(isinstance(each, Expression) for each in positional)


def aggregate_expressions(
    stream: Any,
    settings: WindowSettings,
    positional: tuple[Any, ...],
    named: Mapping[str, Expression],
    window: tuple[str | None, str | None],
    *,
    is_all: bool,
) -> DataStream:
    """Local aggregates where the rows are, their partial rows by key, windows of them.

    `stream`: the keyed stream; for windows over all elements its keys do not count. `window`: names of the columns for
    start and end.

    Raises:
        TypeMismatchError: keys or elements are no columns, an expression does not fit them, a name is there twice.
        JobGraphError: windows, triggers and evictors that need a function.
    """
    pairs = named_expressions("aggregate", positional, named, aggregates=True)
    times = times_of(settings.assigner)
    _check_settings(settings, is_known=times is not None)
    assert times is not None
    origin, declared, keys = stream.key_columns("aggregate", is_all=is_all)
    shown = _Window(*window)
    spec = _spec_of(declared, keys, pairs, shown)
    windows = WindowAggregateSpec(
        spec, times, shown.names, settings.allowed_lateness_ms, settings.late_data, _columns_of(spec, pairs, shown)
    )
    return _recorded(origin, declared, windows, f"{settings.assigner}; {described_aggregates(keys, pairs)}")


def _check_settings(settings: WindowSettings, *, is_known: bool) -> None:
    way_out = "give aggregate() an AggregateFunction, or use reduce(), apply() or process()"
    trigger = settings.trigger
    if not is_known:
        raise JobGraphError(
            f"aggregate() over expressions works with tumbling and sliding windows and sessions of a fixed gap, not "
            f"with {settings.assigner}: {way_out}"
        )
    default = EventTimeTrigger if settings.assigner.is_event_time() else ProcessingTimeTrigger
    if trigger is not None and type(trigger) is not default:
        raise JobGraphError(
            f"aggregate() over expressions works with the default trigger, not with {type(trigger).__name__}: {way_out}"
        )
    if settings.evictor is not None:
        raise JobGraphError("an evictor needs the elements themselves: use apply() or process()")


def _spec_of(
    declared: TypeInformation, keys: NamedKeys, pairs: Mapping[str, Expression], shown: _Window
) -> AggregateSpec:
    schema = schema_of(declared)
    check_keys(keys, pairs, schema)
    for name in shown.shown:
        if name in pairs or any(name == key for key, _ in keys) or shown.shown.count(name) > 1:
            raise TypeMismatchError(
                f"aggregate(): `{name}` is the window's column, and the name of a key or a result; give the window "
                "other names: window_start='...', window_end='...'"
            )
    calls, _ = split_aggregates(pairs)
    return AggregateSpec(schema, keys, tuple(calls.items()))


def _columns_of(
    spec: AggregateSpec, pairs: Mapping[str, Expression], shown: _Window
) -> tuple[tuple[str, Expression], ...]:
    """What is made of keys, window and calls; nothing where they leave as they are."""
    _, results = split_aggregates(pairs)
    is_plain = [str(result) for result in results.values()] == [name for name, _ in spec.calls]
    if is_plain and shown.shown == shown.names:
        return ()
    names = [*spec.key_names, *shown.shown]
    return tuple(({name: col(name) for name in names} | results).items())


def _recorded(
    stream: DataStream, declared: TypeInformation, windows: WindowAggregateSpec, description: str
) -> DataStream:
    keys = windows.aggregate.keys

    def local(program: Program, t: Transformation) -> Transformation:
        t = as_columns(program, t, declared)
        operator = ColumnarLocalWindowAggregate(windows)
        return operator_on(program, "LocalWindowAggregate", t, operator, windows.aggregate.partial_schema)

    produced = expand_branches(stream, local)
    environment = stream.get_execution_environment()
    program = environment.program
    partitioned = partitioned_by(program, produced, keys)
    operator = GlobalWindowAggregateOperator(windows)
    last = operator_on(program, "WindowAggregate", partitioned, operator, windows.result_schema)
    last.description = f"WindowAggregate({description})"
    last.parallelism = environment.get_parallelism() if keys else 1
    last.is_parallelism_fixed = not keys
    program.record(last)
    return stream.derived(last)
