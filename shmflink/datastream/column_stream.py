"""Methods of streams that work on whole columns. All of it *shmflink only*.

Types are known when the program is built, so every method checks its expressions at once and says which line of the
program does not fit. Nothing here converts rows: a per-record function in between gets `Row`s, and what it returns
needs a declared `output_type` before columns can be used again.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from shmflink import expressions as ex
from shmflink.core.types.typeinfo import ColumnsTypeInfo, TypeInformation, schema_of
from shmflink.datastream.expression_arguments import columns_as_they_are, named_expressions
from shmflink.datastream.recorded_stream import RecordedStream, S
from shmflink.errors import TypeMismatchError
from shmflink.plan.calls import Aggregate, AsColumns, EveryUpdate, Explode, Final, Select
from shmflink.planner.rules.columns import columns_type, described

if TYPE_CHECKING:
    from shmflink.expressions import Expression

__all__ = ["ColumnStream"]


class ColumnStream(RecordedStream[S]):
    """A stream whose declared type may have columns."""

    @property
    def schema(self) -> pa.Schema:
        """*shmflink only.* Names and Arrow types of the columns.

        Raises:
            TypeMismatchError: they are not known here.
        """
        return self._schema_for("schema")

    def print_schema(self) -> None:
        """*shmflink only.* Writes the columns to standard output, one in a line."""
        lines = [f"{field.name}: {field.type}" for field in self.schema]
        sys.stdout.write("\n".join(lines) + "\n")

    def select(self, *columns: str | Expression, **named: Expression) -> S:
        """*shmflink only.* Only these columns: names, expressions (`.alias()` names them), `name=expression`.

        >>> ds.select("user", col("price").cast(pa.int32()).alias("whole"), big=col("price") > 100)
        """
        pairs = named_expressions("select", columns, named)
        return self._select("Select", pairs, described(pairs))

    def with_columns(self, *columns: Expression, **named: Expression) -> S:
        """*shmflink only.* All columns and these; one of the same name is replaced where it stands.

        Every expression sees the columns as they come in.
        """
        pairs = named_expressions("with_columns", columns, named, needs_names=True)
        kept = columns_as_they_are(self._schema_for("with_columns").names)
        return self._select("WithColumns", {**kept, **pairs}, described(pairs))

    def drop(self, *names: str) -> S:
        """*shmflink only.* All columns but these.

        Raises:
            TypeMismatchError: there is no such column, or none is left.
        """
        schema = self._schema_for("drop")
        self.check_columns(names)
        dropped = set(names)
        kept = [name for name in schema.names if name not in dropped]
        if not kept:
            raise TypeMismatchError("drop(): no column would be left; keep at least one")
        return self._select("Drop", columns_as_they_are(kept), ", ".join(names))

    def rename(self, names: Mapping[str, str] | None = None, **new_names: str) -> S:
        """*shmflink only.* The same columns under other names: `{old: new}`, or `old="new"`."""
        renamed = {**(names or {}), **new_names}
        schema = self._schema_for("rename")
        self.check_columns(tuple(renamed))
        pairs = tuple((renamed.get(name, name), column) for name, column in columns_as_they_are(schema.names).items())
        text = ", ".join(f"{old} AS {new}" for old, new in renamed.items())
        return self.record(Select(pairs, "Rename", text))

    def explode(self, column: str | Expression, *, outer: bool = False) -> S:
        """*shmflink only.* A row for each element of an array column; the other columns are repeated.

        A column's name replaces the array by its elements; an expression with an alias adds a column beside the
        others. A row whose array is null or empty vanishes; with `outer` it stays, with null as its element.

        >>> ds.explode(col("line").split(" ").alias("word")).key_by("word").aggregate(n=count())
        """
        [(name, expression)] = named_expressions("explode", (column,), {}, needs_names=True).items()
        return self.record(Explode(name, expression, outer))

    def as_columns(self, schema: pa.Schema | TypeInformation) -> S:
        """*shmflink only.* Declares the columns of the elements of a stream that has no declared type.

        Elements are `Row`s, tuples, dicts or record batches; a scalar is the one column of a schema of one. Values are
        checked and cast while the job runs; one that does not fit stops it.
        """
        declared = schema if isinstance(schema, TypeInformation) else ColumnsTypeInfo(schema)
        columns = schema_of(declared)
        if columns is None:
            raise TypeMismatchError(f"as_columns(): {declared} has no columns; give a pyarrow.Schema")
        return self.record(AsColumns(declared if isinstance(declared, ColumnsTypeInfo) else ColumnsTypeInfo(columns)))

    # --- aggregates and their updates ---

    def aggregate(self, *aggregates: Expression, **named: Expression) -> S:
        """*shmflink only.* One row over all rows of the stream, e.g. `ds.aggregate(n=count(), top=col("price").max)`.

        BATCH: one row at the end, also of an empty input. STREAMING: the new row after each batch, an update.
        """
        pairs = named_expressions("aggregate", aggregates, named, aggregates=True)
        return self.record(Aggregate((), tuple(pairs.items())))

    def distinct(self, *columns: str | Expression) -> S:
        """*shmflink only.* Each combination of these columns once, without the other columns. Default: all columns.

        STREAMING: as soon as it occurs. BATCH: at the end.
        """
        schema = self._schema_for("distinct")
        keys = named_expressions("distinct", columns or tuple(schema.names), {})
        return self.record(Aggregate(tuple(keys.items()), ()))

    def final(self) -> S:
        """*shmflink only.* Only the last row of each key, when the input has ended; in STREAMING mode, too.

        For what does not accept updates, such as a second `aggregate()`. The aggregates in front of it hold their rows
        back until the end of their input, which must be bounded; windows with allowed lateness until no row can change
        them. In BATCH mode, rows are always final.

        >>> routes = flights.key_by("origin", "destination").aggregate(n=count()).final()
        >>> busiest = routes.key_by("origin").aggregate(top=col("destination").top_n(3, col("n")))
        """
        return self.record(Final())

    def updates(self) -> S:
        """*shmflink only.* Every update as a row of its own: a log of changes.

        In BATCH mode, there are only final rows.
        """
        return self.record(EveryUpdate())

    def in_columns(self, method: str) -> S:
        """*shmflink only.* The stream as columns: itself if its elements are."""
        schema = self._schema_for(method)
        if isinstance(self.declared_type, ColumnsTypeInfo):
            return self.environment.stream_of(self.recorded)
        return self._select("Select", columns_as_they_are(schema.names), ", ".join(schema.names))

    def _select(self, title: str, columns: Mapping[str, Expression], text: str) -> S:
        return self.record(Select(tuple(columns.items()), title, text))

    def _schema_for(self, method: str) -> Any:
        return schema_of(columns_type(self.declared_type, method))

    def check_columns(self, names: tuple[str, ...]) -> None:
        """Raises TypeMismatchError where there is no such column."""
        ex.bind([ex.col(name) for name in names], self.schema)
