"""Creates the object that a function uses from a descriptor and a table."""

from __future__ import annotations

from typing import cast

from shmflink.core.clock import Clock
from shmflink.core.types.parameters import T
from shmflink.errors import InternalError
from shmflink.state.descriptors import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    StateDescriptor,
    ValueStateDescriptor,
)
from shmflink.state.heap_table import HeapStateTable
from shmflink.state.keyed_states import AggregatingState, CurrentKey, ListState, MapState, ReducingState, ValueState
from shmflink.state.ttl_states import Expiry, TtlListState, TtlMapState, TtlValueState

__all__ = ["expiry_of", "make_state"]


def expiry_of(descriptor: StateDescriptor, table: HeapStateTable, clock: Clock) -> Expiry | None:
    """How entries of the table expire; None if they do not."""
    config = descriptor.ttl_config
    if config is None or not config.is_enabled():
        return None
    kinds = {ListStateDescriptor: "list", MapStateDescriptor: "map"}
    return Expiry(config, clock, table, kinds.get(type(descriptor), "value"))


def make_state(descriptor: StateDescriptor[T], table: HeapStateTable, current: CurrentKey, expiry: Expiry | None) -> T:
    """The state object over the table's entries; one that expires has the methods of the class that it stands for."""
    return cast("T", _state_of(descriptor, table, current, expiry))


def _state_of(descriptor: StateDescriptor, table: HeapStateTable, current: CurrentKey, expiry: Expiry | None) -> object:
    match descriptor:
        case ValueStateDescriptor():
            return _value_state(table, current, expiry)
        case ListStateDescriptor():
            return ListState(table, current) if expiry is None else TtlListState(table, current, expiry)
        case MapStateDescriptor():
            return MapState(table, current) if expiry is None else TtlMapState(table, current, expiry)
        case ReducingStateDescriptor():
            return ReducingState(_value_state(table, current, expiry), descriptor.as_callable())
        case AggregatingStateDescriptor():
            return AggregatingState(_value_state(table, current, expiry), descriptor.get_agg_function())
    raise InternalError(f"no state for a {type(descriptor).__name__}")


def _value_state(table: HeapStateTable, current: CurrentKey, expiry: Expiry | None) -> ValueState | TtlValueState:
    return ValueState(table, current) if expiry is None else TtlValueState(table, current, expiry)
