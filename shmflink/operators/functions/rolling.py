"""Rolling sum, minimum and maximum of one field per key, with PyFlink's semantics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from shmflink.core.row import Row, create_row, field_names_of
from shmflink.core.types.typeinfo import TypeInformation
from shmflink.errors import TypeMismatchError
from shmflink.operators.functions.reduce import ReduceOperator
from shmflink.operators.functions.user_function import shorten_record

__all__ = ["AGGREGATE_KINDS", "AggregateOperator"]

AGGREGATE_KINDS: Final = ("sum", "min", "max", "min_by", "max_by")

_Combine = Callable[[Any, Any], Any]


class AggregateOperator(ReduceOperator):
    """`sum`, `min`, `max` replace one field of the key's first row; `min_by`, `max_by` keep a whole row.

    Rows, tuples and lists are read at `position` (index, or field name of a Row); any other value is its own
    field 0. The first of equal values is kept. Unlike in PyFlink, no emitted or stored row is ever changed.
    """

    may_mutate = False

    def __init__(self, kind: str, position: int | str = 0, output_type: TypeInformation | None = None) -> None:
        if kind not in AGGREGATE_KINDS:
            raise ValueError(f"kind is one of {AGGREGATE_KINDS}, got {kind!r}")
        super().__init__(_combiner(kind, position), output_type)
        self._kind = kind
        self._position = position

    def _combiner(self, rows: list[Any]) -> _Combine:
        combine = super()._combiner(rows)
        if not rows:
            return combine
        _check_position(rows[0], self._position, f"{self._kind}({self._position!r})")
        fast = _of_tuples(self._kind, self._position) if type(rows[0]) is tuple else None
        if fast is None:
            return combine

        def reduce(first: Any, second: Any) -> Any:
            if type(first) is tuple is type(second):
                try:
                    return fast(first, second)
                except TypeError:
                    pass  # `combine` reports what does not fit
            return combine(first, second)

        return reduce


class _Combiner:
    """`combine(value1, value2)`; pickled by kind and position."""

    def __init__(self, kind: str, position: int | str) -> None:
        self._kind = kind
        self._position = position
        self._pick = _PICKS[kind]

    def __getstate__(self) -> tuple[str, int | str]:
        return self._kind, self._position

    def __setstate__(self, state: tuple[str, int | str]) -> None:
        self.__init__(*state)  # type: ignore[misc]

    def __call__(self, first: Any, second: Any) -> Any:
        position = self._position
        has_fields = isinstance(second, (tuple, list, Row))
        try:
            old, new = (first[position], second[position]) if has_fields else (first, second)
            picked = self._pick(old, new)
        except TypeError as error:
            raise TypeMismatchError(
                f"{self._kind}({position!r}) cannot combine {shorten_record(first)} and {shorten_record(second)}: "
                f"{error}"
            ) from None
        if not has_fields:
            return picked
        if self._kind.endswith("_by"):
            return first if picked is old else second
        return first if picked is old else _replaced(first, position, picked)


def _combiner(kind: str, position: int | str) -> _Combine:
    return _Combiner(kind, position)


# `min` and `max` keep the first of equal values.
_PICKS: Final[dict[str, Callable[..., Any]]] = {
    "sum": lambda first, second: first + second,
    "min": min,
    "max": max,
    "min_by": min,
    "max_by": max,
}


def _of_tuples(kind: str, position: int | str) -> _Combine | None:
    """The same for plain tuples and a non-negative position, the time-critical case."""
    if not isinstance(position, int) or position < 0:
        return None
    if kind == "sum":
        return lambda a, b: (*a[:position], a[position] + b[position], *a[position + 1 :])
    if kind == "min":
        return lambda a, b: (*a[:position], b[position], *a[position + 1 :]) if b[position] < a[position] else a
    if kind == "max":
        return lambda a, b: (*a[:position], b[position], *a[position + 1 :]) if b[position] > a[position] else a
    if kind == "min_by":
        return lambda a, b: b if b[position] < a[position] else a
    return lambda a, b: b if b[position] > a[position] else a


def _replaced(row: Any, position: Any, value: Any) -> Any:
    """A copy of `row` with one field replaced."""
    if isinstance(row, Row):
        copied = create_row(field_names_of(row), list(row), row.get_row_kind())
        copied[position] = value
        return copied
    fields = list(row)
    fields[position] = value
    return fields if isinstance(row, list) else _tuple_like(row, fields)


def _tuple_like(row: tuple[Any, ...], fields: list[Any]) -> tuple[Any, ...]:
    """A tuple, or a named tuple of the same class."""
    make = getattr(type(row), "_make", None)
    return tuple(fields) if make is None else make(fields)


def _check_position(row: Any, position: int | str, call: str) -> None:
    """Raises TypeMismatchError if `row` has no field at `position`."""
    if not isinstance(row, (tuple, list, Row)):
        if position != 0:
            raise TypeMismatchError(
                f"{call}: the {position} field selected on a basic type. A field expression on a basic type can only "
                f"select the 0th field (which means selecting the entire basic type); got {shorten_record(row)}"
            )
        return
    try:
        row[position]  # type: ignore[index]
    except (LookupError, TypeError, ValueError, AttributeError):
        named = field_names_of(row) if isinstance(row, Row) else None
        fields = f"the fields {named}" if named else f"{len(row)} fields"
        raise TypeMismatchError(f"{call}: the record {shorten_record(row)} has {fields}, not {position!r}") from None
