"""Streams and their operations (`pyflink.datastream.data_stream`).

A call records a node of the logical plan in its environment and returns the resulting stream; nothing runs before
`execute()`. PyFlink has nothing that is marked *shmflink only*. This module has the classes that return each other;
their base classes have the other methods.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, overload

from shmflink.absent import names_absent
from shmflink.core.ship_strategy import ShipStrategy
from shmflink.core.types.typeinfo import TypeInformation, Types
from shmflink.datastream import synonyms
from shmflink.datastream.argument_checks import (
    check_function,
    check_key_selector,
    check_process_function,
    checked_type,
    join_keys,
)
from shmflink.datastream.collect import CloseableIterator
from shmflink.datastream.connected_streams import BroadcastConnected, Connected
from shmflink.datastream.data_stream_sink import DataStreamSink
from shmflink.datastream.environment import Environment
from shmflink.datastream.expression_arguments import named_expressions
from shmflink.datastream.functions import KeySelector, Partitioner, ReduceFunction, SinkFunction
from shmflink.datastream.keyed_stream_bans import KEYED_STREAM_BANS, NO_PARTITIONING
from shmflink.datastream.process_functions import KeyedProcessFunction, ProcessFunction
from shmflink.datastream.record_stream import RecordStream
from shmflink.datastream.stream_caches import StreamCache
from shmflink.datastream.window_functions import (
    AllWindowFunction,
    ProcessAllWindowFunction,
    ProcessWindowFunction,
    WindowFunction,
)
from shmflink.datastream.windowed_stream import WindowsOf
from shmflink.errors import JobGraphError, TypeMismatchError, UsageError
from shmflink.expressions.node import Node
from shmflink.operators.joins.spec import HOW, JoinHow
from shmflink.operators.windows.assigners import (
    CountSlidingWindowAssigner,
    CountTumblingWindowAssigner,
    WindowAssigner,
)
from shmflink.plan.calls import (
    Aggregate,
    Join,
    KeyBy,
    KeysAndElements,
    NamedExpressions,
    Partition,
    Process,
    Reduce,
    RollingAggregate,
    RollingKind,
    Union,
    Values,
)
from shmflink.state.descriptors import MapStateDescriptor

if TYPE_CHECKING:
    from shmflink.config.configuration import Configuration
    from shmflink.connectors.base import Sink
    from shmflink.core.watermark_strategy import WatermarkStrategy
    from shmflink.datastream.operator_settings import OperatorSettings
    from shmflink.datastream.recorder import Recorded
    from shmflink.expressions import Expression

__all__ = [
    "AllWindowedStream",
    "BroadcastConnectedStream",
    "BroadcastStream",
    "CachedDataStream",
    "CloseableIterator",
    "ConnectedStreams",
    "DataStream",
    "DataStreamSink",
    "KeyedStream",
    "StreamExecutionEnvironment",
    "WindowedStream",
]

if not TYPE_CHECKING:
    __getattr__ = names_absent(__name__)


class StreamExecutionEnvironment(Environment["DataStream"]):
    """Records a program and runs it. Every setting is a key of its configuration."""

    @staticmethod
    def get_execution_environment(configuration: Configuration | None = None) -> StreamExecutionEnvironment:
        """The environment of this program: the cluster's configuration with `configuration` on top."""
        return StreamExecutionEnvironment._of_this_program(configuration)

    def stream_of(self, recorded: Recorded) -> DataStream:
        return DataStream(self, recorded)


class DataStream(RecordStream["DataStream"]):
    """A stream of elements of one type."""

    ADVICE: ClassVar[Mapping[str, str]] = synonyms.STREAM
    INTERNAL: ClassVar[frozenset[str]] = frozenset(("without_keys",))

    def __init__(self, environment: StreamExecutionEnvironment, recorded: Recorded) -> None:
        """Created by an environment or another stream, not by users."""
        super().__init__(environment, recorded)
        self._own_environment = environment

    def get_execution_environment(self) -> StreamExecutionEnvironment:
        """The environment this stream belongs to."""
        return self._own_environment

    def key_by(
        self,
        key_selector: Callable[[Any], Any] | KeySelector | str | Expression,
        key_type: TypeInformation | str | Expression | None = None,
        *more_columns: str | Expression,
    ) -> KeyedStream:
        """Partitions the stream: all elements of a key go to one subtask. Keys of different Python types are different
        keys.

        *shmflink only:* keys can be columns, named or computed: `key_by("user")`, `key_by("a", "b")`,
        `key_by(col("name").lower_case.alias("name"))`. The key of several columns is a tuple.
        """
        if isinstance(key_selector, (str, Node)):
            given = (key_selector, *(() if key_type is None else (key_type,)), *more_columns)
            named = named_expressions("key_by", given, {})
            return KeyedStream(self, KeyBy(tuple(named.items())))
        check_key_selector(key_selector)
        return KeyedStream(self, KeyBy(key_selector, checked_type(key_type)))

    def without_keys(self) -> DataStream:
        """*shmflink only.* The stream itself; for a KeyedStream its elements, in the subtasks where they are."""
        return self

    def cache(self) -> CachedDataStream:
        """The first BATCH job that reads the stream stores its rows; later jobs of this program read the stored rows.

        They are stored in a temporary folder until `invalidate()`, `close()` of the environment, or the end of the
        program. A job that fails stores nothing. A STREAMING job reads stored rows but stores none itself.
        """
        return CachedDataStream(self)

    # --- several streams ---

    def union(self, *streams: DataStream) -> DataStream:
        """All elements of this stream and the others, which must have the same type."""
        for stream in streams:
            if not isinstance(stream, DataStream):
                raise TypeError(f"union() takes DataStreams, got {type(stream).__name__}")
            if stream.environment is not self.environment:
                raise JobGraphError("union(): the streams belong to different environments")
        with self.environment.recorder.all_or_nothing():
            first, *others = [stream.without_keys() for stream in (self, *streams)]
            return first.record(Union(), *(stream.recorded for stream in others))

    def join(
        self,
        other: DataStream,
        on: str | Sequence[str] | None = None,
        *,
        left_on: str | Sequence[str] | None = None,
        right_on: str | Sequence[str] | None = None,
        how: JoinHow = "inner",
        suffix: str = "_right",
    ) -> DataStream:
        """*shmflink only.* Pairs of rows of both streams whose keys are equal, as one row of columns. BATCH mode only.

        `on`: key columns with the same name in both streams; each becomes one column of the result. `left_on` and
        `right_on`: key columns with different names; the result has both. `how`: inner, left, right, full, semi (rows
        of this stream that have a match), anti (rows that have none). A null matches nothing. Other columns of `other`
        whose name also occurs in this stream get the suffix. `other` is held in memory: it should be the smaller one.

        >>> orders.join(customers, on="customer", how="left")

        Raises:
            TypeMismatchError: the keys have different types, or the columns of a stream are not known.
        """
        if not isinstance(other, DataStream):
            raise TypeError(f"join() takes a DataStream, got {type(other).__name__}")
        if other.environment is not self.environment:
            raise JobGraphError("join(): the streams belong to different environments")
        left, right = join_keys(on, left_on, right_on)
        if how not in HOW:
            raise ValueError(f"join(): how is one of {', '.join(HOW)}; got {how!r}")
        with self.environment.recorder.all_or_nothing():
            first, second = (stream.without_keys().in_columns("join") for stream in (self, other))
            first.check_columns(left)
            second.check_columns(right)
            return first.record(Join(left, right, how, on is not None, suffix), second.recorded)

    @overload
    def broadcast(self) -> DataStream: ...

    @overload
    def broadcast(
        self,
        broadcast_state_descriptor: MapStateDescriptor,
        *other_broadcast_state_descriptors: MapStateDescriptor,
    ) -> BroadcastStream: ...

    def broadcast(
        self,
        broadcast_state_descriptor: MapStateDescriptor | None = None,
        *other_broadcast_state_descriptors: MapStateDescriptor,
    ) -> DataStream | BroadcastStream:
        """Sends every row to every subtask. With MapStateDescriptors, returns a BroadcastStream for `connect()`."""
        given = [d for d in (broadcast_state_descriptor, *other_broadcast_state_descriptors) if d is not None]
        for descriptor in given:
            if not isinstance(descriptor, MapStateDescriptor):
                raise UsageError(f"broadcast() takes MapStateDescriptors, got {descriptor!r}")
        names = [descriptor.name for descriptor in given]
        if len(set(names)) != len(names):
            raise UsageError(f"broadcast(): state names must be unique, got {names}")
        stream = self.record(Partition(ShipStrategy.BROADCAST))
        return BroadcastStream(stream, given) if given else stream

    @overload
    def connect(self, ds: DataStream) -> ConnectedStreams: ...

    @overload
    def connect(self, ds: BroadcastStream) -> BroadcastConnectedStream: ...

    def connect(self, ds: DataStream | BroadcastStream) -> ConnectedStreams | BroadcastConnectedStream:
        """Connects two streams for one function: returns a ConnectedStreams or a BroadcastConnectedStream."""
        if isinstance(ds, BroadcastStream):
            return BroadcastConnectedStream(self, ds)
        if not isinstance(ds, DataStream):
            raise TypeError(f"connect() takes a DataStream or a BroadcastStream, got {ds!r}")
        return ConnectedStreams(self, ds)

    def window_all(self, window_assigner: WindowAssigner) -> AllWindowedStream:
        """Windows over all elements of the stream, in one subtask."""
        return AllWindowedStream(self, window_assigner)


class KeyedStream(DataStream):
    """A stream partitioned by key: all elements of a key are in one subtask, in order."""

    def __init__(self, origin: DataStream, key: KeyBy) -> None:
        """Created by `key_by`, not by users."""
        environment = origin.get_execution_environment()
        super().__init__(environment, environment.recorder.record(key, origin.recorded))
        self._origin = origin
        self._key = key

    def key_columns(self, method: str) -> NamedExpressions:
        """*shmflink only.* The keys.

        Raises:
            TypeMismatchError: the keys are not columns.
        """
        if self._key.columns is None:
            raise TypeMismatchError(
                f"{method}() needs keys that are columns: key_by('user') or key_by(expression.alias('name')), "
                "not a function"
            )
        return self._key.columns

    @property
    def origin(self) -> DataStream:
        """*shmflink only.* The stream that was keyed."""
        return self._origin

    def process(
        self, func: KeyedProcessFunction | ProcessFunction, output_type: TypeInformation | None = None
    ) -> DataStream:
        """Calls a KeyedProcessFunction for each element, with state of its key and timers."""
        check_process_function(func, (KeyedProcessFunction, ProcessFunction))
        return self.record(Process(func, checked_type(output_type)))

    def reduce(self, func: Callable[[Any, Any], Any] | ReduceFunction) -> DataStream:
        """Reduces the elements of each key: every update in STREAMING mode, the last one in BATCH mode.

        Per-record functions and sinks treat every update as a record, as in Flink; `final()` keeps only the last one.
        """
        check_function(func, ReduceFunction, "The input must be a ReduceFunction or a callable function")
        return self.record(Reduce(func))

    def sum(self, position_to_sum: int | str = 0) -> DataStream:
        """Rolling sum per key of one field, by position or name; for an element without fields, 0 is the element
        itself.
        """
        return self._rolling("sum", position_to_sum)

    def min(self, position_to_min: int | str = 0) -> DataStream:
        """Rolling minimum per key of one field; the other fields stay those of the first element."""
        return self._rolling("min", position_to_min)

    def max(self, position_to_max: int | str = 0) -> DataStream:
        """Rolling maximum per key of one field; the other fields stay those of the first element."""
        return self._rolling("max", position_to_max)

    def min_by(self, position_to_min_by: int | str = 0) -> DataStream:
        """The element with the smallest field so far, per key; the first one among equals."""
        return self._rolling("min_by", position_to_min_by)

    def max_by(self, position_to_max_by: int | str = 0) -> DataStream:
        """The element with the greatest field so far, per key; the first one among equals."""
        return self._rolling("max_by", position_to_max_by)

    def _rolling(self, kind: RollingKind, position: int | str) -> DataStream:
        if not isinstance(position, (int, str)):
            raise TypeError(
                "The field position must be of int or str type to locate the value to calculate for min, "
                f"max, min_by, max_by and sum. The given type is: {type(position)}"
            )
        return self.record(RollingAggregate(kind, position))

    def aggregate(self, *aggregates: Expression, **named: Expression) -> DataStream:
        """*shmflink only.* One row for each key: the key columns, then `name=expression over aggregates`.

        BATCH emits them at the end. STREAMING emits, after each batch, a new row for each key that changed: an update.
        `print()` and per-record functions receive every update; `final()` and `updates()` determine what other
        consumers receive. Null is a key.

        >>> ds.key_by("user").aggregate(n=count(), mean=col("price").sum / col("price").count)
        """
        keys = self.key_columns("aggregate")
        pairs = named_expressions("aggregate", aggregates, named, aggregates=True)
        return self._origin.record(Aggregate(keys, tuple(pairs.items())))

    def window(self, window_assigner: WindowAssigner) -> WindowedStream:
        """Windows over the elements of each key."""
        return WindowedStream(self, window_assigner)

    def window_all(self, window_assigner: WindowAssigner) -> AllWindowedStream:
        """Windows over all elements of the stream that was keyed, in one subtask."""
        return self._origin.window_all(window_assigner)

    def count_window(self, size: int, slide: int = 0) -> WindowedStream:
        """Windows of `size` elements of a key; with `slide`, a new window begins every `slide` elements."""
        assigner: WindowAssigner = CountTumblingWindowAssigner(size)
        if slide:
            assigner = CountSlidingWindowAssigner(size, slide)
        return self.window(assigner)

    def key_by(
        self,
        key_selector: Callable[[Any], Any] | KeySelector | str | Expression,
        key_type: TypeInformation | str | Expression | None = None,
        *more_columns: str | Expression,
    ) -> KeyedStream:
        """Replaces the key: keys the original stream by another one."""
        return self._origin.key_by(key_selector, key_type, *more_columns)

    def get_type(self) -> TypeInformation:
        """`Types.ROW([key type, element type])`, as in PyFlink; functions get only the element."""
        key_type = self._key.key_type if self._key.key_type is not None else Types.PICKLED_BYTE_ARRAY()
        return Types.ROW([key_type, super().get_type()])

    def without_keys(self) -> DataStream:
        """*shmflink only.* The elements without keys, in the subtasks to which their keys were assigned."""
        return self.record(Values())

    def _collect(self, job_name: str | None) -> CloseableIterator[Any]:
        """Keys and elements, before the exchange by key."""
        pairs = self._origin.record(KeysAndElements(self._key))
        if parallelism := self._origin.node.settings.parallelism:
            pairs.set_parallelism(parallelism)
        return pairs._collect(job_name)  # noqa: SLF001 - a stream, too

    def assign_timestamps_and_watermarks(self, watermark_strategy: WatermarkStrategy) -> DataStream:
        with self.environment.recorder.all_or_nothing():
            return self.without_keys().assign_timestamps_and_watermarks(watermark_strategy)

    def sink_to(self, sink: Sink) -> DataStreamSink:
        with self.environment.recorder.all_or_nothing():
            return self.without_keys().sink_to(sink)

    def add_sink(self, sink_func: Sink | SinkFunction) -> DataStreamSink:
        with self.environment.recorder.all_or_nothing():
            return self.without_keys().add_sink(sink_func)

    def print(self, sink_identifier: str | None = None) -> DataStreamSink:
        with self.environment.recorder.all_or_nothing():
            return self.without_keys().print(sink_identifier)

    # --- what PyFlink forbids ---

    def cache(self) -> NoReturn:
        raise UsageError("Cache on KeyedStream has not been supported yet. Call cache() before key_by()")

    def shuffle(self) -> NoReturn:
        raise JobGraphError(NO_PARTITIONING)

    def rescale(self) -> NoReturn:
        raise JobGraphError(NO_PARTITIONING)

    def rebalance(self) -> NoReturn:
        raise JobGraphError(NO_PARTITIONING)

    def forward(self) -> NoReturn:
        raise JobGraphError(NO_PARTITIONING)

    def broadcast(self, *args: Any) -> NoReturn:  # PyFlink's signature
        raise JobGraphError(NO_PARTITIONING)

    def partition_custom(
        self,
        partitioner: Callable[[Any, int], int] | Partitioner,
        key_selector: Callable[[Any], Any] | KeySelector,
    ) -> NoReturn:
        raise JobGraphError(NO_PARTITIONING)

    def _settings(self, method: str) -> OperatorSettings:
        """A keyed stream is not an operator, so the setters of operators raise an error, as in PyFlink."""
        raise JobGraphError(KEYED_STREAM_BANS[method])


class CachedDataStream(DataStream):
    """A stream whose rows are stored for later jobs."""

    def __init__(self, stream: DataStream) -> None:
        """Use `DataStream.cache`."""
        super().__init__(stream.get_execution_environment(), stream.recorded)
        self._cache = StreamCache(self.environment.recorder, self.recorded)
        self.environment.caches.add(self._cache)

    def cache(self) -> CachedDataStream:
        """Itself."""
        return self

    def invalidate(self) -> None:
        """Deletes the stored rows; the next BATCH job computes and stores them again."""
        self._cache.invalidate()


class _Windowed(WindowsOf[DataStream]):
    """Windows of a stream."""

    def __init__(
        self,
        stream: DataStream,
        window_assigner: WindowAssigner,
        columns: Callable[[], tuple[DataStream, NamedExpressions]],
    ) -> None:
        super().__init__(stream, window_assigner, columns)
        self._own_environment = stream.get_execution_environment()

    def get_execution_environment(self) -> StreamExecutionEnvironment:
        """The environment of the stream."""
        return self._own_environment


class WindowedStream(_Windowed):
    """The windows of a keyed stream."""

    _kinds = (WindowFunction, ProcessWindowFunction)

    def __init__(self, stream: KeyedStream, window_assigner: WindowAssigner) -> None:
        """Created by `window()`, not by users."""
        super().__init__(stream, window_assigner, lambda: (stream.origin, stream.key_columns("aggregate")))


class AllWindowedStream(_Windowed):
    """The windows over all elements of a stream, in one subtask."""

    _is_all = True
    _kinds = (AllWindowFunction, ProcessAllWindowFunction)

    def __init__(self, stream: DataStream, window_assigner: WindowAssigner) -> None:
        """Created by `window_all()`, not by users."""
        super().__init__(stream, window_assigner, lambda: (stream, ()))


class ConnectedStreams(Connected[DataStream]):
    """Two streams of any types; the function for both shares state."""

    def __init__(self, stream1: DataStream, stream2: DataStream) -> None:
        """Created by `connect()`, not by users."""
        super().__init__(stream1, stream2)
        self.stream1 = stream1
        self.stream2 = stream2

    def key_by(
        self,
        key_selector1: Callable[[Any], Any] | KeySelector,
        key_selector2: Callable[[Any], Any] | KeySelector,
        key_type: TypeInformation | None = None,
    ) -> ConnectedStreams:
        """Partitions both streams by key: elements with equal keys go to one subtask."""
        return ConnectedStreams(
            self.stream1.key_by(key_selector1, key_type=key_type), self.stream2.key_by(key_selector2, key_type=key_type)
        )


class BroadcastStream:
    """A stream whose elements all go to every subtask, with the states that they update; see `broadcast()`."""

    def __init__(self, input_stream: DataStream, descriptors: list[MapStateDescriptor]) -> None:
        """`input_stream` must already have the broadcast partitioning."""
        self.input_stream = input_stream
        self.descriptors = tuple(descriptors)


class BroadcastConnectedStream(BroadcastConnected[DataStream]):
    """A stream, keyed or not, and a broadcast stream."""

    def __init__(self, non_broadcast_stream: DataStream, broadcast_stream: BroadcastStream) -> None:
        """Created by `connect()`, not by users."""
        super().__init__(non_broadcast_stream, broadcast_stream.input_stream, broadcast_stream.descriptors)
        self.non_broadcast_stream = non_broadcast_stream
        self.broadcast_stream = broadcast_stream
