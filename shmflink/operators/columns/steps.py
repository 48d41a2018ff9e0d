"""Operations on columns, one per step: described by expressions, bound to a schema, then run on batches.

A *step* is a plain picklable description over column names. `bind` compiles it for the input schema and the columns
that are still needed after it; a bound step converts one record batch to others.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import pyarrow as pa

from shmflink import expressions as ex
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.lazy_imports import pc
from shmflink.core.plain_columns import kept, taken
from shmflink.errors import TypeMismatchError
from shmflink.expressions.node import COLUMN

if TYPE_CHECKING:
    from shmflink.expressions import BoundExpressions, Expression

__all__ = ["EXPLODED_ROWS_MAX", "BoundFilter", "BoundStep", "ColumnStep", "Explode", "Filter", "Project", "columns_of"]

_PLACE: Final = "the plan"  # the place of columns that pass unchanged, which cannot fail any longer
EXPLODED_ROWS_MAX: Final = 1 << 16  # rows of one batch of exploded elements

Columns: TypeAlias = tuple[pa.RecordBatch, pa.Int64Array | None]
"""Columns and the timestamps of their rows."""

_Counts: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]


class BoundStep(ABC):
    """A step that fits a schema."""

    @abstractmethod
    def run(self, columns: pa.RecordBatch, timestamps: pa.Int64Array | None) -> Iterable[Columns]:
        """The resulting columns; nothing if no row is left."""


class ColumnStep(ABC):
    """One operation on columns."""

    @abstractmethod
    def output_schema(self, schema: pa.Schema) -> pa.Schema:
        """The resulting columns.

        Raises:
            TypeMismatchError: an expression does not fit them.
        """

    @abstractmethod
    def inputs_of(self, needed: frozenset[str]) -> frozenset[str]:
        """The input columns required to produce the columns `needed`."""

    @abstractmethod
    def narrowed(self, needed: frozenset[str]) -> ColumnStep:
        """The step without the parts that only produce columns that are not needed."""

    @abstractmethod
    def bind(self, schema: pa.Schema) -> BoundStep:
        """The step for columns of this schema."""


@dataclass(frozen=True, slots=True)
class Project(ColumnStep):
    """Other columns, each an expression over the old ones: `select`, `with_columns`, `drop`, `rename`."""

    named: tuple[tuple[str, Expression], ...]

    def output_schema(self, schema: pa.Schema) -> pa.Schema:
        return self._bound(schema)[1]

    def inputs_of(self, needed: frozenset[str]) -> frozenset[str]:
        found: set[str] = set()
        for name, expression in self.named:
            if name not in needed:
                continue
            if expression.function == COLUMN:
                found.add(expression.parameters[0])
            else:
                found |= columns_of(expression)
        return frozenset(found)

    def __reduce__(self) -> tuple[Any, ...]:
        # Columns that pass unchanged are sent by name: pickling an expression costs ten times as much as a string.
        named = [(name, e.parameters[0] if e.function == COLUMN else e) for name, e in self.named]
        return _project_of, (named,)

    def narrowed(self, needed: frozenset[str]) -> Project:
        return Project(tuple(pair for pair in self.named if pair[0] in needed))

    def bind(self, schema: pa.Schema) -> BoundStep:
        return _BoundProject(*self._bound(schema))

    def _bound(self, schema: pa.Schema) -> tuple[BoundExpressions, pa.Schema, list[int]]:
        """The computed expressions, the output columns, and for each its index in the input, or -1.

        Most columns of wide tables pass unchanged: those are not bound, an index suffices.
        """
        names, kinds = schema.names, schema.types
        places = dict(zip(names, range(len(names)), strict=True))
        if len(places) < len(names):
            places = {}  # the binder reports which name is ambiguous
        passed = [places.get(e.parameters[0], -1) if e.function == COLUMN else -1 for _, e in self.named]
        computed = [e for (_, e), place in zip(self.named, passed, strict=True) if place < 0]
        bound = ex.bind(computed, schema)
        rest = iter(bound.fields.types)
        fields = [
            (name, kinds[place] if place >= 0 else next(rest))
            for (name, _), place in zip(self.named, passed, strict=True)
        ]
        return bound, pa.schema(fields), passed


def _project_of(named: Iterable[tuple[str, Expression | str]]) -> Project:
    """The inverse of `Project.__reduce__`."""
    return Project(
        tuple((name, ex.Expression(COLUMN, (), (e,), _PLACE) if isinstance(e, str) else e) for name, e in named)
    )


@dataclass(frozen=True, slots=True)
class Filter(ColumnStep):
    """Keeps the rows for which `predicate` is true (not false or null), and of these the columns `kept` (None =
    all).
    """

    predicate: Expression
    kept: tuple[str, ...] | None = None

    def output_schema(self, schema: pa.Schema) -> pa.Schema:
        kind = ex.bind([self.predicate], schema).fields.types[0]
        if not (pa.types.is_boolean(kind) or pa.types.is_null(kind)):
            raise TypeMismatchError(
                f"{self.predicate.place}: filter() takes a condition, but `{self.predicate}` is {kind}: "
                f"compare it with "
                "something"
            )
        if self.kept is None:
            return schema
        kept = set(self.kept)
        return pa.schema([field for field in schema if field.name in kept])

    def inputs_of(self, needed: frozenset[str]) -> frozenset[str]:
        return needed | columns_of(self.predicate)

    def narrowed(self, needed: frozenset[str]) -> Filter:
        return Filter(self.predicate, tuple(sorted(needed)))

    def bind(self, schema: pa.Schema) -> BoundStep:
        wanted = set(self.kept or ())
        kept = None if self.kept is None else [i for i, name in enumerate(schema.names) if name in wanted]
        kept = None if kept is None or len(kept) == len(schema) else kept
        return BoundFilter(ex.bind([self.predicate], schema), kept)


@dataclass(frozen=True, slots=True)
class Explode(ColumnStep):
    """One row per element of the array `expression`, as column `name`; the other columns are repeated.

    A row with a null or empty array yields no row, or with `outer` one row with a null element (SQL: UNNEST, and LEFT
    JOIN UNNEST ... ON TRUE). `kept` are the other columns to keep, None = all except `name`.
    """

    name: str
    expression: Expression
    outer: bool = False
    kept: tuple[str, ...] | None = None

    def output_schema(self, schema: pa.Schema) -> pa.Schema:
        kind = ex.bind([self.expression], schema).fields.types[0]
        if not _is_array(kind):
            raise TypeMismatchError(
                f"{self.expression.place}: explode() takes an array, but `{self.expression}` is {kind}"
            )
        element = pa.field(self.name, kind.value_type)
        fields = [element if field.name == self.name else field for field in self._kept_of(schema)]
        return pa.schema(fields if self.name in schema.names else [*fields, element])

    def inputs_of(self, needed: frozenset[str]) -> frozenset[str]:
        return (needed - {self.name}) | columns_of(self.expression)

    def narrowed(self, needed: frozenset[str]) -> Explode:
        return Explode(self.name, self.expression, self.outer, tuple(sorted(needed - {self.name})))

    def bind(self, schema: pa.Schema) -> BoundStep:
        return _BoundExplode(self, schema, self.output_schema(schema))

    def _kept_of(self, schema: pa.Schema) -> list[pa.Field]:
        """Input columns that have a place in the output, including the one that is replaced."""
        kept = None if self.kept is None else {*self.kept, self.name}
        return [field for field in schema if kept is None or field.name in kept]


def columns_of(expression: Expression) -> frozenset[str]:
    """The columns that an expression reads."""
    return frozenset(node.parameters[0] for node in expression.walk() if node.function == "col")


class _BoundProject(BoundStep):
    def __init__(self, bound: BoundExpressions, schema: pa.Schema, passed: list[int]) -> None:
        self._bound = bound
        self._schema = schema
        self._passed = passed

    def run(self, columns: pa.RecordBatch, timestamps: pa.Int64Array | None) -> Iterable[Columns]:
        computed = iter(self._bound.evaluate(columns))
        given = columns.columns
        arrays = [given[place] if place >= 0 else next(computed) for place in self._passed]
        return ((pa.RecordBatch.from_arrays(arrays, schema=self._schema), timestamps),)


class BoundFilter(BoundStep):
    """Keeps rows."""

    def __init__(self, bound: BoundExpressions, kept: list[int] | None) -> None:
        self._bound = bound
        self._kept = kept

    def run(self, columns: pa.RecordBatch, timestamps: pa.Int64Array | None) -> Iterable[Columns]:
        mask = self.mask(columns)
        passing = mask.true_count
        if not passing:
            return ()
        if self._kept is not None:
            columns = columns.select(self._kept)
        if passing == columns.num_rows:
            return ((columns, timestamps),)
        return ((kept(columns, mask), None if timestamps is None else timestamps.filter(mask)),)

    def mask(self, columns: pa.RecordBatch) -> pa.BooleanArray:
        """True for the rows to keep."""
        mask = self._bound.evaluate(columns)[0]
        return mask if pa.types.is_boolean(mask.type) else mask.cast(pa.bool_())


class _BoundExplode(BoundStep):
    def __init__(self, step: Explode, schema: pa.Schema, output: pa.Schema) -> None:
        self._bound = ex.bind([step.expression], schema)
        self._outer = step.outer
        self._output = output
        self._element = output.get_field_index(step.name)
        self._others = [schema.get_field_index(name) for name in output.names if name != step.name]

    def run(self, columns: pa.RecordBatch, timestamps: pa.Int64Array | None) -> Iterable[Columns]:
        arrays = self._bound.evaluate(columns)[0]
        counts = pc.fill_null(pc.list_value_length(arrays), 0).to_numpy().astype(np.int64)
        ends = np.cumsum(np.maximum(counts, 1) if self._outer else counts)
        for start, stop in _pieces(ends):
            yield from self._piece(columns, timestamps, arrays.slice(start, stop - start), counts[start:stop], start)

    def _piece(
        self, columns: pa.RecordBatch, timestamps: pa.Int64Array | None, arrays: pa.Array, counts: _Counts, start: int
    ) -> Iterator[Columns]:
        elements = pc.list_flatten(arrays)
        rows = None
        if self._outer and not counts.all():
            elements, counts = _with_nulls(elements, counts)
        if self._others or timestamps is not None:
            rows = pa.array(np.repeat(np.arange(start, start + len(counts)), counts))
        for offset in range(0, len(elements), EXPLODED_ROWS_MAX):  # more than one round: a row has a long array
            part = elements.slice(offset, EXPLODED_ROWS_MAX)
            picked = None if rows is None else rows.slice(offset, EXPLODED_ROWS_MAX)
            repeated = [taken(columns.column(index), picked) for index in self._others]
            repeated.insert(self._element, part)
            stamps = None if timestamps is None else timestamps.take(picked)
            yield pa.RecordBatch.from_arrays(repeated, schema=self._output), stamps


def _pieces(ends: _Counts) -> Iterator[tuple[int, int]]:
    """Runs of rows that yield at most EXPLODED_ROWS_MAX rows, at least one row each. `ends`: rows yielded so far."""
    start, given = 0, 0
    while start < len(ends):
        stop = max(int(np.searchsorted(ends, given + EXPLODED_ROWS_MAX, side="right")), start + 1)
        if ends[stop - 1] > given:
            yield start, stop
        start, given = stop, int(ends[stop - 1])


def _with_nulls(elements: pa.Array, counts: _Counts) -> tuple[pa.Array, _Counts]:
    """The elements, with a null for each row without any, and the resulting number of elements per row."""
    filled = np.maximum(counts, 1)
    is_null = np.repeat(counts == 0, filled)
    indexes = np.cumsum(~is_null) - 1
    return taken(elements, pa.array(indexes, mask=is_null)), filled


def _is_array(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))
