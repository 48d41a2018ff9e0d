"""What operators know of keyed state: tables, timers, and the backend that makes and freezes them.

Where the entries lie is the backend's business; `factory` chooses it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, Protocol, TypeAlias

import pyarrow as pa

from shmflink.core.clock import Clock
from shmflink.core.elements import Barrier
from shmflink.core.types.typeinfo import TypeInformation
from shmflink.state.descriptors import StateDescriptor
from shmflink.state.entries import ABSENT, LoopEntries
from shmflink.state.frozen import FrozenState
from shmflink.state.namespaces import NamespaceForm
from shmflink.state.snapshots import RestoredState

__all__ = [
    "ABSENT",
    "TIMER_STATES",
    "CurrentEntry",
    "KeyedStateBackend",
    "LoopEntries",
    "StateBackendFactory",
    "StateTable",
    "Timer",
    "Timers",
]

TIMER_STATES: Final = ("_event_timers", "_processing_timers")
"""Names of the timers' snapshots, beside those of states."""

Timer: TypeAlias = tuple[int, Any, Any]
"""(timestamp in ms, key as `core.keys.columns.decode_keys` gives it, namespace)."""


class StateTable(Protocol):
    """The entries of one state, by key or by (key, namespace). Used by the slot's thread alone."""

    def get(self, key: Any) -> Any:
        """The value, not to be changed in place; ABSENT where there is none."""
        ...

    def own(self, key: Any) -> Any:
        """The value, which may be changed in place from now on; ABSENT where there is none."""
        ...

    def put(self, key: Any, value: Any) -> None:
        """Adds or replaces an entry. The value is the table's from now on."""
        ...

    def remove(self, key: Any) -> None:
        """Takes an entry away, where it is there."""
        ...

    def take(self, key: Any) -> Any:
        """Takes an entry away; its value may be changed in place. ABSENT where there is none."""
        ...

    def keys(self) -> list[Any]:
        """All keys, as they are now."""
        ...

    def owned_values(self, rows_max: int) -> Iterator[list[Any]]:
        """All values, which the caller may change, in lists of at most so many; the table is cleared after that."""
        ...

    def loop_entries(self) -> LoopEntries:
        """For hot loops, which would pay for a call of `get` and `put` per row."""
        ...

    def clear(self) -> None:
        """Removes everything."""
        ...


class CurrentEntry(Protocol):
    """Who knows which entry is meant."""

    entry: Any


class KeyedStateBackend(Protocol):
    """State of one operator and subtask. Used by the slot's thread alone."""

    entry: Any
    """What states read and write: the current key (as `core.keys.columns.decode_keys` gives it), or (key, namespace).

    NO_KEY where there is none: states refuse to be used.
    """

    def value_state(self, name: str, type_info: TypeInformation | None = None) -> StateTable:
        """The values of a state by key: a table that batch loops use directly.

        Call it again as soon as their type is known.
        """
        ...

    def state(
        self, descriptor: StateDescriptor, *, is_namespaced: bool = False, current: CurrentEntry | None = None
    ) -> Any:
        """The state object of a descriptor; the same entries whenever it is asked for.

        `current` says which entry is meant, where it is not the backend's `entry`.

        Raises:
            TypeMismatchError: the name stands for a state of another kind or type.
            StateMismatchError: what was restored under this name is of another kind or type.
        """
        ...

    def table(self, name: str) -> StateTable:
        """The entries of a state that was asked for."""
        ...

    def state_names(self) -> Iterable[str]:
        """Names of the states that were asked for or restored."""
        ...

    def freeze(self, barrier: Barrier, key_groups: range) -> list[FrozenState]:
        """All states at a barrier, which takes no time that depends on their size; written by another thread."""
        ...

    def restore(self, restored: RestoredState) -> None:
        """Adds what was restored; before the first use.

        Raises:
            StateMismatchError: a value cannot be unpickled.
        """
        ...

    def tidy(self) -> None:
        """Work that snapshots left behind; called now and then between two batches."""
        ...

    def clear(self) -> None:
        """Forgets everything."""
        ...


class Timers(Protocol):
    """Timers of one domain (event or processing time) of one operator and subtask."""

    def register(self, timestamp_ms: int, key: Any, namespace: Any = None) -> None:
        """Adds a timer; nothing where it is there already."""
        ...

    def delete(self, timestamp_ms: int, key: Any, namespace: Any = None) -> None:
        """Removes a timer, where it is there."""
        ...

    @property
    def next_ms(self) -> int | None:
        """When the next timer is due; None without timers."""
        ...

    def due(self, now_ms: int) -> Iterator[Timer]:
        """Takes out the timers up to `now_ms` (inclusive), one by one, also those that are registered meanwhile."""
        ...

    def clear(self) -> None:
        """Forgets all timers."""
        ...

    def __len__(self) -> int: ...

    def freeze(
        self, name: str, barrier: Barrier, max_parallelism: int, key_groups: range, *, is_incremental: bool = True
    ) -> FrozenState:
        """All timers at a barrier, or those registered, deleted and fired since the one before."""
        ...

    def restore(self, batches: Iterator[pa.RecordBatch]) -> None:
        """Adds timers; before the first is registered. Those of one time and key keep their order."""
        ...

    def tidy(self) -> None:
        """Work that snapshots left behind; called now and then."""
        ...


class StateBackendFactory(Protocol):
    """Makes what keeps the keyed state of one operator and subtask."""

    def keyed_backend(
        self, max_parallelism: int, clock: Clock, *, namespaces: NamespaceForm, is_incremental: bool, operator: str
    ) -> KeyedStateBackend:
        """`namespaces` says how those of all namespaced states are written; `operator` is named in errors."""
        ...

    def timers(self, namespaces: NamespaceForm) -> Timers:
        """Timers of one domain."""
        ...
