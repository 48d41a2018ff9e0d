"""The meaning of an edge's rows: final rows, or updates, each of which replaces the previous row.

The subset of Flink's changelog modes used here: *insert-only* (no `Changelog`) and *upsert* by a key. There are no
retractions: no row is ever withdrawn without a replacement.
"""

from __future__ import annotations

from shmflink.core.lazy_dataclass import dataclass

__all__ = ["Changelog"]


@dataclass(frozen=True, slots=True)
class Changelog:
    """Updates on an edge. `key`: the columns that identify the replaced row; empty: there is one row; None: unknown.

    `made_by` is the operator's name, `place` the user's `file:line`. `is_per_record`: per-record functions made the
    updates or have processed them since, and treat every update as a record. `of_records`: a per-record function made
    them (`reduce()`, `sum()`, ...). `ends_with_input`: the final rows are known only at the end of the input. Not
    `has_final`: the final rows are unknown, because a function computes them from a window that may fire again.
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
