"""The fields of a dataclass as a table: what fills its first instances, and hashes them, without compiling anything.

`lazy_dataclass` makes the tables. They know plain fields only: what is wrong or unusual is the standard library's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field
from operator import attrgetter
from typing import Any, NamedTuple, TypeAlias

__all__ = ["FieldTable", "Parameter", "bound", "hash_of", "is_sound", "match_args", "parameter_of"]


class Parameter(NamedTuple):
    """What is known of a field. `default` and `factory` are MISSING where it has none."""

    default: Any
    factory: Any
    is_given: bool  # to `__init__`
    is_named: bool  # in the call of `__init__`, that is: keyword-only
    is_hashed: bool


FieldTable: TypeAlias = Mapping[str, Parameter]


def parameter_of(value: Any, *, is_named: bool) -> Parameter:
    """Of what the class has under the name of the field: MISSING, a default or a `Field`."""
    if not isinstance(value, Field):
        return Parameter(value, MISSING, True, is_named, True)
    is_named = is_named if value.kw_only is MISSING else bool(value.kw_only)
    is_hashed = value.compare if value.hash is None else value.hash
    return Parameter(value.default, value.default_factory, value.init, is_named, is_hashed)


def is_sound(parameters: Iterable[Parameter]) -> bool:
    """Whether no default is shared by mistake, and none comes before a field without."""
    has_default = False
    for default, factory, is_given, is_named, _ in parameters:
        if default is not MISSING and type(default).__hash__ is None:
            return False
        is_optional = default is not MISSING or factory is not MISSING
        if is_named and not is_given:
            return False
        if is_given and not is_named:
            if has_default and not is_optional:
                return False
            has_default |= is_optional
    return True


def bound(table: FieldTable, values: tuple[Any, ...], named: Mapping[str, Any]) -> list[tuple[str, Any]] | None:
    """What to set to what, in the order of the fields; None if the arguments do not fit them."""
    if named and not _fits(table, values, named):
        return None
    found: list[tuple[str, Any]] = []
    position = 0
    for name, (default, factory, is_given, is_named, _) in table.items():
        if is_given and not is_named and position < len(values):
            value = values[position]
            position += 1
        elif is_given and name in named:
            value = named[name]
        elif default is not MISSING:
            value = default
        elif factory is not MISSING:
            value = factory()
        elif is_given:
            return None
        else:
            continue  # `__post_init__` sets it
        found.append((name, value))
    return found if position == len(values) else None


def _fits(table: FieldTable, values: tuple[Any, ...], named: Mapping[str, Any]) -> bool:
    filled = match_args(table)[: len(values)]
    return not any(name in filled or name not in table or not table[name].is_given for name in named)


def match_args(table: FieldTable) -> tuple[str, ...]:
    """The names of the positional parameters."""
    return tuple(name for name, field in table.items() if field.is_given and not field.is_named)


def hash_of(table: FieldTable) -> Callable[[Any], int]:
    """A `__hash__` that hashes what the standard library's does."""
    names = [name for name, field in table.items() if field.is_hashed]
    if len(names) > 1:
        values = attrgetter(*names)
        return lambda self: hash(values(self))
    return lambda self: hash(tuple([getattr(self, name) for name in names]))
