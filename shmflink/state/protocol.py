"""What operators know about keyed state: tables, timers, and the backend that creates and freezes them.

Where the entries live is the backend's business; `factory` chooses it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, Protocol, TypeAlias

import pyarrow as pa

from shmflink.core.clock import Clock
from shmflink.core.elements import Barrier
from shmflink.core.types.parameters import T
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
    """The entries of one state, by key or by (key, namespace). Only the slot's thread uses it."""

    def get(self, key: Any) -> Any:
        """The value, not to be changed in place; ABSENT if there is none."""
        ...

    def own(self, key: Any) -> Any:
        """The value, which may be changed in place from now on; ABSENT if there is none."""
        ...

    def put(self, key: Any, value: Any) -> None:
        """Adds or replaces an entry. The table owns the value from now on."""
        ...

    def remove(self, key: Any) -> None:
        """Removes an entry if it exists."""
        ...

    def take(self, key: Any) -> Any:
        """Removes an entry; its value may be changed in place. ABSENT if there is none."""
        ...

    def keys(self) -> list[Any]:
        """A copy of all keys."""
        ...

    def owned_values(self, rows_max: int) -> Iterator[list[Any]]:
        """All values, which the caller may change, in lists of limited size; the table is empty afterwards."""
        ...

    def loop_entries(self) -> LoopEntries:
        """For hot loops, in which a call of `get` and `put` per row would cost too much."""
        ...

    def clear(self) -> None:
        """Removes everything."""
        ...


class CurrentEntry(Protocol):
    """Knows the current entry."""

    entry: Any


class KeyedStateBackend(Protocol):
    """State of one operator and subtask. Only the slot's thread uses it."""

    entry: Any
    """What states read and write: the current key (as `core.keys.columns.decode_keys` returns it), or (key, namespace).

    NO_KEY if there is none: states then raise an error.
    """

    def value_state(self, name: str, type_info: TypeInformation | None = None) -> StateTable:
        """The values of a state by key: a table that batch loops use directly.

        Call it again when their type becomes known.
        """
        ...

    def state(
        self, descriptor: StateDescriptor[T], *, is_namespaced: bool = False, current: CurrentEntry | None = None
    ) -> T:
        """The state object of a descriptor; every call refers to the same entries.

        `current` determines the entry if it is not the backend's `entry`.

        Raises:
            TypeMismatchError: the name belongs to a state of another kind or type.
            StateMismatchError: the restored state of this name has another kind or type.
        """
        ...

    def table(self, name: str) -> StateTable:
        """The entries of a state that was requested."""
        ...

    def state_names(self) -> Iterable[str]:
        """Names of the states that were requested or restored."""
        ...

    def freeze(self, barrier: Barrier, key_groups: range) -> list[FrozenState]:
        """Freezes all states at a barrier, in a time that does not depend on their size; another thread writes them."""
        ...

    def restore(self, restored: RestoredState) -> None:
        """Adds restored state; call it before the first use.

        Raises:
            StateMismatchError: a value cannot be unpickled.
        """
        ...

    def tidy(self) -> None:
        """Does work that snapshots left behind; called from time to time between two batches."""
        ...

    def clear(self) -> None:
        """Drops everything."""
        ...


class Timers(Protocol):
    """Timers of one domain (event or processing time) of one operator and subtask."""

    def register(self, timestamp_ms: int, key: Any, namespace: Any = None) -> None:
        """Adds a timer unless it exists."""
        ...

    def delete(self, timestamp_ms: int, key: Any, namespace: Any = None) -> None:
        """Removes a timer if it exists."""
        ...

    @property
    def next_ms(self) -> int | None:
        """The time of the next timer; None without timers."""
        ...

    def due(self, now_ms: int) -> Iterator[Timer]:
        """Removes and yields the timers up to `now_ms` (inclusive), including those registered in the meantime."""
        ...

    def clear(self) -> None:
        """Drops all timers."""
        ...

    def __len__(self) -> int: ...

    def freeze(
        self, name: str, barrier: Barrier, max_parallelism: int, key_groups: range, *, is_incremental: bool = True
    ) -> FrozenState:
        """All timers at a barrier, or those registered, deleted and fired since the previous one."""
        ...

    def restore(self, batches: Iterator[pa.RecordBatch]) -> None:
        """Adds timers; call it before the first is registered. Timers of one time and key keep their order."""
        ...

    def tidy(self) -> None:
        """Does work that snapshots left behind; called from time to time."""
        ...


class StateBackendFactory(Protocol):
    """Creates the backend for the keyed state of one operator and subtask."""

    def keyed_backend(
        self, max_parallelism: int, clock: Clock, *, namespaces: NamespaceForm, is_incremental: bool, operator: str
    ) -> KeyedStateBackend:
        """`namespaces` is the form of all namespaces; errors name `operator`."""
        ...

    def timers(self, namespaces: NamespaceForm) -> Timers:
        """Timers of one domain."""
        ...
