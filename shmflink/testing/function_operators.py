"""The operator that a program would run for a user's function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from shmflink.core.types.typeinfo import TypeInformation
from shmflink.core.watermark_strategy import TimestampAssigner, WatermarkStrategy
from shmflink.datastream.functions import (
    AggregateFunction,
    FilterFunction,
    FlatMapFunction,
    MapFunction,
    ReduceFunction,
)
from shmflink.datastream.process_functions import (
    BroadcastProcessFunction,
    CoFlatMapFunction,
    CoMapFunction,
    CoProcessFunction,
    KeyedBroadcastProcessFunction,
    KeyedCoProcessFunction,
    KeyedProcessFunction,
    ProcessFunction,
)
from shmflink.datastream.stream_execution_environment import StreamExecutionEnvironment
from shmflink.datastream.window_functions import (
    AllWindowFunction,
    ProcessAllWindowFunction,
    ProcessWindowFunction,
    WindowFunction,
)
from shmflink.errors import UsageError
from shmflink.operators.base import Operator
from shmflink.operators.windows.assigners import WindowAssigner
from shmflink.planner.lowering import lower
from shmflink.planner.transformations import OperatorTransformation
from shmflink.state.descriptors import MapStateDescriptor

__all__ = ["operator_of"]

_TWO_INPUTS: Final[dict[type, str]] = {
    CoMapFunction: "map",
    CoFlatMapFunction: "flat_map",
    CoProcessFunction: "process",
    KeyedCoProcessFunction: "process",
    BroadcastProcessFunction: "process",
    KeyedBroadcastProcessFunction: "process",
}
_WINDOWED: Final[dict[type, str]] = {
    ReduceFunction: "reduce",
    AggregateFunction: "aggregate",
    WindowFunction: "apply",
    AllWindowFunction: "apply",
    ProcessWindowFunction: "process",
    ProcessAllWindowFunction: "process",
}
_ONE_INPUT: Final[dict[type, str]] = {
    MapFunction: "map",
    FlatMapFunction: "flat_map",
    FilterFunction: "filter",
    ReduceFunction: "reduce",
    ProcessFunction: "process",
    KeyedProcessFunction: "process",
}


class _AsGiven(TimestampAssigner):
    def extract_timestamp(self, value: Any, record_timestamp: int) -> int:
        return record_timestamp


def operator_of(
    function: Any,
    method: str | None,
    key_selectors: Sequence[Callable[[Any], Any] | None],
    window: WindowAssigner | None,
    broadcast_states: Sequence[MapStateDescriptor],
    output_type: TypeInformation | None,
) -> Operator:
    """`method` of the stream, by default as the function's class has it; `key_selectors` of both inputs.

    Raises:
        UsageError: nothing tells how the function is applied.
    """
    first, second = key_selectors
    environment = StreamExecutionEnvironment.get_execution_environment()
    timed = WatermarkStrategy.no_watermarks().with_timestamp_assigner(_AsGiven())  # for windows by event time
    stream: Any = environment.from_collection([0]).assign_timestamps_and_watermarks(timed)
    if first is not None:
        stream = stream.key_by(first)
    if window is not None:
        stream = stream.window_all(window) if first is None else stream.window(window)
    elif isinstance(function, tuple(_TWO_INPUTS)):
        other: Any = environment.from_collection([0])
        if broadcast_states:
            other = other.broadcast(*broadcast_states)
        elif second is not None:
            other = other.key_by(second)
        stream = stream.connect(other)
    name = method or _method_of(function, (_TWO_INPUTS, _ONE_INPUT) if window is None else (_WINDOWED,))
    options = {} if name in ("filter", "reduce") else {"output_type": output_type}
    [transformation] = lower(getattr(stream, name)(function, **options).recorded.plan())
    if not isinstance(transformation, OperatorTransformation):
        raise UsageError(f"OperatorHarness.of(): {name}() is not an operator of its own")
    return transformation.operator


def _method_of(function: Any, methods: Sequence[dict[type, str]]) -> str:
    for kinds in methods:
        for kind, method in kinds.items():
            if isinstance(function, kind):
                return method
    if callable(function):
        return "map" if _ONE_INPUT in methods else "reduce"
    raise UsageError(
        f"OperatorHarness.of(): {function!r} is neither callable nor a function object of shmflink.datastream for this "
        "stream; name the method that takes it: method='process'"
    )
