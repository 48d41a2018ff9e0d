"""How functions access the state of a key (`pyflink.datastream.functions`: KeyedStateStore)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from shmflink.core.types.parameters import TakesTypeParameters

if TYPE_CHECKING:
    from shmflink.state.descriptors import (
        AggregatingStateDescriptor,
        ListStateDescriptor,
        MapStateDescriptor,
        ReducingStateDescriptor,
        ValueStateDescriptor,
    )
    from shmflink.state.keyed_states import AggregatingState, ListState, MapState, ReducingState, ValueState

__all__ = ["KeyedStateStore"]


class KeyedStateStore(TakesTypeParameters, ABC):
    """State of a key, or of a key and window."""

    @abstractmethod
    def get_state(self, state_descriptor: ValueStateDescriptor) -> ValueState:
        """The ValueState of this descriptor."""

    @abstractmethod
    def get_list_state(self, state_descriptor: ListStateDescriptor) -> ListState:
        """The ListState of this descriptor."""

    @abstractmethod
    def get_map_state(self, state_descriptor: MapStateDescriptor) -> MapState:
        """The MapState of this descriptor."""

    @abstractmethod
    def get_reducing_state(self, state_descriptor: ReducingStateDescriptor) -> ReducingState:
        """The ReducingState of this descriptor."""

    @abstractmethod
    def get_aggregating_state(self, state_descriptor: AggregatingStateDescriptor) -> AggregatingState:
        """The AggregatingState of this descriptor."""
