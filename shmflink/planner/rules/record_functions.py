"""Per-record functions, and functions of batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from shmflink.core.types.typeinfo import TupleTypeInfo, TypeInformation, Types
from shmflink.errors import JobGraphError, TypeMismatchError
from shmflink.operators.functions.filter import FilterOperator
from shmflink.operators.functions.flat_map import FlatMapOperator
from shmflink.operators.functions.keyed_functions import KeyedFilterOperator, KeyedFlatMapOperator, KeyedMapOperator
from shmflink.operators.functions.map import MapOperator
from shmflink.operators.functions.user_function import describe_function
from shmflink.plan.calls import (
    Apply,
    AssignTimestamps,
    AsyncWait,
    Filter,
    FlatMap,
    KeyBy,
    Map,
    MapBatches,
    Process,
    Project,
    Reduce,
    RollingAggregate,
)
from shmflink.planner.lowered import Lowered, one_operator

if TYPE_CHECKING:
    from shmflink.operators.functions.process import KeyedProcessOperator
    from shmflink.plan.node import Node

__all__ = [
    "apply",
    "assign_timestamps",
    "async_wait",
    "filter_elements",
    "flat_map",
    "is_keyed",
    "map_batches",
    "map_elements",
    "per_record",
    "process",
    "project",
    "reduce",
    "rolling_aggregate",
]

_TITLES: Final = {"sum": "Sum", "min": "Min", "max": "Max", "min_by": "MinBy", "max_by": "MaxBy"}


def is_keyed(node: Node) -> bool:
    """Whether its consumers receive one key at a time."""
    return isinstance(node.call, KeyBy)


def per_record(function: Any, *, has_state: bool = False) -> str:
    """Why an operator works on records: it calls a user's function."""
    return f"per record{', with keyed state' if has_state else ''}: calls {describe_function(function)}"


def map_elements(call: Map, inputs: Sequence[Node]) -> Lowered:
    if _may_use_state(call.function, inputs[0]):
        return _keyed("Map", KeyedMapOperator(call.function, call.declared), call.function, call.declared)
    operator = MapOperator(call.function, call.declared)
    return one_operator("Map", operator, call.declared, per_record(call.function))


def flat_map(call: FlatMap, inputs: Sequence[Node]) -> Lowered:
    if _may_use_state(call.function, inputs[0]):
        return _keyed("FlatMap", KeyedFlatMapOperator(call.function, call.declared), call.function, call.declared)
    operator = FlatMapOperator(call.function, call.declared)
    return one_operator("FlatMap", operator, call.declared, per_record(call.function))


def filter_elements(call: Filter, inputs: Sequence[Node]) -> Lowered:
    declared = inputs[0].output_type
    if _may_use_state(call.function, inputs[0]):
        return _keyed("Filter", KeyedFilterOperator(call.function, declared), call.function, declared)
    return one_operator("Filter", FilterOperator(call.function), declared, per_record(call.function))


def map_batches(call: MapBatches, _inputs: Sequence[Node]) -> Lowered:
    from shmflink.operators.columns.map_batches import MapBatchesOperator

    operator = MapBatchesOperator(call.function, call.declared)
    return one_operator("MapBatches", operator, call.declared, f"per batch: calls {describe_function(call.function)}")


def async_wait(call: AsyncWait, _inputs: Sequence[Node]) -> Lowered:
    from shmflink.operators.asynchronous.operator import AsyncBatchWaitOperator, AsyncWaitOperator

    make = AsyncBatchWaitOperator if call.is_of_batches else AsyncWaitOperator
    operator = make(
        call.function,
        call.declared,
        is_ordered=call.is_ordered,
        timeout_ms=call.timeout_ms,
        capacity=call.capacity,
        retry=call.retry,
    )
    unit = "batch" if call.is_of_batches else "record"
    why = f"per {unit}: {call.capacity} calls in flight of {describe_function(call.function)}"
    return one_operator("async wait operator", operator, call.declared, why)


def project(call: Project, inputs: Sequence[Node]) -> Lowered:
    """
    Raises:
        TypeMismatchError: the elements are not tuples, or lack the field.
    """
    from shmflink.operators.columns.project import ProjectOperator

    declared = inputs[0].output_type
    if not isinstance(declared, TupleTypeInfo):
        raise TypeMismatchError(f"Only Tuple DataStreams can be projected. This one has type {declared}")
    fields = declared.get_field_types()
    if not call.fields or any(not 0 <= index < len(fields) for index in call.fields):
        raise TypeMismatchError(f"project{call.fields}: indexes must be from 0 to {len(fields) - 1}")
    projected = Types.TUPLE([fields[index] for index in call.fields])
    return one_operator("Projection", ProjectOperator(list(call.fields)), projected, "per record: tuples")


def process(call: Process, inputs: Sequence[Node]) -> Lowered:
    from shmflink.operators.functions.process import KeyedProcessOperator, ProcessOperator

    if is_keyed(inputs[0]):
        operator = KeyedProcessOperator(call.function, call.declared)
        return _keyed("KEYED PROCESS", operator, call.function, call.declared)
    made = ProcessOperator(call.function, call.declared)
    return one_operator("PROCESS", made, call.declared, per_record(call.function))


def reduce(call: Reduce, inputs: Sequence[Node]) -> Lowered:
    from shmflink.operators.functions.reduce import ReduceOperator

    declared = inputs[0].output_type
    operator = ReduceOperator(call.function, declared)
    return one_operator("Reduce", operator, declared, per_record(call.function, has_state=True))


def rolling_aggregate(call: RollingAggregate, inputs: Sequence[Node]) -> Lowered:
    from shmflink.operators.functions.rolling import AggregateOperator

    declared = inputs[0].output_type
    operator = AggregateOperator(call.kind, call.field, declared)
    why = f"per record: emits the {call.kind} so far after each element; aggregate() over expressions is native"
    return one_operator(_TITLES[call.kind], operator, declared, why)


def assign_timestamps(call: AssignTimestamps, inputs: Sequence[Node]) -> Lowered:
    """
    Raises:
        JobGraphError: the strategy aligns sources.
    """
    from shmflink.operators.time.timestamps_and_watermarks import TimestampsAndWatermarksOperator

    if call.strategy.alignment is not None:
        raise JobGraphError(
            "assign_timestamps_and_watermarks(): watermark alignment holds sources back, so it belongs to "
            "from_source(): give it that strategy"
        )
    operator = TimestampsAndWatermarksOperator(call.strategy)
    return one_operator("Timestamps/Watermarks", operator, inputs[0].output_type, "sets timestamps; rows are unchanged")


def apply(call: Apply, _inputs: Sequence[Node]) -> Lowered:
    return one_operator(call.title, call.operator, call.declared, f"the operator {type(call.operator).__name__}")


def _may_use_state(function: Any, before: Node) -> bool:
    """Whether the function may use keyed state: a rich function on a keyed stream may, a plain callable cannot."""
    return is_keyed(before) and hasattr(function, "open")


def _keyed(name: str, operator: KeyedProcessOperator, function: Any, declared: TypeInformation | None) -> Lowered:
    return one_operator(name, operator, declared, per_record(function, has_state=True))
