"""State and its descriptors (`pyflink.datastream.state`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Generic

from shmflink.absent import names_absent
from shmflink.core.types.parameters import IN, OUT, TakesTypeParameters
from shmflink.state.broadcast_state import BroadcastState, ReadOnlyBroadcastState
from shmflink.state.descriptors import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    StateDescriptor,
    ValueStateDescriptor,
)
from shmflink.state.keyed_states import AggregatingState, ListState, MapState, ReducingState, ValueState
from shmflink.state.operator_state import OperatorStateStore
from shmflink.state.ttl import StateTtlConfig

__all__ = [
    "AggregatingState",
    "AggregatingStateDescriptor",
    "AppendingState",
    "BroadcastState",
    "ListState",
    "ListStateDescriptor",
    "MapState",
    "MapStateDescriptor",
    "MergingState",
    "OperatorStateStore",
    "ReadOnlyBroadcastState",
    "ReducingState",
    "ReducingStateDescriptor",
    "State",
    "StateDescriptor",
    "StateTtlConfig",
    "ValueState",
    "ValueStateDescriptor",
]

if not TYPE_CHECKING:
    __getattr__ = names_absent(__name__)


class State(ABC):
    """Any state of a key."""

    @abstractmethod
    def clear(self) -> None:
        """Removes the state of the current key."""


class AppendingState(TakesTypeParameters, State, Generic[IN, OUT]):
    """States to which elements are added."""

    @abstractmethod
    def get(self) -> OUT | None:
        """The result of all elements."""

    @abstractmethod
    def add(self, value: IN) -> None:
        """Adds an element."""


class MergingState(AppendingState[IN, OUT]):
    """States that can be merged, as windows merge."""


_PLAIN: tuple[type, ...] = (ValueState, MapState, ReadOnlyBroadcastState)
_MERGING: tuple[type, ...] = (ListState, ReducingState, AggregatingState)
for _state in _PLAIN:
    State.register(_state)
for _state in _MERGING:
    MergingState.register(_state)
