"""Local pre-aggregation: aggregates where the rows are made, their partial rows by key, global aggregates of those."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from shmflink.core.keys.groups import key_hash
from shmflink.core.ship_strategy import ShipStrategy
from shmflink.core.types.typeinfo import ColumnsTypeInfo, TypeInformation, schema_of
from shmflink.errors import TypeMismatchError
from shmflink.expressions import Expression, bind, col, split_aggregates
from shmflink.operators.aggregates.group import AggregateSpec, GlobalAggregateOperator
from shmflink.operators.aggregates.local import ColumnarLocalAggregate
from shmflink.operators.columns.expressions import ColumnsOperator
from shmflink.operators.columns.steps import Project
from shmflink.plan.calls import Aggregate, NamedExpressions
from shmflink.plan.node import Node
from shmflink.planner.lowered import Lowered, Piece, Routing, Subtasks
from shmflink.planner.rules.columns import columns_type, described

__all__ = ["aggregate", "as_columns", "by_keys", "check_keys", "described_aggregates", "subtasks_of"]


def aggregate(call: Aggregate, inputs: Sequence[Node]) -> Lowered:
    """
    Raises:
        TypeMismatchError: an expression does not fit the columns, a result has the name of a key, a key has a type
            without a stable hash.
    """
    declared = columns_type(inputs[0].output_type, "aggregate" if call.results else "distinct")
    schema: pa.Schema = schema_of(declared)
    results = dict(call.results)
    check_keys(call.keys, results, schema)
    aggregates, finished = split_aggregates(results)
    spec = AggregateSpec(schema, call.keys, tuple(aggregates.items()))
    name = "Aggregate" if results else "Distinct"
    text = f"{name}({described_aggregates(call.keys, results)})"
    made = ColumnsTypeInfo(spec.result_schema)
    operators = [Piece(name, GlobalAggregateOperator(spec), made, text, subtasks_of(call.keys))]
    if [str(result) for result in finished.values()] != list(aggregates):
        operators.append(_finish(made, {name: col(name) for name, _ in call.keys} | finished))
    local = Piece(
        "LocalAggregate",
        ColumnarLocalAggregate(spec),
        ColumnsTypeInfo(spec.partial_schema),
        subtasks=Subtasks.LIKE_INPUT,
    )
    return Lowered(
        operators[-1].name,
        operators[-1].output_type,
        "native: aggregated where the rows are made, then once more for each key",
        local=(*as_columns(declared), local),
        routing=by_keys(call.keys),
        operators=tuple(operators),
    )


def as_columns(declared: TypeInformation) -> tuple[Piece, ...]:
    """What brings rows of a declared type into columns; nothing where they are columns."""
    if isinstance(declared, ColumnsTypeInfo):
        return ()
    schema: pa.Schema = schema_of(declared)
    operator = ColumnsOperator(declared, [Project(tuple((name, col(name)) for name in schema.names))])
    return (Piece("Select", operator, ColumnsTypeInfo(schema), subtasks=Subtasks.LIKE_INPUT),)


def by_keys(keys: NamedExpressions) -> Routing:
    """Rows of one key to one subtask; all to one where there is no key."""
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
        kind = bind([expression], schema).fields.types[0]
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
