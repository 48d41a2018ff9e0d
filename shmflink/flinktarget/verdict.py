"""What can be said of one call: PyFlink's method, or what keeps the call from being portable."""

from __future__ import annotations

from shmflink.core.lazy_dataclass import dataclass

__all__ = ["Counterpart", "has", "lacks"]


@dataclass(frozen=True, slots=True)
class Counterpart:
    """`method` of PyFlink, or, where there is none, `obstacle` and what would be portable `instead`."""

    method: str = ""
    obstacle: str = ""
    instead: str = ""

    @property
    def is_portable(self) -> bool:
        return not self.obstacle


def has(method: str) -> Counterpart:
    """PyFlink has this method."""
    return Counterpart(method)


def lacks(obstacle: str, instead: str) -> Counterpart:
    """PyFlink cannot do it."""
    return Counterpart("", obstacle, instead)
