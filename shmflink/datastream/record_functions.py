"""Functions of single elements (`pyflink.datastream.functions`).

Every method that accepts one of these classes also accepts a plain callable. A function is pickled in the user's
process and opened once per subtask: create connections, caches and counters in `open`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Generic

from shmflink.core.types.parameters import IN, KEY, OUT, T, TakesTypeParameters
from shmflink.datastream.keyed_state_store import KeyedStateStore
from shmflink.operators.functions.runtime_context import FunctionInitializationContext, OperatorRuntimeContext

if TYPE_CHECKING:
    from shmflink.metrics import MetricGroup

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


class RuntimeContext(KeyedStateStore):
    """Information about the function's subtask, and access to the state of the current key; passed to `open`."""

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
        """0 for the first attempt; grows by one with each restart."""

    @abstractmethod
    def get_task_name_with_subtasks(self) -> str:
        """`Map (2/4)`: 1-based, as in logs."""

    @abstractmethod
    def get_job_parameter(self, key: str, default_value: str) -> str:
        """A global job parameter."""

    @abstractmethod
    def get_metrics_group(self) -> MetricGroup:
        """Counters, gauges, meters and distributions of this operator."""


RuntimeContext.register(OperatorRuntimeContext)


class Function(TakesTypeParameters, ABC):
    """The common part of all functions."""

    def open(self, runtime_context: RuntimeContext) -> None:
        """Called once per subtask, before any element."""

    def close(self) -> None:
        """Called once per subtask, after the last element or a failure."""


class CheckpointedFunction(ABC):
    """*shmflink only.* (Flink: CheckpointedFunction.) An additional base class for functions with state per subtask.

    `initialize_state(context)` is called before `open`. `context.get_operator_state_store()` has list states, whose
    elements are redistributed when the parallelism changes, and union list states, which every subtask receives whole.
    """

    @abstractmethod
    def initialize_state(self, context: FunctionInitializationContext) -> None:
        """Obtains the states; after a restore they contain the restored elements."""

    def snapshot_state(self, context: Any) -> None:  # noqa: B027 (optional)
        """Called before a checkpoint: updates the states."""


class MapFunction(Function, Generic[IN, OUT]):
    """One value in, one value out."""

    @abstractmethod
    def map(self, value: IN) -> OUT:
        """The value that replaces `value`."""


class FlatMapFunction(Function, Generic[IN, OUT]):
    """One value in, any number out."""

    @abstractmethod
    def flat_map(self, value: IN) -> Iterable[OUT] | None:
        """Yields the values that replace `value`, or returns an iterable of them, or None for none."""


class FilterFunction(Function, Generic[IN]):
    """Keeps values or drops them."""

    @abstractmethod
    def filter(self, value: IN) -> bool:
        """True for the values to keep."""


class ReduceFunction(Function, Generic[T]):
    """Combines two values of one key into one of the same type."""

    @abstractmethod
    def reduce(self, value1: T, value2: T) -> T:
        """`value1` is the result so far, `value2` the new value."""


class KeySelector(Function, Generic[IN, KEY]):
    """Extracts the key from a value."""

    @abstractmethod
    def get_key(self, value: IN) -> KEY:
        """Must be deterministic: equal values give equal keys."""


class Partitioner(Function):
    """Chooses the partition of a key."""

    @abstractmethod
    def partition(self, key: Any, num_partitions: int) -> int:
        """Index of the partition, 0 <= index < num_partitions."""
