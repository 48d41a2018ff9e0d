"""Options that a program declares itself (PyFlink: `pyflink.common.config_options`)."""

from __future__ import annotations

from typing import Any, Final, Generic, TypeVar

from shmflink.core.lazy_dataclass import dataclass

__all__ = ["ConfigOption", "ConfigOptions"]

T = TypeVar("T")
_INT_BOUND: Final = 2**31
_LONG_BOUND: Final = 2**63


def _is_of(kind: type, value: Any) -> bool:
    """By exact type: True is not an int."""
    return type(value) is kind


@dataclass(frozen=True, slots=True)
class ConfigOption(Generic[T]):
    """An option: its key, the type of its values, its default. Build it with `ConfigOptions.key`."""

    key: str
    value_type: type
    default: T | None = None


class ConfigOptions:
    """The start of an option: `ConfigOptions.key("tmp.dir").string_type().default_value("/tmp")`."""

    @staticmethod
    def key(key: str) -> ConfigOptions.OptionBuilder:
        """Begins an option with this key."""
        return ConfigOptions.OptionBuilder(key)

    class OptionBuilder:
        """An option with a key, without a type."""

        def __init__(self, key: str) -> None:
            self._key = key

        def boolean_type(self) -> ConfigOptions.TypedConfigOptionBuilder[bool]:
            return ConfigOptions.TypedConfigOptionBuilder(self._key, bool)

        def int_type(self) -> ConfigOptions.TypedConfigOptionBuilder[int]:
            """From -2,147,483,648 to 2,147,483,647."""
            return ConfigOptions.TypedConfigOptionBuilder(self._key, int, _INT_BOUND)

        def long_type(self) -> ConfigOptions.TypedConfigOptionBuilder[int]:
            return ConfigOptions.TypedConfigOptionBuilder(self._key, int, _LONG_BOUND)

        def float_type(self) -> ConfigOptions.TypedConfigOptionBuilder[float]:
            return ConfigOptions.TypedConfigOptionBuilder(self._key, float)

        def double_type(self) -> ConfigOptions.TypedConfigOptionBuilder[float]:
            return ConfigOptions.TypedConfigOptionBuilder(self._key, float)

        def string_type(self) -> ConfigOptions.TypedConfigOptionBuilder[str]:
            return ConfigOptions.TypedConfigOptionBuilder(self._key, str)

    class TypedConfigOptionBuilder(Generic[T]):
        """An option with a key and a type, whose default is still open."""

        def __init__(self, key: str, value_type: type, bound: int = 0) -> None:
            self._key = key
            self._type = value_type
            self._bound = bound

        def default_value(self, value: Any) -> ConfigOption[T]:
            """The option with this default; TypeError if the value is not of the option's type."""
            checked: Any = float(value) if self._type is float and type(value) is int else value
            if not _is_of(self._type, checked):
                raise TypeError(f"{self._key}: default {value!r} is not of type {self._type.__name__}")
            if self._bound and not -self._bound <= checked < self._bound:
                raise TypeError(f"{self._key}: default {value!r} is out of the type's range")
            return ConfigOption(self._key, self._type, checked)

        def no_default_value(self) -> ConfigOption[T]:
            """The option without a default."""
            return ConfigOption(self._key, self._type)
