"""`dataclass`, as in `dataclasses`, whose methods are compiled when they are first used, not when the class is made.

The standard library compiles about six methods for each class at import, which takes a third of a millisecond, and a
program imports hundreds of kinds of messages, nodes and options to use a few, most of them a few times. Here, a class
with `slots=True` gets its slots at once and a placeholder for everything that is compiled. Its first instances are
filled and hashed from a table of its fields; who makes more of them gets a compiled `__init__`. The standard library
makes the rest, all at the first use of any of it. From then on the class is what `dataclasses.dataclass` makes, and as
fast. Type checkers see `dataclasses.dataclass`.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, partial
from types import MemberDescriptorType
from typing import TYPE_CHECKING, Any, Final

from shmflink.core.field_table import FieldTable, Parameter, bound, hash_of, init_of, is_sound, match_args, parameter_of

__all__ = ["dataclass"]

_ORDER: Final = ("__lt__", "__le__", "__gt__", "__ge__")
_OF_EVERY_CLASS: Final = ("__dict__", "__weakref__")
_UNLIKE_FIELDS: Final = ("InitVar", "dataclasses.InitVar", "KW_ONLY", "dataclasses.KW_ONLY")
_CLASS_VARIABLES: Final = ("ClassVar", "typing.ClassVar")
_OF_TABLE: Final = ("__init__", "__hash__", "__match_args__", "__dataclass_fields__")
_FILLED_MAX: Final = 8  # instances of a class: whoever makes more soon makes many
_HAS_REPLACE: Final = sys.version_info >= (3, 13)  # `__replace__`, for copy.replace()


if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(cls=None, /, **options):
        """Like `dataclasses.dataclass`, but errors in the fields are raised at the first use of the class."""
        if cls is None:
            return lambda made: dataclass(made, **options)
        if not options.get("slots") or not _is_plain(cls):
            return dataclasses.dataclass(cls, **options)
        return _Recipe(cls, options).cls


def _is_plain(cls: type) -> bool:
    """Whether the fields can be determined from the text of each annotation."""
    texts = inspect.get_annotations(cls).values()
    return all(isinstance(text, str) and not text.startswith(_UNLIKE_FIELDS) for text in texts)


class _Recipe:
    """Completes one class. `cls` is the class that the decorator returns; `names` are its field names, in order."""

    def __init__(self, plain: type, options: dict[str, Any]) -> None:
        self._options = options
        self._namespace = {name: value for name, value in plain.__dict__.items() if name not in _OF_EVERY_CLASS}
        texts = inspect.get_annotations(plain)
        below = [name for base in plain.__mro__[-2:0:-1] for name in _field_names(base)]
        self._own = [name for name, text in texts.items() if not text.startswith(_CLASS_VARIABLES)]
        self._filled = 0
        self.is_frozen = bool(options.get("frozen", False))
        self.names = tuple(dict.fromkeys([*below, *self._own]))
        self.cls = type(plain)(plain.__name__, plain.__bases__, self._slotted(plain))
        self.cls.__qualname__ = plain.__qualname__
        if self.is_frozen:
            _freeze(self.cls, self.names, self._namespace)

    def _slotted(self, plain: type) -> dict[str, Any]:
        """The namespace of the class: its slots, and a placeholder for everything that is compiled later."""
        options = self._options
        found = {name: value for name, value in self._namespace.items() if name not in self.names}
        inherited = {name for base in plain.__mro__[1:-1] for name in _slots_of(base)}
        slots = (*self.names, "__weakref__") if options.get("weakref_slot") else self.names
        found["__slots__"] = tuple(name for name in slots if name not in inherited)
        found.update((name, _Placeholder(self, name)) for name in self._compiled())
        if options.get("eq", True) and not options.get("frozen"):
            found.setdefault("__hash__", None)
        return found

    def _compiled(self) -> list[str]:
        """The methods that the standard library adds to the class, except those that protect and pickle its fields."""
        namespace, options = self._namespace, self._options
        has_eq = options.get("eq", True)
        names = ["__init__", "__repr__", "__match_args__"]
        names += ["__eq__"] if has_eq else []
        names += ["__replace__"] if _HAS_REPLACE else []
        names = [name for name in names if name not in namespace and options.get(name.strip("_"), True)]
        has_hash = namespace.get("__hash__") is not None or ("__hash__" in namespace and "__eq__" not in namespace)
        names += ["__hash__"] if has_eq and options.get("frozen") and not has_hash else []
        names += _ORDER if options.get("order") else []
        names += [] if namespace.get("__doc__") else ["__doc__"]
        return [*names, "__dataclass_fields__", "__dataclass_params__"]

    @cached_property
    def table(self) -> FieldTable | None:
        """The fields in order; None where the standard library has to tell what is wrong with them, or unusual."""
        found: dict[str, Parameter] = {}
        for base in self.cls.__mro__[-2:0:-1]:
            below = _table_of(base)
            if below is None or below[1] not in (None, self.is_frozen):
                return None
            found.update(below[0])
        for name in self._own:
            value = self._namespace.get(name, dataclasses.MISSING)
            if value is dataclasses.MISSING and self._has_default_below(name):
                return None
            found[name] = parameter_of(value, is_named=self._options.get("kw_only", False))
        return found if is_sound(found.values()) else None

    @cached_property
    def _setters(self) -> tuple[Callable[[Any, Any], None], ...]:
        """Of the slots, where `__init__` takes one value for each and sets nothing else; otherwise none."""
        slots = [getattr(self.cls, name) for name in match_args(self.table or {})]
        is_direct = self.is_frozen or all("__setattr__" not in base.__dict__ for base in self.cls.__mro__[:-1])
        is_plain = len(slots) == len(self.names) and all(isinstance(slot, MemberDescriptorType) for slot in slots)
        return tuple(slot.__set__ for slot in slots) if is_direct and is_plain else ()

    def _has_default_below(self, name: str) -> bool:
        """Whether a base class has something of that name which is no slot."""
        found = (base.__dict__[name] for base in self.cls.__mro__[1:] if name in base.__dict__)
        return not isinstance(next(found, None), MemberDescriptorType | None)

    def fill(self, instance: Any, /, *values: Any, **named: Any) -> None:
        """What `__init__` does, for the first instances."""
        self._filled += 1
        if self.table is None or self._filled > _FILLED_MAX or not self._set(instance, values, named):
            self.attribute("__init__")(instance, *values, **named)
        elif self._has_more:
            instance.__post_init__()

    def _set(self, instance: Any, values: tuple[Any, ...], named: Mapping[str, Any]) -> bool:
        """False if the arguments do not fit the fields."""
        assert self.table is not None, "a class without a table is compiled"
        if self._setters and not named and len(values) == len(self._setters) and type(instance) is self.cls:
            for put, value in zip(self._setters, values, strict=True):
                put(instance, value)
            return True
        fields = bound(self.table, values, named)
        write = object.__setattr__ if self.is_frozen else setattr
        for name, value in fields or ():
            write(instance, name, value)
        return fields is not None

    @cached_property
    def _has_more(self) -> bool:
        return hasattr(self.cls, "__post_init__")

    def attribute(self, name: str) -> Any:
        """Installs a method with those that belong to it. Takes no lock: concurrent threads install the same
        methods.
        """
        made: Any
        if self.table is None or name not in _OF_TABLE:
            return self._put(self._compiled(), dataclasses.dataclass(**self._options)(self._template()))[name]
        if name == "__init__":
            made = init_of(self.cls, self.table, is_frozen=self.is_frozen)
        elif name == "__hash__":
            made = hash_of(self.table)
        elif name == "__match_args__":
            made = match_args(self.table)
        else:
            made = self._fields()
        setattr(self.cls, name, made)
        return made

    def _fields(self) -> dict[str, Any]:
        """As the standard library describes them, which compiles nothing for that."""
        found: dict[str, Any] = {}
        for base in self.cls.__mro__[-2:0:-1]:
            found.update(getattr(base, "__dataclass_fields__", {}))
        bare: dict[str, Any] = {name: self._namespace[name] for name in self._own if name in self._namespace}
        bare |= {"__annotations__": inspect.get_annotations(self.cls), "__module__": self.cls.__module__}
        bare["__doc__"] = "else, it would be made of the signature"
        is_named = self._options.get("kw_only", False)
        described: Any = dataclasses.dataclass(init=False, repr=False, eq=False, kw_only=is_named)(type("", (), bare))
        found.update(described.__dataclass_fields__)
        return found

    def _template(self) -> type:
        """The original class."""
        template = type(self.cls)(self.cls.__name__, self.cls.__bases__, dict(self._namespace))
        template.__qualname__ = self.cls.__qualname__
        return template

    def _put(self, names: Iterable[str], made: type) -> Mapping[str, Any]:
        for name in names:
            if name not in self._namespace:
                setattr(self.cls, name, made.__dict__[name])
        return made.__dict__


class _Placeholder:
    """Represents an attribute of a class until it is first read, from the class or from an instance."""

    __slots__ = ("_name", "recipe")

    def __init__(self, recipe: _Recipe, name: str) -> None:
        self.recipe = recipe
        self._name = name

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        if instance is not None and self._name == "__init__":
            return partial(self.recipe.fill, instance)
        value = self.recipe.attribute(self._name)
        bind = getattr(type(value), "__get__", None)
        return value if bind is None else bind(value, instance, owner)


def _freeze(cls: Any, names: tuple[str, ...], namespace: Mapping[str, Any]) -> None:
    """The methods that the standard library compiles for `frozen=True`, and those that pickle such a class with
    slots.
    """

    def refuse_set(self: object, name: str, value: object) -> None:
        if type(self) is cls or name in names:
            raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")
        super(cls, self).__setattr__(name, value)

    def refuse_delete(self: object, name: str) -> None:
        if type(self) is cls or name in names:
            raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
        super(cls, self).__delattr__(name)

    for name, method in {"__setattr__": refuse_set, "__delattr__": refuse_delete}.items():
        if name in namespace:
            raise TypeError(f"Cannot overwrite attribute {name} in class {cls.__name__}")
        setattr(cls, name, method)
    for name, method in zip(("__getstate__", "__setstate__"), _pickling(cls, names), strict=True):
        if name not in namespace:
            setattr(cls, name, method)


def _pickling(cls: type, names: tuple[str, ...]) -> tuple[Callable[[Any], list[Any]], Callable[[Any, list[Any]], None]]:
    def names_of(self: Any) -> Iterable[str]:
        return names if type(self) is cls else [field.name for field in dataclasses.fields(self)]

    def state_of(self: Any) -> list[Any]:
        return [getattr(self, name) for name in names_of(self)]

    def set_state(self: Any, state: list[Any]) -> None:
        for name, value in zip(names_of(self), state, strict=False):  # an older release's may have fewer
            object.__setattr__(self, name, value)

    return state_of, set_state


def _table_of(base: type) -> tuple[FieldTable, bool | None] | None:
    """Of a base class, and whether it is frozen; no fields and None of one that is no dataclass."""
    settings = base.__dict__.get("__dataclass_params__")
    if settings is None:
        return {}, None
    if not isinstance(settings, _Placeholder):
        return {field.name: parameter_of(field, is_named=False) for field in dataclasses.fields(base)}, settings.frozen
    return None if settings.recipe.table is None else (settings.recipe.table, settings.recipe.is_frozen)


def _field_names(base: type) -> tuple[str, ...]:
    """The attribute of a base class, without completing that class."""
    fields = base.__dict__.get("__dataclass_fields__", ())
    return fields.recipe.names if isinstance(fields, _Placeholder) else tuple(fields)


def _slots_of(base: type) -> tuple[str, ...]:
    slots = base.__dict__.get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)
