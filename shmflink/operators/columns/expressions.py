"""Expressions over columns: select, with_columns, drop, rename, filter and explode, any number of them in one operator.

Rows become columns once, on arrival; after that nothing is converted.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence

import pyarrow as pa

from shmflink import expressions as ex
from shmflink.core.batch import Batch
from shmflink.core.columns import cast_columns
from shmflink.core.types.typeinfo import ColumnsTypeInfo, TypeInformation, schema_of
from shmflink.errors import TypeMismatchError
from shmflink.operators.base import Operator, OperatorContext
from shmflink.operators.columns.steps import BoundFilter, BoundStep, ColumnStep, Filter, Project

__all__ = ["ColumnarOperator", "ColumnsOperator", "IncomingColumns", "narrowest"]


class ColumnarOperator(Operator):
    """An operator that knows which columns it reads and emits when the graph is built."""

    @property
    @abstractmethod
    def output_type(self) -> TypeInformation:
        """The schema of the emitted rows."""

    @abstractmethod
    def columns_needed(self, needed: frozenset[str] | None) -> frozenset[str]:
        """The input columns required to emit the columns `needed` (None = all); at least one."""

    @abstractmethod
    def narrowed(self, declared: TypeInformation, needed: frozenset[str] | None) -> ColumnarOperator:
        """The same operator for input of type `declared`, which may have fewer columns, emitting only `needed`."""


class ColumnsOperator(ColumnarOperator):
    """Applies `steps` to each batch. Timestamps stay with their rows, keys do not."""

    def __init__(self, declared: TypeInformation, steps: Sequence[ColumnStep]) -> None:
        """`declared` is the type of the incoming rows.

        Raises:
            TypeMismatchError: a step does not fit its columns, or `declared` has none.
        """
        self._declared = declared
        self._steps = tuple(steps)
        self._schemas = _schemas(declared, self._steps)

    @property
    def steps(self) -> tuple[ColumnStep, ...]:
        """The steps, in order."""
        return self._steps

    @property
    def output_type(self) -> TypeInformation:
        if self._keeps_form:
            return self._declared
        return ColumnsTypeInfo(self._schemas[-1])

    @property
    def schema(self) -> pa.Schema:
        """The emitted columns."""
        return self._schemas[-1]

    @property
    def _keeps_form(self) -> bool:
        """Whether rows are emitted in their original form: tuples as tuples, strings as strings."""
        return all(isinstance(step, Filter) and step.kept is None for step in self._steps)

    def fused_with(self, following: Operator) -> Operator | None:
        if not isinstance(following, ColumnsOperator):
            return None
        return ColumnsOperator(self._declared, [*self._steps, *following.steps])

    def columns_needed(self, needed: frozenset[str] | None) -> frozenset[str]:
        return self._needed_by_step(needed)[0]

    def narrowed(self, declared: TypeInformation, needed: frozenset[str] | None) -> ColumnsOperator:
        if needed is None and schema_of(declared) == self._schemas[0]:
            return self
        before = self._needed_by_step(needed)
        steps = [step.narrowed(behind) for step, behind in zip(self._steps, before[1:], strict=True)]
        made = ColumnsOperator(declared, steps)
        wanted = [name for name in self._schemas[-1].names if name in before[-1]]
        if made.schema.names != wanted:
            made = ColumnsOperator(declared, [*steps, Project(tuple((name, ex.col(name)) for name in wanted))])
        return made

    def without_filters(self, positions: frozenset[int]) -> ColumnsOperator:
        """The operator without the steps at these positions, which another operator already performs."""
        return ColumnsOperator(self._declared, [step for i, step in enumerate(self._steps) if i not in positions])

    def open(self, context: OperatorContext) -> None:
        self._incoming = IncomingColumns(self._declared, context.operator_name)
        self._type = self.output_type
        self._masks = self._keeps_form and not isinstance(self._declared, ColumnsTypeInfo)
        self._bound: list[BoundStep] = []
        needed = self._needed_by_step(None)
        schema = self._schemas[0]
        for step, behind in zip(self._steps, needed[1:], strict=True):
            # A column that only an earlier step needs is dropped as soon as that step is done.
            narrow = step if self._masks else step.narrowed(behind)
            self._bound.append(narrow.bind(schema))
            schema = narrow.output_schema(schema)

    def process(self, batch: Batch, input_index: int = 0) -> Iterator[Batch]:
        if self._masks:
            return self._filtered(batch)
        return self._run(0, self._incoming.columns(batch), batch.timestamps)

    def _run(self, first: int, columns: pa.RecordBatch, timestamps: pa.Int64Array | None) -> Iterator[Batch]:
        for position in range(first, len(self._bound)):
            results = self._bound[position].run(columns, timestamps)
            if not isinstance(results, tuple):  # any number, created one at a time
                for made in results:
                    yield from self._run(position + 1, *made)
                return
            if not results:
                return
            columns, timestamps = results[0]
        yield Batch.of_columns(columns, self._type, timestamps=timestamps)

    def _filtered(self, batch: Batch) -> Iterator[Batch]:
        """The batch's own rows, in their own form."""
        for bound in self._bound:
            assert isinstance(bound, BoundFilter), bound
            batch = batch.filter(bound.mask(self._incoming.columns(batch)))
            if not batch.num_rows:
                return
        yield batch.without_keys()

    def _needed_by_step(self, needed: frozenset[str] | None) -> list[frozenset[str]]:
        """The columns needed before each step, and finally the emitted ones."""
        last = self._schemas[-1]
        behind = frozenset(last.names) if needed is None else frozenset(needed)
        found = [behind or frozenset([narrowest(last)])]
        for step, schema in zip(reversed(self._steps), reversed(self._schemas[:-1]), strict=True):
            # A record batch without columns has no number of rows.
            found.append(step.inputs_of(found[-1]) or frozenset([narrowest(schema)]))
        return found[::-1]


class IncomingColumns:
    """The columns of batches of a declared type, checked against it."""

    def __init__(self, declared: TypeInformation, operator: str) -> None:
        schema = schema_of(declared)
        assert schema is not None, declared
        self.schema = schema
        self._operator = operator
        self._fitting = schema

    def columns(self, batch: Batch) -> pa.RecordBatch:
        """The batch's columns with the declared names and types.

        Raises:
            TypeMismatchError: the batch has other columns.
        """
        columns = batch.columns()
        if columns.schema.equals(self._fitting):
            return columns
        if columns.schema.names == self.schema.names and columns.schema.types == self.schema.types:
            self._fitting = columns.schema  # may differ in metadata and nullability, which do not matter
            return columns
        try:
            return cast_columns(columns, self.schema)
        except TypeMismatchError as error:
            raise TypeMismatchError(f"operator '{self._operator}': {error}") from None


def narrowest(schema: pa.Schema) -> str:
    """The column that is cheapest to carry along."""

    def width(name: str) -> tuple[int, int]:
        index = schema.get_field_index(name)
        try:
            return schema.field(index).type.bit_width, index
        except ValueError:  # no fixed width
            return 1 << 30, index

    names: list[str] = schema.names
    return min(names, key=width)


def _schemas(declared: TypeInformation, steps: Sequence[ColumnStep]) -> list[pa.Schema]:
    """The columns before each step and after the last."""
    schema = schema_of(declared)
    if schema is None:
        raise TypeMismatchError(f"a stream of type {declared} has no columns")
    schemas = [schema]
    for step in steps:
        schemas.append(step.output_schema(schemas[-1]))
    return schemas
