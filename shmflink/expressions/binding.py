"""Checks expressions against a schema once, when the graph is built; turns them into steps to run batch by batch."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa

from shmflink.errors import TypeMismatchError, UsageError
from shmflink.expressions.aggregates.methods import AGGREGATE_FUNCTIONS
from shmflink.expressions.node import ALIAS, COLUMN, LITERAL, Node
from shmflink.expressions.registry import ScalarFunction, find_function, function_names
from shmflink.expressions.steps import EXPECTED_ERRORS, BoundExpressions, BoundNode
from shmflink.expressions.types.rules import plain_type

__all__ = ["BoundExpressions", "bind", "columns_text", "name_of"]

_COLUMNS_SHOWN_MAX: Final = 10  # columns of a schema that a message lists
_CAST: Final = "convert"
_PLAIN: Final = "plain"


def bind(expressions: Sequence[Node], schema: pa.Schema) -> BoundExpressions:
    """Checks expressions against the schema of their input.

    Raises:
        TypeMismatchError: an unknown column or function, a wrong number or type of arguments; names the expression, the
            user's file and line, and the schema.
    """
    binder = _Binder(schema)
    try:
        outputs = [binder.add(expression) for expression in expressions]
    except RecursionError:
        raise TypeMismatchError("an expression is nested too deeply: split it with with_columns()") from None
    fields = [
        pa.field(name_of(expression, index), binder.types[output])
        for index, (expression, output) in enumerate(zip(expressions, outputs, strict=True))
    ]
    return BoundExpressions(binder.steps, outputs, schema, pa.schema(fields))


def name_of(expression: Node, index: int = 0) -> str:
    """The name of an expression's column: its alias, the column it refers to, or `_c0`, `_c1`, ... (as in Flink)."""
    if expression.function in (ALIAS, COLUMN):
        return str(expression.parameters[0])
    return f"_c{index}"


class _Binder:
    """Collects the distinct nodes of expressions as steps; inputs come before their consumers."""

    def __init__(self, schema: pa.Schema) -> None:
        self.steps: list[BoundNode] = []
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

    def _step(self, node: Node) -> tuple[BoundNode, pa.DataType]:
        if node.function == COLUMN:
            index = self._column(node)
            return BoundNode(node, self._schema.field(index).type, column=index), self._schema.field(index).type
        if node.function == LITERAL:
            constant = node.parameters[0]
            return BoundNode(node, constant.type, constant=constant), constant.type
        found = self._function(node)
        inputs = [self.add(argument) for argument in node.arguments]
        self._check(node, found, inputs)
        return self._applied(node, found, self._coerced(node, found, inputs))

    def _column(self, node: Node) -> int:
        name = node.parameters[0]
        indexes = self._schema.get_all_field_indices(name)
        if len(indexes) == 1:
            return int(indexes[0])
        if indexes:
            raise TypeMismatchError(f"{_where(node)}the column `{name}` occurs {len(indexes)} times: rename one")
        hint = _nearest(name, self._schema.names)
        raise TypeMismatchError(f"{_where(node)}there is no column `{name}`{hint} {columns_text(self._schema)}")

    def _function(self, node: Node) -> ScalarFunction:
        found = find_function(node.function)
        if found is not None:
            return found
        if node.function in AGGREGATE_FUNCTIONS:
            raise TypeMismatchError(
                f"{_where(node)}{node.function} is an aggregate over many rows: use it in aggregate(), after key_by() "
                "or on the whole stream"
            )
        hint = _nearest(node.function, function_names())
        raise TypeMismatchError(f"{_where(node)}there is no function {node.function}{hint}")

    def _check(self, node: Node, found: ScalarFunction, inputs: list[int]) -> None:
        if not found.arity.accepts(len(inputs)):
            raise TypeMismatchError(f"{_where(node)}{node.function} takes {found.arity}, got {len(inputs)}")
        for index, step in enumerate(inputs):
            kind = found.arity.kind(index)
            if not kind.accepts(self.types[step]):
                raise TypeMismatchError(
                    f"{_where(node)}{node.function} takes {kind.value}, got `{node.arguments[index]}` of type "
                    f"{self.types[step]}; use cast() or another function. {columns_text(self._schema)}"
                )

    def _coerced(self, node: Node, found: ScalarFunction, inputs: list[int]) -> list[int]:
        """The inputs, decoded, and cast if the function requires other types."""
        inputs = [self._inserted(_PLAIN, node, step, plain_type(self.types[step])) for step in inputs]
        if found.coerce is None:
            return inputs
        kinds = [self.types[step] for step in inputs]
        try:
            wanted = found.coerce(kinds, [self.steps[step].constant for step in inputs])
        except TypeError as error:
            raise self._misfit(node, kinds, error) from None
        return [self._inserted(_CAST, node, step, kind) for step, kind in zip(inputs, wanted, strict=True)]

    def _inserted(self, function: str, above: Node, step: int, kind: pa.DataType) -> int:
        """The step itself if it has this type, otherwise a step that casts it."""
        if self.types[step].equals(kind):
            return step
        below = self.steps[step].node
        node = type(above)(function, (below,), (kind,), above.place)
        identity = (function, str(kind), step)
        if identity not in self._known:
            added = self._applied(node, self._function(node), [step])
            if self.steps[step].constant is not None and added[0].constant is None:
                raise TypeMismatchError(f"{_where(above)}`{below}` is not a {kind}. {columns_text(self._schema)}")
            self.steps.append(added[0])
            self.types.append(added[1])
            self._known[identity] = len(self.steps) - 1
        return self._known[identity]

    def _applied(self, node: Node, found: ScalarFunction, inputs: list[int]) -> tuple[BoundNode, pa.DataType]:
        """The step that applies the function; a constant if all its inputs are constants."""
        constants = [self.steps[step].constant for step in inputs]
        empty = [pa.array([], self.types[step]) for step in inputs]
        mixed = [e if c is None else c for c, e in zip(constants, empty, strict=True)]
        is_constant = found.is_deterministic and not found.needs_rows and None not in constants
        try:
            result = found(mixed, node.parameters, 0)
        except EXPECTED_ERRORS as error:
            # A failing constant may be in a branch that is never taken, so it fails only when it is evaluated.
            result = self._on_no_rows(node, found, empty, error) if is_constant else None
            if result is None:
                raise self._misfit(node, [self.types[step] for step in inputs], error) from error
            is_constant = False
        except UsageError as error:
            raise type(error)(f"{_where(node)}{error}") from error
        constant = result if is_constant and isinstance(result, pa.Scalar) else None
        return BoundNode(node, result.type, found, tuple(inputs), constant=constant), result.type

    def _on_no_rows(self, node: Node, found: ScalarFunction, empty: list[pa.Array], error: Exception) -> Any:
        if isinstance(error, (TypeError, pa.ArrowNotImplementedError)):
            return None
        try:
            return found(empty, node.parameters, 0)
        except (*EXPECTED_ERRORS, UsageError, AttributeError):
            return None

    def _misfit(self, node: Node, kinds: list[pa.DataType], error: Exception) -> TypeMismatchError:
        shown = ", ".join(f"`{argument}`: {kind}" for argument, kind in zip(node.arguments, kinds, strict=True))
        return TypeMismatchError(
            f"{_where(node)}{node.function} cannot be applied to ({shown}): {error}. {columns_text(self._schema)}"
        )


def _nearest(name: str, names: Sequence[str] | frozenset[str]) -> str:
    folded = {other.lower(): other for other in names}
    near = difflib.get_close_matches(name.lower(), list(folded), 1, 0.5)
    return f"; did you mean `{folded[near[0]]}`?" if near else "."


def _where(node: Node) -> str:
    return f"{node.place}: in `{node}`: " if node.place else f"in `{node}`: "


def columns_text(schema: pa.Schema) -> str:
    """The columns, for a message: the first ten, and how many more there are."""
    shown = [f"{field.name}: {field.type}" for field in schema][:_COLUMNS_SHOWN_MAX]
    more = len(schema) - len(shown)
    return "The columns are " + ", ".join(shown) + (f", … and {more} more" if more else "")
