"""Moves filters and column selection into the sources, so that these read only what is needed.

A pure pass over transformations, before the stream graph is built. It keeps all transformations by id, some with
another source or operator, so that plan, names and operator ids do not change. Filters are moved first, because their
columns then need not be read into the stream. Column selection follows, from the consumers up, and also narrows column
operators in between.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import field
from functools import reduce
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from shmflink import expressions as ex
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.types.typeinfo import ColumnsTypeInfo, schema_of
from shmflink.core.watermark_strategy import ColumnTimestamps
from shmflink.expressions.node import ALIAS, COLUMN, LITERAL
from shmflink.expressions.registry import find_function
from shmflink.operators.columns.expressions import ColumnarOperator, ColumnsOperator, narrowest
from shmflink.operators.columns.steps import Filter, Project
from shmflink.operators.joins.hash_join import HashJoinOperator
from shmflink.planner.transformations import (
    OperatorTransformation,
    PartitionTransformation,
    SideOutputTransformation,
    SourceTransformation,
    Transformation,
    UnionTransformation,
    ancestors_first,
)

if TYPE_CHECKING:
    from shmflink.connectors.base import Source
    from shmflink.expressions import Expression

__all__ = ["push_down"]

_PLACE: Final = "the source"  # place of expressions that no user wrote
_NEVER_FAIL: Final = frozenset(
    {"equals", "not_equals", "less_than", "less_than_or_equal", "greater_than", "greater_than_or_equal"}
    | {"and", "or", "not", "is_null", "is_not_null", "is_true", "is_false", "is_not_true", "is_not_false"}
    | {"in", "like", "starts_with", "ends_with", "contains", "upper_case", "lower_case", "coalesce", COLUMN, LITERAL}
)
"""Functions that never fail, so that a filter may evaluate them on rows that an earlier filter would have dropped."""

Columns = frozenset[str] | None
"""Names of columns; None = all."""


def push_down(sinks: Sequence[Transformation], *, is_batch: bool) -> list[Transformation]:
    """The replacements of `sinks`, whose sources read less where possible.

    Rows that a source does not read cannot advance its watermark. Therefore filters of a streaming job are not moved
    into a source that emits watermarks.
    """
    order = ancestors_first(sinks)
    changed = _Rewriting(order)
    for transformation in order:
        if isinstance(transformation, SourceTransformation) and (is_batch or not _makes_watermarks(transformation)):
            _push_filters(transformation, changed)
    needed = _columns_needed(order, changed)
    made: dict[int, Transformation] = {}
    for transformation in order:
        made[transformation.id] = _rebuilt(transformation, changed, needed[transformation.id], made)
    return [made[sink.id] for sink in sinks]


@dataclass(slots=True)
class _Rewriting:
    """What has been decided so far, by transformation id."""

    order: Sequence[Transformation]
    sources: dict[int, Source] = field(default_factory=dict)
    operators: dict[int, ColumnarOperator] = field(default_factory=dict)
    notes: dict[int, list[str]] = field(default_factory=dict)
    consumers: dict[int, list[Transformation]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for transformation in self.order:
            for before in transformation.inputs:
                self.consumers.setdefault(before.id, []).append(transformation)

    def source(self, t: SourceTransformation) -> Source:
        return self.sources.get(t.id, t.source)

    def operator(self, t: OperatorTransformation) -> Any:
        return self.operators.get(t.id, t.operator)

    def only_consumer(self, t: Transformation) -> Transformation | None:
        """The consumer of the main output, if there is exactly one."""
        readers = [c for c in self.consumers.get(t.id, ()) if not isinstance(c, SideOutputTransformation)]
        return readers[0] if len(readers) == 1 else None


# --- filters ---


@dataclass(frozen=True, slots=True)
class _Found:
    """A filter that the source could apply: over the source's columns, and its position."""

    predicate: Expression
    operator: OperatorTransformation
    step: int


def _push_filters(source: SourceTransformation, changed: _Rewriting) -> None:
    found = _filters_behind(source, changed)
    if not found:
        return
    answer = source.source.with_filter(reduce(lambda a, b: a & b, (each.predicate for each in found)))
    if answer is None:
        return
    changed.sources[source.id], is_exact = answer
    text = " & ".join(str(each.predicate) for each in found)
    changed.notes.setdefault(source.id, []).append(f"filter={text}" if is_exact else f"skips by {text}")
    if not is_exact:
        return
    by_operator: dict[int, list[_Found]] = {}
    for each in found:
        by_operator.setdefault(each.operator.id, []).append(each)
    for same in by_operator.values():
        operator = same[0].operator.operator
        assert isinstance(operator, ColumnsOperator), operator
        changed.operators[same[0].operator.id] = operator.without_filters(frozenset(each.step for each in same))


def _makes_watermarks(source: SourceTransformation) -> bool:
    return source.watermark_strategy is not None and source.watermark_strategy.makes_watermarks


def _filters_behind(source: SourceTransformation, changed: _Rewriting) -> list[_Found]:
    """Filters that apply to single rows of the source, in order, rewritten to use the source's columns."""
    schema = schema_of(source.output_type)
    if schema is None:
        return []
    columns = {name: ex.Expression(COLUMN, (), (name,), _PLACE) for name in schema.names}
    found: list[_Found] = []
    reader = changed.only_consumer(source)
    while isinstance(reader, OperatorTransformation) and isinstance(reader.operator, ColumnsOperator):
        for position, step in enumerate(reader.operator.steps):
            if isinstance(step, Project):
                columns = {name: _substituted(expression, columns) for name, expression in step.named}
            elif isinstance(step, Filter):
                predicate = _substituted(step.predicate, columns)
                if not _is_pure(predicate) or (found and not _never_fails(predicate)):
                    return found
                found.append(_Found(predicate, reader, position))
            else:
                return found
        reader = changed.only_consumer(reader)
    return found


def _substituted(expression: Expression, columns: Mapping[str, Expression]) -> Expression:
    if expression.function == COLUMN:
        return columns[expression.parameters[0]]
    if expression.function == ALIAS:
        return _substituted(expression.arguments[0], columns)
    if not expression.arguments:
        return expression
    arguments = tuple(_substituted(argument, columns) for argument in expression.arguments)
    return ex.Expression(expression.function, arguments, expression.parameters, expression.place)


def _is_pure(predicate: Expression) -> bool:
    """Whether it depends only on the row, independent of where and how often it is computed."""
    functions = [find_function(n.function) for n in predicate.walk() if n.function not in (COLUMN, LITERAL)]
    return all(f is not None and f.is_deterministic and not f.needs_rows for f in functions)


def _never_fails(predicate: Expression) -> bool:
    return all(node.function in _NEVER_FAIL for node in predicate.walk())


# --- columns ---


def _columns_needed(order: Sequence[Transformation], changed: _Rewriting) -> dict[int, Columns]:
    """The columns of each transformation's main output that are read."""
    needed: dict[int, Columns] = {}
    exact = _exact(order, changed)
    for t in reversed(order):
        wishes = [_wish(consumer, t, changed, needed, exact) for consumer in changed.consumers.get(t.id, ())]
        is_all = not wishes or any(wish is None for wish in wishes)
        needed[t.id] = None if is_all else frozenset().union(*(wish for wish in wishes if wish is not None))
    return needed


def _wish(
    t: Transformation,
    before: Transformation,
    changed: _Rewriting,
    needed: Mapping[int, Columns],
    exact: Mapping[int, bool],
) -> Columns:
    """What the consumer `t` needs of its input `before`."""
    behind = needed[t.id]
    match t:
        case SideOutputTransformation():
            return frozenset()
        case PartitionTransformation(key_columns=keys):
            return None if behind is None else behind | frozenset(keys)
        case UnionTransformation():
            # All branches must have the same columns.
            return behind if all(exact[i.id] for i in t.inputs) else None
        case OperatorTransformation():
            operator = changed.operator(t)
            if isinstance(operator, HashJoinOperator):
                return operator.columns_needed_of([i.id for i in t.inputs].index(before.id), behind)
            return operator.columns_needed(behind) if isinstance(operator, ColumnarOperator) else None
    return None


def _exact(order: Sequence[Transformation], changed: _Rewriting) -> dict[int, bool]:
    """Whether the output can be narrowed to any of its columns."""
    exact: dict[int, bool] = {}
    for t in order:
        match t:
            case SourceTransformation():
                schema = schema_of(t.output_type)
                is_free = t.watermark_strategy is None or t.watermark_strategy.timestamp_assigner is None
                exact[t.id] = (
                    is_free and schema is not None and changed.source(t).with_columns(schema.names) is not None
                )
            case OperatorTransformation():
                exact[t.id] = isinstance(changed.operator(t), ColumnarOperator | HashJoinOperator)
            case PartitionTransformation() | UnionTransformation():
                exact[t.id] = all(exact[i.id] for i in t.inputs)
            case _:
                exact[t.id] = False
    return exact


# --- the new program ---


def _rebuilt(
    t: Transformation, changed: _Rewriting, needed: Columns, made: Mapping[int, Transformation]
) -> Transformation:
    inputs = tuple(made[before.id] for before in t.inputs)
    match t:
        case SourceTransformation():
            return _rebuilt_source(t, changed, needed)
        case OperatorTransformation():
            operator = changed.operator(t)
            if isinstance(operator, HashJoinOperator):
                operator = operator.narrowed_to([i.output_type for i in inputs], needed)
                return dataclasses.replace(t, inputs=inputs, operator=operator, output_type=operator.output_type)
            if isinstance(operator, ColumnarOperator):
                operator = operator.narrowed(inputs[0].output_type, needed)
                declared = t.output_type if operator is t.operator else operator.output_type
                return dataclasses.replace(t, inputs=inputs, operator=operator, output_type=declared)
        case PartitionTransformation() | UnionTransformation():
            return dataclasses.replace(t, inputs=inputs, output_type=inputs[0].output_type)
    is_same = all(new is old for new, old in zip(inputs, t.inputs, strict=True))
    return t if is_same else dataclasses.replace(t, inputs=inputs)


def _rebuilt_source(t: SourceTransformation, changed: _Rewriting, needed: Columns) -> SourceTransformation:
    source, notes = changed.source(t), list(changed.notes.get(t.id, ()))
    declared = t.output_type
    schema = schema_of(declared)
    assigner = None if t.watermark_strategy is None else t.watermark_strategy.timestamp_assigner
    if isinstance(assigner, ColumnTimestamps) and needed is not None:
        needed = needed | {assigner.column}
    elif assigner is not None:
        needed = None  # a function that reads the whole record
    if needed is not None and schema is not None:
        kept = needed or {narrowest(schema)}
        names = [name for name in schema.names if name in kept]
        fewer = source.with_columns(names) if len(names) < len(schema) else None
        if fewer is not None:
            source, declared = fewer, ColumnsTypeInfo(pa.schema([field for field in schema if field.name in kept]))
            notes.insert(0, f"columns=[{', '.join(names)}]")
    if source is t.source:
        return t
    description = ", ".join([t.description or t.name, *notes])
    return dataclasses.replace(t, source=source, output_type=declared, description=description)
