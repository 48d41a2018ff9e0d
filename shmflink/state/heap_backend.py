"""Keyed state: one table in memory per state, split into key groups only when a snapshot is written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from shmflink.core.clock import SYSTEM_CLOCK, Clock
from shmflink.core.elements import Barrier
from shmflink.core.keys.groups import key_groups as assign_key_groups
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.types.parameters import T
from shmflink.core.types.typeinfo import TypeInformation
from shmflink.errors import StateMismatchError, TypeMismatchError
from shmflink.state.arrow_form import Entries, GroupAssigner, StateForm, batch_to_entries
from shmflink.state.descriptors import StateDescriptor
from shmflink.state.frozen import FrozenState
from shmflink.state.heap_table import HeapStateTable
from shmflink.state.keyed_states import NO_KEY, CurrentKey
from shmflink.state.namespaces import PICKLED_NAMESPACES, NamespaceForm
from shmflink.state.protocol import TIMER_STATES
from shmflink.state.snapshots import RestoredState
from shmflink.state.state_factory import expiry_of, make_state
from shmflink.state.ttl_columns import with_stamps, without_stamps
from shmflink.state.ttl_states import Expiry

__all__ = ["HeapKeyedStateBackend", "load_entries"]


@dataclass(slots=True)
class _State:
    """One state: its entries by key or by (key, namespace)."""

    table: HeapStateTable
    is_namespaced: bool
    form: StateForm
    is_restored: bool = False
    identity: tuple[Any, ...] | None = None
    expiry: Expiry | None = None


class HeapKeyedStateBackend:
    """A `HeapStateTable` for each state name."""

    def __init__(
        self,
        max_parallelism: int,
        clock: Clock = SYSTEM_CLOCK,
        *,
        namespaces: NamespaceForm = PICKLED_NAMESPACES,
        is_incremental: bool = True,
        operator: str = "",
    ) -> None:
        """`namespaces` is the form of all namespaces; errors name `operator`."""
        self.entry: Any = NO_KEY
        self._max_parallelism = max_parallelism
        self._clock = clock
        self._namespaces = namespaces
        self._is_incremental = is_incremental
        self._operator = operator
        self._states: dict[str, _State] = {}

    def value_state(self, name: str, type_info: TypeInformation | None = None) -> HeapStateTable:
        state = self._state(name, is_namespaced=False)
        form = StateForm.of_values(type_info)
        if type_info is not None and state.form != form:
            self._bind(name, state, form)
        return state.table

    def state(
        self, descriptor: StateDescriptor[T], *, is_namespaced: bool = False, current: CurrentKey | None = None
    ) -> T:
        state = self._state(descriptor.name, is_namespaced=is_namespaced)
        identity = descriptor.identity()
        if state.identity is None:
            self._bind(descriptor.name, state, StateForm.of(descriptor, self._namespaces if is_namespaced else None))
        elif state.identity[:3] != identity[:3]:
            raise TypeMismatchError(
                f"the state '{descriptor.name}' is requested as {descriptor}, but it is a {state.identity[0]} of type "
                f"{state.identity[2]}: give states of different kinds or types different names"
            )
        state.identity = identity
        if state.expiry is None:
            state.expiry = expiry_of(descriptor, state.table, self._clock)
        return make_state(descriptor, state.table, current or self, state.expiry)

    def table(self, name: str) -> HeapStateTable:
        """As the protocol says."""
        return self._states[name].table

    def state_names(self) -> Iterable[str]:
        """Names of the states that were requested or restored."""
        return self._states.keys()

    def freeze(
        self, barrier: Barrier, key_groups: range, assign: GroupAssigner = assign_key_groups
    ) -> list[FrozenState]:
        """As the protocol says. Writing raises InternalError if a key is outside `key_groups`."""
        now_ms = self._clock.processing_time_ms()
        frozen = []
        for name, state in self._states.items():
            entries = state.table.freeze(is_savepoint=barrier.is_savepoint, is_incremental=self._is_incremental)
            living = None if state.expiry is None else state.expiry.living_at(now_ms)
            frozen.append(FrozenState(name, state.form, entries, self._max_parallelism, key_groups, living, assign))
        return frozen

    def restore(self, restored: RestoredState) -> None:
        for name in restored.keyed_names:
            if name not in TIMER_STATES:
                self._load(name, restored.read_keyed(name))

    def tidy(self) -> None:
        for state in self._states.values():
            if state.table.is_untidy:
                state.table.tidy()

    def clear(self) -> None:
        for state in self._states.values():
            state.table.clear()

    def _load(self, name: str, batches: Iterator[pa.RecordBatch]) -> None:
        for batch in batches:
            try:
                form = StateForm.from_schema(batch.schema)
                entries = batch_to_entries(batch, form)
            except StateMismatchError as error:
                raise StateMismatchError(f"{self._of(name)}: {error}") from error
            state = self._state(name, is_namespaced=form.namespaces is not None)
            state.form, state.is_restored = form, True
            load_entries(state.table, entries)

    def _bind(self, name: str, state: _State, form: StateForm) -> None:
        """Gives a state its declared form, which restored entries must match."""
        old, state.form = state.form, form
        if not state.is_restored:
            return
        state.is_restored = False
        if old.type_text and (old.kind, old.type_text) != (form.kind, form.type_text):
            raise StateMismatchError(
                f"{self._of(name)} was saved as {old}, but the job declares it as {form}: the type of a state "
                f"cannot change. "
                "Declare it as it was, give the new state another name (the old one is kept until a savepoint without "
                "it is written), or convert it with the State Processor API"
            )
        if old.has_ttl != form.has_ttl:
            self._switch_ttl(state.table, form)

    def _switch_ttl(self, table: HeapStateTable, form: StateForm) -> None:
        """The time to live was turned on or off between two runs: entries count as written now."""
        now_ms = self._clock.processing_time_ms()
        live = table.live  # nothing has been frozen yet
        for key, value in live.items():
            live[key] = with_stamps(form.kind, value, now_ms) if form.has_ttl else without_stamps(form.kind, [value])[0]

    def _state(self, name: str, *, is_namespaced: bool) -> _State:
        state = self._states.get(name)
        if state is None:
            form = StateForm("value", namespaces=self._namespaces if is_namespaced else None)
            state = self._states[name] = _State(HeapStateTable(), is_namespaced, form)
        if state.is_namespaced != is_namespaced:
            if state.is_restored:
                before, now = ("with", "without") if state.is_namespaced else ("without", "with")
                raise StateMismatchError(
                    f"{self._of(name)} was saved {before} windows, the job uses it {now}: give the new state "
                    "another name"
                )
            raise TypeMismatchError(f"the state '{name}' is used both with and without windows; give it two names")
        return state

    def _of(self, name: str) -> str:
        return f"operator '{self._operator}': state '{name}'" if self._operator else f"state '{name}'"


def load_entries(table: HeapStateTable, entries: Entries) -> None:
    """Adds restored entries to a table that was never frozen; removes deleted ones."""
    assert not table.below, "restored after a freeze"
    keys: Iterable[Any] = entries.keys
    if entries.namespaces is not None:
        keys = zip(keys, entries.namespaces, strict=True)
    if entries.timestamps is not None:
        keys = ((stamp, *key) for stamp, key in zip(entries.timestamps, keys, strict=True))
    live = table.live
    if entries.is_deleted is None:
        live.update(zip(keys, entries.values, strict=True))
        return
    for key, value, is_deleted in zip(keys, entries.values, entries.is_deleted, strict=True):
        if is_deleted:
            live.pop(key, None)
        else:
            live[key] = value
