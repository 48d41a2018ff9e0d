"""Two streams processed together (`pyflink.datastream.data_stream`: ConnectedStreams, BroadcastConnectedStream)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from shmflink.core.types.typeinfo import TypeInformation
from shmflink.datastream import synonyms
from shmflink.datastream.functions import KeySelector
from shmflink.datastream.not_yet import SaysWhatIsMissing
from shmflink.datastream.process_functions import (
    BroadcastProcessFunction,
    CoFlatMapFunction,
    CoMapFunction,
    CoProcessFunction,
    KeyedBroadcastProcessFunction,
    KeyedCoProcessFunction,
)
from shmflink.errors import JobGraphError, UsageError
from shmflink.operators.base import Operator
from shmflink.operators.functions.broadcast_process import BroadcastProcessOperator, KeyedBroadcastProcessOperator
from shmflink.operators.functions.co_process import (
    CoFlatMapOperator,
    CoMapOperator,
    CoProcessOperator,
    KeyedCoFlatMapOperator,
    KeyedCoMapOperator,
    KeyedCoProcessOperator,
)
from shmflink.planner.transformations import OperatorTransformation, Transformation
from shmflink.state.descriptors import MapStateDescriptor

if TYPE_CHECKING:
    from shmflink.datastream.data_stream import DataStream

__all__ = ["BroadcastConnectedStream", "BroadcastStream", "ConnectedStreams"]


class BroadcastStream:
    """A stream whose elements every subtask gets, with the states that they change; made by `broadcast()`."""

    def __init__(self, input_stream: DataStream, descriptors: Sequence[MapStateDescriptor]) -> None:
        """`input_stream` is partitioned for broadcasting already."""
        names = [descriptor.name for descriptor in descriptors]
        if len(set(names)) != len(names):
            raise UsageError(f"broadcast(): state names must be unique, got {names}")
        self.input_stream = input_stream
        self.descriptors = tuple(descriptors)


class ConnectedStreams(SaysWhatIsMissing):
    """Two streams of any types whose functions share state."""

    ADVICE: ClassVar[Mapping[str, str]] = synonyms.CONNECTED

    def __init__(self, stream1: DataStream, stream2: DataStream) -> None:
        """Made by `connect()`, not by users."""
        _check_same_environment(stream1, stream2)
        self.stream1 = stream1
        self.stream2 = stream2

    def key_by(
        self,
        key_selector1: Callable[[Any], Any] | KeySelector,
        key_selector2: Callable[[Any], Any] | KeySelector,
        key_type: TypeInformation | None = None,
    ) -> ConnectedStreams:
        """Elements of equal keys of both streams go to one subtask."""
        return ConnectedStreams(
            self.stream1.key_by(key_selector1, key_type=key_type), self.stream2.key_by(key_selector2, key_type=key_type)
        )

    def map(self, func: CoMapFunction, output_type: TypeInformation | None = None) -> DataStream:
        """One element out for each of both streams."""
        _check(func, CoMapFunction, "map1")
        kind = KeyedCoMapOperator if self._is_keyed() else CoMapOperator
        return _two_inputs("Co-Map", self.stream1, self.stream2, kind(func, output_type), output_type)

    def flat_map(self, func: CoFlatMapFunction, output_type: TypeInformation | None = None) -> DataStream:
        """Any number of elements out for each of both streams."""
        _check(func, CoFlatMapFunction, "flat_map1")
        kind = KeyedCoFlatMapOperator if self._is_keyed() else CoFlatMapOperator
        return _two_inputs("Co-Flat Map", self.stream1, self.stream2, kind(func, output_type), output_type)

    def process(
        self, func: CoProcessFunction | KeyedCoProcessFunction, output_type: TypeInformation | None = None
    ) -> DataStream:
        """A CoProcessFunction, or on keyed streams a KeyedCoProcessFunction, with state and timers."""
        _check(func, (CoProcessFunction, KeyedCoProcessFunction), "process_element1")
        if self._is_keyed():
            operator: Operator = KeyedCoProcessOperator(func, output_type)
            return _two_inputs("Keyed Co-Process", self.stream1, self.stream2, operator, output_type)
        if isinstance(func, KeyedCoProcessFunction):
            raise JobGraphError("process(): a KeyedCoProcessFunction needs keyed streams: call key_by() on both first")
        return _two_inputs("Co-Process", self.stream1, self.stream2, CoProcessOperator(func, output_type), output_type)

    def _is_keyed(self) -> bool:
        keyed = [_is_keyed(stream) for stream in (self.stream1, self.stream2)]
        if keyed[0] != keyed[1]:
            which = "second" if keyed[0] else "first"
            raise JobGraphError(
                f"connect(): one stream is keyed and the other is not: call key_by() on the {which}, too"
            )
        return keyed[0]


class BroadcastConnectedStream(SaysWhatIsMissing):
    """A stream, keyed or not, and a broadcast one."""

    ADVICE: ClassVar[Mapping[str, str]] = synonyms.CONNECTED

    def __init__(self, non_broadcast_stream: DataStream, broadcast_stream: BroadcastStream) -> None:
        """Made by `connect()`, not by users."""
        _check_same_environment(non_broadcast_stream, broadcast_stream.input_stream)
        self.non_broadcast_stream = non_broadcast_stream
        self.broadcast_stream = broadcast_stream

    def process(
        self,
        func: BroadcastProcessFunction | KeyedBroadcastProcessFunction,
        output_type: TypeInformation | None = None,
    ) -> DataStream:
        """A BroadcastProcessFunction, or on a keyed stream a KeyedBroadcastProcessFunction."""
        stream, broadcast = self.non_broadcast_stream, self.broadcast_stream
        is_keyed = _is_keyed(stream)
        wanted = KeyedBroadcastProcessFunction if is_keyed else BroadcastProcessFunction
        if not isinstance(func, wanted):
            kind = "keyed" if is_keyed else "not keyed"
            raise TypeError(f"process(): the stream is {kind}, which takes a {wanted.__name__}, got {func!r}")
        operator_kind = KeyedBroadcastProcessOperator if is_keyed else BroadcastProcessOperator
        operator = operator_kind(func, broadcast.descriptors, output_type)
        name = "Keyed-Co-Process-Broadcast" if is_keyed else "Co-Process-Broadcast"
        return _two_inputs(name, stream, broadcast.input_stream, operator, output_type)


def _two_inputs(
    name: str, first: DataStream, second: DataStream, operator: Operator, output_type: TypeInformation | None
) -> DataStream:
    environment = first.get_execution_environment()
    inputs: tuple[Transformation, ...] = (first.get_transformation(), second.get_transformation())
    transformation = OperatorTransformation(
        environment.program.next_id(), name, inputs, output_type, environment.get_parallelism(), operator=operator
    )
    environment.program.record(transformation)
    return first.stream_of(transformation)


def _is_keyed(stream: DataStream) -> bool:
    from shmflink.datastream.data_stream import KeyedStream

    return isinstance(stream, KeyedStream)


def _check(func: Any, kinds: type | tuple[type, ...], method: str) -> None:
    if isinstance(func, kinds) or callable(getattr(func, method, None)):
        return
    names = " or ".join(kind.__name__ for kind in (kinds if isinstance(kinds, tuple) else (kinds,)))
    raise TypeError(f"The input must be a {names}, got {func!r}")


def _check_same_environment(first: DataStream, second: DataStream) -> None:
    if first.get_execution_environment() is not second.get_execution_environment():
        raise JobGraphError("connect(): the streams belong to different environments")
