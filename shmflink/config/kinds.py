"""The types of options: how the text of a value is parsed, and how a value is written as text."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from shmflink.config import values
from shmflink.core.lazy_dataclass import dataclass

__all__ = ["BOOL", "BYTES", "DURATION", "FLOAT", "INT", "MAP", "STRING", "OptionType"]

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class OptionType(Generic[T_co]):
    """`name` appears in documentation and messages. `parse` raises ValueError; `parse(write(value)) == value`."""

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


INT: Final[OptionType[int]] = OptionType("integer", _whole)
FLOAT: Final[OptionType[float]] = OptionType("number", _finite)
BOOL: Final[OptionType[bool]] = OptionType("boolean", values.parse_bool, _write_bool)
STRING: Final[OptionType[str]] = OptionType("string", str)
DURATION: Final[OptionType[int]] = OptionType("duration", values.parse_duration_ms, values.format_duration_ms)
"""As milliseconds."""
BYTES: Final[OptionType[int]] = OptionType("size", values.parse_bytes, values.format_bytes)
"""As bytes."""
MAP: Final[OptionType[dict[str, str]]] = OptionType("map", values.parse_map, values.format_map)
