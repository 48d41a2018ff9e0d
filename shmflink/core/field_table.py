"""The fields of a dataclass as a table: what fills its first instances, and hashes them, and what compiles `__init__`.

`lazy_dataclass` makes the tables. They know plain fields only: what is wrong or unusual is the standard library's.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field
from operator import attrgetter
from typing import Any, NamedTuple, TypeAlias

__all__ = ["FieldTable", "Parameter", "bound", "hash_of", "init_of", "is_sound", "match_args", "parameter_of"]


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


class _Made:
    """The default of a parameter whose value a factory makes."""

    def __repr__(self) -> str:
        return "<factory>"


def init_of(cls: type, table: FieldTable, *, is_frozen: bool) -> Callable[..., None]:
    """The `__init__` that the standard library would compile."""
    scope: dict[str, Any] = {"_set": object.__setattr__, "_made": _Made()}
    own = "_self" if "self" in table else "self"
    assign = "_set({}, {!r}, {})" if is_frozen else "{}.{} = {}"
    values = {name: _value(name, field, scope) for name, field in table.items()}
    lines = [assign.format(own, name, value) for name, value in values.items() if value is not None]
    if hasattr(cls, "__post_init__"):
        lines.append(f"{own}.__post_init__()")
    positional = [_declared(name, field) for name, field in table.items() if field.is_given and not field.is_named]
    named = [_declared(name, field) for name, field in table.items() if field.is_given and field.is_named]
    parameters = ", ".join([own, *positional, *(["*", *named] if named else [])])
    exec(f"def __init__({parameters}):\n " + "\n ".join(lines or ["pass"]), scope)  # noqa: S102 - as dataclasses does
    made: Callable[..., None] = scope["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    made.__module__ = cls.__module__
    texts = {name: text for base in reversed(cls.__mro__) for name, text in inspect.get_annotations(base).items()}
    made.__annotations__ = {**{name: texts[name] for name, field in table.items() if field.is_given}, "return": None}
    return made


def _declared(name: str, field: Parameter) -> str:
    """Its default is in the scope of the function, if it has one."""
    if field.default is not MISSING:
        return f"{name}=_default_{name}"
    return name if field.factory is MISSING else f"{name}=_made"


def _value(name: str, field: Parameter, scope: dict[str, Any]) -> str | None:
    """What `__init__` sets the field to; None if it leaves that to `__post_init__`."""
    if field.default is not MISSING:
        scope[f"_default_{name}"] = field.default
        return name if field.is_given else f"_default_{name}"
    if field.factory is not MISSING:
        scope[f"_make_{name}"] = field.factory
        made = f"_make_{name}()"
        return f"{made} if {name} is _made else {name}" if field.is_given else made
    return name if field.is_given else None
