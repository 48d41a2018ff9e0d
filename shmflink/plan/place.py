"""Lines of the user's program, in messages."""

from __future__ import annotations

__all__ = ["at", "named"]


def at(place: str) -> str:
    """The beginning of a message about this line; empty where none is known."""
    return f"{place}: " if place else ""


def named(name: str, place: str) -> str:
    """How a message calls an operator, with its line where one is known."""
    return f"'{name}'" + (f" ({place})" if place else "")
