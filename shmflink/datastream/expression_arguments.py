"""Expressions as arguments of stream methods: checks them and determines the column name of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shmflink import expressions as ex
from shmflink.errors import TypeMismatchError
from shmflink.expressions.aggregates.methods import AGGREGATE_FUNCTIONS
from shmflink.expressions.binding import name_of
from shmflink.expressions.node import ALIAS, COLUMN, Node, place_of_caller
from shmflink.planner.rules.columns import without_alias

if TYPE_CHECKING:
    from shmflink.expressions import Expression

__all__ = ["are_expressions", "columns_as_they_are", "named_expressions"]


def are_expressions(positional: tuple[Any, ...], named: Mapping[str, Any]) -> bool:
    """Whether `aggregate()` was called with expressions, not with an AggregateFunction."""
    return bool(named) or any(isinstance(each, Node) for each in positional)


def columns_as_they_are(names: Sequence[str]) -> dict[str, Expression]:
    """Each column unchanged. The user's line is looked up once for all of them."""
    place = place_of_caller()
    return {name: ex.Expression(COLUMN, (), (name,), place) for name in names}


def named_expressions(
    method: str,
    positional: tuple[str | Expression, ...],
    named: Mapping[str, Any],
    *,
    needs_names: bool = False,
    aggregates: bool = False,
) -> dict[str, Expression]:
    """The expressions passed to a method, by column name; an expression without a name becomes `_c0`, `_c1`, ...

    Raises:
        TypeMismatchError: there is no expression, a name is missing or occurs twice, an argument is not an expression,
        or is an aggregate where none is allowed.
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
            raise TypeMismatchError(f"{expression.place}: {method}(): the column `{name}` appears twice")
        if not aggregates:
            _check_no_aggregate(method, expression)
        found[name] = without_alias(expression)
    return found


def _expression(method: str, item: Any, *, is_named: bool) -> Expression:
    if isinstance(item, ex.Expression):
        return item
    if isinstance(item, str) and not is_named:
        return ex.col(item)
    if callable(item):
        hint = f"call it: {getattr(item, '__name__', 'it')}()"
    else:
        hint = "write a constant as lit(...)" if is_named else "name a column by a string or col('name')"
    raise TypeMismatchError(f"{method}() takes expressions, got {item!r}: {hint}")


def _check_no_aggregate(method: str, expression: Expression) -> None:
    for node in expression.walk():
        if node.function in AGGREGATE_FUNCTIONS:
            raise TypeMismatchError(
                f"{expression.place}: {method}(): `{expression}` aggregates many rows: use key_by(...).aggregate(...), "
                "or aggregate(...) for one result over all rows"
            )
