"""A frozen state in the form that checkpoints write (`snapshots.KeyedSnapshot`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa

from shmflink.core.keys.groups import key_groups as assign_key_groups
from shmflink.core.lazy_dataclass import dataclass
from shmflink.state.arrow_form import TIMERS, Entries, GroupAssigner, StateForm, entries_to_batches
from shmflink.state.entries import ABSENT
from shmflink.state.hashable_keys import keys_of_hashables
from shmflink.state.heap_table import FrozenEntries
from shmflink.state.sorted_batches import PIECE_ROWS_MAX

__all__ = ["FrozenState"]


@dataclass(slots=True, eq=False)
class FrozenState:
    """Entries of one state at a barrier.

    `living` returns an entry without its expired parts, None if nothing is left.
    """

    name: str
    form: StateForm
    entries: FrozenEntries
    max_parallelism: int
    key_groups: range
    living: Callable[[Any], Any] | None = None
    assign: GroupAssigner = assign_key_groups

    @property
    def is_delta(self) -> bool:
        return self.entries.is_delta

    def batches(self) -> Iterator[pa.RecordBatch]:
        return entries_to_batches(
            self.form,
            self._pieces(),
            self.max_parallelism,
            assign=self.assign,
            key_groups=self.key_groups,
            is_read=self._read,
        )

    def saved(self, is_saved: bool) -> None:
        self.entries.is_read = True
        self.entries.is_saved = is_saved

    def _read(self) -> None:
        self.entries.is_read = True

    def _pieces(self) -> Iterator[Entries]:
        for keys, values in self.entries.pieces(PIECE_ROWS_MAX):
            if self.is_delta:
                yield replace(self._piece(keys, values), is_deleted=[value is ABSENT for value in values])
            elif self.living is None:
                yield self._piece(keys, values)
            else:
                left = [(key, self.living(value)) for key, value in zip(keys, values, strict=True)]
                left = [one for one in left if one[1] is not None]
                yield self._piece([key for key, _ in left], [value for _, value in left])

    def _piece(self, keys: list[Any], values: list[Any]) -> Entries:
        if self.form.kind == TIMERS:
            stamps, owners, namespaces = zip(*keys, strict=True)
            return Entries(keys_of_hashables(owners), values, list(namespaces), list(stamps))
        if self.form.namespaces is None:
            return Entries(keys_of_hashables(keys), values)
        return Entries(keys_of_hashables([key for key, _ in keys]), values, [namespace for _, namespace in keys])
