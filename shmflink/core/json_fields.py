"""Parses JSON from outside field by field: a missing, mistyped or unknown field is an error that names its place.

For files that another release, or anybody else, may have written. Pure.
"""

from __future__ import annotations

from typing import Any, Final

__all__ = ["JsonFields", "JsonFieldsError"]

_INTEGER_MAX: Final = (1 << 63) - 1
_NAMES: Final[dict[type, str]] = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
_MISSING: Final = object()


class JsonFieldsError(ValueError):
    """The message says where, what was expected and what was found; the reader of the file adds its path."""


class JsonFields:
    """The fields of one JSON object. Take each known field, then call `end`. All methods raise JsonFieldsError."""

    def __init__(self, value: Any, where: str) -> None:
        """`where` names the object: `operators[2]`; empty for the outermost one."""
        if type(value) is not dict:
            raise JsonFieldsError(f"{where or 'the content'} is {_named(value)}, not an object")
        self._left: dict[str, Any] = dict(value)
        self._where = where

    def text(self, name: str, default: Any = _MISSING) -> str:
        return self._take(name, str, default)  # type: ignore[no-any-return]

    def optional_text(self, name: str) -> str | None:
        """A required field, which may be null."""
        return None if self._is_null(name) else self.text(name)

    def flag(self, name: str, default: Any = _MISSING) -> bool:
        return self._take(name, bool, default)  # type: ignore[no-any-return]

    def integer(self, name: str, default: Any = _MISSING, *, minimum: int = 0) -> int:
        """An integer of at least `minimum` that fits 64 bits."""
        value = self._pop(name, default)
        if type(value) is not int or not minimum <= value <= _INTEGER_MAX:
            raise JsonFieldsError(f"{self.place(name)} is {_named(value)}, not an integer of at least {minimum}")
        return value

    def items(self, name: str, default: Any = _MISSING) -> list[Any]:
        """A list; the caller checks its items."""
        return self._take(name, list, default)  # type: ignore[no-any-return]

    def fields(self, name: str) -> JsonFields:
        """An object inside this one."""
        return JsonFields(self._pop(name, _MISSING), self.place(name))

    def optional_fields(self, name: str) -> JsonFields | None:
        """An object inside this one; None if it is missing or null."""
        if self._left.get(name) is None:
            self._left.pop(name, None)
            return None
        return self.fields(name)

    def each(self, name: str, default: Any = _MISSING) -> list[JsonFields]:
        """A list of objects."""
        where = self.place(name)
        return [JsonFields(item, f"{where}[{index}]") for index, item in enumerate(self.items(name, default))]

    def place(self, name: str) -> str:
        """The name of a field in messages."""
        return f"{self._where}.{name}" if self._where else name

    def end(self) -> None:
        """No field may be left: a release must not ignore what it does not know."""
        if self._left:
            raise JsonFieldsError(f"{self.place(next(iter(self._left)))} is unknown to this release")

    def _take(self, name: str, kind: type, default: Any) -> Any:
        value = self._pop(name, default)
        if type(value) is not kind:
            raise JsonFieldsError(f"{self.place(name)} is {_named(value)}, not {_NAMES[kind]}")
        return value

    def _pop(self, name: str, default: Any) -> Any:
        value = self._left.pop(name, default)
        if value is _MISSING:
            raise JsonFieldsError(f"{self.place(name)} is missing")
        return value

    def _is_null(self, name: str) -> bool:
        if self._left.get(name, _MISSING) is not None:
            return False
        del self._left[name]
        return True


def _named(value: Any) -> str:
    if value is None:
        return "null"
    if type(value) in (int, float):
        return str(value)
    return _NAMES.get(type(value), type(value).__name__)
