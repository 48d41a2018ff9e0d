"""Local pre-aggregation: aggregates in the tasks that produce the rows, and merges the partial rows by key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from shmflink import expressions as ex
from shmflink.core.keys.groups import key_hash
from shmflink.core.ship_strategy import ShipStrategy
from shmflink.core.types.typeinfo import ColumnsTypeInfo, TypeInformation, schema_of
from shmflink.errors import TypeMismatchError
from shmflink.operators.aggregates.group import AggregateSpec, GlobalAggregateOperator
from shmflink.operators.aggregates.local import ColumnarLocalAggregate
from shmflink.operators.columns.expressions import ColumnsOperator
from shmflink.operators.columns.steps import Project
from shmflink.planner.lowered import Lowered, Piece, Routing, Subtasks
from shmflink.planner.rules.columns import columns_type, described

if TYPE_CHECKING:
    from shmflink.expressions import Expression
    from shmflink.operators.base import Operator
    from shmflink.plan.calls import Aggregate, NamedExpressions
    from shmflink.plan.node import Node

__all__ = [
    "aggregate",
    "as_columns",
    "by_keys",
    "check_keys",
    "described_aggregates",
    "in_two_halves",
    "local_half",
    "subtasks_of",
    "taken_apart",
]


def aggregate(call: Aggregate, inputs: Sequence[Node]) -> Lowered:
    """
    Raises:
        TypeMismatchError: an expression does not fit the columns, a result has the name of a key, a key has a type
            without a stable hash.
    """
    declared = columns_type(inputs[0].output_type, "aggregate" if call.results else "distinct")
    results = dict(call.results)
    spec, finished = taken_apart(schema_of(declared), call.keys, results)
    name = "Aggregate" if results else "Distinct"
    text = f"{name}({described_aggregates(call.keys, results)})"
    made = ColumnsTypeInfo(spec.result_schema)
    operators = [Piece(name, GlobalAggregateOperator(spec), made, text, subtasks_of(call.keys))]
    if finished:
        operators.append(_finish(made, {name: ex.col(name) for name, _ in call.keys} | finished))
    local = local_half("LocalAggregate", ColumnarLocalAggregate(spec), spec)
    why = "native: pre-aggregated in the tasks that produce the rows, then merged by key"
    return in_two_halves(declared, call.keys, local, tuple(operators), why)


def taken_apart(
    schema: pa.Schema, keys: NamedExpressions, results: Mapping[str, Expression]
) -> tuple[AggregateSpec, dict[str, Expression]]:
    """The aggregates, and expressions over them; no expressions if the aggregates are emitted unchanged.

    Raises:
        TypeMismatchError: see `aggregate`.
    """
    check_keys(keys, results, schema)
    aggregates, finished = ex.split_aggregates(results)
    is_plain = [str(result) for result in finished.values()] == list(aggregates)
    return AggregateSpec(schema, keys, tuple(aggregates.items())), {} if is_plain else finished


def local_half(name: str, operator: Operator, spec: AggregateSpec) -> Piece:
    """The operator that aggregates the rows of one task and emits partial rows."""
    return Piece(name, operator, ColumnsTypeInfo(spec.partial_schema), subtasks=Subtasks.LIKE_INPUT)


def in_two_halves(
    declared: TypeInformation, keys: NamedExpressions, local: Piece, operators: tuple[Piece, ...], why: str
) -> Lowered:
    """Rows of the type `declared` -> columns -> `local`, in each branch of a union -> by key -> `operators`."""
    last = operators[-1]
    return Lowered(last.name, last.output_type, why, (*as_columns(declared), local), by_keys(keys), operators)


def as_columns(declared: TypeInformation) -> tuple[Piece, ...]:
    """The operator that converts rows of a declared type to columns; none if they already are columns."""
    if isinstance(declared, ColumnsTypeInfo):
        return ()
    schema: pa.Schema = schema_of(declared)
    operator = ColumnsOperator(declared, [Project(tuple((name, ex.col(name)) for name in schema.names))])
    return (Piece("Select", operator, ColumnsTypeInfo(schema), subtasks=Subtasks.LIKE_INPUT),)


def by_keys(keys: NamedExpressions) -> Routing:
    """Sends rows with equal keys to one subtask; without keys, all rows to one subtask."""
    return Routing(ShipStrategy.HASH if keys else ShipStrategy.GLOBAL, key_columns=tuple(name for name, _ in keys))


def subtasks_of(keys: NamedExpressions) -> Subtasks:
    return Subtasks.DEFAULT if keys else Subtasks.ONE


def check_keys(keys: NamedExpressions, results: Mapping[str, Expression], schema: pa.Schema) -> None:
    """Raises TypeMismatchError for a result with the name of a key, or a key of a type that has no stable hash."""
    for name, expression in keys:
        if name in results:
            raise TypeMismatchError(
                f"{results[name].place}: aggregate(): `{name}` is a key; give the result another name"
            )
        kind = ex.bind([expression], schema).fields.types[0]
        try:
            key_hash([pa.array([], kind)])
        except TypeMismatchError as error:
            raise TypeMismatchError(f"{expression.place}: `{expression}` cannot be a key: {error}") from None


def described_aggregates(keys: NamedExpressions, results: Mapping[str, Expression]) -> str:
    """Keys and aggregates as text."""
    by, made = described(dict(keys)), described(results)
    return "; ".join(part for part in (by and f"by {by}", made) if part)


def _finish(aggregated: ColumnsTypeInfo, columns: Mapping[str, Expression]) -> Piece:
    """Expressions over the results of several aggregates."""
    operator = ColumnsOperator(aggregated, [Project(tuple(columns.items()))])
    text = f"Select({', '.join(columns)})"
    return Piece("Select", operator, ColumnsTypeInfo(operator.schema), text, Subtasks.LIKE_INPUT)
