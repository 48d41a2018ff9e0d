"""Values by key (PyFlink: `pyflink.common.configuration`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from shmflink.config.values import parse_bool
from shmflink.errors import ConfigurationError

__all__ = ["Configuration"]

T = TypeVar("T")


class Configuration:
    """A mutable set of key/value pairs. A value keeps the type it was set with; its text form is Flink's.

    Any key may be set; unknown keys are refused when an environment takes the configuration over. Two configurations
    are equal, and have the same hash, if the text forms of their pairs are equal.
    """

    def __init__(self, other: Configuration | None = None) -> None:
        self._values: dict[str, Any] = {}
        if other is not None:
            other.add_all_to_dict(self._values)

    @classmethod
    def from_dict(cls, map: Mapping[str, str]) -> Configuration:  # noqa: A002 - PyFlink's name
        """A configuration with these pairs."""
        made = cls()
        for key, value in map.items():
            made.set_string(key, value)
        return made

    @staticmethod
    def parse_list_value(value: str | None) -> list[Any]:
        """The elements of `a;b`, `[a, b]` or a YAML list; an empty list for None or an empty text."""
        if not value:
            return []
        import yaml  # takes 15 ms: import it only if there is a list

        try:
            loaded = yaml.safe_load(value)
        except yaml.YAMLError:
            loaded = None
        return loaded if isinstance(loaded, list) else value.split(";")

    def get_string(self, key: str, default_value: str) -> str:
        value = self._values.get(key)
        return default_value if value is None else _as_text(value)

    def set_string(self, key: str, value: str) -> Configuration:
        return self._put(key, _as_text(value))

    def get_integer(self, key: str, default_value: int) -> int:
        """The value as an integer; ConfigurationError if it is not one."""
        return self._get(key, default_value, lambda text: int(text.strip()), "an integer")

    def set_integer(self, key: str, value: int) -> Configuration:
        return self._put(key, int(value))

    def get_boolean(self, key: str, default_value: bool) -> bool:
        """The value as a boolean; ConfigurationError if it is not one."""
        return self._get(key, default_value, parse_bool, "true or false")

    def set_boolean(self, key: str, value: bool) -> Configuration:
        return self._put(key, bool(value))

    def get_float(self, key: str, default_value: float) -> float:
        """The value as a float; ConfigurationError if it is not one."""
        return self._get(key, float(default_value), float, "a number")

    def set_float(self, key: str, value: float) -> Configuration:
        return self._put(key, float(value))

    def get_bytearray(self, key: str, default_value: bytearray) -> bytearray:
        """A copy of the bytes that `set_bytearray` stored; ConfigurationError unless the text is hex digit pairs."""
        return self._get(key, default_value, bytearray.fromhex, "hexadecimal digits")

    def set_bytearray(self, key: str, value: bytearray) -> Configuration:
        """Their text form is hexadecimal digits."""
        return self._put(key, bytearray(value))

    def _put(self, key: str, value: Any) -> Configuration:
        self._values[_checked_key(key)] = value
        return self

    def _get(self, key: str, default: T, parse: Callable[[str], T], wanted: str) -> T:
        value = self._values.get(key)
        if value is None:
            return default
        try:
            return parse(_as_text(value))
        except ValueError:
            raise ConfigurationError(f"{key}: '{_as_text(value)}' is not {wanted}") from None

    def key_set(self) -> set[str]:
        return set(self._values)

    def add_all_to_dict(self, target_dict: dict[str, Any]) -> None:
        """Adds all pairs of `other`; values keep their types."""
        target_dict.update(self._values)

    def add_all(self, other: Configuration, prefix: str | None = None) -> Configuration:
        """Adds all pairs of `other` with `prefix` before each key."""
        added: dict[str, Any] = {}
        other.add_all_to_dict(added)
        self._values.update({(prefix or "") + key: value for key, value in added.items()})
        return self

    def contains_key(self, key: str) -> bool:
        return key in self._values

    def to_dict(self) -> dict[str, str]:
        """All pairs as text."""
        return {key: _as_text(value) for key, value in self._values.items()}

    def remove_config(self, key: str) -> bool:
        """Removes a key; returns whether it existed."""
        return self._values.pop(key, None) is not None

    def __deepcopy__(self, memodict: Any = None) -> Configuration:
        return Configuration(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Configuration) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        """By value, as in Flink: do not modify a configuration while it is a key of a dict."""
        return hash(frozenset(self.to_dict().items()))

    def __str__(self) -> str:
        """`{key=value, ...}`, as Flink prints it."""
        return "{" + ", ".join(f"{key}={value}" for key, value in self.to_dict().items()) + "}"

    def __repr__(self) -> str:
        return f"Configuration({self.to_dict()})"


def _checked_key(key: str) -> str:
    if not isinstance(key, str) or not key:
        raise TypeError(f"a configuration key is a non-empty string, got {key!r}")
    return key


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytearray):
        return value.hex()
    return str(value)
