"""What the rows of an edge mean: rows that stand, or updates, each of which replaces the row before it.

Flink's changelog modes, as far as they occur here: *insert-only* (no `Changelog`) and *upsert* by a key. There are no
retractions: nothing says that a row is void without a new one in its place.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Changelog"]


@dataclass(frozen=True, slots=True)
class Changelog:
    """Updates on an edge. `key`: the columns that say which row is replaced; none: there is one row; None: not known.

    `made_by` is the operator's name, `place` the user's `file:line`. `is_per_record`: functions of records made them or
    have seen them since, for which every update is a record. `of_records`: a function of records made them
    (`reduce()`, `sum()`, ...). `ends_with_input`: the final rows are known at the end of the input alone. Not
    `has_final`: nobody knows which rows are final, because a function makes them of a window that leaves again.
    """

    key: tuple[str, ...] | None
    made_by: str = ""
    place: str = ""
    of_records: bool = False
    is_per_record: bool = False
    ends_with_input: bool = True
    has_final: bool = True

    def __str__(self) -> str:
        if self.key is None:
            return "updates"
        return f"updates by {', '.join(self.key)}" if self.key else "updates of one row"
