"""What a function declares about its state before it uses it (`pyflink.datastream.state`): a name and types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeAlias, runtime_checkable

from shmflink.core.coroutines import refuse_coroutines
from shmflink.core.types.parameters import T, TakesTypeParameters
from shmflink.core.types.typeinfo import MapTypeInfo, TypeInformation, Types
from shmflink.errors import UsageError
from shmflink.state.keyed_states import AggregatingState, ListState, MapState, ReducingState, ValueState
from shmflink.state.ttl import StateTtlConfig

__all__ = [
    "AggregatingStateDescriptor",
    "ListStateDescriptor",
    "MapStateDescriptor",
    "ReducingStateDescriptor",
    "StateDescriptor",
    "ValueStateDescriptor",
]


@runtime_checkable
class _Reduces(Protocol):
    """A ReduceFunction."""

    def reduce(self, value1: Any, value2: Any) -> Any: ...


class _Aggregates(Protocol):
    """An AggregateFunction; `merge` is only called for windows that merge."""

    def create_accumulator(self) -> Any: ...

    def add(self, value: Any, accumulator: Any) -> Any: ...

    def get_result(self, accumulator: Any) -> Any: ...

    def merge(self, acc_a: Any, acc_b: Any) -> Any: ...


Reducing: TypeAlias = _Reduces | Callable[[Any, Any], Any]


class StateDescriptor(TakesTypeParameters, Generic[T]):
    """Name and type of a state. The name is unique in its operator and identifies the state after a restart.

    `T`: the class of the state that it describes.
    """

    def __init__(self, name: str, type_info: TypeInformation) -> None:
        if not isinstance(name, str) or not name:
            raise UsageError(f"{type(self).__name__}: a state's name must be a non-empty string, got {name!r}")
        if not isinstance(type_info, TypeInformation):
            raise UsageError(
                f"{type(self).__name__}('{name}'): the type must be a TypeInformation, for example Types.LONG(), "
                f"got {type_info!r}"
            )
        self.name = name
        self.type_info = type_info
        self.ttl_config: StateTtlConfig | None = None

    def get_name(self) -> str:
        """The state's name."""
        return self.name

    def enable_time_to_live(self, ttl_config: StateTtlConfig) -> None:
        """Lets entries expire."""
        if not isinstance(ttl_config, StateTtlConfig):
            raise UsageError(f"enable_time_to_live() takes a StateTtlConfig, got {ttl_config!r}")
        self.ttl_config = ttl_config

    def identity(self) -> tuple[Any, ...]:
        """*shmflink only.* Two descriptors of one name must have this in common."""
        return (type(self).__name__, self.name, repr(self.type_info), self.ttl_config)

    def __repr__(self) -> str:
        return f"{type(self).__name__}('{self.name}', {self.type_info})"


class ValueStateDescriptor(StateDescriptor[ValueState[Any]]):
    """One value for each key."""

    def __init__(self, name: str, value_type_info: TypeInformation) -> None:
        super().__init__(name, value_type_info)


class ListStateDescriptor(StateDescriptor[ListState[Any]]):
    """A list for each key."""

    def __init__(self, name: str, elem_type_info: TypeInformation) -> None:
        super().__init__(name, elem_type_info)


class MapStateDescriptor(StateDescriptor[MapState[Any, Any]]):
    """A map for each key; also describes broadcast state."""

    def __init__(self, name: str, key_type_info: TypeInformation, value_type_info: TypeInformation) -> None:
        for type_info in (key_type_info, value_type_info):
            if not isinstance(type_info, TypeInformation):
                raise UsageError(f"MapStateDescriptor('{name}'): types must be TypeInformation, got {type_info!r}")
        super().__init__(name, Types.MAP(key_type_info, value_type_info))
        assert isinstance(self.type_info, MapTypeInfo)


class ReducingStateDescriptor(StateDescriptor[ReducingState[Any]]):
    """One value for each key, to which others are reduced."""

    def __init__(self, name: str, reduce_function: Reducing, type_info: TypeInformation) -> None:
        """`reduce_function`: a ReduceFunction or a callable of two values."""
        super().__init__(name, type_info)
        if not callable(getattr(reduce_function, "reduce", None)) and not callable(reduce_function):
            raise UsageError(
                f"ReducingStateDescriptor('{name}'): reduce_function must be a ReduceFunction or a callable, "
                f"got {reduce_function!r}"
            )
        refuse_coroutines(reduce_function, "reduce")
        self._reduce_function = reduce_function

    def get_reduce_function(self) -> Reducing:
        """The function as it was given."""
        return self._reduce_function

    def as_callable(self) -> Callable[[Any, Any], Any]:
        """*shmflink only.* (what was reduced so far, a new value) -> both reduced."""
        function = self._reduce_function
        return function.reduce if isinstance(function, _Reduces) else function


class AggregatingStateDescriptor(StateDescriptor[AggregatingState[Any, Any]]):
    """One accumulator for each key."""

    def __init__(self, name: str, agg_function: _Aggregates, state_type_info: TypeInformation) -> None:
        """`agg_function`: an AggregateFunction; `state_type_info`: the type of its accumulator."""
        super().__init__(name, state_type_info)
        if not all(callable(getattr(agg_function, m, None)) for m in ("create_accumulator", "add", "get_result")):
            raise UsageError(
                f"AggregatingStateDescriptor('{name}'): agg_function must be an AggregateFunction, got {agg_function!r}"
            )
        refuse_coroutines(agg_function, "create_accumulator", "add", "get_result", "merge")
        self._agg_function = agg_function

    def get_agg_function(self) -> _Aggregates:
        """The function as it was given."""
        return self._agg_function
