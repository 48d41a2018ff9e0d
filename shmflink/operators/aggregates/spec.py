"""What a grouped aggregation computes: keys, calls, and the schemas of its two steps."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from shmflink import _core
from shmflink import expressions as ex
from shmflink.core.lazy_dataclass import dataclass
from shmflink.errors import TypeMismatchError
from shmflink.expressions.node import LITERAL

if TYPE_CHECKING:
    from shmflink.expressions import AggregateCall, BoundExpressions, Expression

__all__ = ["AggregateSpec"]

_EXPRESSION_KEY: Final = "expression"  # read by the native table
_FLINK_TYPES: Final = "flink."  # prefix of a function's name in the native table
_ARGUMENT_NAME: Final = "__argument{}"
# Functions whose constants may be written as arguments: list_agg(x, ',') as well as parameters=(',',).
_WITH_CONSTANTS: Final = frozenset({"list_agg", "quantile", "approx_quantile", "top_n"})

_NativeCall = tuple[str, str, list[int], list[Any], bool]


@dataclass(frozen=True, slots=True)
class AggregateSpec:
    """Groups the rows of `schema` by `keys` (none: all rows are one group) and computes `calls` for each group.

    ::

        input_schema     keys, then the distinct arguments of the calls (`__argument0`, ...): rows not aggregated yet
        partial_schema   keys, then the state of each call (`name`, or `name.part` if it has several columns)
        result_schema    keys, then the result of each call

    Null is a key like any other, NaN is one key. -0.0 and 0.0 are one key, because `==` says so; Flink compares bits
    and distinguishes them. Raises TypeMismatchError if a call does not take the types of its arguments. Pickled as its
    three parts.
    """

    schema: pa.Schema
    keys: tuple[tuple[str, Expression], ...]
    calls: tuple[tuple[str, AggregateCall], ...]
    input_schema: pa.Schema = field(init=False, compare=False, repr=False)
    partial_schema: pa.Schema = field(init=False, compare=False, repr=False)
    result_schema: pa.Schema = field(init=False, compare=False, repr=False)
    _bound: BoundExpressions = field(init=False, compare=False, repr=False)
    _argument_expressions: list[Expression] = field(init=False, compare=False, repr=False)
    _native_calls: list[_NativeCall] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        arguments = _Arguments()
        native = [_native_call(name, call, arguments) for name, call in self.calls]
        bound = ex.bind([key for _, key in self.keys] + arguments.expressions, self.schema)
        types = [each.type for each in bound.fields]
        names = [name for name, _ in self.keys] + arguments.names
        self._set("input_schema", pa.schema(zip(names, types, strict=True)))
        self._set("_bound", bound)
        self._set("_argument_expressions", arguments.expressions)
        self._set("_native_calls", native)
        for index, (name, call) in enumerate(self.calls):
            self._check(name, call, native[index])
        table = self.table()
        self._set("partial_schema", table.partial_schema)
        self._set("result_schema", table.result_schema)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.schema, self.keys, self.calls)

    @property
    def key_names(self) -> list[str]:
        """The key columns, by which rows between the two steps are distributed."""
        return [name for name, _ in self.keys]

    @property
    def columns(self) -> frozenset[str]:
        """The input columns that are read."""
        return self._bound.columns

    @property
    def key_schema(self) -> pa.Schema:
        """The key columns."""
        return pa.schema(list(self.input_schema)[: len(self.keys)])

    @property
    def argument_schema(self) -> pa.Schema:
        """The arguments of the calls, each with the user's expression as metadata, for messages."""
        return pa.schema(
            [
                field.with_metadata({_EXPRESSION_KEY: str(expression)})
                for field, expression in zip(
                    list(self.input_schema)[len(self.keys) :], self._argument_expressions, strict=True
                )
            ]
        )

    @property
    def native_calls(self) -> list[_NativeCall]:
        """In the form that native tables take: name, function, indices of the arguments, constants, whether
        distinct.
        """
        return self._native_calls

    def table(self, *, tracks_changes: bool = False) -> _core.GroupTable:
        """An empty table for this aggregation."""
        return _core.GroupTable(
            self.key_schema, self.argument_schema, self._native_calls, tracks_changes=tracks_changes
        )

    def inputs(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Keys and arguments of these rows, in the input schema."""
        if not self.input_schema.names:
            return batch.select([])
        return pa.RecordBatch.from_arrays(self._bound.evaluate(batch), schema=self.input_schema)

    def table_inputs(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The same for `table()`, which looks at each value of a dictionary once: keys may be dictionaries."""
        if not self.input_schema.names:
            return batch.select([])
        arrays = self._bound.evaluate(batch, encoded_max=len(self.keys))
        return pa.RecordBatch.from_arrays(arrays, names=self.input_schema.names)

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _check(self, name: str, call: AggregateCall, native: _NativeCall) -> None:
        """Raises, with the user's expression and line, if the native table would refuse the call."""
        try:
            _core.GroupTable(pa.schema([]), pa.schema(list(self.input_schema)[len(self.keys) :]), [native])
        except TypeMismatchError as error:
            from shmflink.expressions.binding import columns_text

            places = [argument.place for argument in call.arguments if argument.place]
            where = f"{places[0]}: " if places else ""
            shown = ", ".join(f"`{argument}`" for argument in call.arguments)
            raise TypeMismatchError(
                f"{where}aggregate `{name}` = {call.function}({shown}): {error}; use cast() or another function. "
                f"{columns_text(self.schema)}"
            ) from None


class _Arguments:
    """The distinct arguments of the calls."""

    def __init__(self) -> None:
        self.expressions: list[Expression] = []
        self._known: dict[Any, int] = {}

    @property
    def names(self) -> list[str]:
        return [_ARGUMENT_NAME.format(index) for index in range(len(self.expressions))]

    def index_of(self, expression: Expression) -> int:
        identity = expression.identity()
        if identity not in self._known:
            self._known[identity] = len(self.expressions)
            self.expressions.append(expression)
        return self._known[identity]


def _native_call(name: str, call: AggregateCall, arguments: _Arguments) -> _NativeCall:
    taken, parameters = list(call.arguments), list(call.parameters)
    if call.function in _WITH_CONSTANTS:
        while len(taken) > 1 and taken[-1].function == LITERAL:
            parameters.insert(0, taken.pop().parameters[0])
    constants = [value.as_py() if isinstance(value, pa.Scalar) else value for value in parameters]
    function = _FLINK_TYPES + call.function if call.has_flink_types else call.function
    return name, function, [arguments.index_of(each) for each in taken], constants, call.is_distinct
