"""Aggregates over the rows of a key, or over all rows. All of it *shmflink only*."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from shmflink.core.keys.groups import key_hash
from shmflink.core.ship_strategy import ShipStrategy
from shmflink.core.types.typeinfo import ColumnsTypeInfo, TypeInformation, schema_of
from shmflink.datastream.columns import described, named_expressions
from shmflink.errors import TypeMismatchError
from shmflink.expressions import Expression, bind, col, split_aggregates
from shmflink.expressions.node import place_of_caller
from shmflink.operators.aggregates.group import AggregateSpec, GlobalAggregateOperator
from shmflink.operators.aggregates.local import ColumnarLocalAggregate
from shmflink.operators.columns.expressions import ColumnsOperator
from shmflink.operators.columns.keys import ColumnKeys
from shmflink.operators.columns.steps import Project
from shmflink.planner.transformations import (
    OperatorTransformation,
    PartitionTransformation,
    Transformation,
    UnionTransformation,
)

if TYPE_CHECKING:
    from shmflink.datastream.data_stream import DataStream
    from shmflink.datastream.recording import Program
    from shmflink.operators.base import Operator

__all__ = [
    "AggregatingStream",
    "KeyedAggregates",
    "NamedKeys",
    "as_columns",
    "check_keys",
    "described_aggregates",
    "expand_branches",
    "operator_on",
    "partitioned_by",
]

NamedKeys = tuple[tuple[str, Expression], ...]


class AggregatingStream:
    """Part of `DataStream`."""

    if TYPE_CHECKING:

        def _columns_type(self, method: str) -> TypeInformation: ...

    def aggregate(self, *aggregates: Expression, **named: Expression) -> DataStream:
        """*shmflink only.* One row over all rows of the stream, e.g. `ds.aggregate(n=count(), top=col("price").max)`.

        BATCH: one row at the end, also where nothing came. STREAMING: the new row after each batch, an update.
        """
        pairs = named_expressions("aggregate", aggregates, named, aggregates=True)
        return _grouped(self, self._columns_type("aggregate"), (), pairs)  # type: ignore[arg-type]  # a DataStream

    def distinct(self, *columns: str | Expression) -> DataStream:
        """*shmflink only.* Each combination of these columns once (of all columns where none is given), and no others.

        STREAMING: as soon as it comes. BATCH: at the end.
        """
        declared = self._columns_type("distinct")
        schema: pa.Schema = schema_of(declared)
        keys = named_expressions("distinct", columns or tuple(schema.names), {})
        return _grouped(self, declared, tuple(keys.items()), {})  # type: ignore[arg-type]  # a DataStream


class KeyedAggregates:
    """Part of `KeyedStream`."""

    if TYPE_CHECKING:
        _origin: DataStream
        _selector: Any

    def aggregate(self, *aggregates: Expression, **named: Expression) -> DataStream:
        """*shmflink only.* One row for each key: the key columns, then `name=expression over aggregates`.

        BATCH: at the end. STREAMING: after each batch the new rows of the keys that it changed: updates. `print()` and
        functions of records see each of them; `final()` and `updates()` say what others are to see. Nulls are keys.

        >>> ds.key_by("user").aggregate(n=count(), mean=col("price").sum / col("price").count)
        """
        origin, declared, keys = self.key_columns("aggregate")
        pairs = named_expressions("aggregate", aggregates, named, aggregates=True)
        return _grouped(origin, declared, keys, pairs)

    def key_columns(self, method: str, *, is_all: bool = False) -> tuple[DataStream, TypeInformation, NamedKeys]:
        """*shmflink only.* The stream that was keyed, the type of its elements, and the keys; `is_all`: without keys.

        Raises:
            TypeMismatchError: keys or elements are no columns.
        """
        if is_all:
            return self._origin, self._origin.columns_type(method), ()
        keys = self._selector
        if not isinstance(keys, ColumnKeys):
            raise TypeMismatchError(
                f"{method}() needs keys that are columns: key_by('user') or key_by(expression.alias('name')), "
                "not a function"
            )
        return self._origin, keys.declared, keys.named


def expand_branches(stream: DataStream, make: Callable[[Program, Transformation], Transformation]) -> Transformation:
    """`make` applied where the rows are produced: to each branch of a union by itself."""
    program = stream.get_execution_environment().program

    def expanded(t: Transformation) -> Transformation:
        if isinstance(t, UnionTransformation):
            branches = tuple(expanded(branch) for branch in t.inputs)
            return UnionTransformation(program.next_id(), t.name, branches, branches[0].output_type)
        return make(program, t)

    return expanded(stream.get_transformation())


def _grouped(
    stream: DataStream, declared: TypeInformation, keys: NamedKeys, named: Mapping[str, Expression]
) -> DataStream:
    """Local aggregates where the rows are, their partial rows by key, global aggregates, what is made of them."""
    schema: pa.Schema = schema_of(declared)
    check_keys(keys, named, schema)
    calls, results = split_aggregates(named)
    spec = AggregateSpec(schema, keys, tuple(calls.items()))

    def local(program: Program, t: Transformation) -> Transformation:
        t = as_columns(program, t, declared)
        return operator_on(program, "LocalAggregate", t, ColumnarLocalAggregate(spec), spec.partial_schema)

    produced = expand_branches(stream, local)
    environment = stream.get_execution_environment()
    program = environment.program
    partitioned = partitioned_by(program, produced, keys)
    name = "Aggregate" if named else "Distinct"
    last = operator_on(program, name, partitioned, GlobalAggregateOperator(spec), spec.result_schema)
    last.description = f"{name}({described_aggregates(keys, named)})"
    last.parallelism = environment.get_parallelism() if keys else 1
    last.is_parallelism_fixed = not keys
    with program.all_or_nothing():
        program.record(last)
        if [str(result) for result in results.values()] != list(calls):
            last = _finished(program, last, spec, results)
            program.record(last)
    return stream.derived(last)


def _finished(
    program: Program, last: Transformation, spec: AggregateSpec, results: Mapping[str, Expression]
) -> OperatorTransformation:
    """What is made of the aggregates: keys, then results."""
    pairs = {**{name: col(name) for name, _ in spec.keys}, **results}
    finish = ColumnsOperator(ColumnsTypeInfo(spec.result_schema), [Project(tuple(pairs.items()))])
    finished = operator_on(program, "Select", last, finish, finish.schema)
    finished.description = f"Select({', '.join(pairs)})"
    return finished


def partitioned_by(program: Program, produced: Transformation, keys: NamedKeys) -> PartitionTransformation:
    """Rows of one key to one subtask; all to one where there is no key."""
    return PartitionTransformation(
        program.next_id(),
        "hash()" if keys else "global()",
        (produced,),
        produced.output_type,
        strategy=ShipStrategy.HASH if keys else ShipStrategy.GLOBAL,
        key_columns=tuple(name for name, _ in keys),
    )


def as_columns(program: Program, t: Transformation, declared: TypeInformation) -> Transformation:
    """`t` with its rows, of a declared type, in columns."""
    if isinstance(declared, ColumnsTypeInfo):
        return t
    schema: pa.Schema = schema_of(declared)
    operator = ColumnsOperator(declared, [Project(tuple((name, col(name)) for name in schema.names))])
    return operator_on(program, "Select", t, operator, schema)


def operator_on(
    program: Program, name: str, t: Transformation, operator: Operator, made: pa.Schema
) -> OperatorTransformation:
    """`operator` behind `t`; it makes columns of the schema `made`."""
    place = place_of_caller()
    return OperatorTransformation(program.next_id(), name, (t,), ColumnsTypeInfo(made), operator=operator, place=place)


def check_keys(keys: NamedKeys, named: Mapping[str, Expression], schema: pa.Schema) -> None:
    """Raises TypeMismatchError for a result with the name of a key, or a key of a type that has no stable hash."""
    for name, expression in keys:
        if name in named:
            raise TypeMismatchError(
                f"{named[name].place}: aggregate(): `{name}` is a key; give the result another name"
            )
        kind = bind([expression], schema).fields.types[0]
        try:
            key_hash([pa.array([], kind)])
        except TypeMismatchError as error:
            raise TypeMismatchError(f"{expression.place}: `{expression}` cannot be a key: {error}") from None


def described_aggregates(keys: NamedKeys, named: Mapping[str, Expression]) -> str:
    """Keys and aggregates as text."""
    by, made = described(dict(keys)), described(named)
    return "; ".join(part for part in (by and f"by {by}", made) if part)
