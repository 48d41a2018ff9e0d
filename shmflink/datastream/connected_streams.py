"""Operations on two connected streams, keyed or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Generic

from shmflink.datastream import synonyms
from shmflink.datastream.argument_checks import check_process_function, checked_type
from shmflink.datastream.not_yet import SaysWhatIsMissing
from shmflink.datastream.process_functions import (
    BroadcastProcessFunction,
    CoFlatMapFunction,
    CoMapFunction,
    CoProcessFunction,
    KeyedBroadcastProcessFunction,
    KeyedCoProcessFunction,
)
from shmflink.datastream.recorded_stream import RecordedStream, S
from shmflink.errors import JobGraphError
from shmflink.plan.calls import BroadcastProcess, CoFlatMap, CoMap, CoProcess
from shmflink.planner.rules.record_functions import is_keyed

if TYPE_CHECKING:
    from shmflink.core.types.typeinfo import TypeInformation
    from shmflink.state.descriptors import MapStateDescriptor

__all__ = ["BroadcastConnected", "Connected"]


class Connected(SaysWhatIsMissing, Generic[S]):
    """Two streams of any types; the function for both shares state."""

    ADVICE: ClassVar[Mapping[str, str]] = synonyms.CONNECTED

    def __init__(self, first: RecordedStream[S], second: RecordedStream[S]) -> None:
        _check_same_environment(first, second)
        self._first = first
        self._second = second

    def map(self, func: CoMapFunction, output_type: TypeInformation | None = None) -> S:
        """One element out for each element of either stream."""
        check_process_function(func, CoMapFunction, "map1")
        return self._first.record(CoMap(func, checked_type(output_type)), self._second.recorded)

    def flat_map(self, func: CoFlatMapFunction, output_type: TypeInformation | None = None) -> S:
        """Any number of elements out for each element of either stream."""
        check_process_function(func, CoFlatMapFunction, "flat_map1")
        return self._first.record(CoFlatMap(func, checked_type(output_type)), self._second.recorded)

    def process(
        self, func: CoProcessFunction | KeyedCoProcessFunction, output_type: TypeInformation | None = None
    ) -> S:
        """Applies a CoProcessFunction, or on keyed streams a KeyedCoProcessFunction, which has state and timers."""
        check_process_function(func, (CoProcessFunction, KeyedCoProcessFunction), "process_element1")
        are_keyed = is_keyed(self._first.node) or is_keyed(self._second.node)
        if not are_keyed and isinstance(func, KeyedCoProcessFunction):
            raise JobGraphError("process(): a KeyedCoProcessFunction needs keyed streams: call key_by() on both first")
        return self._first.record(CoProcess(func, checked_type(output_type)), self._second.recorded)


class BroadcastConnected(SaysWhatIsMissing, Generic[S]):
    """A stream, keyed or not, and a broadcast stream, whose elements every subtask receives."""

    ADVICE: ClassVar[Mapping[str, str]] = synonyms.CONNECTED

    def __init__(
        self, stream: RecordedStream[S], broadcast: RecordedStream[S], states: tuple[MapStateDescriptor, ...]
    ) -> None:
        _check_same_environment(stream, broadcast)
        self._stream = stream
        self._broadcast = broadcast
        self._states = states

    def process(
        self,
        func: BroadcastProcessFunction | KeyedBroadcastProcessFunction,
        output_type: TypeInformation | None = None,
    ) -> S:
        """Applies a BroadcastProcessFunction, or on a keyed stream a KeyedBroadcastProcessFunction."""
        are_keys = is_keyed(self._stream.node)
        wanted = KeyedBroadcastProcessFunction if are_keys else BroadcastProcessFunction
        if not isinstance(func, wanted):
            kind = "keyed" if are_keys else "not keyed"
            raise TypeError(f"process(): the stream is {kind}, which takes a {wanted.__name__}, got {func!r}")
        return self._stream.record(
            BroadcastProcess(func, self._states, checked_type(output_type)), self._broadcast.recorded
        )


def _check_same_environment(first: RecordedStream[S], second: RecordedStream[S]) -> None:
    if first.environment is not second.environment:
        raise JobGraphError("connect(): the streams belong to different environments")
