"""Keyed state that expires (FLIP-25): the same objects over entries (last access in ms, value).

Source: Flink's TtlValueState, TtlListState, TtlMapState, AbstractTtlDecorator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Final, Generic

from shmflink.core.clock import Clock
from shmflink.core.isolation import isolated
from shmflink.core.types.parameters import K, T, TakesTypeParameters, V
from shmflink.state.entries import ABSENT
from shmflink.state.heap_table import HeapStateTable
from shmflink.state.keyed_states import CurrentKey, elements_of
from shmflink.state.ttl import StateTtlConfig

__all__ = ["Expiry", "TtlListState", "TtlMapState", "TtlValueState"]

_BACKGROUND_ENTRIES: Final = 5  # Flink's default for incremental clean-up of heap state

Stamped = tuple[int, Any]


class Expiry:
    """Which entries of one state are alive. Checks a few others at every access, so that unread ones are removed."""

    def __init__(self, config: StateTtlConfig, clock: Clock, table: HeapStateTable, kind: str) -> None:
        """`kind` of the table's entries: `value`, `list` or `map`."""
        strategies = config.get_cleanup_strategies()
        self.ttl_ms = config.ttl_ms
        self.is_renewed_by_reading = config.get_update_type() is StateTtlConfig.UpdateType.OnReadAndWrite
        self.returns_expired = (
            config.get_state_visibility() is StateTtlConfig.StateVisibility.ReturnExpiredIfNotCleanedUp
        )
        self.is_left_out_of_snapshots = strategies.in_full_snapshot or strategies.is_cleanup_in_background
        default = (_BACKGROUND_ENTRIES, False) if strategies.is_cleanup_in_background else (0, False)
        self._entries_per_access, self.runs_for_every_record = strategies.incremental or default
        self._clock = clock
        self._table = table
        self._kind = kind
        self._left: list[Any] = []

    def now_ms(self) -> int:
        return self._clock.processing_time_ms()

    def is_expired(self, stamped: Stamped, now_ms: int) -> bool:
        """Whether the entry has expired; it has at the exact end of its lifetime."""
        return stamped[0] + self.ttl_ms <= now_ms

    def clean_some(self) -> None:
        """Checks the next few entries of the table."""
        for _ in range(self._entries_per_access):
            if not self._left:
                self._left = self._table.keys()
                if not self._left:
                    return
            key = self._left.pop()
            entry = self._table.get(key)
            if entry is not ABSENT:
                self._keep(key, entry, self.living(entry, self.now_ms()))

    def living_at(self, now_ms: int) -> Callable[[Any], Any] | None:
        """For a full snapshot at this time: an entry without its expired parts; None if no entry needs filtering."""
        return partial(self.living, now_ms=now_ms) if self.is_left_out_of_snapshots else None

    def living(self, entry: Any, now_ms: int) -> Any:
        """The entry without its expired parts; None if nothing is left."""
        if self._kind == "value":
            return None if self.is_expired(entry, now_ms) else entry
        if self._kind == "list":
            return [stamped for stamped in entry if not self.is_expired(stamped, now_ms)] or None
        return {key: stamped for key, stamped in entry.items() if not self.is_expired(stamped, now_ms)} or None

    def _keep(self, key: Any, entry: Any, living: Any) -> None:
        """Writes what is left; an entry that did not change does not count as changed."""
        if living is None:
            self._table.remove(key)
        elif self._kind != "value" and len(living) < len(entry):
            self._table.live[key] = living


class TtlValueState(TakesTypeParameters, Generic[T]):
    """A ValueState whose value expires."""

    def __init__(self, table: HeapStateTable, current: CurrentKey, expiry: Expiry) -> None:
        self._table = table
        self._current = current
        self._expiry = expiry

    def value(self) -> T | None:
        self._expiry.clean_some()
        key = self._current.entry
        stamped = self._table.get(key)
        if stamped is ABSENT:
            return None
        now_ms = self._expiry.now_ms()
        if self._expiry.is_expired(stamped, now_ms):
            self._table.remove(key)
            expired: T | None = isolated(stamped[1]) if self._expiry.returns_expired else None
            return expired
        if self._expiry.is_renewed_by_reading:
            self._table.live[key] = (now_ms, stamped[1])
        living: T = isolated(stamped[1])
        return living

    def update(self, value: T) -> None:
        self._expiry.clean_some()
        if value is None:
            self.clear()
        else:
            self._table.live[self._current.entry] = (self._expiry.now_ms(), isolated(value))

    def clear(self) -> None:
        self._table.remove(self._current.entry)


class TtlListState(TakesTypeParameters, Generic[T]):
    """A ListState whose elements expire one by one."""

    def __init__(self, table: HeapStateTable, current: CurrentKey, expiry: Expiry) -> None:
        self._table = table
        self._current = current
        self._expiry = expiry

    def get(self) -> list[T]:
        self._expiry.clean_some()
        key = self._current.entry
        found = self._table.get(key)
        elements: list[Stamped] = [] if found is ABSENT else found
        now_ms = self._expiry.now_ms()
        living = [stamped for stamped in elements if not self._expiry.is_expired(stamped, now_ms)]
        if elements and not living:
            self._table.remove(key)
        elif living and self._expiry.is_renewed_by_reading:
            self._table.live[key] = [(now_ms, value) for _, value in living]
        return [isolated(value) for _, value in (elements if self._expiry.returns_expired else living)]

    def add(self, value: T) -> None:
        self.add_all([value])

    def update(self, values: Iterable[T]) -> None:
        elements = elements_of(values)
        self.clear()
        self.add_all(elements)

    def add_all(self, values: Iterable[T]) -> None:
        self._expiry.clean_some()
        now_ms = self._expiry.now_ms()
        stamped = [(now_ms, value) for value in elements_of(values)]
        if stamped:
            elements = self._table.own(self._current.entry)
            if elements is ABSENT:
                self._table.live[self._current.entry] = stamped
            else:
                elements.extend(stamped)

    def clear(self) -> None:
        self._table.remove(self._current.entry)

    def __iter__(self) -> Iterator[T]:
        return iter(self.get())


class TtlMapState(TakesTypeParameters, Generic[K, V]):
    """A MapState whose entries expire one by one."""

    def __init__(self, table: HeapStateTable, current: CurrentKey, expiry: Expiry) -> None:
        self._table = table
        self._current = current
        self._expiry = expiry

    def get(self, key: K) -> V | None:
        self._expiry.clean_some()
        read = self._read(key)
        return None if read is None else read[0]

    def put(self, key: K, value: V) -> None:
        self.put_all({key: value})

    def put_all(self, dict_value: dict[K, V]) -> None:
        self._expiry.clean_some()
        now_ms = self._expiry.now_ms()
        if dict_value:
            new = {isolated(key): (now_ms, isolated(value)) for key, value in dict_value.items()}
            entries = self._table.own(self._current.entry)
            if entries is ABSENT:
                self._table.live[self._current.entry] = new
            else:
                entries.update(new)

    def remove(self, key: K) -> None:
        if key in self._map():
            entries = self._table.own(self._current.entry)
            del entries[key]
            if not entries:
                self.clear()

    def contains(self, key: K) -> bool:
        self._expiry.clean_some()
        return self._read(key) is not None

    def items(self) -> Iterable[tuple[K, V]]:
        self._expiry.clean_some()
        keys = list(self._map())
        read = [(key, self._read(key)) for key in keys]
        return [(key, found[0]) for key, found in read if found is not None]

    def keys(self) -> Iterable[K]:
        return [key for key, _ in self.items()]

    def values(self) -> Iterable[V]:
        return [value for _, value in self.items()]

    def is_empty(self) -> bool:
        return not self.items()

    def clear(self) -> None:
        self._table.remove(self._current.entry)

    def __getitem__(self, key: K) -> V | None:
        return self.get(key)

    def __setitem__(self, key: K, value: V) -> None:
        self.put(key, value)

    def __delitem__(self, key: K) -> None:
        self.remove(key)

    def __contains__(self, key: K) -> bool:
        return self.contains(key)

    def __iter__(self) -> Iterator[K]:
        return iter(self.keys())

    def _read(self, key: K) -> tuple[V] | None:
        """The value, which may be None, in a tuple; None if there is none."""
        stamped = self._map().get(key)
        if stamped is None:
            return None
        now_ms = self._expiry.now_ms()
        if self._expiry.is_expired(stamped, now_ms):
            self.remove(key)
            return (stamped[1],) if self._expiry.returns_expired else None
        if self._expiry.is_renewed_by_reading:
            self._table.own(self._current.entry)[key] = (now_ms, stamped[1])
        return (isolated(stamped[1]),)

    def _map(self) -> dict[Any, Stamped]:
        entries: Any = self._table.get(self._current.entry)
        return {} if entries is ABSENT else entries
