"""Expressions against a schema: checked once, when the graph is built, then computed batch by batch."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from shmflink.errors import TypeMismatchError
from shmflink.expressions.node import ALIAS, COLUMN, LITERAL, Node
from shmflink.expressions.registry import ScalarFunction, Values, find_function

__all__ = ["BoundExpressions", "bind", "name_of"]

_SCHEMA_TEXT_MAX: Final = 40  # columns of a schema that a message lists


@dataclass(frozen=True, slots=True)
class _Step:
    """One distinct node: a column, a constant, or a function of earlier steps."""

    node: Node
    function: ScalarFunction | None
    inputs: tuple[int, ...]
    column: int | None
    constant: pa.Scalar | None


class BoundExpressions:
    """Expressions that fit a schema. Equal parts of different expressions are computed once per batch."""

    def __init__(self, steps: list[_Step], outputs: list[int], fields: pa.Schema, columns: frozenset[str]) -> None:
        self._steps = steps
        self._outputs = outputs
        self.fields = fields
        self.columns = columns

    def evaluate(self, batch: pa.RecordBatch) -> list[pa.Array]:
        """One array of `batch.num_rows` for each expression. The batch has the schema that was bound.

        Raises:
            DataFormatError: a value that the function cannot take; names expression, place and value.
        """
        values = self._values(batch)
        return [_as_array(values[output], batch.num_rows) for output in self._outputs]

    def _values(self, batch: pa.RecordBatch) -> list[Values]:
        values: list[Values] = []
        rows = batch.num_rows
        for step in self._steps:
            if step.column is not None:
                values.append(batch.column(step.column))
            elif step.constant is not None:
                values.append(step.constant)
            else:
                assert step.function is not None
                values.append(step.function([values[index] for index in step.inputs], step.node.parameters, rows))
        return values


def bind(expressions: Sequence[Node], schema: pa.Schema) -> BoundExpressions:
    """Checks expressions against the schema of their input.

    Raises:
        TypeMismatchError: an unknown column or function, a wrong number or type of arguments.
    """
    binder = _Binder(schema)
    outputs = [binder.add(expression) for expression in expressions]
    fields = [
        pa.field(name_of(e, i), binder.types[o]) for i, (e, o) in enumerate(zip(expressions, outputs, strict=True))
    ]
    columns = frozenset(schema.names[step.column] for step in binder.steps if step.column is not None)
    return BoundExpressions(binder.steps, outputs, pa.schema(fields), columns)


def name_of(expression: Node, index: int = 0) -> str:
    """The name of the column that an expression makes: its alias, its column, else `_c0`, `_c1`, ... (as Flink)."""
    if expression.function in (ALIAS, COLUMN):
        return str(expression.parameters[0])
    return f"_c{index}"


class _Binder:
    def __init__(self, schema: pa.Schema) -> None:
        self.steps: list[_Step] = []
        self.types: list[pa.DataType] = []
        self._schema = schema
        self._known: dict[tuple[Any, ...], int] = {}

    def add(self, node: Node) -> int:
        """The step that computes the node."""
        if node.function == ALIAS:
            return self.add(node.arguments[0])
        identity = node.identity()
        if identity not in self._known:
            step, kind = self._step(node)
            self.steps.append(step)
            self.types.append(kind)
            self._known[identity] = len(self.steps) - 1
        return self._known[identity]

    def _step(self, node: Node) -> tuple[_Step, pa.DataType]:
        if node.function == COLUMN:
            index = self._column(node)
            return _Step(node, None, (), index, None), self._schema.field(index).type
        if node.function == LITERAL:
            constant = node.parameters[0]
            return _Step(node, None, (), None, constant), constant.type
        inputs = tuple(self.add(argument) for argument in node.arguments)
        found = find_function(node.function)
        if found is None:
            raise TypeMismatchError(f"{_where(node)}there is no function {node.function}()")
        self._check(node, found, inputs)
        return _Step(node, found, inputs, None, None), self._type_of(node, found, inputs)

    def _column(self, node: Node) -> int:
        name = node.parameters[0]
        indexes = self._schema.get_all_field_indices(name)
        if len(indexes) == 1:
            return int(indexes[0])
        if indexes:
            raise TypeMismatchError(f"{_where(node)}the column `{name}` is there {len(indexes)} times: rename one")
        near = difflib.get_close_matches(name, self._schema.names, 1, 0.5)
        hint = f"; did you mean `{near[0]}`?" if near else ""
        raise TypeMismatchError(
            f"{_where(node)}there is no column `{name}`{hint} The columns are {_text(self._schema)}"
        )

    def _check(self, node: Node, found: ScalarFunction, inputs: tuple[int, ...]) -> None:
        arity = found.arity
        if len(inputs) < arity.at_least or (arity.at_most is not None and len(inputs) > arity.at_most):
            raise TypeMismatchError(
                f"{_where(node)}{node.function}() takes {arity.at_least} arguments, got {len(inputs)}"
            )
        for index, step in enumerate(inputs):
            kind = arity.kind(index)
            if not kind.accepts(self.types[step]):
                raise TypeMismatchError(
                    f"{_where(node)}{node.function}() takes {kind.value}, got `{node.arguments[index]}` of type "
                    f"{self.types[step]}. The columns are {_text(self._schema)}"
                )

    def _type_of(self, node: Node, found: ScalarFunction, inputs: tuple[int, ...]) -> pa.DataType:
        """What it gives for no rows at all."""
        empty = [
            step.constant if (step := self.steps[i]).constant is not None else pa.array([], self.types[i])
            for i in inputs
        ]
        try:
            return found(empty, node.parameters, 0).type
        except (pa.ArrowException, ValueError, TypeError, ArithmeticError) as error:
            kinds = ", ".join(str(self.types[i]) for i in inputs)
            raise TypeMismatchError(
                f"{_where(node)}{node.function}() cannot be applied to ({kinds}): {error}"
            ) from error


def _as_array(value: Values, rows: int) -> pa.Array:
    return pa.repeat(value, rows) if isinstance(value, pa.Scalar) else value


def _where(node: Node) -> str:
    return f"{node.place}: in `{node}`: " if node.place else f"in `{node}`: "


def _text(schema: pa.Schema) -> str:
    shown = [f"{field.name}: {field.type}" for field in schema][:_SCHEMA_TEXT_MAX]
    more = len(schema) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
