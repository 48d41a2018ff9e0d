"""What a filter implies about single columns, for pruning files, row groups and partitions."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import pyarrow as pa

from shmflink.errors import TypeMismatchError
from shmflink.expressions.binding import bind
from shmflink.expressions.expression import Expression
from shmflink.expressions.node import COLUMN, LITERAL, Node
from shmflink.expressions.types.rules import is_text, plain_type

__all__ = ["Bound", "bounds", "conjuncts"]

Bound: TypeAlias = tuple[str, str, Any]
"""Column, one of `= < <= > >= in is_null is_not_null`, and the Python value (a tuple for `in`, None for the nulls)."""

_OPERATORS: Final = {
    "equals": "=",
    "less_than": "<",
    "less_than_or_equal": "<=",
    "greater_than": ">",
    "greater_than_or_equal": ">=",
}
_MIRRORED: Final = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_NO_COLUMNS: Final = pa.schema([])
_LAST_CODE_POINT: Final = 0x10FFFF
_SURROGATES: Final = range(0xD800, 0xE000)


def conjuncts(predicate: Expression) -> list[Expression]:
    """The parts of the conjunction: all must be true for a row to pass."""
    if predicate.function == "and":
        return [part for argument in predicate.arguments for part in conjuncts(argument)]
    if predicate.function in ("alias", "is_true"):
        return conjuncts(predicate.arguments[0])
    return [predicate]


def bounds(predicate: Expression, schema: pa.Schema | None = None) -> list[Bound]:
    """Bounds on single columns that hold for every row that passes; omits other parts of the predicate.

    Constant expressions count as constants. If the schema of the columns is given, values have the columns' types (a
    date if a date is compared with a string), and bounds whose values cannot be cast are omitted.
    """
    found = [bound for part in conjuncts(predicate) for bound in _bounds(part)]
    if schema is None:
        return found
    typed = [_typed(bound, schema) for bound in found]
    return [bound for bound in typed if bound is not None]


def _bounds(part: Expression) -> list[Bound]:
    operator = _OPERATORS.get(part.function)
    if operator is not None:
        return _comparison(part, operator)
    if part.function == COLUMN:
        return [(part.parameters[0], "=", True)]
    if not part.arguments or part.arguments[0].function != COLUMN:
        return []
    name = part.arguments[0].parameters[0]
    match part.function:
        case "is_null" | "is_not_null":
            return [(name, part.function, None)]
        case "in":
            return [(name, "in", tuple(part.parameters[0].drop_null().to_pylist()))]
        case "not" | "is_false":
            return [(name, "=", False)]
        case "starts_with":
            return _prefix(name, part.arguments[1])
    return []


def _comparison(part: Expression, operator: str) -> list[Bound]:
    left, right = part.arguments
    if left.function != COLUMN:
        left, right, operator = right, left, _MIRRORED[operator]
    constant = _constant(right)
    if left.function != COLUMN or constant is None or not constant.is_valid:
        return []
    return [(left.parameters[0], operator, constant.as_py())]


def _prefix(name: str, prefix: Expression) -> list[Bound]:
    """A string that starts with "ab" satisfies "ab" <= string < "ac"."""
    constant = _constant(prefix)
    text = None if constant is None else constant.as_py()
    if not isinstance(text, str) or not text:
        return []
    successor = ord(text[-1]) + 1
    if successor in _SURROGATES or successor > _LAST_CODE_POINT:
        return [(name, ">=", text)]
    return [(name, ">=", text), (name, "<", text[:-1] + chr(successor))]


def _constant(node: Node) -> pa.Scalar | None:
    """The value of an expression without columns; None for any other."""
    if node.function == LITERAL:
        return node.parameters[0]
    if any(below.function == COLUMN for below in node.walk()):
        return None
    try:
        return bind([node], _NO_COLUMNS).constants[0]
    except TypeMismatchError:
        return None


def _typed(bound: Bound, schema: pa.Schema) -> Bound | None:
    """The bound with its values cast to the column's type; None if that is impossible."""
    name, operator, value = bound
    index = schema.get_field_index(name)
    if index < 0:
        return None
    if value is None:
        return bound
    kind = plain_type(schema.field(index).type)
    values = value if operator == "in" else (value,)
    typed = [_as(kind, each) for each in values]
    if None in typed:
        return None
    return name, operator, tuple(typed) if operator == "in" else typed[0]


def _as(kind: pa.DataType, value: Any) -> Any:
    given = pa.scalar(value)
    if is_text(given.type) and pa.types.is_temporal(kind):
        try:
            return given.cast(kind).as_py()
        except (pa.ArrowException, ValueError):
            return None
    is_alike = pa.types.is_temporal(given.type) == pa.types.is_temporal(kind) and is_text(given.type) == is_text(kind)
    return value if is_alike else None
