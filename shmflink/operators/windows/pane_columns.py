"""The local step of a vectorized window, as an operator whose input can be narrowed when the graph is built."""

from __future__ import annotations

from shmflink.core.types.typeinfo import ColumnsTypeInfo, TypeInformation, schema_of
from shmflink.operators.columns.expressions import ColumnarOperator, narrowest
from shmflink.operators.windows.pane_local import LocalWindowAggregateOperator
from shmflink.operators.windows.pane_spec import WindowAggregateSpec

__all__ = ["ColumnarLocalWindowAggregate"]


class ColumnarLocalWindowAggregate(LocalWindowAggregateOperator, ColumnarOperator):
    """Reads the columns of keys and arguments, or all columns if late rows are needed."""

    def __init__(self, spec: WindowAggregateSpec) -> None:
        super().__init__(spec)
        self._spec_given = spec

    @property
    def output_type(self) -> TypeInformation:
        return ColumnsTypeInfo(self._spec_given.aggregate.partial_schema)

    def columns_needed(self, needed: frozenset[str] | None) -> frozenset[str]:
        spec = self._spec_given
        if spec.late_data is not None:
            return frozenset(spec.aggregate.schema.names)
        return spec.aggregate.columns or frozenset([narrowest(spec.aggregate.schema)])

    def narrowed(self, declared: TypeInformation, needed: frozenset[str] | None) -> ColumnarLocalWindowAggregate:
        schema = schema_of(declared)
        if schema == self._spec_given.aggregate.schema:
            return self
        return ColumnarLocalWindowAggregate(self._spec_given.over(schema))
