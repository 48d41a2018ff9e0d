"""The entries of one state, in layers, so that freezing them costs nothing.

::

    live     changes since the last freeze; the only layer that is written and whose values may be changed in place
    below    frozen layers, newest first; the last one is the base. A reader takes the first value it finds.

A freeze turns the live dict into the newest frozen layer and starts a new one: it moves some references, whatever the
size. An incremental snapshot writes the frozen layer, a full one all layers. Afterwards `tidy` merges frozen layers
into the base, a few thousand entries at a time, while no snapshot reads the base. A state that was never frozen has no
layers below and costs as much as a dict.

Copying a dict of 10 million entries (int to int) stopped the slot for 0.6 to 1.3 s on a loaded machine. A copy in
another thread holds the GIL for as long. Freezing only moves references: 0.1 ms.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice, repeat
from typing import Any, Final

from shmflink.core.isolation import ISOLATION, isolated
from shmflink.core.lazy_dataclass import dataclass
from shmflink.state.entries import ABSENT, LoopEntries

__all__ = ["FrozenEntries", "HeapStateTable"]

_MERGED_AT_ONCE: Final = 4096  # entries of one `tidy`, ...
_MERGED_FOR_EACH: Final = 4  # ... plus this many per entry written since the last one, so that merging keeps up
_LAYERS_MAX: Final = 8  # above this, the older frozen layers are merged at once
_FREED_AT_ONCE: Final = 1 << 16  # entries freed at once from a discarded dict; more would stop the slot


@dataclass(slots=True, eq=False)
class FrozenEntries:
    """What a snapshot writes: layers, newest first; their keys hide those of older layers.

    The writing thread sets `is_read` when it no longer needs the layers, and `is_saved`.
    """

    layers: tuple[dict[Any, Any], ...]
    is_delta: bool
    is_read: bool = False
    is_saved: bool | None = None

    @property
    def rows_max(self) -> int:
        """Entries of all layers."""
        return sum(map(len, self.layers))

    def pieces(self, rows: int) -> Iterator[tuple[list[Any], list[Any]]]:
        """Keys and values in pieces of limited size; ABSENT for removed entries (only in changes)."""
        base = len(self.layers) - 1
        for index, layer in enumerate(self.layers):
            newer = self.layers[:index]
            # The base never has removed entries.
            hides_removed = not self.is_delta and index < base
            keys, values = iter(layer), iter(layer.values())
            while some := list(islice(keys, rows)):
                some_values = list(islice(values, len(some)))
                for hiding in newer:
                    if not hiding.keys().isdisjoint(some):
                        shown = [i for i, key in enumerate(some) if key not in hiding]
                        some, some_values = [some[i] for i in shown], [some_values[i] for i in shown]
                if hides_removed:
                    shown = [i for i, value in enumerate(some_values) if value is not ABSENT]
                    some, some_values = [some[i] for i in shown], [some_values[i] for i in shown]
                if some:
                    yield some, some_values


class HeapStateTable:
    """Entries by key, or by (key, namespace). Only the slot's thread uses it.

    Hot loops read `live.get(key)` first and call `old(key)` if that returns None; they write `live[key] = value`.
    Values in `below` must not be changed in place: `own` returns one that may be.
    """

    __slots__ = ("_changes", "_flying", "_full", "_merge", "_merged", "_rest", "_seen", "_written", "below", "live")

    def __init__(self) -> None:
        self.live: dict[Any, Any] = {}
        self.below: tuple[dict[Any, Any], ...] = ()
        self._full: FrozenEntries | None = None  # the last full checkpoint, the base of changes
        self._written = 0  # changes saved since then
        self._changes: list[dict[Any, Any]] = []  # layers that are in no saved snapshot, newest first
        self._flying: list[FrozenEntries] = []  # snapshots not yet reported as saved or failed
        self._merge: Iterator[tuple[Any, Any]] | None = None  # the rest of the layer that is being merged into the base
        self._merged = 0
        self._seen = 0  # entries of `live` at the last `tidy`
        self._rest: list[dict[Any, Any]] = []  # layers that are no longer needed, to be freed bit by bit

    # --- entries ---

    def get(self, key: Any) -> Any:
        """The value, not to be changed in place; ABSENT if there is none."""
        value = self.live.get(key, ABSENT)
        if value is ABSENT and self.below and key not in self.live:
            return self.old(key)
        return value

    def old(self, key: Any, absent: Any = ABSENT) -> Any:
        """The value of a key that is not in `live`."""
        for layer in self.below:
            if key in layer:
                return layer[key]
        return absent

    def finder(self) -> Callable[[Any, Any], Any]:
        """`old` for a loop; valid as long as nothing is frozen or tidied."""
        return self.below[0].get if len(self.below) == 1 else self.old

    def own(self, key: Any) -> Any:
        """The value, which may be changed in place from now on; ABSENT if there is none."""
        live = self.live
        if key in live:
            return live[key]
        value = self.old(key)
        if value is not ABSENT:
            value = live[key] = _copied(value)
        return value

    def put(self, key: Any, value: Any) -> None:
        """Adds or replaces an entry."""
        self.live[key] = value

    def loop_entries(self) -> LoopEntries:
        """For hot loops: the live layer, and how to find what lies below."""
        return LoopEntries(self.live, self.finder() if self.below else None)

    def remove(self, key: Any) -> None:
        """Removes an entry if it exists."""
        if not self.below:
            self.live.pop(key, None)
        elif key in self.live or self.old(key) is not ABSENT:
            self.live[key] = ABSENT

    def take(self, key: Any) -> Any:
        """Removes an entry; its value may be changed in place. ABSENT if there is none."""
        value = self.own(key)
        if value is not ABSENT:
            self.remove(key)
        return value

    def keys(self) -> list[Any]:
        """A copy of all keys."""
        if not self.below:
            return list(self.live)
        return [key for key in dict.fromkeys(chain(self.live, *self.below)) if self.get(key) is not ABSENT]

    def entries(self) -> dict[Any, Any]:
        """A copy of all entries."""
        return {key: self.get(key) for key in self.keys()}

    def owned_values(self, rows_max: int) -> Iterator[list[Any]]:
        """All values, which the caller may change, in lists of limited size; the table is empty afterwards."""
        is_frozen = bool(self.below)
        values = iter((self.entries() if is_frozen else self.live).values())
        while some := list(islice(values, rows_max)):
            yield ISOLATION.isolated_list(some) if is_frozen else some  # a snapshot holds the originals
        self.clear()

    def clear(self) -> None:
        """Removes everything. `live` stays the same object if nothing was frozen."""
        if not self.below:
            self.live.clear()
        else:
            self.live.update(dict.fromkeys(self.keys(), ABSENT))

    # --- snapshots ---

    def freeze(self, *, is_savepoint: bool, is_incremental: bool) -> FrozenEntries:
        """All entries, or only those changed since the last saved snapshot if they are less than half of all.

        A savepoint has all entries; later changes count from the checkpoint before it.
        """
        self._settle()
        has_full = self._full is not None
        self._cut(is_kept=has_full)
        if is_savepoint or not is_incremental or not self._is_delta_enough():
            frozen = FrozenEntries(self.below, is_delta=False)
            if not is_savepoint:
                self._full = frozen if is_incremental else None
                self._changes, self._written = [], 0
        else:
            frozen = FrozenEntries(tuple(self._changes), is_delta=True)
        self._flying.append(frozen)
        return frozen

    @property
    def is_untidy(self) -> bool:
        """Whether `tidy` has work to do."""
        return len(self.below) > 1 or bool(self._rest)

    def tidy(self) -> None:
        """Merges more of the frozen layers into the base: a few thousand entries, or more if many are written."""
        if self._rest:
            self._free_some()
        if len(self.below) > 1 and not self._is_base_read():
            written = max(0, len(self.live) - self._seen)
            self._merge_some(_MERGED_AT_ONCE + _MERGED_FOR_EACH * written)
        self._seen = len(self.live)

    def _cut(self, *, is_kept: bool) -> None:
        """Pushes the live layer below; `is_kept`: it counts as a change.

        If it is also the base, the changes are more than half of all entries, and are never written separately.
        """
        if not self.live:
            return
        layer, self.live, self._seen = self.live, {}, 0
        if is_kept:
            self._changes.insert(0, layer)
        self.below = (layer, *self.below)
        if len(self.below) > _LAYERS_MAX:
            self._compact()

    def _is_delta_enough(self) -> bool:
        """Whether the full checkpoint is saved and the changes since then are at most half of all entries."""
        if self._full is None or not self._full.is_saved:
            return False
        changed = self._written + sum(map(len, self._changes))
        return changed * 2 <= max(map(len, self.below), default=0)

    def _settle(self) -> None:
        """Takes the results of earlier snapshots into account."""
        done = [frozen for frozen in self._flying if frozen.is_saved is not None]
        self._flying = [frozen for frozen in self._flying if frozen.is_saved is None]
        for frozen in done:
            if frozen.is_delta and frozen.is_saved:
                saved = {id(layer) for layer in frozen.layers}
                self._written += sum(len(layer) for layer in self._changes if id(layer) in saved)
                self._changes = [layer for layer in self._changes if id(layer) not in saved]
            elif frozen is self._full and not frozen.is_saved:
                self._full, self._changes = None, []
            self._bury(frozen.layers)

    def _is_base_read(self) -> bool:
        return any(not frozen.is_delta and not frozen.is_read for frozen in self._flying)

    def _merge_some(self, count: int) -> None:
        *newer, layer, base = self.below
        if self._merge is None:
            self._merge, self._merged = iter(layer.items()), 0
        self._merged += count
        for key, value in islice(self._merge, count):
            if value is ABSENT:
                base.pop(key, None)
            else:
                base[key] = value
        if self._merged >= len(layer):
            self._merge = None
            self.below = (*newer, base)
            self._bury([layer])

    def _compact(self) -> None:
        """Merges all frozen layers except the base into a new one; stops the slot, so it is the last resort.

        Needed when snapshots of all entries follow each other without a pause, so that the base is always being read.
        """
        *layers, base = self.below
        whole: dict[Any, Any] = {}
        for layer in reversed(layers):
            whole.update(layer)
        self._merge = None  # what has been merged into the base is also in `whole`
        self.below = (whole, base)

    def _bury(self, layers: Sequence[dict[Any, Any]]) -> None:
        """Frees layers that are no longer needed, bit by bit: a large dict would take too long at once."""
        for layer in layers:
            is_needed = any(layer is other for other in chain(self.below, self._changes))
            is_written = any(layer is other for frozen in self._flying for other in frozen.layers)
            if not is_needed and not is_written and len(layer) > _FREED_AT_ONCE:
                self._rest.append(layer)

    def _free_some(self) -> None:
        layer = self._rest[-1]
        deque((layer.popitem() for _ in repeat(None, min(_FREED_AT_ONCE, len(layer)))), maxlen=0)
        if not layer:
            self._rest.pop()


def _copied(value: Any) -> Any:
    """Items of lists and maps are never changed in place: state copies on reads and writes."""
    kind = type(value)
    if kind is list:
        return value.copy()
    return value.copy() if kind is dict else isolated(value)
