"""Entries of a state as their table gives them: none at all, or many for a loop."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["ABSENT", "LoopEntries"]


class _Absent:
    """Stands for an entry that is not there, and in a layer for one that was removed."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "absent"

    def __reduce__(self) -> str:
        return "ABSENT"  # copies are the same object


ABSENT: Final = _Absent()


@dataclass(frozen=True, slots=True)
class LoopEntries:
    """A table's entries for a loop over a batch; good until the table is frozen, tidied or cleared.

    A value of `recent` may be changed in place; one of `find_older(key, absent)`, which is asked for keys that are not
    in `recent`, may not: a snapshot holds it. None: all entries are in `recent`. What is put into `recent` is in the
    table.
    """

    recent: MutableMapping[Any, Any]
    find_older: Callable[[Any, Any], Any] | None
