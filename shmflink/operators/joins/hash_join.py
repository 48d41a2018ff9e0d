"""A join on equal columns in BATCH mode: stores the right side by key and probes it with the left side.

Left rows that arrive while the right side is incomplete wait; if there are many, they spill to a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import pyarrow as pa

from shmflink import _core
from shmflink.core.batch import Batch
from shmflink.core.elements import MAX_WATERMARK, ControlElement, Element
from shmflink.core.lazy_imports import pc
from shmflink.core.plain_columns import taken
from shmflink.core.types.typeinfo import ColumnsTypeInfo, TypeInformation, schema_of
from shmflink.operators.base import Operator, OperatorContext
from shmflink.operators.batch_store import BatchStore
from shmflink.operators.joins.spec import JoinSpec, OutputColumn
from shmflink.operators.keyed_sort import owned_batch

__all__ = ["LEFT", "RIGHT", "HashJoinOperator"]

LEFT: Final = 0
RIGHT: Final = 1
_PROBE_ROWS: Final = 16 << 10
_PAIRS_MAX: Final = 64 << 10


class HashJoinOperator(Operator):
    """Input 0 is the left side, input 1 the right side; rows with equal keys are in one subtask. Rows have no
    timestamps.
    """

    def __init__(self, spec: JoinSpec, columns: tuple[OutputColumn, ...] | None = None) -> None:
        """`columns`: the columns of the result that are read downstream."""
        self._spec = spec
        self._columns = spec.columns if columns is None else columns

    @property
    def spec(self) -> JoinSpec:
        """The join."""
        return self._spec

    @property
    def output_type(self) -> TypeInformation:
        """The schema of the emitted rows."""
        return ColumnsTypeInfo(self._spec.schema_of(self._columns))

    @property
    def insert_only_method(self) -> str:
        return "join()"

    @property
    def batch_method(self) -> str:
        return "join()"

    # --- which columns it reads ---

    def columns_needed_of(self, side: int, needed: frozenset[str] | None) -> frozenset[str]:
        """The columns of one input that the result's columns `needed` (None = all) require."""
        keys = self._spec.left_on if side == LEFT else self._spec.right_on
        names = [column.left if side == LEFT else column.right for column in self._wanted(needed)]
        return frozenset(keys) | {name for name in names if name is not None}

    def narrowed_to(self, inputs: Sequence[TypeInformation], needed: frozenset[str] | None) -> HashJoinOperator:
        """The same join for inputs with fewer columns, emitting only `needed`; at least one column."""
        columns = self._wanted(needed)
        left, right = (schema_of(declared) for declared in inputs)
        spec = self._spec
        narrow = JoinSpec(
            left, right, spec.left_on, spec.right_on, spec.how, merges_keys=spec.merges_keys, suffix=spec.suffix
        )
        return HashJoinOperator(narrow, columns)

    def _wanted(self, needed: frozenset[str] | None) -> tuple[OutputColumn, ...]:
        """At least one column, so that rows can be counted."""
        wanted = tuple(column for column in self._columns if needed is None or column.name in needed)
        return wanted or self._columns[:1]

    # --- rows ---

    def open(self, context: OperatorContext) -> None:
        spec = self._spec
        keys = pa.schema([spec.right.field(name) for name in spec.right_on])
        self._table = _core.JoinTable(keys, marks=spec.how in ("right", "full"))
        self._right: list[pa.RecordBatch] = []
        self._kept: pa.Table | None = None
        self._left = BatchStore()

    def process(self, batch: Batch, input_index: int = 0) -> Iterator[Batch]:
        if input_index == RIGHT:
            self._add(batch)
        elif self._kept is None:
            self._left.add(batch)
        else:
            yield from self._probe(batch)

    def end_input(self, input_index: int) -> Iterator[Batch]:
        if input_index == RIGHT:
            yield from self._complete_right()

    def process_control(self, element: ControlElement) -> Iterator[Element]:
        """At the end of event time both sides are complete; no row may follow that watermark, so it is emitted last."""
        if element == MAX_WATERMARK:
            yield from self._complete_right()
            yield from self._unmatched()
        yield element

    def _complete_right(self) -> Iterator[Batch]:
        """Called when no right rows follow: processes the waiting left rows."""
        if self._kept is not None:
            return
        self._table.seal()
        names = self._names(right=True)
        schema = pa.schema([self._spec.right.field(name) for name in names])
        self._kept = pa.Table.from_batches(self._right, schema).combine_chunks()
        self._right.clear()
        for batch in self._left.take():
            yield from self._probe(batch)

    def _unmatched(self) -> Iterator[Batch]:
        """The right rows without a match, if the kind of join emits them."""
        if self._spec.how not in ("right", "full"):
            return
        rows = self._table.unmatched()
        for start in range(0, len(rows), _PAIRS_MAX):
            part = rows.slice(start, _PAIRS_MAX)
            yield self._result(self._nothing(len(part)), self._right_columns(part), len(part))

    def close(self) -> None:
        if (left := getattr(self, "_left", None)) is not None:
            left.close()

    def _add(self, batch: Batch) -> None:
        columns = batch.columns()
        self._table.insert(columns.select(list(self._spec.right_on)))
        if self._spec.has_right_columns:
            kept = columns.select(self._names(right=True))
            self._right.append(owned_batch(Batch.of_columns(kept)).columns())

    def _names(self, *, right: bool) -> list[str]:
        names = [column.right if right else column.left for column in self._columns]
        return [name for name in names if name is not None] if self._spec.has_right_columns or not right else []

    def _probe(self, batch: Batch) -> Iterator[Batch]:
        columns = batch.columns()
        for start in range(0, batch.num_rows, _PROBE_ROWS):
            yield from self._probe_piece(columns.slice(start, _PROBE_ROWS))

    def _probe_piece(self, left: pa.RecordBatch) -> Iterator[Batch]:
        how, on = self._spec.how, list(self._spec.left_on)
        if how in ("semi", "anti"):
            rows = self._table.probe_rows(left.select(on), is_anti=how == "anti")
            if len(rows):
                yield self._result(taken(left, rows), {}, len(rows))
            return
        start = 0
        while start < left.num_rows:
            rest = left.slice(start)
            probe, build, done = self._table.probe(
                rest.select(on), pairs_max=_PAIRS_MAX, keeps_probe=how in ("left", "full")
            )
            if len(probe):
                yield self._result(taken(rest, probe), self._right_columns(build), len(probe))
            start += done

    def _right_columns(self, rows: pa.UInt32Array) -> dict[str, pa.Array]:
        assert self._kept is not None, "a probe before the right side is complete"
        return {name: _one(taken(self._kept.column(name), rows)) for name in self._names(right=True)}

    def _nothing(self, rows: int) -> pa.RecordBatch:
        """Left columns without values."""
        names = self._names(right=False)
        fields = [self._spec.left.field(name).with_nullable(True) for name in names]
        return pa.RecordBatch.from_arrays([pa.nulls(rows, each.type) for each in fields], schema=pa.schema(fields))

    def _result(self, left: pa.RecordBatch, right: dict[str, pa.Array], rows: int) -> Batch:
        arrays = [self._value(column, left, right) for column in self._columns]
        schema = self._spec.schema_of(self._columns)
        made = pa.RecordBatch.from_arrays(arrays, schema=schema)
        assert made.num_rows == rows, (made.num_rows, rows)
        return Batch.of_columns(made, ColumnsTypeInfo(schema))

    def _value(self, column: OutputColumn, left: pa.RecordBatch, right: dict[str, Any]) -> pa.Array:
        if column.left is None:
            return right[column.right or ""]
        value = left.column(column.left)
        if column.right is None or self._spec.how not in ("right", "full"):
            return value
        return pc.coalesce(value, right[column.right])


def _one(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """The values as one array."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
