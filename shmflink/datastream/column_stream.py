"""Methods of streams that work on whole columns. All of them are *shmflink only*.

Types are known when the program is built, so every method checks its expressions at once, and an error names the line
of the program. A per-record function in between receives `Row`s; it must declare an `output_type` before the following
methods can use columns again.
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
    """Methods of streams whose declared type has columns."""

    @property
    def schema(self) -> pa.Schema:
        """*shmflink only.* Names and Arrow types of the columns.

        Raises:
            TypeMismatchError: the stream has no declared columns.
        """
        return self._schema_for("schema")

    def print_schema(self) -> None:
        """*shmflink only.* Prints the columns, one per line."""
        lines = [f"{field.name}: {field.type}" for field in self.schema]
        sys.stdout.write("\n".join(lines) + "\n")

    def select(self, *columns: str | Expression, **named: Expression) -> S:
        """*shmflink only.* Keeps only these columns: names, expressions (`.alias()` names them), `name=expression`.

        >>> ds.select("user", col("price").cast(pa.int32()).alias("whole"), big=col("price") > 100)
        """
        pairs = named_expressions("select", columns, named)
        return self._select("Select", pairs, described(pairs))

    def with_columns(self, *columns: Expression, **named: Expression) -> S:
        """*shmflink only.* Adds these columns to the stream; replaces a column of the same name in its position.

        Every expression refers to the input columns, not to those that the same call adds.
        """
        pairs = named_expressions("with_columns", columns, named, needs_names=True)
        kept = columns_as_they_are(self._schema_for("with_columns").names)
        return self._select("WithColumns", {**kept, **pairs}, described(pairs))

    def drop(self, *names: str) -> S:
        """*shmflink only.* Removes these columns.

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
        """*shmflink only.* Renames columns: `{old: new}`, or `old="new"`."""
        renamed = {**(names or {}), **new_names}
        schema = self._schema_for("rename")
        self.check_columns(tuple(renamed))
        pairs = tuple((renamed.get(name, name), column) for name, column in columns_as_they_are(schema.names).items())
        text = ", ".join(f"{old} AS {new}" for old, new in renamed.items())
        return self.record(Select(pairs, "Rename", text))

    def explode(self, column: str | Expression, *, outer: bool = False) -> S:
        """*shmflink only.* A row for each element of an array column; the other columns are repeated.

        The name of a column replaces the array by its elements; an expression with an alias adds a column. A row whose
        array is null or empty is dropped; with `outer` it is kept, with null as its element.

        >>> ds.explode(col("line").split(" ").alias("word")).key_by("word").aggregate(n=count())
        """
        [(name, expression)] = named_expressions("explode", (column,), {}, needs_names=True).items()
        return self.record(Explode(name, expression, outer))

    def as_columns(self, schema: pa.Schema | TypeInformation) -> S:
        """*shmflink only.* Declares the columns of the elements of a stream that has no declared type.

        Elements are `Row`s, tuples, dicts or record batches, or scalars for a schema with one column. Values are
        checked and cast while the job runs; a value that does not fit fails the job.
        """
        declared = schema if isinstance(schema, TypeInformation) else ColumnsTypeInfo(schema)
        columns = schema_of(declared)
        if columns is None:
            raise TypeMismatchError(f"as_columns(): {declared} has no columns; give a pyarrow.Schema")
        return self.record(AsColumns(declared if isinstance(declared, ColumnsTypeInfo) else ColumnsTypeInfo(columns)))

    # --- aggregates and their updates ---

    def aggregate(self, *aggregates: Expression, **named: Expression) -> S:
        """*shmflink only.* One row over all rows of the stream, e.g. `ds.aggregate(n=count(), top=col("price").max)`.

        BATCH: one row at the end, even if the input is empty. STREAMING: after each batch the new row, as an update.
        """
        pairs = named_expressions("aggregate", aggregates, named, aggregates=True)
        return self.record(Aggregate((), tuple(pairs.items())))

    def distinct(self, *columns: str | Expression) -> S:
        """*shmflink only.* Each distinct combination of these columns, without the other columns. Default: all columns.

        STREAMING emits a combination at its first occurrence, BATCH at the end.
        """
        schema = self._schema_for("distinct")
        keys = named_expressions("distinct", columns or tuple(schema.names), {})
        return self.record(Aggregate(tuple(keys.items()), ()))

    def final(self) -> S:
        """*shmflink only.* Only the last row of each key, when the input has ended; also in STREAMING mode.

        Use it in front of a consumer that does not accept updates, such as a second `aggregate()`. The aggregates
        before it emit their rows only at the end of their input, which must be bounded; windows with allowed lateness
        as soon as no row can change them. In BATCH mode, rows are always final.

        >>> routes = flights.key_by("origin", "destination").aggregate(n=count()).final()
        >>> busiest = routes.key_by("origin").aggregate(top=col("destination").top_n(3, col("n")))
        """
        return self.record(Final())

    def updates(self) -> S:
        """*shmflink only.* Every update as a separate row: a log of changes.

        In BATCH mode, there are only final rows.
        """
        return self.record(EveryUpdate())

    def in_columns(self, method: str) -> S:
        """*shmflink only.* The stream as columns; the stream itself if its elements already are columns."""
        schema = self._schema_for(method)
        if isinstance(self.declared_type, ColumnsTypeInfo):
            return self.environment.stream_of(self.recorded)
        return self._select("Select", columns_as_they_are(schema.names), ", ".join(schema.names))

    def _select(self, title: str, columns: Mapping[str, Expression], text: str) -> S:
        return self.record(Select(tuple(columns.items()), title, text))

    def _schema_for(self, method: str) -> Any:
        return schema_of(columns_type(self.declared_type, method))

    def check_columns(self, names: tuple[str, ...]) -> None:
        """Raises TypeMismatchError if there is no such column."""
        ex.bind([ex.col(name) for name in names], self.schema)
