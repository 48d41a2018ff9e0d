"""What PyFlink has and this version has not: said by name, never accepted and ignored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

__all__ = ["SaysWhatIsMissing"]


class SaysWhatIsMissing:
    """Turns the bare AttributeError for a PyFlink name into one that says why it is not there."""

    MISSING: ClassVar[Mapping[str, str]] = {}

    if not TYPE_CHECKING:  # to a type checker an unknown attribute stays unknown

        def __getattr__(self, name: str) -> Any:
            reason = type(self).MISSING.get(name)
            if reason is None:
                raise AttributeError(f"'{type(self).__name__}' has no attribute '{name}'")
            raise AttributeError(f"{type(self).__name__}.{name}() of PyFlink is not in this version: {reason}")
