"""One option: its key, type, default and documentation; how its value is parsed, checked and written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from shmflink.config.kinds import OptionType
from shmflink.core.lazy_dataclass import dataclass
from shmflink.errors import ConfigurationError

__all__ = ["Option"]

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Option(Generic[T_co]):
    """A declared option, read as a `T_co`. `default` is the parsed value, None where there is none.

    `choices` lists the allowed strings (in any case); `minimum` and `maximum` limit numbers.
    """

    key: str
    kind: OptionType[T_co]
    default: T_co
    doc: str
    minimum: int | None = None
    maximum: int | None = None
    choices: tuple[str, ...] = ()
    old_keys: tuple[str, ...] = ()

    def parse(self, text: str) -> T_co:
        """The value that `text` stands for; ConfigurationError says what is accepted."""
        try:
            value = self.kind.parse(text)
        except ValueError as error:
            raise ConfigurationError(f"{self.key}: '{text}' is not a valid {self.kind}: {error}") from None
        if self.choices:
            return self._chosen(text)
        self._check_bounds(value, text)
        return value

    def _chosen(self, text: str) -> T_co:
        chosen = text.upper()
        if chosen not in self.choices:
            raise ConfigurationError(f"{self.key}: '{text}' is not one of {', '.join(self.choices)}")
        return self.kind.parse(chosen)

    def _check_bounds(self, value: Any, text: str) -> None:
        if self.minimum is not None and value < self.minimum:
            raise ConfigurationError(f"{self.key}: {text} is below the minimum {self.write(self.minimum)}")
        if self.maximum is not None and value > self.maximum:
            raise ConfigurationError(f"{self.key}: {text} is above the maximum {self.write(self.maximum)}")

    def read(self, settings: Mapping[str, str]) -> T_co:
        """The value in `settings`, else the default."""
        for key in (self.key, *self.old_keys):
            if key in settings:
                return self.parse(settings[key])
        return self.default

    def write(self, value: object) -> str:
        """The text that `parse` reads back."""
        return self.kind.write(value)
