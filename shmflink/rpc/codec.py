"""Messages as bytes: registered frozen dataclasses as JSON, `bytes` fields as blobs beside it. No pickle.

A value is one of: None, bool, int (64 bits), float, str, bytes, a registered enum member or dataclass, a mapping
with string keys, or a sequence of these. Sequences are decoded as tuples, mappings as dicts. A value must have the type
that its field declares, otherwise there is an RpcError::

    dataclass  {"$": "TypeName", "f": [fields in order]}        bytes  {"b": index of the blob}
    enum       {"e": "TypeName", "v": value}                     map    {"m": {key: value}}

Equal bytes objects (one operator's payload in many deployments) are sent once per message.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson

from shmflink.errors import RpcError
from shmflink.rpc.field_types import checks_of

__all__ = ["decode", "encode", "register"]

_DATACLASSES: Final[dict[str, Any]] = {}
_ENUMS: Final[dict[str, type[enum.Enum]]] = {}


def register(*types: Any) -> None:
    """Registers dataclasses and enums at both ends, by class name; a name stands for one type."""
    for kind in types:
        if issubclass(kind, enum.Enum):
            known: type = _ENUMS.setdefault(kind.__name__, kind)
        else:
            known = _DATACLASSES.setdefault(kind.__name__, kind)
        assert known is kind, f"two message types are called {kind.__name__}"


@functools.cache
def _fields(kind: Any) -> tuple[str, ...]:
    """Of a message: each may be given by position. Not at `register`: a process uses few of those that it knows."""
    names: tuple[str, ...] = kind.__match_args__
    return names


@functools.cache
def _counts(kind: Any) -> range:
    """How many fields an older release may send: it lacks those at the end, which have a default."""
    missing = dataclasses.MISSING
    needed = sum(field.default is missing and field.default_factory is missing for field in dataclasses.fields(kind))
    return range(needed, len(_fields(kind)) + 1)


def encode(message: object) -> tuple[bytes, list[bytes]]:
    """The JSON text and the blobs of a registered message; RpcError if a value has no wire form."""
    blobs: list[bytes] = []
    seen: dict[int, int] = {}
    tree = _to_tree(message, blobs, seen)
    try:
        return orjson.dumps(tree), blobs
    except (TypeError, ValueError) as error:  # orjson: an integer that is too large, a lone surrogate
        raise RpcError(f"cannot send {type(message).__name__}: {error}") from None


def _to_tree(value: Any, blobs: list[bytes], seen: dict[int, int]) -> Any:
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if _DATACLASSES.get(kind.__name__) is kind:
        return {"$": kind.__name__, "f": [_to_tree(getattr(value, name), blobs, seen) for name in _fields(kind)]}
    if kind is bytes:
        index = seen.get(id(value))
        if index is None:
            index = seen[id(value)] = len(blobs)
            blobs.append(value)
        return {"b": index}
    if isinstance(value, enum.Enum) and kind.__name__ in _ENUMS:
        return {"e": kind.__name__, "v": value.value}
    if isinstance(value, (tuple, list)):
        return [_to_tree(item, blobs, seen) for item in value]
    if isinstance(value, Mapping):
        return {"m": {str(key): _to_tree(item, blobs, seen) for key, item in value.items()}}
    raise RpcError(f"a {kind.__module__}.{kind.__qualname__} cannot be part of a message")


def decode(text: bytes, blobs: Sequence[bytes]) -> object:
    """The message; RpcError if the bytes cannot come from `encode`."""
    try:
        return _from_tree(orjson.loads(text), blobs)
    except (KeyError, IndexError, TypeError, ValueError, RecursionError) as error:
        raise RpcError(f"a control message cannot be decoded: {type(error).__name__}: {error}") from None


def _from_tree(tree: Any, blobs: Sequence[bytes]) -> Any:
    if isinstance(tree, list):
        return tuple([_from_tree(item, blobs) for item in tree])
    if not isinstance(tree, dict):
        return tree
    if len(tree) > 2:
        raise ValueError("an object with more than two members")
    for mark, read in _READERS.items():
        if mark in tree:
            return read(tree, blobs)
    raise ValueError("an object without a type")


def _read_dataclass(tree: dict[str, Any], blobs: Sequence[bytes]) -> Any:
    kind = _DATACLASSES[tree["$"]]
    values = [_from_tree(item, blobs) for item in tree["f"]]
    if len(values) != len(_fields(kind)) and len(values) not in _counts(kind):
        raise ValueError(f"{tree['$']} has {len(_fields(kind))} fields, got {len(values)}")
    for value, (name, declared, check) in zip(values, _checks(kind), strict=False):  # the last ones may have defaults
        if not check(value):
            raise TypeError(f"{tree['$']}.{name} is a {type(value).__name__}, not {declared}")
    return kind(*values)


_checks: Final = functools.cache(checks_of)  # lazily, because types of later modules are unknown at `register`


def _read_map(tree: dict[str, Any], blobs: Sequence[bytes]) -> Any:
    return {key: _from_tree(item, blobs) for key, item in tree["m"].items()}


_READERS: Final[Mapping[str, Callable[[dict[str, Any], Sequence[bytes]], Any]]] = {
    "$": _read_dataclass,
    "b": lambda tree, blobs: blobs[tree["b"]],
    "m": _read_map,
    "e": lambda tree, _: _ENUMS[tree["e"]](tree["v"]),
}
