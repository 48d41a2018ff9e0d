"""What a stream can do with its columns, as a whole and by name. All of it *shmflink only*.

Types are known when the program is built, so every method checks its expressions at once and says which line of the
program does not fit. Nothing here converts rows: a per-record function in between gets `Row`s, and what it returns
needs a declared `output_type` before columns can be used again.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from shmflink.core.types.typeinfo import ColumnsTypeInfo, TypeInformation, schema_of
from shmflink.errors import TypeMismatchError
from shmflink.expressions import Expression, bind, col
from shmflink.expressions.aggregates.methods import AGGREGATE_FUNCTIONS
from shmflink.expressions.binding import name_of
from shmflink.expressions.node import ALIAS, COLUMN, place_of_caller
from shmflink.operators.columns.as_columns import AsColumnsOperator
from shmflink.operators.columns.expressions import ColumnsOperator
from shmflink.operators.columns.steps import Explode, Filter, Project, Step

if TYPE_CHECKING:
    from shmflink.datastream.data_stream import DataStream
    from shmflink.operators.base import Operator

__all__ = ["ColumnMethods", "described", "named_expressions"]

_SHOWN_MAX: Final = 12  # expressions of a description


class ColumnMethods:
    """Part of `DataStream`."""

    if TYPE_CHECKING:

        def _value_type(self) -> TypeInformation | None: ...

        def _apply(self, name: str, operator: Operator, output_type: TypeInformation | None) -> DataStream: ...

    @property
    def schema(self) -> pa.Schema:
        """*shmflink only.* Names and Arrow types of the columns.

        Raises:
            TypeMismatchError: they are not known here.
        """
        return schema_of(self._columns_type("schema"))

    def print_schema(self) -> None:
        """*shmflink only.* Writes the columns to standard output, one in a line."""
        lines = [f"{field.name}: {field.type}" for field in self.schema]
        sys.stdout.write("\n".join(lines) + "\n")

    def select(self, *columns: str | Expression, **named: Expression) -> DataStream:
        """*shmflink only.* These columns alone: names, expressions (`.alias()` names them), `name=expression`.

        >>> ds.select("user", col("price").cast(pa.int32()).alias("whole"), big=col("price") > 100)
        """
        pairs = named_expressions("select", columns, named)
        return self._columnar("Select", Project(tuple(pairs.items())), described(pairs))

    def with_columns(self, *columns: Expression, **named: Expression) -> DataStream:
        """*shmflink only.* All columns and these; one of the same name is replaced where it stands.

        Every expression sees the columns as they come in.
        """
        pairs = named_expressions("with_columns", columns, named, needs_names=True)
        kept = _columns(self._schema_for("with_columns").names)
        return self._columnar("WithColumns", Project(tuple({**kept, **pairs}.items())), described(pairs))

    def drop(self, *names: str) -> DataStream:
        """*shmflink only.* All columns but these.

        Raises:
            TypeMismatchError: there is no such column, or none is left.
        """
        schema = self._schema_for("drop")
        self._check_columns(names)
        dropped = set(names)
        kept = [name for name in schema.names if name not in dropped]
        if not kept:
            raise TypeMismatchError("drop(): no column would be left; leave one, or do not make the stream")
        return self._columnar("Drop", Project(tuple(_columns(kept).items())), ", ".join(names))

    def rename(self, names: Mapping[str, str] | None = None, **new_names: str) -> DataStream:
        """*shmflink only.* The same columns under other names: `{old: new}`, or `old="new"`."""
        renamed = {**(names or {}), **new_names}
        schema = self._schema_for("rename")
        self._check_columns(tuple(renamed))
        pairs = [(renamed.get(name, name), column) for name, column in _columns(schema.names).items()]
        text = ", ".join(f"{old} AS {new}" for old, new in renamed.items())
        return self._columnar("Rename", Project(tuple(pairs)), text)

    def explode(self, column: str | Expression, *, outer: bool = False) -> DataStream:
        """*shmflink only.* A row for each element of an array column; the other columns are repeated.

        A column's name replaces the array by its elements; an expression with an alias adds a column beside the
        others. A row whose array is null or empty vanishes; with `outer` it stays, with null as its element.

        >>> ds.explode(col("line").split(" ").alias("word")).key_by("word").aggregate(n=count())
        """
        [(name, expression)] = named_expressions("explode", (column,), {}, needs_names=True).items()
        text = f"{expression} AS {name}" if expression.function != COLUMN else name
        return self._columnar("Explode", Explode(name, expression, outer), text + (", outer" if outer else ""))

    def as_columns(self, schema: pa.Schema | TypeInformation) -> DataStream:
        """*shmflink only.* Says which columns the elements have, for streams whose type nobody declared.

        Elements are `Row`s, tuples, dicts or record batches; a scalar is the one column of a schema of one. Values are
        checked and cast while the job runs; one that does not fit stops it.
        """
        declared = schema if isinstance(schema, TypeInformation) else ColumnsTypeInfo(schema)
        columns = schema_of(declared)
        if columns is None:
            raise TypeMismatchError(f"as_columns(): {declared} has no columns; give a pyarrow.Schema")
        made = ColumnsTypeInfo(columns)
        return self._apply("AsColumns", AsColumnsOperator(made), made)

    def _filter_columns(self, predicate: Expression) -> DataStream:
        return self._columnar("Filter", Filter(_without_alias(predicate)), without_parentheses(predicate))

    # --- how it is recorded ---

    def _columnar(self, name: str, step: Step, text: str) -> DataStream:
        operator = ColumnsOperator(self._columns_type(name), [step])
        stream = self._apply(name, operator, operator.output_type)
        return stream.set_description(f"{name}({text})")

    def columns_type(self, method: str) -> TypeInformation:
        """*shmflink only.* The declared type, which has columns; raises TypeMismatchError where it has none."""
        return self._columns_type(method)

    def _columns_type(self, method: str) -> TypeInformation:
        """The declared type, which has columns."""
        declared = self._value_type()
        if declared is None or schema_of(declared) is None:
            raise TypeMismatchError(
                f"{method}: the columns of this stream are not known ({_reason(declared)}): declare output_type= where "
                "a function makes its elements, for example Types.ROW_NAMED([...], [...]), or put "
                ".as_columns(pyarrow.schema([...])) in front"
            )
        return declared

    def _schema_for(self, method: str) -> pa.Schema:
        return schema_of(self._columns_type(method))

    def _check_columns(self, names: tuple[str, ...]) -> None:
        """Raises TypeMismatchError where there is no such column."""
        bind([col(name) for name in names], self.schema)


def _columns(names: Sequence[str]) -> dict[str, Expression]:
    """Each column as it is; the user's line is looked up once for all of them."""
    place = place_of_caller()
    return {name: Expression(COLUMN, (), (name,), place) for name in names}


def named_expressions(
    method: str,
    positional: tuple[str | Expression, ...],
    named: Mapping[str, Any],
    *,
    needs_names: bool = False,
    aggregates: bool = False,
) -> dict[str, Expression]:
    """What a method was given, by the name of the column that it makes; expressions without one are `_c0`, `_c1`, ...

    Raises:
        TypeMismatchError: nothing given, a name twice or missing, something that is no expression, an aggregate where
        none can be (or no expression where one must be).
    """
    found: dict[str, Expression] = {}
    given = [(None, item) for item in positional] + list(named.items())
    if not given:
        raise TypeMismatchError(f"{method}() needs at least one column")
    for index, (name, item) in enumerate(given):
        expression = _expression(method, item, is_named=name is not None)
        if name is None:
            if needs_names and expression.function not in (ALIAS, COLUMN):
                raise TypeMismatchError(
                    f"{expression.place}: {method}(): `{expression}` needs a name: {method}(name=...) or .alias('name')"
                )
            name = name_of(expression, index)
        if name in found:
            raise TypeMismatchError(f"{expression.place}: {method}(): the column `{name}` is there twice")
        if not aggregates:
            _check_no_aggregate(method, expression)
        found[name] = _without_alias(expression)
    return found


def _expression(method: str, item: Any, *, is_named: bool) -> Expression:
    if isinstance(item, Expression):
        return item
    if isinstance(item, str) and not is_named:
        return col(item)
    if callable(item):
        hint = f"call it: {getattr(item, '__name__', 'it')}()"
    else:
        hint = "a constant is lit(...)" if is_named else "columns are named by strings or col('name')"
    raise TypeMismatchError(f"{method}() takes expressions, got {item!r}: {hint}")


def _check_no_aggregate(method: str, expression: Expression) -> None:
    for node in expression.walk():
        if node.function in AGGREGATE_FUNCTIONS:
            raise TypeMismatchError(
                f"{expression.place}: {method}(): `{expression}` is over many rows: use key_by(...).aggregate(...), or "
                "aggregate(...) for one result over all rows"
            )


def _without_alias(expression: Expression) -> Expression:
    while expression.function == ALIAS:
        expression = expression.arguments[0]
    return expression


def _reason(declared: TypeInformation | None) -> str:
    return "no type was declared" if declared is None else f"its type is {declared}"


def without_parentheses(expression: Expression) -> str:
    """An expression as text where it stands alone."""
    text = str(expression)
    if not (text.startswith("(") and text.endswith(")")):
        return text
    depth = 0
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return text[1:-1] if position == len(text) - 1 else text
    return text


def described(pairs: Mapping[str, Expression]) -> str:
    shown = [name if str(e) == name else f"{without_parentheses(e)} AS {name}" for name, e in pairs.items()]
    more = len(shown) - _SHOWN_MAX
    return ", ".join(shown[:_SHOWN_MAX]) + (f", ... {more} more" if more > 0 else "")
