"""Which key-value metadata the rows of each node have, so that sinks can write the metadata of sources.

A pass over the logical plan that changes neither types, plans nor operator ids. `core.schema_metadata` defines which
metadata is carried and how it is merged. Per-record functions and windows produce new rows without metadata, unless the
program declares it with the columns (`output_type=pyarrow.schema([...], metadata={...})`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from shmflink.core.schema_metadata import (
    NO_METADATA,
    described,
    is_empty,
    merged_metadata,
    metadata_of_columns,
    metadata_of_fewer_rows,
    metadata_of_join,
    metadata_of_keys,
)
from shmflink.core.types.typeinfo import ColumnsTypeInfo, schema_of
from shmflink.expressions.node import COLUMN
from shmflink.operators.joins.spec import JoinSpec
from shmflink.plan import calls
from shmflink.plan.logical_plan import LogicalPlan
from shmflink.plan.node import Node
from shmflink.planner.lowered import Lowered
from shmflink.planner.rules.columns import without_alias

__all__ = ["carried_metadata", "with_metadata"]

_AS_THEY_ARE = (
    *(calls.AssignTimestamps, calls.KeyBy, calls.Values, calls.Partition, calls.PartitionCustom),
    *(calls.Final, calls.EveryUpdate),
)
_FEWER = (calls.Filter, calls.FilterColumns)


def carried_metadata(plan: LogicalPlan) -> dict[int, pa.Schema]:
    """The annotated schema of the rows of each node, by id."""
    carried: dict[int, pa.Schema] = {}
    for node in plan:
        inputs = plan.inputs_of(node)
        carried[node.id] = _behind(node, inputs, [carried[before.id] for before in inputs])
    return carried


def with_metadata(made: Lowered, rows: pa.Schema) -> Lowered:
    """A sink that knows the annotated schema of its rows."""
    if made.sink is None or is_empty(rows):
        return made
    return replace(made, sink=made.sink.with_input_metadata(rows))


def _behind(node: Node, inputs: Sequence[Node], before: Sequence[pa.Schema]) -> pa.Schema:
    match node.call:
        case calls.Read(source=source):
            return source.produced_metadata
        case calls.Union():
            return merged_metadata(before)
        case calls.Aggregate(keys=keys, results=results) if not results:
            return metadata_of_fewer_rows(metadata_of_columns(before[0], _origins(keys)))
        case calls.Aggregate(keys=keys) | calls.WindowAggregate(keys=keys):
            return metadata_of_fewer_rows(metadata_of_keys(before[0], _origins(keys)))
        case calls.Join(how="semi" | "anti"):
            return metadata_of_fewer_rows(before[0])
        case calls.Join() as join:
            return metadata_of_join(before[0], before[1], _pairs(join, inputs))
        case calls.Select(columns=columns):
            return metadata_of_columns(before[0], _origins(columns))
        case calls.Explode(name=name):
            rest = {column: None if column == name else column for column in _names(inputs[0])}
            return metadata_of_fewer_rows(metadata_of_columns(before[0], rest))
        case calls.AsColumns(columns=columns):
            held = set(_names(inputs[0]))
            same = {name: name if name in held else None for name in columns.schema.names}
            return _declared(columns, metadata_of_columns(before[0], same))
        case calls.CallOfFunction(declared=ColumnsTypeInfo() as columns):
            return _declared(columns, NO_METADATA)
    if isinstance(node.call, _FEWER):
        return metadata_of_fewer_rows(before[0])
    return before[0] if isinstance(node.call, _AS_THEY_ARE) else NO_METADATA


def _origins(named: calls.NamedExpressions) -> dict[str, Any]:
    """For a projection: which columns are unchanged copies of other columns."""
    plain = {name: without_alias(expression) for name, expression in named}
    return {name: made.parameters[0] if made.function == COLUMN else None for name, made in plain.items()}


def _pairs(call: calls.Join, inputs: Sequence[Node]) -> list[tuple[str, str | None, str | None]]:
    """The columns of a join. Merged key columns take the metadata of the side whose rows are all kept."""
    left, right = (schema_of(node.output_type) for node in inputs)
    spec = JoinSpec(
        left, right, call.left_on, call.right_on, call.how, merges_keys=call.merges_keys, suffix=call.suffix
    )
    made = []
    for column in spec.columns:
        is_both = column.left is not None and column.right is not None
        is_left, is_right = is_both and call.how in ("inner", "left"), is_both and call.how == "right"
        made.append((column.name, None if is_right else column.left, None if is_left else column.right))
    return made


def _names(node: Node) -> Sequence[str]:
    schema = schema_of(node.output_type)
    return () if schema is None else schema.names


def _declared(columns: ColumnsTypeInfo, before: pa.Schema) -> pa.Schema:
    """Metadata that the program declares takes precedence."""
    own = columns.annotations
    if is_empty(own):
        return before
    return own if is_empty(before) else described(own, before)
