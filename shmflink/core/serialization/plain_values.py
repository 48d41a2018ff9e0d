"""Values as bytes without pickle: reading them runs no foreign code, so they may come from anywhere.

For our own state (splits, staged output of sinks) and for plain data of users. A value is None, a bool, int, float,
str, bytes, tuple, list, dict, set, frozenset, date, time, datetime, timedelta, Decimal, UUID, or a registered enum
member or dataclass of shmflink; exactly these types, nested as deep as JSON allows::

    0   magic "shmv", format 1      5   bytes of JSON (u64)      13  blobs (u32)
    17  bytes of each blob (u64 each), then the JSON text, then the blobs (all `bytes` values)

The JSON is [names of the classes used, value]. A tuple is a JSON list; everything that JSON lacks is an object with one
member: {"c": [index of the class, fields...]}, {"l": list}, {"b": index of the blob}, ...
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import importlib
import math
import struct
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from shmflink.core.serialization.former_modules import present_module

__all__ = ["PlainValueError", "dumps_plain", "is_plain", "loads_plain", "register_plain"]

_MAGIC: Final = b"shmv\x01"
_HEADER: Final = struct.Struct("<5sQI")
_INT_MIN: Final = -(1 << 63)
_INT_MAX: Final = (1 << 63) - 1
_PACKAGE: Final = "shmflink."
_UTC: Final = dt.UTC
_REGISTERED: Final[dict[str, type]] = {}
_FIELDS: Final[dict[type, tuple[str, ...]]] = {}


class PlainValueError(ValueError):
    """The value has no plain form, or `dumps_plain` cannot have made the bytes."""


def register_plain(*kinds: Any) -> None:
    """Registers dataclasses and enums of shmflink, at the end of the module that defines them."""
    for kind in kinds:
        assert kind.__module__.startswith(_PACKAGE), kind
        _REGISTERED[_name_of(kind)] = kind
        if not issubclass(kind, enum.Enum):
            _FIELDS[kind] = tuple(field.name for field in dataclasses.fields(kind))


def is_plain(data: bytes | memoryview) -> bool:
    """Whether these bytes have the magic of `dumps_plain`."""
    return bytes(data[: len(_MAGIC)]) == _MAGIC


def dumps_plain(value: Any) -> bytes:
    """Raises PlainValueError if the value, or a part of it, has no plain form."""
    encoder = _Encoder()
    try:
        tree = encoder.tree(value)
        text = orjson.dumps([list(encoder.classes), tree])
    except (TypeError, RecursionError) as error:  # orjson: a lone surrogate, nesting too deep
        raise PlainValueError(str(error)) from None
    blobs = encoder.blobs
    lengths = struct.pack(f"<{len(blobs)}Q", *map(len, blobs))
    return b"".join((_HEADER.pack(_MAGIC, len(text), len(blobs)), lengths, text, *blobs))


def loads_plain(data: bytes | memoryview) -> Any:
    """Raises PlainValueError for bytes that `dumps_plain` cannot have made."""
    view = memoryview(data).cast("B")
    try:
        text, blobs = _parts_of(view)
        names, tree = orjson.loads(text)
        return _Decoder([_class_of(name) for name in names], blobs).value(tree)
    except PlainValueError:
        raise
    except Exception as error:  # the bytes may contain anything
        raise PlainValueError(f"not a value in plain form: {type(error).__name__}: {error}") from None


class _Encoder:
    def __init__(self) -> None:
        self.classes: dict[str, int] = {}
        self.blobs: list[bytes] = []

    def tree(self, value: Any) -> Any:
        kind = type(value)
        if value is None or kind is str or kind is bool:
            return value
        if kind is int:
            return value if _INT_MIN <= value <= _INT_MAX else {"i": str(value)}
        if kind is tuple:
            return [self.tree(item) for item in value]
        fields = _FIELDS.get(kind)
        if fields is not None:
            return {"c": [self._index(kind), *[self.tree(getattr(value, name)) for name in fields]]}
        encode = _ENCODERS.get(kind)
        if encode is not None:
            return encode(self, value)
        if isinstance(value, enum.Enum) and _REGISTERED.get(_name_of(kind)) is kind:
            return {"e": [self._index(kind), self.tree(value.value)]}
        raise PlainValueError(f"a {kind.__module__}.{kind.__qualname__} has no plain form")

    def blob(self, value: bytes) -> Any:
        self.blobs.append(value)
        return {"b": len(self.blobs) - 1}

    def _index(self, kind: type) -> int:
        return self.classes.setdefault(_name_of(kind), len(self.classes))


def _float_out(_: _Encoder, value: float) -> Any:
    return value if math.isfinite(value) else {"f": repr(value)}


def _datetime_out(_: _Encoder, value: dt.datetime) -> Any:
    if value.tzinfo not in (None, _UTC):
        raise PlainValueError("a datetime in a time zone other than UTC has no plain form")
    return {"datetime": [value.replace(tzinfo=None).isoformat(), value.tzinfo is not None, value.fold]}


def _time_out(_: _Encoder, value: dt.time) -> Any:
    if value.tzinfo is not None:
        raise PlainValueError("a time with a time zone has no plain form")
    return {"time": [value.isoformat(), value.fold]}


_ENCODERS: Final[Mapping[type, Callable[[_Encoder, Any], Any]]] = {
    float: _float_out,
    bytes: _Encoder.blob,
    list: lambda encoder, value: {"l": [encoder.tree(item) for item in value]},
    dict: lambda encoder, value: {"m": [[encoder.tree(key), encoder.tree(item)] for key, item in value.items()]},
    set: lambda encoder, value: {"set": [encoder.tree(item) for item in value]},
    frozenset: lambda encoder, value: {"frozenset": [encoder.tree(item) for item in value]},
    dt.datetime: _datetime_out,
    dt.date: lambda _, value: {"date": value.isoformat()},
    dt.time: _time_out,
    dt.timedelta: lambda _, value: {"timedelta": [value.days, value.seconds, value.microseconds]},
    decimal.Decimal: lambda _, value: {"decimal": str(value)},
    uuid.UUID: lambda _, value: {"uuid": value.hex},
}


class _Decoder:
    def __init__(self, classes: list[type], blobs: list[bytes]) -> None:
        self._classes = classes
        self._blobs = blobs

    def value(self, tree: Any) -> Any:
        if type(tree) is list:
            return tuple([self.value(item) for item in tree])
        if type(tree) is not dict:
            return tree
        ((mark, content),) = tree.items()
        return _DECODERS[mark](self, content)

    def values(self, content: list[Any]) -> list[Any]:
        return [self.value(item) for item in content]

    def instance(self, content: list[Any]) -> Any:
        """Fields that an older release did not have take their defaults."""
        kind = self._classes[content[0]]
        if kind not in _FIELDS or len(content) - 1 > len(_FIELDS[kind]):
            raise PlainValueError(f"a {kind.__name__} with {len(content) - 1} fields is unknown to this release")
        return kind(*self.values(content[1:]))

    def member(self, content: list[Any]) -> Any:
        kind = self._classes[content[0]]
        assert issubclass(kind, enum.Enum)
        return kind(self.value(content[1]))

    def blob(self, index: int) -> bytes:
        if not 0 <= index < len(self._blobs):
            raise PlainValueError(f"there is no blob {index}")
        return self._blobs[index]


def _datetime_in(_: _Decoder, content: Any) -> dt.datetime:
    text, is_utc, fold = content
    return dt.datetime.fromisoformat(text).replace(tzinfo=_UTC if is_utc else None, fold=fold)


_DECODERS: Final[Mapping[str, Callable[[_Decoder, Any], Any]]] = {
    "c": _Decoder.instance,
    "e": _Decoder.member,
    "b": _Decoder.blob,
    "i": lambda _, content: int(content),
    "f": lambda _, content: float(content),
    "l": _Decoder.values,
    "m": lambda decoder, content: {decoder.value(key): decoder.value(item) for key, item in content},
    "set": lambda decoder, content: set(decoder.values(content)),
    "frozenset": lambda decoder, content: frozenset(decoder.values(content)),
    "datetime": _datetime_in,
    "date": lambda _, content: dt.date.fromisoformat(content),
    "time": lambda _, content: dt.time.fromisoformat(content[0]).replace(fold=content[1]),
    "timedelta": lambda _, content: dt.timedelta(*content),
    "decimal": lambda _, content: decimal.Decimal(content),
    "uuid": lambda _, content: uuid.UUID(hex=content),
}


def _name_of(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def _class_of(name: str) -> type:
    """Accepts only what a shmflink module has registered: the most that a name can cause is importing such a module."""
    module, _, qualname = name.partition(":")
    module = present_module(module)
    name = f"{module}:{qualname}"
    if name not in _REGISTERED:
        if not module.startswith(_PACKAGE) or not all(_is_module(part) for part in module.split(".")):
            raise PlainValueError(f"{name!r} is not a class of shmflink")
        importlib.import_module(module)
    if name not in _REGISTERED:
        raise PlainValueError(f"the class {name!r} is unknown to this release")
    return _REGISTERED[name]


def _is_module(part: str) -> bool:
    """Not `__main__`: importing it would run it."""
    return part.isidentifier() and not part.startswith("__")


def _parts_of(view: memoryview) -> tuple[memoryview, list[bytes]]:
    """The JSON text and the blobs. Every length is checked before anything is copied."""
    if len(view) < _HEADER.size:
        raise PlainValueError("not a value in plain form: it is too short")
    magic, text_bytes, blob_count = _HEADER.unpack_from(view)
    start = _HEADER.size + 8 * blob_count
    if magic != _MAGIC or start > len(view):
        raise PlainValueError("not a value in plain form")
    lengths = struct.unpack_from(f"<{blob_count}Q", view, _HEADER.size)
    at = start + text_bytes
    if at + sum(lengths) != len(view):
        raise PlainValueError("not a value in plain form: its lengths do not add up")
    blobs = []
    for length in lengths:
        blobs.append(bytes(view[at : at + length]))
        at += length
    return view[start : start + text_bytes], blobs
