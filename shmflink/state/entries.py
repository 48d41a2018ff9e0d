"""Entries of a state as their table returns them: ABSENT, or an accessor for loops."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any, Final

from shmflink.core.lazy_dataclass import dataclass

__all__ = ["ABSENT", "LoopEntries"]


class _Absent:
    """Marks a missing entry and, in a layer, a removed one."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "absent"

    def __reduce__(self) -> str:
        return "ABSENT"  # copies are the same object


ABSENT: Final = _Absent()


@dataclass(frozen=True, slots=True)
class LoopEntries:
    """A table's entries for a loop over a batch; valid until the table is frozen, tidied or cleared.

    A value of `recent` may be changed in place. A value of `find_older(key, absent)`, to be called for keys that are
    not in `recent`, must not be changed: a snapshot holds it. None: all entries are in `recent`. An entry put into
    `recent` is in the table.
    """

    recent: MutableMapping[Any, Any]
    find_older: Callable[[Any, Any], Any] | None
