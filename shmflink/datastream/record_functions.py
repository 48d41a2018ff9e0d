"""Functions of single elements (`pyflink.datastream.functions`).

Wherever one of these classes is taken, a plain callable is taken too. A function is pickled in the user's
process and opened once per subtask: keep connections, caches and counters in `open`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from shmflink.core.types.parameters import TakesTypeParameters
from shmflink.metrics import MetricGroup
from shmflink.operators.functions.runtime_context import FunctionInitializationContext, OperatorRuntimeContext
from shmflink.state.descriptors import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    ValueStateDescriptor,
)
from shmflink.state.keyed_states import AggregatingState, ListState, MapState, ReducingState, ValueState

__all__ = [
    "CheckpointedFunction",
    "FilterFunction",
    "FlatMapFunction",
    "Function",
    "KeySelector",
    "MapFunction",
    "Partitioner",
    "ReduceFunction",
    "RuntimeContext",
]


class RuntimeContext(ABC):
    """What a function may know of the subtask it runs in; handed to `open`."""

    @abstractmethod
    def get_task_name(self) -> str:
        """Name of the task, without the subtask."""

    @abstractmethod
    def get_number_of_parallel_subtasks(self) -> int:
        """The operator's parallelism."""

    @abstractmethod
    def get_max_number_of_parallel_subtasks(self) -> int:
        """The operator's max parallelism."""

    @abstractmethod
    def get_index_of_this_subtask(self) -> int:
        """0-based."""

    @abstractmethod
    def get_attempt_number(self) -> int:
        """0 at first; one more after each restart."""

    @abstractmethod
    def get_task_name_with_subtasks(self) -> str:
        """`Map (2/4)`: 1-based, as logs show it."""

    @abstractmethod
    def get_job_parameter(self, key: str, default_value: str) -> str:
        """A global job parameter."""

    @abstractmethod
    def get_metrics_group(self) -> MetricGroup:
        """Counters, gauges, meters and distributions of this operator."""

    @abstractmethod
    def get_state(self, state_descriptor: ValueStateDescriptor) -> ValueState:
        """The ValueState of the current key; keyed streams alone have state."""

    @abstractmethod
    def get_list_state(self, state_descriptor: ListStateDescriptor) -> ListState:
        """The ListState of the current key."""

    @abstractmethod
    def get_map_state(self, state_descriptor: MapStateDescriptor) -> MapState:
        """The MapState of the current key."""

    @abstractmethod
    def get_reducing_state(self, state_descriptor: ReducingStateDescriptor) -> ReducingState:
        """The ReducingState of the current key."""

    @abstractmethod
    def get_aggregating_state(self, state_descriptor: AggregatingStateDescriptor) -> AggregatingState:
        """The AggregatingState of the current key."""


RuntimeContext.register(OperatorRuntimeContext)


class Function(TakesTypeParameters, ABC):
    """Common part of all functions."""

    def open(self, runtime_context: RuntimeContext) -> None:
        """Called once per subtask, before any element."""

    def close(self) -> None:
        """Called once per subtask, after the last element or a failure."""


class CheckpointedFunction(ABC):
    """*shmflink only.* (Flink: CheckpointedFunction.) A function, besides what else it is, with state of its subtask.

    `initialize_state(context)` is called before `open`; `context.get_operator_state_store()` has list states, whose
    elements are dealt out anew when the parallelism changes, and union list states, which every subtask gets whole.
    """

    @abstractmethod
    def initialize_state(self, context: FunctionInitializationContext) -> None:
        """Asks for the states; after a restore they hold what was restored."""

    def snapshot_state(self, context: Any) -> None:  # noqa: B027 (optional)
        """A checkpoint is about to be taken: brings the states up to date."""


class MapFunction(Function):
    """One value in, one value out."""

    @abstractmethod
    def map(self, value: Any) -> Any:
        """The value that replaces `value`."""


class FlatMapFunction(Function):
    """One value in, any number out."""

    @abstractmethod
    def flat_map(self, value: Any) -> Iterable[Any] | None:
        """Yields, or returns an iterable of what replaces `value`; None for nothing."""


class FilterFunction(Function):
    """Keeps values or drops them."""

    @abstractmethod
    def filter(self, value: Any) -> bool:
        """True for the values to keep."""


class ReduceFunction(Function):
    """Combines two values of one key into one of the same type."""

    @abstractmethod
    def reduce(self, value1: Any, value2: Any) -> Any:
        """`value1` is what was reduced so far, `value2` the new value."""


class KeySelector(Function):
    """Takes the key out of a value."""

    @abstractmethod
    def get_key(self, value: Any) -> Any:
        """Must be deterministic: equal values give equal keys."""


class Partitioner(Function):
    """Chooses the partition of a key."""

    @abstractmethod
    def partition(self, key: Any, num_partitions: int) -> int:
        """Index of the partition, 0 <= index < num_partitions."""
