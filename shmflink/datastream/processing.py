"""What a stream can do with time, state and windows: parts of `DataStream` and `KeyedStream`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shmflink.core.types.typeinfo import TypeInformation
from shmflink.core.watermark_strategy import WatermarkStrategy
from shmflink.datastream.connected_streams import BroadcastConnectedStream, BroadcastStream, ConnectedStreams
from shmflink.datastream.process_functions import KeyedProcessFunction, ProcessFunction
from shmflink.datastream.windowed_stream import AllWindowedStream, WindowedStream
from shmflink.errors import JobGraphError, UsageError
from shmflink.operators.functions.keyed_functions import KeyedFilterOperator, KeyedFlatMapOperator, KeyedMapOperator
from shmflink.operators.functions.process import KeyedProcessOperator, ProcessOperator
from shmflink.operators.time.timestamps_and_watermarks import TimestampsAndWatermarksOperator
from shmflink.operators.windows.assigners import (
    CountSlidingWindowAssigner,
    CountTumblingWindowAssigner,
    WindowAssigner,
)
from shmflink.state.descriptors import MapStateDescriptor

if TYPE_CHECKING:
    from shmflink.datastream.data_stream import DataStream
    from shmflink.operators.base import Operator
    from shmflink.planner.transformations import Transformation

__all__ = ["KeyedProcessing", "Processing", "broadcast_states"]


class _Recording:
    """What the methods here need of a stream."""

    if TYPE_CHECKING:

        def _value_type(self) -> TypeInformation | None: ...

        def _apply(self, name: str, operator: Operator, output_type: TypeInformation | None) -> DataStream: ...

        def get_execution_environment(self) -> Any: ...

    def value_type(self) -> TypeInformation | None:
        """*shmflink only.* The declared type of the elements; None where there is none."""
        return self._value_type()

    def transform(self, name: str, operator: Operator, output_type: TypeInformation | None) -> DataStream:
        """*shmflink only.* Applies an operator (`shmflink.operators.base.Operator`)."""
        return self._apply(name, operator, output_type)

    def stream_of(self, transformation: Transformation) -> DataStream:
        """*shmflink only.* The stream of a transformation that was recorded."""
        from shmflink.datastream.data_stream import DataStream

        return DataStream(self.get_execution_environment(), transformation)


class Processing(_Recording):
    """Part of `DataStream`."""

    def process(self, func: Any, output_type: TypeInformation | None = None) -> DataStream:
        """Calls a ProcessFunction for each element, with its timestamp; it may emit to side outputs."""
        if isinstance(func, KeyedProcessFunction):
            raise JobGraphError("process(): a KeyedProcessFunction needs a keyed stream: call key_by() first")
        _check(func, ProcessFunction)
        return self._apply("PROCESS", ProcessOperator(func, output_type), output_type)

    def assign_timestamps_and_watermarks(self, watermark_strategy: WatermarkStrategy) -> DataStream:
        """Replaces the timestamps and watermarks of the stream by those of the strategy."""
        if not isinstance(watermark_strategy, WatermarkStrategy):
            raise TypeError(f"assign_timestamps_and_watermarks() takes a WatermarkStrategy, got {watermark_strategy!r}")
        if watermark_strategy.alignment is not None:
            raise JobGraphError(
                "assign_timestamps_and_watermarks(): watermark alignment holds sources back, so it belongs to "
                "from_source(): give it that strategy"
            )
        operator = TimestampsAndWatermarksOperator(watermark_strategy)
        return self._apply("Timestamps/Watermarks", operator, self._value_type())

    def connect(self, ds: DataStream | BroadcastStream) -> Any:
        """Both streams for one function: a ConnectedStreams, or a BroadcastConnectedStream."""
        stream: Any = self
        if isinstance(ds, BroadcastStream):
            return BroadcastConnectedStream(stream, ds)
        if not isinstance(ds, Processing):
            raise TypeError(f"connect() takes a DataStream or a BroadcastStream, got {ds!r}")
        return ConnectedStreams(stream, ds)

    def window_all(self, window_assigner: WindowAssigner) -> AllWindowedStream:
        """Windows over all elements of the stream, in one subtask."""
        stream: Any = self
        return AllWindowedStream(stream.key_by(_one_key), window_assigner)


class KeyedProcessing(_Recording):
    """Part of `KeyedStream`."""

    def process(self, func: Any, output_type: TypeInformation | None = None) -> DataStream:
        """Calls a KeyedProcessFunction for each element, with state of its key and timers."""
        _check(func, (KeyedProcessFunction, ProcessFunction))
        return self._apply("KEYED PROCESS", KeyedProcessOperator(func, output_type), output_type)

    def window(self, window_assigner: WindowAssigner) -> WindowedStream:
        """Windows over the elements of each key."""
        stream: Any = self
        return WindowedStream(stream, window_assigner)

    def count_window(self, size: int, slide: int = 0) -> WindowedStream:
        """Windows of `size` elements of a key; with `slide` a new one begins every so many elements."""
        assigner: WindowAssigner = CountTumblingWindowAssigner(size)
        if slide:
            assigner = CountSlidingWindowAssigner(size, slide)
        return self.window(assigner)

    def _with_state(self, kind: str, func: Any, output_type: TypeInformation | None) -> DataStream | None:
        """A rich function on a keyed stream may use keyed state; a plain callable does not need the way there."""
        if not hasattr(func, "open"):
            return None
        operators = {"Map": KeyedMapOperator, "FlatMap": KeyedFlatMapOperator, "Filter": KeyedFilterOperator}
        return self._apply(kind, operators[kind](func, output_type), output_type)


def broadcast_states(
    stream: DataStream, descriptors: tuple[MapStateDescriptor | None, ...]
) -> DataStream | BroadcastStream:
    """What `broadcast()` gives: with state descriptors a BroadcastStream."""
    given = [descriptor for descriptor in descriptors if descriptor is not None]
    if not given:
        return stream
    for descriptor in given:
        if not isinstance(descriptor, MapStateDescriptor):
            raise UsageError(f"broadcast() takes MapStateDescriptors, got {descriptor!r}")
    return BroadcastStream(stream, given)


def _check(func: Any, kinds: type | tuple[type, ...]) -> None:
    if isinstance(func, kinds) or callable(getattr(func, "process_element", None)):
        return
    names = " or ".join(kind.__name__ for kind in (kinds if isinstance(kinds, tuple) else (kinds,)))
    raise TypeError(f"The input must be a {names}, got {func!r}")


def _one_key(_: Any) -> int:
    return 0
