"""The functions by name: their arguments and what computes them."""

from __future__ import annotations

import enum
import importlib
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import pyarrow as pa

from shmflink.core.lazy_dataclass import dataclass
from shmflink.errors import InternalError
from shmflink.expressions.types.rules import is_bytes, is_number, is_text, plain_type

__all__ = [
    "Arity",
    "Coercion",
    "ScalarFunction",
    "Selection",
    "TypeFamily",
    "Values",
    "find_function",
    "function",
    "function_names",
]

Values: TypeAlias = Any
"""Input and output of a function: an array with one value per row, or a scalar for all rows."""


class TypeFamily(enum.Enum):
    """Families of argument types, for checks when the graph is built and for messages."""

    ANY = "any type"
    NUMBER = "a number"
    INTEGER = "an integer"
    STRING = "a string"
    BYTES = "bytes"
    BOOLEAN = "a boolean"
    DATE = "a date"
    TIME = "a time"
    TIMESTAMP = "a timestamp"
    TEMPORAL = "a date, time or timestamp"
    INTERVAL = "an interval"
    LIST = "an array"
    MAP = "a map"
    STRUCT = "a row"
    COMPARABLE = "a type with an order"

    def accepts(self, kind: pa.DataType) -> bool:
        """Whether a value of this Arrow type is accepted. The null type always is."""
        return pa.types.is_null(kind) or _ACCEPTS[self](plain_type(kind))


def _is_temporal(kind: pa.DataType) -> bool:
    return bool(pa.types.is_date(kind) or pa.types.is_time(kind) or pa.types.is_timestamp(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_comparable(kind: pa.DataType) -> bool:
    return not (pa.types.is_nested(kind) or pa.types.is_union(kind))


_ACCEPTS: Final[dict[TypeFamily, Callable[[pa.DataType], bool]]] = {
    TypeFamily.ANY: lambda _: True,
    TypeFamily.NUMBER: is_number,
    TypeFamily.INTEGER: pa.types.is_integer,
    TypeFamily.STRING: is_text,
    TypeFamily.BYTES: is_bytes,
    TypeFamily.BOOLEAN: pa.types.is_boolean,
    TypeFamily.DATE: pa.types.is_date,
    TypeFamily.TIME: pa.types.is_time,
    TypeFamily.TIMESTAMP: pa.types.is_timestamp,
    TypeFamily.TEMPORAL: _is_temporal,
    TypeFamily.INTERVAL: lambda kind: pa.types.is_duration(kind) or pa.types.is_interval(kind),
    TypeFamily.LIST: _is_list,
    TypeFamily.MAP: pa.types.is_map,
    TypeFamily.STRUCT: pa.types.is_struct,
    TypeFamily.COMPARABLE: _is_comparable,
}


Coercion: TypeAlias = Callable[[Sequence[pa.DataType], Sequence[pa.Scalar | None]], Sequence[pa.DataType]]
"""Maps argument types, and the constants among the arguments, to the types to which the binder casts the arguments.
Raises `TypeError` that says why the types are incompatible."""

Selection: TypeAlias = Callable[[int, Sequence[Values]], Values]
"""For argument `index` of a lazy function, given the arguments before it: a boolean array or scalar, true in the rows
in which the argument's value is used."""


@dataclass(frozen=True, slots=True)
class Arity:
    """How many arguments, and of which kinds; the last kind repeats up to `at_most` (None = any number)."""

    kinds: tuple[TypeFamily, ...]
    at_least: int
    at_most: int | None

    def kind(self, index: int) -> TypeFamily:
        """The kind of argument `index`."""
        return self.kinds[min(index, len(self.kinds) - 1)]

    def accepts(self, count: int) -> bool:
        """Whether this number of arguments is allowed."""
        return count >= self.at_least and (self.at_most is None or count <= self.at_most)

    def __str__(self) -> str:
        if self.at_most is None:
            return f"at least {self.at_least} argument{'s' * (self.at_least != 1)}"
        if self.at_least != self.at_most:
            return f"{self.at_least} to {self.at_most} arguments"
        return f"{self.at_least} argument{'s' * (self.at_least != 1)}"


@dataclass(frozen=True, slots=True)
class ScalarFunction:
    """A function of whole columns.

    `compute(*arguments, *parameters)` receives one array or scalar per argument, then the constants; with `needs_rows`
    also `rows=`, the number of rows. It returns an array with as many rows, or a scalar. For zero rows it returns an
    empty array, from whose type the result type is inferred. Therefore the type must depend only on argument types and
    parameters. It raises `pa.ArrowInvalid`, `ValueError` or `ArithmeticError` for an invalid value, and `TypeError` for
    invalid types. Encoded columns (dictionaries, views) are decoded before the call.

    `coerce` determines the types to which the arguments are cast first. `selection` makes the function lazy: an
    argument that fails is computed again on only the rows that use it (`if_then_else(q != 0, p / q, 0)`). Functions of
    constants are computed once, when they are bound, unless they are not `is_deterministic` or need `rows`.
    """

    name: str
    arity: Arity
    compute: Callable[..., Values]
    needs_rows: bool = False
    coerce: Coercion | None = None
    selection: Selection | None = None
    is_deterministic: bool = True

    def __call__(self, arguments: Sequence[Values], parameters: tuple[Any, ...], rows: int) -> Values:
        if self.needs_rows:
            return self.compute(*arguments, *parameters, rows=rows)
        return self.compute(*arguments, *parameters)


_FUNCTIONS: Final[dict[str, ScalarFunction]] = {}
# modules that register functions, or import such modules; by name, because they are in a higher layer
_FAMILIES: Final = (
    "expression",
    "time.clocks",
    "functions.logic",
    "functions.nested",
    "functions.numbers",
    "functions.sql_json",
    "functions.text",
    "functions.time",
)


def function(
    name: str,
    *kinds: TypeFamily,
    optional: int = 0,
    variadic: bool = False,
    needs_rows: bool = False,
    coerce: Coercion | None = None,
    selection: Selection | None = None,
    is_deterministic: bool = True,
) -> Callable[[Callable[..., Values]], Callable[..., Values]]:
    """Registers the function that computes `name`. The last `optional` kinds may be omitted; `variadic`: the last
    repeats.
    """

    def register(compute: Callable[..., Values]) -> Callable[..., Values]:
        if name in _FUNCTIONS:
            raise InternalError(f"the function {name} is registered twice")
        arity = Arity(kinds or (TypeFamily.ANY,), len(kinds) - optional, None if variadic else len(kinds))
        _FUNCTIONS[name] = ScalarFunction(name, arity, compute, needs_rows, coerce, selection, is_deterministic)
        return compute

    return register


def find_function(name: str) -> ScalarFunction | None:
    """The function of this name; None if there is none."""
    if name not in _FUNCTIONS:
        _load_families()
    return _FUNCTIONS.get(name)


def function_names() -> frozenset[str]:
    """The names of all functions."""
    _load_families()
    return frozenset(_FUNCTIONS)


def _load_families() -> None:
    """Imports all families: a process that received a tree may not have imported the modules that built it."""
    for family in _FAMILIES:
        importlib.import_module(f"shmflink.expressions.{family}")
