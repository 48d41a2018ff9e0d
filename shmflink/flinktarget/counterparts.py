"""What PyFlink 2.3 has for each kind of call, or why it has nothing, and what would be portable.

Source: `pyflink.datastream` of apache-flink 2.3.0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from shmflink.core.watermark_strategy import ColumnTimestamps, WatermarkStrategy
from shmflink.flinktarget.ends import sink_counterpart, source_counterpart
from shmflink.flinktarget.verdict import Counterpart, has, lacks
from shmflink.operators.functions.user_function import describe_function
from shmflink.plan import calls
from shmflink.plan.logical_plan import LogicalPlan
from shmflink.plan.node import Node

__all__ = ["COUNTERPARTS", "counterpart"]

_WINDOWS: Final = (
    frozenset(f"{kind}{time}Windows" for kind in ("Tumbling", "Sliding") for time in ("EventTime", "ProcessingTime"))
    | frozenset(f"{kind}{time}SessionWindows" for kind in ("", "Dynamic") for time in ("EventTime", "ProcessingTime"))
    | {"GlobalWindows", "CountTumblingWindowAssigner", "CountSlidingWindowAssigner"}
)
_TRIGGERS: Final = frozenset(
    f"{kind}Trigger"
    for kind in ("EventTime", "ProcessingTime", "ContinuousEventTime", "ContinuousProcessingTime", "Count")
) | {"PurgingTrigger", "NeverTrigger"}
_TABLE_API: Final = "a function of records, or Flink's Table API"


def counterpart(node: Node, plan: LogicalPlan) -> Counterpart:
    """What PyFlink has for a node of the plan."""
    return COUNTERPARTS[type(node.call)](node, plan)


def _function(method: str) -> Callable[[Node, LogicalPlan], Counterpart]:
    """Of a call whose function PyFlink takes as it is."""

    def of(node: Node, _plan: LogicalPlan) -> Counterpart:
        call: Any = node.call
        return _of_function(call.function) or has(method)

    return of


def _always(method: str) -> Callable[[Node, LogicalPlan], Counterpart]:
    return lambda _node, _plan: has(method)


def _never(what: str, instead: str) -> Callable[[Node, LogicalPlan], Counterpart]:
    return lambda _node, _plan: lacks(f"{what} is shmflink only", instead)


def _of_function(function: object) -> Counterpart | None:
    """What keeps a function from running in PyFlink; None where nothing does."""
    kinds = {kind.__name__ for kind in type(function).__mro__ if kind.__module__.startswith("shmflink.")}
    if "CheckpointedFunction" in kinds:
        name = describe_function(function)
        return lacks(f"{name} is a CheckpointedFunction, which PyFlink lacks", "keyed state behind key_by()")
    return None


def _async_wait(node: Node, _plan: LogicalPlan) -> Counterpart:
    call = node.call
    assert isinstance(call, calls.AsyncWait), call
    if call.is_of_batches:
        return lacks("an AsyncBatchFunction is shmflink only", "an AsyncFunction, which is called for each element")
    method = "ordered_wait" if call.is_ordered else "unordered_wait"
    retry = "" if call.retry is None else "_with_retry"
    return _of_function(call.function) or has(f"AsyncDataStream.{method}{retry}()")


def _key_by(node: Node, _plan: LogicalPlan) -> Counterpart:
    call = node.call
    assert isinstance(call, calls.KeyBy), call
    if call.columns is not None:
        return lacks("key_by() by columns is shmflink only", "key_by() with a function of the element")
    return has("DataStream.key_by()")


def _assign_timestamps(node: Node, _plan: LogicalPlan) -> Counterpart:
    call = node.call
    assert isinstance(call, calls.AssignTimestamps), call
    return of_strategy(call.strategy) or has("DataStream.assign_timestamps_and_watermarks()")


def of_strategy(strategy: WatermarkStrategy) -> Counterpart | None:
    """What keeps a strategy from being PyFlink's; None where nothing does."""
    if isinstance(strategy.timestamp_assigner, ColumnTimestamps):
        return lacks("with_timestamp_column() is shmflink only", "with_timestamp_assigner()")
    if strategy.generator is not None:
        return lacks("for_generator() is shmflink only", "for_bounded_out_of_orderness()")
    if strategy.max_ahead is not None:
        return lacks("with_max_ahead() is shmflink only", "the strategy without it")
    return None


def _rolling(node: Node, _plan: LogicalPlan) -> Counterpart:
    call = node.call
    assert isinstance(call, calls.RollingAggregate), call
    return has(f"KeyedStream.{call.kind}()")


def _partition(node: Node, _plan: LogicalPlan) -> Counterpart:
    call = node.call
    assert isinstance(call, calls.Partition), call
    return has(f"DataStream.{call.strategy.lower()}()")


def _side_output(node: Node, plan: LogicalPlan) -> Counterpart:
    (before,) = plan.inputs_of(node)
    if isinstance(before.call, calls.Read):
        return lacks("side outputs of sources are shmflink only", "a ProcessFunction that emits to the tag")
    return has("DataStream.get_side_output()")


def _window_apply(node: Node, _plan: LogicalPlan) -> Counterpart:
    call = node.call
    assert isinstance(call, calls.WindowApply), call
    windows = call.windows
    if windows.evictor is not None:
        return lacks("PyFlink has no evictors", "apply() or process() with a function that picks the elements")
    for thing, known in ((windows.assigner, _WINDOWS), (call.trigger, _TRIGGERS)):
        name = type(thing).__name__
        if type(thing).__module__.startswith("shmflink.") and name not in known:
            return lacks(f"{name} is shmflink only", f"a class of your own, with the methods of {name}")
    stream = "AllWindowedStream" if windows.is_all else "WindowedStream"
    for function in (call.combine, call.function):
        if function is not None and (obstacle := _of_function(function)) is not None:
            return obstacle
    return has(f"{stream}.{call.method}()")


COUNTERPARTS: Final[Mapping[type[calls.Call], Callable[[Node, LogicalPlan], Counterpart]]] = {
    calls.Read: source_counterpart(of_strategy),
    calls.Write: sink_counterpart,
    calls.Map: _function("DataStream.map()"),
    calls.FlatMap: _function("DataStream.flat_map()"),
    calls.Filter: _function("DataStream.filter()"),
    calls.MapBatches: _never("map_batches()", "map() or flat_map()"),
    calls.AsyncWait: _async_wait,
    calls.Join: _never("join() of columns", _TABLE_API),
    calls.Project: _always("DataStream.project()"),
    calls.Process: _function("DataStream.process()"),
    calls.Reduce: _function("KeyedStream.reduce()"),
    calls.RollingAggregate: _rolling,
    calls.AssignTimestamps: _assign_timestamps,
    calls.Apply: _never("transform() with an operator", "process()"),
    calls.Select: _never("a selection of expressions", _TABLE_API),
    calls.FilterColumns: _never("filter() with an expression", "filter() with a function"),
    calls.Explode: _never("explode()", "flat_map()"),
    calls.AsColumns: _never("as_columns()", "map() with an output_type"),
    calls.KeyBy: _key_by,
    calls.Values: _always("a KeyedStream as a DataStream"),
    calls.KeysAndElements: _always("KeyedStream.execute_and_collect()"),
    calls.Partition: _partition,
    calls.PartitionCustom: _always("DataStream.partition_custom()"),
    calls.Union: _always("DataStream.union()"),
    calls.SideOutput: _side_output,
    calls.Final: _never("final()", "windows, which emit each result once"),
    calls.EveryUpdate: _never("updates()", "reduce(), which emits every update"),
    calls.CoMap: _function("ConnectedStreams.map()"),
    calls.CoFlatMap: _function("ConnectedStreams.flat_map()"),
    calls.CoProcess: _function("ConnectedStreams.process()"),
    calls.BroadcastProcess: _function("BroadcastConnectedStream.process()"),
    calls.Aggregate: _never("aggregate() over expressions", "key_by() with a function and reduce(), or the Table API"),
    calls.WindowApply: _window_apply,
    calls.WindowAggregate: _never("aggregate() of windows over expressions", "aggregate() with an AggregateFunction"),
}
