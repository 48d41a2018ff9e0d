"""The types that an option's value may have: how each is written, and read back."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from shmflink.config import values

__all__ = ["BOOL", "BYTES", "DURATION", "FLOAT", "INT", "MAP", "STRING", "Kind"]

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Kind(Generic[T_co]):
    """What `name` stands for in documentation and messages. `parse` raises ValueError; `write` gives what it reads."""

    name: str
    parse: Callable[[str], T_co]
    write: Callable[[Any], str] = str

    def __str__(self) -> str:
        return self.name


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("expected a finite number")
    return value


def _whole(text: str) -> int:
    return int(text.strip())


def _write_bool(value: object) -> str:
    return "true" if value else "false"


INT: Final[Kind[int]] = Kind("integer", _whole)
FLOAT: Final[Kind[float]] = Kind("number", _finite)
BOOL: Final[Kind[bool]] = Kind("boolean", values.parse_bool, _write_bool)
STRING: Final[Kind[str]] = Kind("string", str)
DURATION: Final[Kind[int]] = Kind("duration", values.parse_duration_ms, values.format_duration_ms)
"""As milliseconds."""
BYTES: Final[Kind[int]] = Kind("size", values.parse_bytes, values.format_bytes)
"""As bytes."""
MAP: Final[Kind[dict[str, str]]] = Kind("map", values.parse_map, values.format_map)
