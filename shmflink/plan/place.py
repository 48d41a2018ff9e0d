"""Lines of the user's program, in messages."""

from __future__ import annotations

__all__ = ["at", "named"]


def at(place: str) -> str:
    """The beginning of a message about this line; empty if the line is not known."""
    return f"{place}: " if place else ""


def named(name: str, place: str) -> str:
    """The name of an operator in a message, with its line if known."""
    return f"'{name}'" + (f" ({place})" if place else "")
