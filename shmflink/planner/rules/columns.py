"""Expressions over columns. Types are known when the program is built, so every expression is checked at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from shmflink.core.types.typeinfo import TypeInformation, schema_of
from shmflink.errors import TypeMismatchError
from shmflink.expressions.node import ALIAS
from shmflink.operators.columns.as_columns import AsColumnsOperator
from shmflink.operators.columns.expressions import ColumnsOperator
from shmflink.operators.columns.steps import ColumnStep, Filter, Project
from shmflink.operators.columns.steps import Explode as ExplodeStep
from shmflink.planner.lowered import Lowered, one_operator

if TYPE_CHECKING:
    from shmflink.expressions import Expression
    from shmflink.plan.calls import AsColumns, Explode, FilterColumns, Select
    from shmflink.plan.node import Node

__all__ = [
    "as_columns",
    "columns_type",
    "described",
    "explode",
    "filter_columns",
    "select",
    "without_alias",
    "without_parentheses",
]

_SHOWN_MAX: Final = 12  # expressions shown in a description


def columns_type(declared: TypeInformation | None, method: str) -> TypeInformation:
    """Returns `declared` if it has columns.

    Raises:
        TypeMismatchError: it has no columns.
    """
    if declared is None or schema_of(declared) is None:
        reason = "no type was declared" if declared is None else f"its type is {declared}"
        raise TypeMismatchError(
            f"{method}: the columns of this stream are not known ({reason}): declare output_type= where "
            "a function makes its elements, for example Types.ROW_NAMED([...], [...]), or a pyarrow.Schema in "
            "map_batches(function, output_type=schema); or put "
            ".as_columns(pyarrow.schema([...])) in front"
        )
    return declared


def select(call: Select, inputs: Sequence[Node]) -> Lowered:
    return _columnar(call.title, Project(call.columns), call.text, inputs)


def filter_columns(call: FilterColumns, inputs: Sequence[Node]) -> Lowered:
    return _columnar("Filter", Filter(without_alias(call.predicate)), without_parentheses(call.predicate), inputs)


def explode(call: Explode, inputs: Sequence[Node]) -> Lowered:
    shown = described({call.name: call.array})
    step = ExplodeStep(call.name, call.array, call.is_outer)
    return _columnar("Explode", step, shown + (", outer" if call.is_outer else ""), inputs)


def as_columns(call: AsColumns, _inputs: Sequence[Node]) -> Lowered:
    operator = AsColumnsOperator(call.columns)
    return one_operator("AsColumns", operator, call.columns, "rows become columns, checked and cast")


def _columnar(name: str, step: ColumnStep, text: str, inputs: Sequence[Node]) -> Lowered:
    operator = ColumnsOperator(columns_type(inputs[0].output_type, name), [step])
    return one_operator(name, operator, operator.output_type, "on columns", description=f"{name}({text})")


def without_alias(expression: Expression) -> Expression:
    while expression.function == ALIAS:
        expression = expression.arguments[0]
    return expression


def without_parentheses(expression: Expression) -> str:
    """An expression as text, without outer parentheses."""
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
    """Named expressions as text; if there are many, only the first ones."""
    shown = [name if str(e) == name else f"{without_parentheses(e)} AS {name}" for name, e in pairs.items()]
    more = len(shown) - _SHOWN_MAX
    return ", ".join(shown[:_SHOWN_MAX]) + (f", ... {more} more" if more > 0 else "")
