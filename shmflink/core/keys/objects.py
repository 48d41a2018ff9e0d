"""Canonical bytes of keys that are not plain values: lists, enums, UUIDs, named tuples, dataclasses, NumPy scalars.

Tags in addition to those of `core.keys.columns`::

    L  as T                                                  list
    U  16 bytes                                              UUID
    l  three canonical ints as T: days, seconds, µs          timedelta
    N  as T: the class's name, the member's name             enum member
    K  as T: the class's name, then the fields               named tuple
    C  as T: the class's name, then the names and values     dataclass

Subclasses of str, bytes, int, float and tuple, and NumPy scalars, are equivalent to the plain values that they hold. A
class is identified by its module and qualified name, so keys are the same in every process. Turning a key back into an
object requires its class: this process has seen it, a function that runs here refers to it (`know_classes_of`), or its
module can be imported.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import sys
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Final

from shmflink.errors import TypeMismatchError

__all__ = ["OBJECT_DECODERS", "ItemsOf", "know_classes_of", "object_bytes"]

ItemsOf = Callable[[Sequence[Any]], bytes]
_PLAIN: Final[dict[type, Callable[[Any], Any]]] = {
    str: str.__str__,
    int: int.__pos__,
    float: float.__pos__,
    tuple: tuple,
    bytes: bytes,
    bytearray: bytes,
}
"""Bypasses overrides of a subclass."""
_classes: dict[str, type] = {}


def object_bytes(key: Any, items: ItemsOf, plain: Callable[[Any], bytes]) -> bytes | None:
    """The canonical bytes of `key`; None if it cannot be a key. `items` and `plain` encode plain keys."""
    if isinstance(key, enum.Enum):
        return b"N" + items([_name_of(type(key)), key.name])
    if isinstance(key, uuid.UUID):
        return b"U" + key.bytes
    if isinstance(key, list):
        return b"L" + items(key)
    if isinstance(key, dt.timedelta):
        return b"l" + items([key.days, key.seconds, key.microseconds])
    if isinstance(key, tuple) and hasattr(key, "_fields"):
        return b"K" + items([_name_of(type(key)), *key])
    if dataclasses.is_dataclass(key) and not isinstance(key, type):
        fields = [field.name for field in dataclasses.fields(key)]
        values = [getattr(key, name) for name in fields]
        return b"C" + items([_name_of(type(key)), tuple(fields), *values])
    value = _plain_value(key)
    return None if value is None else plain(value)


def _plain_value(key: Any) -> Any:
    """The value of an instance of a subclass of a plain type, or of a NumPy scalar; None for others."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(key, numpy.generic):
        value = key.item()
        # Timestamps in ns have no Python value: item() returns a bare number.
        is_time = isinstance(key, (numpy.datetime64, numpy.timedelta64))
        return None if isinstance(value, numpy.generic) or (is_time and isinstance(value, int)) else value
    plain = next((of for kind, of in _PLAIN.items() if isinstance(key, kind)), None)
    return None if plain is None else plain(key)


def know_classes_of(function: Any) -> None:
    """Remembers classes of keys to which a function, or the methods of an object, refer by a global name."""
    kind = type(function)
    parts = [function, *vars(kind).values()] if not hasattr(function, "__code__") else [function]
    for part in parts:
        code = getattr(part, "__code__", None)
        if code is None:
            continue
        for name in code.co_names:
            found = part.__globals__.get(name)
            if isinstance(found, type) and _is_key_class(found):
                _classes[_path_of(found)] = found


def _is_key_class(kind: type) -> bool:
    return issubclass(kind, enum.Enum) or dataclasses.is_dataclass(kind) or hasattr(kind, "_fields")


def _name_of(kind: type) -> str:
    name = _path_of(kind)
    _classes[name] = kind
    return name


def _path_of(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def _class_of(name: str) -> Any:
    found = _classes.get(name)
    if found is not None:
        return found
    module, _, path = name.partition(":")
    target: Any = sys.modules.get(module)
    try:
        if target is None and module != "__main__":
            target = __import__(module, fromlist=["*"])
        for part in path.split("."):
            target = getattr(target, part)
    except (ImportError, AttributeError):
        raise TypeMismatchError(
            f"a key is an instance of the class {path} of the module {module}, which this process cannot "
            "find: move the class to a module that the job imports, or use a tuple as the key"
        ) from None
    _classes[name] = target
    return target


def _enum_of(items: Sequence[Any]) -> Any:
    return _class_of(items[0])[items[1]]


def _named_tuple_of(items: Sequence[Any]) -> Any:
    return _class_of(items[0])(*items[1:])


def _dataclass_of(items: Sequence[Any]) -> Any:
    name, fields, *values = items
    kind = _class_of(name)
    made = kind.__new__(kind)
    for field, value in zip(fields, values, strict=True):
        object.__setattr__(made, field, value)  # works for frozen classes, too
    return made


OBJECT_DECODERS: Final[dict[bytes, Callable[[Sequence[Any]], Any]]] = {
    b"L": list,
    b"N": _enum_of,
    b"K": _named_tuple_of,
    b"C": _dataclass_of,
    b"l": lambda items: dt.timedelta(*items),
}
"""Builds the key from the items after the tag; a UUID has no items."""
