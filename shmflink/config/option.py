"""One option: its key, type, default and documentation; how its value is parsed, checked and written."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from shmflink.config import values
from shmflink.errors import ConfigurationError

__all__ = ["Kind", "Option"]


class Kind(enum.StrEnum):
    """The type of an option's value."""

    INT = "integer"
    FLOAT = "number"
    BOOL = "boolean"
    STRING = "string"
    DURATION = "duration"  # as milliseconds
    BYTES = "size"  # as bytes
    MAP = "map"


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("expected a finite number")
    return value


_PARSERS: Final[Mapping[Kind, Callable[[str], Any]]] = {
    Kind.INT: lambda text: int(text.strip()),
    Kind.FLOAT: _finite,
    Kind.BOOL: values.parse_bool,
    Kind.STRING: str,
    Kind.DURATION: values.parse_duration_ms,
    Kind.BYTES: values.parse_bytes,
    Kind.MAP: values.parse_map,
}


@dataclass(frozen=True, slots=True)
class Option:
    """A declared option. `default` is the parsed value, None where there is none.

    `choices` lists the allowed strings (any case); `minimum` and `maximum` bound numbers.
    """

    key: str
    kind: Kind
    default: Any
    doc: str
    minimum: int | None = None
    maximum: int | None = None
    choices: tuple[str, ...] = ()
    old_keys: tuple[str, ...] = ()

    def parse(self, text: str) -> Any:
        """The value that `text` stands for; ConfigurationError says what is accepted."""
        try:
            value = _PARSERS[self.kind](text)
        except ValueError as error:
            raise ConfigurationError(f"{self.key}: '{text}' is not a valid {self.kind}: {error}") from None
        return self._checked(value, text)

    def _checked(self, value: Any, text: str) -> Any:
        if self.choices:
            if value.upper() not in self.choices:
                raise ConfigurationError(f"{self.key}: '{text}' is not one of {', '.join(self.choices)}")
            return value.upper()
        if self.minimum is not None and value < self.minimum:
            raise ConfigurationError(f"{self.key}: {text} is below the minimum {self.write(self.minimum)}")
        if self.maximum is not None and value > self.maximum:
            raise ConfigurationError(f"{self.key}: {text} is above the maximum {self.write(self.maximum)}")
        return value

    def read(self, settings: Mapping[str, str]) -> Any:
        """The value in `settings`, else the default."""
        for key in (self.key, *self.old_keys):
            if key in settings:
                return self.parse(settings[key])
        return self.default

    def write(self, value: Any) -> str:
        """The text that `parse` reads back."""
        if self.kind is Kind.BOOL:
            return "true" if value else "false"
        if self.kind is Kind.DURATION:
            return values.format_duration_ms(value)
        if self.kind is Kind.BYTES:
            return values.format_bytes(value)
        if self.kind is Kind.MAP:
            return ",".join(f"{key}:{item}" for key, item in value.items())
        return str(value)
