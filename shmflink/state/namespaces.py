"""How the namespaces of a state (windows, mostly) lie in a column. Each form is registered under a name, by which a
restore finds it again."""

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
        """In the metadata of files."""
        ...

    @property
    def is_single(self) -> bool:
        """There is only one namespace, so that it needs no column."""
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
    """Of timers of functions, which have no namespace."""

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
    """Makes a form known under its name; called where its module is imported."""
    _FORMS[form.name] = form
    return form


def namespace_form(name: str) -> NamespaceForm:
    """The form of this name.

    Raises:
        StateMismatchError: nobody registered it.
    """
    form = _FORMS.get(name)
    if form is None:
        raise StateMismatchError(f"unknown kind of namespace '{name}'; known kinds are {sorted(_FORMS)}")
    return form
