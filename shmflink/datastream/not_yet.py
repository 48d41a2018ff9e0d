"""Names that this version lacks, or has under another name: their use raises an error that says so."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar, NoReturn

__all__ = ["SaysWhatIsMissing"]

_CLOSE: float = 0.75  # of names that are alike


class _ShowsPublicNames(type):
    """A `dir()` of the class that lists only what users call, for completion."""

    def __dir__(cls) -> Iterable[str]:
        return _public(super().__dir__(), cls)


class SaysWhatIsMissing(metaclass=_ShowsPublicNames):
    """Replaces a bare AttributeError by one that says why a name is missing, or what its name is here.

    `dir()` omits names with one leading underscore and names that only shmflink itself uses.
    """

    MISSING: ClassVar[Mapping[str, str]] = {}  # PyFlink's names: what to do instead
    ADVICE: ClassVar[Mapping[str, str]] = {}  # names that users try: what to write
    INTERNAL: ClassVar[frozenset[str]] = frozenset()  # names without underscore that dir() does not show

    def __dir__(self) -> Iterable[str]:
        return _public(super().__dir__(), type(self))

    if not TYPE_CHECKING:  # a type checker must still report an unknown attribute

        def __getattr__(self, name: str) -> NoReturn:
            kind = type(self)
            reason = kind.MISSING.get(name)
            if reason is not None:
                raise AttributeError(f"{kind.__name__}.{name}() of PyFlink is not in this version: {reason}")
            advice = kind.ADVICE.get(name) or kind.ADVICE.get(_snake(name)) or _alike(name, kind)
            raise AttributeError(f"'{kind.__name__}' has no attribute '{name}'{f': {advice}' if advice else ''}")


def _public(names: Iterable[str], kind: type) -> list[str]:
    hidden = {"MISSING", "ADVICE", "INTERNAL"}.union(*(base.__dict__.get("INTERNAL", ()) for base in kind.__mro__))
    return [name for name in names if name not in hidden and (not name.startswith("_") or name.startswith("__"))]


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def _alike(name: str, kind: type[SaysWhatIsMissing]) -> str:
    """Handles Java spellings, too: keyBy is key_by."""
    if name.startswith("_"):
        return ""
    near = difflib.get_close_matches(_snake(name), [n for n in dir(kind) if not n.startswith("_")], n=1, cutoff=_CLOSE)
    return f"did you mean {near[0]}()?" if near else ""
