"""From the keys of a state's dict back to the user's keys: the inverse of `core.keys.columns.decode_keys`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from shmflink.core.keys.columns import value_of_canonical

__all__ = ["key_of_hashable", "keys_of_hashables"]


def keys_of_hashables(hashables: Iterable[Any]) -> list[Any]:
    """The user's keys, in order."""
    values = list(hashables)
    if tuple not in set(map(type, values)):
        return values
    return [key_of_hashable(value) if type(value) is tuple else value for value in values]


def key_of_hashable(hashable: Any) -> Any:
    """The user's key from which `decode_keys` made this value."""
    if type(hashable) is not tuple:
        return hashable
    tag, value = hashable
    if tag == "f":
        return math.nan if value == "nan" else value
    return value if tag == "t" else value_of_canonical(value)
