"""What the functions are called, what they take, and what computes them."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import pyarrow as pa

from shmflink.errors import InternalError

__all__ = ["Arity", "Kind", "ScalarFunction", "Values", "find_function", "function"]

Values: TypeAlias = Any
"""What a function gets and gives: an array with one value for each row, or a scalar that stands for all rows."""


class Kind(enum.Enum):
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
        """Whether a value of this Arrow type may be given. The null type goes anywhere."""
        return pa.types.is_null(kind) or _ACCEPTS[self](kind)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _is_string(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    is_binary = pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)
    return bool(is_binary or pa.types.is_fixed_size_binary(kind))


def _is_temporal(kind: pa.DataType) -> bool:
    return bool(pa.types.is_date(kind) or pa.types.is_time(kind) or pa.types.is_timestamp(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_comparable(kind: pa.DataType) -> bool:
    return not (pa.types.is_nested(kind) or pa.types.is_union(kind))


_ACCEPTS: Final[dict[Kind, Callable[[pa.DataType], bool]]] = {
    Kind.ANY: lambda _: True,
    Kind.NUMBER: _is_number,
    Kind.INTEGER: pa.types.is_integer,
    Kind.STRING: _is_string,
    Kind.BYTES: _is_bytes,
    Kind.BOOLEAN: pa.types.is_boolean,
    Kind.DATE: pa.types.is_date,
    Kind.TIME: pa.types.is_time,
    Kind.TIMESTAMP: pa.types.is_timestamp,
    Kind.TEMPORAL: _is_temporal,
    Kind.INTERVAL: lambda kind: pa.types.is_duration(kind) or pa.types.is_interval(kind),
    Kind.LIST: _is_list,
    Kind.MAP: pa.types.is_map,
    Kind.STRUCT: pa.types.is_struct,
    Kind.COMPARABLE: _is_comparable,
}


@dataclass(frozen=True, slots=True)
class Arity:
    """How many arguments, and of which kinds; the last kind repeats up to `at_most` (None = any number)."""

    kinds: tuple[Kind, ...]
    at_least: int
    at_most: int | None

    def kind(self, index: int) -> Kind:
        return self.kinds[min(index, len(self.kinds) - 1)]


@dataclass(frozen=True, slots=True)
class ScalarFunction:
    """A function of whole columns.

    `compute(*arguments, *parameters)` gets one array or scalar for each argument, then the constants, and gives an array
    with as many rows or a scalar; with `needs_rows` also `rows=` the number of rows. On zero rows it gives an empty array
    of the type that it has on all inputs of these types: that is how types are inferred, so the type must depend on
    argument types and parameters alone. It raises `pa.ArrowInvalid`, `ValueError` or `ArithmeticError` for a value that
    it cannot take.
    """

    name: str
    arity: Arity
    compute: Callable[..., Values]
    needs_rows: bool = False

    def __call__(self, arguments: list[Values], parameters: tuple[Any, ...], rows: int) -> Values:
        if self.needs_rows:
            return self.compute(*arguments, *parameters, rows=rows)
        return self.compute(*arguments, *parameters)


_FUNCTIONS: Final[dict[str, ScalarFunction]] = {}


def function(
    name: str, *kinds: Kind, optional: int = 0, variadic: bool = False, needs_rows: bool = False
) -> Callable[[Callable[..., Values]], Callable[..., Values]]:
    """Registers what computes `name`. The last `optional` kinds may be left out; `variadic`: the last one repeats."""

    def register(compute: Callable[..., Values]) -> Callable[..., Values]:
        if name in _FUNCTIONS:
            raise InternalError(f"the function {name} is registered twice")
        arity = Arity(kinds or (Kind.ANY,), len(kinds) - optional, None if variadic else len(kinds))
        _FUNCTIONS[name] = ScalarFunction(name, arity, compute, needs_rows)
        return compute

    return register


def find_function(name: str) -> ScalarFunction | None:
    """The function of this name; None where there is none."""
    return _FUNCTIONS.get(name)
