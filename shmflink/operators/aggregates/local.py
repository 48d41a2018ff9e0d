"""The local step of a grouped aggregation, as an operator whose input can be narrowed when the graph is built."""

from __future__ import annotations

import dataclasses

from shmflink.core.types.typeinfo import ColumnsTypeInfo, TypeInformation, schema_of
from shmflink.operators.aggregates.group import AggregateSpec, LocalAggregateOperator
from shmflink.operators.columns.expressions import ColumnarOperator, narrowest

__all__ = ["ColumnarLocalAggregate"]


class ColumnarLocalAggregate(LocalAggregateOperator, ColumnarOperator):
    """Reads the columns of keys and arguments; always emits the whole partial schema."""

    def __init__(self, spec: AggregateSpec) -> None:
        super().__init__(spec)
        self._spec_given = spec

    @property
    def output_type(self) -> TypeInformation:
        return ColumnsTypeInfo(self._spec_given.partial_schema)

    def columns_needed(self, needed: frozenset[str] | None) -> frozenset[str]:
        spec = self._spec_given
        return spec.columns or frozenset([narrowest(spec.schema)])

    def narrowed(self, declared: TypeInformation, needed: frozenset[str] | None) -> ColumnarLocalAggregate:
        schema = schema_of(declared)
        if schema == self._spec_given.schema:
            return self
        return ColumnarLocalAggregate(dataclasses.replace(self._spec_given, schema=schema))
