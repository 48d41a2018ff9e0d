"""What a user's function can learn about its subtask (PyFlink's RuntimeContext)."""

from __future__ import annotations

from typing import Any, Protocol

from shmflink.core.elements import Barrier
from shmflink.core.types.parameters import T
from shmflink.errors import UsageError
from shmflink.metrics.metric_group import MetricGroup
from shmflink.operators.base import OperatorContext
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

__all__ = ["FunctionInitializationContext", "FunctionSnapshotContext", "OperatorRuntimeContext", "StateProvider"]


class StateProvider(Protocol):
    """Creates the states of descriptors."""

    def state(self, descriptor: StateDescriptor[T]) -> T: ...


class OperatorRuntimeContext:
    """Passed to `open` of a user's function; has the methods of `shmflink.datastream.RuntimeContext`."""

    __slots__ = ("_context", "_keyed_state", "_metrics")

    def __init__(self, context: OperatorContext, keyed_state: StateProvider | None = None) -> None:
        self._context = context
        self._keyed_state = keyed_state
        given = context.metrics
        self._metrics = given if given is not None else MetricGroup((context.task_name, context.operator_name))

    def get_task_name(self) -> str:
        """Name of the task, without the subtask."""
        return self._context.task_name

    def get_number_of_parallel_subtasks(self) -> int:
        """The operator's parallelism."""
        return self._context.parallelism

    def get_max_number_of_parallel_subtasks(self) -> int:
        """The operator's max parallelism."""
        return self._context.max_parallelism

    def get_index_of_this_subtask(self) -> int:
        """0-based."""
        return self._context.subtask_index

    def get_attempt_number(self) -> int:
        """0 at first; increases with each restart."""
        return self._context.attempt

    def get_task_name_with_subtasks(self) -> str:
        """`Map (2/4)`: 1-based, as logs show it."""
        return f"{self._context.task_name} ({self._context.subtask_index + 1}/{self._context.parallelism})"

    def get_job_parameter(self, key: str, default_value: str | None = None) -> str | None:
        """A global job parameter."""
        return self._context.job_parameters.get(key, default_value)

    def get_metrics_group(self) -> MetricGroup:
        """Counters, gauges, meters and distributions of this operator."""
        return self._metrics

    def get_state(self, state_descriptor: ValueStateDescriptor) -> ValueState[Any]:
        """The ValueState of the current key."""
        return self._state(state_descriptor, ValueStateDescriptor, "get_state")

    def get_list_state(self, state_descriptor: ListStateDescriptor) -> ListState[Any]:
        """The ListState of the current key."""
        return self._state(state_descriptor, ListStateDescriptor, "get_list_state")

    def get_map_state(self, state_descriptor: MapStateDescriptor) -> MapState[Any, Any]:
        """The MapState of the current key."""
        return self._state(state_descriptor, MapStateDescriptor, "get_map_state")

    def get_reducing_state(self, state_descriptor: ReducingStateDescriptor) -> ReducingState[Any]:
        """The ReducingState of the current key."""
        return self._state(state_descriptor, ReducingStateDescriptor, "get_reducing_state")

    def get_aggregating_state(self, state_descriptor: AggregatingStateDescriptor) -> AggregatingState[Any, Any]:
        """The AggregatingState of the current key."""
        return self._state(state_descriptor, AggregatingStateDescriptor, "get_aggregating_state")

    def _state(self, descriptor: StateDescriptor[T], kind: type[StateDescriptor], method: str) -> T:
        if not isinstance(descriptor, kind):
            raise UsageError(f"{method}() takes a {kind.__name__}, got {descriptor!r}")
        if self._keyed_state is None:
            raise UsageError(
                f"operator '{self._context.operator_name}': {method}('{descriptor.name}'): keyed state needs "
                "a keyed stream; call key_by() first"
            )
        return self._keyed_state.state(descriptor)


class FunctionInitializationContext:
    """Passed to `initialize_state` of a user's function, before `open` (Flink: FunctionInitializationContext)."""

    __slots__ = ("_context", "_keyed_state")

    def __init__(self, context: OperatorContext, keyed_state: StateProvider | None = None) -> None:
        self._context = context
        self._keyed_state = keyed_state

    def is_restored(self) -> bool:
        """Whether state was restored from a checkpoint or savepoint."""
        return self._context.operator_state.is_restored

    def get_operator_state_store(self) -> OperatorStateStore:
        """List states of the subtask."""
        return self._context.operator_state

    def get_keyed_state_store(self) -> OperatorRuntimeContext:
        """States of the key; only on a keyed stream."""
        return OperatorRuntimeContext(self._context, self._keyed_state)


class FunctionSnapshotContext:
    """Passed to `snapshot_state` of a user's function at a barrier (Flink: FunctionSnapshotContext)."""

    __slots__ = ("_barrier",)

    def __init__(self, barrier: Barrier) -> None:
        self._barrier = barrier

    def get_checkpoint_id(self) -> int:
        """Of the checkpoint or savepoint; grows."""
        return self._barrier.checkpoint_id

    def get_checkpoint_timestamp(self) -> int:
        """The time of its trigger, in ms since 1970 (UTC)."""
        return self._barrier.timestamp_ms
