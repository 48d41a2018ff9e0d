"""Column forms for the namespaces of a state, which are mostly windows. Each form is registered under a name, by which
a restore finds it."""

from __future__ import annotations

from typing import Any, Final, Protocol

import pyarrow as pa

from shmflink.core.serialization.codec import dumps_values, loads_values
from shmflink.errors import StateMismatchError

__all__ = ["NO_NAMESPACES", "PICKLED_NAMESPACES", "NamespaceForm", "namespace_form", "register_namespaces"]


class NamespaceForm(Protocol):
    """Namespaces of one kind."""

    @property
    def name(self) -> str:
        """The name in the metadata of files."""
        ...

    @property
    def is_single(self) -> bool:
        """Whether there is only one namespace, which needs no column."""
        ...

    def encode(self, namespaces: list[Any]) -> pa.Array:
        """A column; equal namespaces have equal values."""
        ...

    def decode(self, array: pa.Array | None, count: int) -> list[Any]:
        """The inverse; `array` is None where `is_single`."""
        ...


class _Pickled:
    name = "pickle"
    is_single = False

    def encode(self, namespaces: list[Any]) -> pa.Array:
        return pa.array(dumps_values(namespaces), pa.binary())

    def decode(self, array: pa.Array | None, count: int) -> list[Any]:
        assert array is not None
        return loads_values(array.to_pylist())


class _None:
    """The form for timers of functions, which have no namespace."""

    name = "none"
    is_single = True

    def encode(self, namespaces: list[Any]) -> pa.Array:
        return pa.nulls(len(namespaces))

    def decode(self, array: pa.Array | None, count: int) -> list[Any]:
        return [None] * count


PICKLED_NAMESPACES: Final[NamespaceForm] = _Pickled()
NO_NAMESPACES: Final[NamespaceForm] = _None()
_FORMS: Final[dict[str, NamespaceForm]] = {form.name: form for form in (PICKLED_NAMESPACES, NO_NAMESPACES)}


def register_namespaces(form: NamespaceForm) -> NamespaceForm:
    """Registers a form under its name; called when its module is imported."""
    _FORMS[form.name] = form
    return form


def namespace_form(name: str) -> NamespaceForm:
    """The form of this name.

    Raises:
        StateMismatchError: the name is not registered.
    """
    form = _FORMS.get(name)
    if form is None:
        raise StateMismatchError(f"unknown kind of namespace '{name}'; known kinds are {sorted(_FORMS)}")
    return form
