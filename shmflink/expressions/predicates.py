"""What a filter says about single columns: for pruning files, row groups and partitions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from shmflink.expressions.node import COLUMN, LITERAL, Node

if TYPE_CHECKING:
    from shmflink.expressions.expression import Expression

__all__ = ["Bound", "bounds", "conjuncts"]

Bound = tuple[str, str, Any]
"""Column, one of `= < <= > >= in is_null is_not_null`, and the Python value (a tuple for `in`, None for the nulls)."""

_OPERATORS: Final = {
    "equals": "=",
    "less_than": "<",
    "less_than_or_equal": "<=",
    "greater_than": ">",
    "greater_than_or_equal": ">=",
}
_MIRRORED: Final = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


def conjuncts(predicate: Expression) -> list[Expression]:
    """The parts that all must be true."""
    if predicate.function == "and":
        return [part for argument in predicate.arguments for part in conjuncts(argument)]
    return [predicate]


def bounds(predicate: Expression) -> list[Bound]:
    """What can be said of single columns of every row that passes; other parts of the predicate are left out."""
    found = [_bound(part) for part in conjuncts(predicate)]
    return [bound for bound in found if bound is not None]


def _bound(part: Node) -> Bound | None:
    operator = _OPERATORS.get(part.function)
    if operator is not None:
        left, right = part.arguments
        if left.function == COLUMN and right.function == LITERAL:
            return (left.parameters[0], operator, right.parameters[0].as_py())
        if left.function == LITERAL and right.function == COLUMN:
            return (right.parameters[0], _MIRRORED[operator], left.parameters[0].as_py())
    elif part.function in ("is_null", "is_not_null") and part.arguments[0].function == COLUMN:
        return (part.arguments[0].parameters[0], part.function, None)
    return None
