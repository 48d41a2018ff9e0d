"""Values by key (PyFlink: `pyflink.common.configuration`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from shmflink.config.values import parse_bool, parse_list
from shmflink.errors import ConfigurationError

__all__ = ["Configuration"]

T = TypeVar("T")


class Configuration:
    """A mutable set of key/value pairs. Values are kept as text, as Flink shows them.

    Any key may be set; keys that the cluster does not know are refused when a job is submitted.
    """

    __hash__ = None  # type: ignore[assignment]  # mutable and compared by value

    def __init__(self, other: Configuration | None = None) -> None:
        self._values: dict[str, str] = {} if other is None else other.to_dict()

    @classmethod
    def from_dict(cls, map: Mapping[str, str]) -> Configuration:  # noqa: A002 - PyFlink's name
        """A configuration with these pairs."""
        made = cls()
        for key, value in map.items():
            made.set_string(key, value)
        return made

    @staticmethod
    def parse_list_value(value: str) -> list[Any]:
        """The elements of `a;b` or `[a, b]`."""
        return list(parse_list(value)) if value else []

    def get_string(self, key: str, default_value: str) -> str:
        return self._values.get(key, default_value)

    def set_string(self, key: str, value: str) -> Configuration:
        self._values[_checked_key(key)] = _as_text(value)
        return self

    def get_integer(self, key: str, default_value: int) -> int:
        """The value as an integer; ConfigurationError where it is none."""
        return self._get(key, default_value, lambda text: int(text.strip()), "an integer")

    def set_integer(self, key: str, value: int) -> Configuration:
        return self.set_string(key, str(int(value)))

    def get_boolean(self, key: str, default_value: bool) -> bool:
        """The value as a boolean; ConfigurationError where it is none."""
        return self._get(key, default_value, parse_bool, "true or false")

    def set_boolean(self, key: str, value: bool) -> Configuration:
        return self.set_string(key, "true" if value else "false")

    def get_float(self, key: str, default_value: float) -> float:
        """The value as a float; ConfigurationError where it is none."""
        return self._get(key, float(default_value), float, "a number")

    def set_float(self, key: str, value: float) -> Configuration:
        return self.set_string(key, repr(float(value)))

    def get_bytearray(self, key: str, default_value: bytearray) -> bytearray:
        """The bytes that `set_bytearray` kept."""
        return self._get(key, default_value, bytearray.fromhex, "hexadecimal digits")

    def set_bytearray(self, key: str, value: bytearray) -> Configuration:
        return self.set_string(key, bytes(value).hex())

    def _get(self, key: str, default: T, parse: Callable[[str], T], wanted: str) -> T:
        text = self._values.get(key)
        if text is None:
            return default
        try:
            return parse(text)
        except ValueError:
            raise ConfigurationError(f"{key}: '{text}' is not {wanted}") from None

    def key_set(self) -> set[str]:
        return set(self._values)

    def add_all_to_dict(self, target_dict: dict[str, str]) -> None:
        target_dict.update(self._values)

    def add_all(self, other: Configuration, prefix: str | None = None) -> Configuration:
        """Takes over all pairs of `other`, their keys behind `prefix`."""
        for key, value in other.to_dict().items():
            self._values[(prefix or "") + key] = value
        return self

    def contains_key(self, key: str) -> bool:
        return key in self._values

    def to_dict(self) -> dict[str, str]:
        return dict(self._values)

    def remove_config(self, key: str) -> bool:
        """Removes a key; whether it was there."""
        return self._values.pop(key, None) is not None

    def __deepcopy__(self, memodict: Any = None) -> Configuration:
        return Configuration(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Configuration) and self._values == other.to_dict()

    def __str__(self) -> str:
        return str(self._values)

    def __repr__(self) -> str:
        return f"Configuration({self._values})"


def _checked_key(key: str) -> str:
    if not isinstance(key, str) or not key:
        raise TypeError(f"a configuration key is a non-empty string, got {key!r}")
    return key


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
