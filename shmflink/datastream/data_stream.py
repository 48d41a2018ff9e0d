"""Streams and what can be done with them (`pyflink.datastream.data_stream`).

A call records a transformation with its environment and returns the stream that comes of it; nothing runs
before `execute()`. What is marked *shmflink only* does not exist in PyFlink.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from shmflink.absent import names_absent
from shmflink.connectors.base import Sink
from shmflink.connectors.function_sink import FunctionSink
from shmflink.connectors.print_sink import PrintSink
from shmflink.core.ship_strategy import ShipStrategy
from shmflink.core.types.typeinfo import TupleTypeInfo, TypeInformation, Types
from shmflink.core.watermark_strategy import WatermarkStrategy
from shmflink.datastream import synonyms
from shmflink.datastream.aggregates import AggregatingStream, KeyedAggregates, expand_branches
from shmflink.datastream.argument_checks import check_function, checked_type, what_instead
from shmflink.datastream.collect import CloseableIterator
from shmflink.datastream.columns import ColumnMethods, named_expressions
from shmflink.datastream.connected_streams import BroadcastConnectedStream, BroadcastStream, ConnectedStreams
from shmflink.datastream.data_stream_sink import DataStreamSink
from shmflink.datastream.functions import (
    FilterFunction,
    FlatMapFunction,
    KeySelector,
    MapFunction,
    Partitioner,
    ReduceFunction,
    SinkFunction,
)
from shmflink.datastream.keyed_stream_bans import KEYED_STREAM_BANS, NO_PARTITIONING
from shmflink.datastream.not_yet import SaysWhatIsMissing
from shmflink.datastream.output_tag import OutputTag
from shmflink.datastream.processing import KeyedProcessing, Processing, broadcast_states
from shmflink.datastream.recording import RecordedOperator, partition_function
from shmflink.datastream.results import ResultMethods
from shmflink.datastream.slot_sharing_group import SlotSharingGroup
from shmflink.datastream.updating import UpdatingMethods
from shmflink.datastream.windowed_stream import AllWindowedStream, WindowedStream
from shmflink.errors import JobGraphError, TypeMismatchError, UsageError
from shmflink.expressions import Expression
from shmflink.expressions.node import place_of_caller
from shmflink.operators.base import Operator
from shmflink.operators.columns.keys import ColumnKeyExtractor, ColumnKeys, KeyAndRowOperator
from shmflink.operators.columns.map_batches import MapBatchesOperator
from shmflink.operators.columns.project import ProjectOperator
from shmflink.operators.functions.filter import FilterOperator
from shmflink.operators.functions.flat_map import FlatMapOperator
from shmflink.operators.functions.keyed_values import KeyedValuesOperator
from shmflink.operators.functions.map import MapOperator
from shmflink.operators.functions.reduce import ReduceOperator
from shmflink.operators.functions.rolling import AggregateOperator
from shmflink.operators.key_extractor import KeyExtractor
from shmflink.planner.transformations import (
    OperatorTransformation,
    PartitionTransformation,
    SideOutputTransformation,
    SinkTransformation,
    SourceTransformation,
    Transformation,
    UnionTransformation,
)

if TYPE_CHECKING:
    from shmflink.config.execution_config import ExecutionConfig
    from shmflink.datastream.stream_execution_environment import StreamExecutionEnvironment

__all__ = [
    "AllWindowedStream",
    "BroadcastConnectedStream",
    "BroadcastStream",
    "CloseableIterator",
    "ConnectedStreams",
    "DataStream",
    "DataStreamSink",
    "KeyedStream",
    "WindowedStream",
]

if not TYPE_CHECKING:
    __getattr__ = names_absent(__name__)


class DataStream(ColumnMethods, AggregatingStream, Processing, ResultMethods, UpdatingMethods, SaysWhatIsMissing):
    """A stream of elements of one type."""

    MISSING: ClassVar[Mapping[str, str]] = {
        "cache": "write it to files by sink_to(FileSink.parquet(path)), and read them by read_parquet(path)",
    }
    ADVICE: ClassVar[Mapping[str, str]] = synonyms.STREAM
    INTERNAL: ClassVar[frozenset[str]] = frozenset(
        ("collect_into", "columns_type", "derived", "stream_of", "value_type", "without_keys")
    )

    def __init__(self, environment: StreamExecutionEnvironment, transformation: Transformation) -> None:
        """Made by an environment or another stream, not by users."""
        self._environment = environment
        self._transformation = transformation

    def get_transformation(self) -> Transformation:
        """*shmflink only.* What was recorded for this stream."""
        return self._transformation

    # --- the operator that made this stream ---

    def get_name(self) -> str:
        """Name of the operator."""
        return self._recorded("get_name").name

    def name(self, name: str) -> DataStream:
        """Name for plans, logs and metrics."""
        self._recorded("name").set_name(name)
        return self

    def uid(self, uid: str) -> DataStream:
        """Id by which the operator's state is found when the job starts again; unique in the job."""
        self._recorded("uid").set_uid(uid)
        return self

    def set_uid_hash(self, uid_hash: str) -> DataStream:
        """The operator id itself: 32 hexadecimal digits. Prefer `uid`."""
        self._recorded("set_uid_hash").set_uid_hash(uid_hash)
        return self

    def set_parallelism(self, parallelism: int) -> DataStream:
        """Number of subtasks; -1 = the environment's."""
        self._recorded("set_parallelism").set_parallelism(parallelism)
        return self

    def set_max_parallelism(self, max_parallelism: int) -> DataStream:
        """Number of key groups, the bound of the parallelism for the whole life of the state; 1 to 32768."""
        self._recorded("set_max_parallelism").set_max_parallelism(max_parallelism)
        return self

    def force_non_parallel(self) -> DataStream:
        """One subtask, for good: any other `set_parallelism` is an error."""
        self._recorded("force_non_parallel").force_non_parallel()
        return self

    def set_buffer_timeout(self, timeout_millis: int) -> DataStream:
        """How long rows may wait for their segment to fill; 0 = ship every batch, -1 = the job's default."""
        self._recorded("set_buffer_timeout").set_buffer_timeout(timeout_millis)
        return self

    def start_new_chain(self) -> DataStream:
        """The operator begins a task of its own; what follows may be chained to it."""
        self._recorded("start_new_chain").start_new_chain()
        return self

    def disable_chaining(self) -> DataStream:
        """The operator is a task of its own."""
        self._recorded("disable_chaining").disable_chaining()
        return self

    def slot_sharing_group(self, slot_sharing_group: str | SlotSharingGroup) -> DataStream:
        """Operators of one group share slots; those of different groups never do."""
        self._recorded("slot_sharing_group").set_slot_sharing_group(slot_sharing_group)
        return self

    def set_description(self, description: str) -> DataStream:
        """Longer text for plans."""
        self._recorded("set_description").set_description(description)
        return self

    def get_type(self) -> TypeInformation:
        """Type of the elements; `Types.PICKLED_BYTE_ARRAY()` where none was declared."""
        declared: TypeInformation | None = self._transformation.output_type
        return declared if declared is not None else Types.PICKLED_BYTE_ARRAY()

    def get_execution_environment(self) -> StreamExecutionEnvironment:
        """The environment this stream belongs to."""
        return self._environment

    def get_execution_config(self) -> ExecutionConfig:
        """`get_execution_environment().get_config()`."""
        return self._environment.get_config()

    # --- functions ---

    def map(self, func: Callable[[Any], Any] | MapFunction, output_type: TypeInformation | None = None) -> DataStream:
        """One element out for each element in."""
        check_function(func, MapFunction, "The input must be a MapFunction or a callable function")
        return self._apply("Map", MapOperator(func, checked_type(output_type)), output_type)

    def flat_map(
        self,
        func: Callable[[Any], Iterable[Any] | None] | FlatMapFunction,
        output_type: TypeInformation | None = None,
    ) -> DataStream:
        """Any number of elements out for each element in: yield them, or return an iterable, or None."""
        check_function(func, FlatMapFunction, "The input must be a FlatMapFunction or a callable function")
        return self._apply("FlatMap", FlatMapOperator(func, checked_type(output_type)), output_type)

    def filter(self, func: Callable[[Any], bool] | FilterFunction | Expression) -> DataStream:
        """Keeps the elements for which `func` is true.

        An expression over the columns (*shmflink only*) keeps rows for which it is true, not false or null.
        """
        if isinstance(func, Expression):
            return self._filter_columns(func)
        check_function(func, FilterFunction, "The input must be a FilterFunction or a callable function")
        return self._apply("Filter", FilterOperator(func), self._value_type())

    def map_batches(
        self,
        fn: Callable[[pa.RecordBatch], pa.RecordBatch | Iterable[pa.RecordBatch] | None],
        output_type: TypeInformation | None = None,
    ) -> DataStream:
        """*shmflink only.* Applies `fn` to whole `pyarrow.RecordBatch`es; it returns one, several or None.

        Batch sizes are the engine's choice and must not matter. Timestamps stay when the number of rows does.
        """
        check_function(fn, None, "The input must be a callable function from a pyarrow.RecordBatch")
        return self._apply("MapBatches", MapBatchesOperator(fn, checked_type(output_type)), output_type)

    def project(self, *field_indexes: int) -> DataStream:
        """Keeps the fields at these indexes of a stream of tuples, in this order."""
        declared = self._value_type()
        if not isinstance(declared, TupleTypeInfo):
            raise TypeMismatchError(f"Only Tuple DataStreams can be projected. This one has type {declared}")
        fields = declared.get_field_types()
        if not field_indexes or any(not 0 <= index < len(fields) for index in field_indexes):
            raise TypeMismatchError(f"project{field_indexes}: indexes must be from 0 to {len(fields) - 1}")
        projected = Types.TUPLE([fields[index] for index in field_indexes])
        return self._apply("Projection", ProjectOperator(list(field_indexes)), projected)

    def key_by(
        self,
        key_selector: Callable[[Any], Any] | KeySelector | str | Expression,
        key_type: TypeInformation | str | Expression | None = None,
        *more_columns: str | Expression,
    ) -> KeyedStream:
        """Elements of one key go to one subtask. Keys of different Python type are different keys.

        *shmflink only:* by columns, named or computed: `key_by("user")`, `key_by("a", "b")`,
        `key_by(col("name").lower_case.alias("name"))`. The key of several columns is a tuple.
        """
        if isinstance(key_selector, (str, Expression)):
            given = (key_selector, *(() if key_type is None else (key_type,)), *more_columns)
            named = named_expressions("key_by", given, {})
            return KeyedStream(self, ColumnKeys(self._columns_type("key_by"), tuple(named.items())), None)
        message = "Parameter key_selector should be type of KeySelector or a callable function."
        check_function(key_selector, KeySelector, message)
        return KeyedStream(self, key_selector, checked_type(key_type))

    # --- several streams, partitioning ---

    def union(self, *streams: DataStream) -> DataStream:
        """All elements of all these streams, which must have one type."""
        for stream in streams:
            _check_same(self, stream)
        inputs = tuple(stream.without_keys().get_transformation() for stream in (self, *streams))
        union = UnionTransformation(self._environment.program.next_id(), "Union", inputs, self._value_type())
        return DataStream(self._environment, union)

    def shuffle(self) -> DataStream:
        """Rows go to random subtasks."""
        return _partitioned(self, self._transformation, ShipStrategy.SHUFFLE)

    def rebalance(self) -> DataStream:
        """Rows go to all subtasks in turn."""
        return _partitioned(self, self._transformation, ShipStrategy.REBALANCE)

    def rescale(self) -> DataStream:
        """Rows go in turn to the few subtasks that stand opposite this one."""
        return _partitioned(self, self._transformation, ShipStrategy.RESCALE)

    def forward(self) -> DataStream:
        """Rows stay in the subtask of the same index; both ends need the same parallelism."""
        return _partitioned(self, self._transformation, ShipStrategy.FORWARD)

    def broadcast(self, broadcast_state_descriptor: Any = None, *other_broadcast_state_descriptors: Any) -> Any:
        """Every subtask gets every row. With MapStateDescriptors a BroadcastStream, to `connect()` to another."""
        stream = _partitioned(self, self._transformation, ShipStrategy.BROADCAST)
        return broadcast_states(stream, (broadcast_state_descriptor, *other_broadcast_state_descriptors))

    def partition_custom(
        self,
        partitioner: Callable[[Any, int], int] | Partitioner,
        key_selector: Callable[[Any], Any] | KeySelector,
    ) -> DataStream:
        """Rows go where `partitioner(key, number of partitions)` says. The stream is not keyed by it."""
        message = "Parameter partitioner should be type of Partitioner or a callable function."
        check_function(partitioner, Partitioner, message)
        message = "Parameter key_selector should be type of KeySelector or a callable function."
        check_function(key_selector, KeySelector, message)
        function = partition_function(partitioner)
        extracted = _with_key(self, "PartitionCustom", key_selector, None)
        return _partitioned(self, extracted, ShipStrategy.CUSTOM, function)

    def get_side_output(self, output_tag: OutputTag) -> DataStream:
        """What the operator or source behind this stream hands out beside its main output, under this tag."""
        if not isinstance(output_tag, OutputTag):
            raise TypeError(f"get_side_output() takes an OutputTag, got {output_tag!r}")
        self._recorded("get_side_output")
        declared = output_tag.declared_type
        if declared is None and isinstance(self._transformation, SourceTransformation):
            declared = self._transformation.source.side_output_type(output_tag.tag_id)
        side = SideOutputTransformation(
            self._environment.program.next_id(),
            f"side output '{output_tag.tag_id}'",
            (self._transformation,),
            declared,
            output_tag=output_tag.tag_id,
        )
        return DataStream(self._environment, side)

    # --- results ---

    def sink_to(self, sink: Sink) -> DataStreamSink:
        """Writes the stream to a sink."""
        if not isinstance(sink, Sink):
            raise TypeError(f"sink_to() takes a Sink, {what_instead(sink, 'FileSink.parquet({0})')}")
        return self._sink("Writer", sink)

    def add_sink(self, sink_func: Sink | SinkFunction) -> DataStreamSink:
        """Ends the stream in a Sink, as `sink_to`, or in a SinkFunction of the user's own (*shmflink only*)."""
        if isinstance(sink_func, SinkFunction):
            return self._sink("Unnamed", FunctionSink(sink_func))
        if not isinstance(sink_func, Sink):
            raise TypeError(
                f"add_sink() takes a Sink or a SinkFunction, {what_instead(sink_func, 'FileSink.parquet({0})')}"
            )
        return self._sink("Unnamed", sink_func)

    def print(self, sink_identifier: str | None = None) -> DataStreamSink:
        """Writes every element as a line to standard output.

        Updates are shown as they come, each as a line.

        With parallelism above 1 each line begins with the subtask's number, 1-based: `2> `; with an
        identifier `identifier:2> `.
        """
        return self._sink("Print to Std. Out", PrintSink(sink_identifier))

    def _collected(self) -> DataStream:
        """What `execute_and_collect` hands out."""
        return self

    # --- how it is recorded ---

    def derived(self, transformation: Transformation) -> DataStream:
        """*shmflink only.* The stream of what was recorded for this one's environment."""
        return DataStream(self._environment, transformation)

    def without_keys(self) -> DataStream:
        """*shmflink only.* The stream itself; of a KeyedStream its elements, where they are."""
        return self

    def _value_type(self) -> TypeInformation | None:
        """The declared type of the elements, None where there is none."""
        declared: TypeInformation | None = self._transformation.output_type
        return declared

    def _recorded(self, method: str) -> RecordedOperator:
        """Access to the operator behind this stream; partitioned and united streams have none."""
        if not isinstance(self._transformation, (SourceTransformation, OperatorTransformation)):
            raise UsageError(
                f"{method}() must follow an operator, but this stream comes of {self._transformation.name}: "
                f"call {method}() before it, or on the operator after it"
            )
        return RecordedOperator(self._transformation, self._environment.get_parallelism)

    def _apply(self, name: str, operator: Operator, output_type: TypeInformation | None) -> DataStream:
        program = self._environment.program
        transformation = OperatorTransformation(
            program.next_id(),
            name,
            (self._transformation,),
            output_type,
            self._environment.get_parallelism(),
            operator=operator,
            place=place_of_caller(),
        )
        program.record(transformation)
        return DataStream(self._environment, transformation)

    def collect_into(self, sink: Sink) -> DataStreamSink:
        """*shmflink only.* Ends the stream in a sink that collects, in its last task where it has one."""
        is_operator = isinstance(self._transformation, (SourceTransformation, OperatorTransformation))
        collecting = self._sink("Data stream collect sink", sink)
        return collecting.set_parallelism(self._transformation.parallelism or -1 if is_operator else 1)

    def _sink(self, name: str, sink: Sink) -> DataStreamSink:
        program = self._environment.program
        sink = sink.with_input_type(self._value_type())
        transformation = SinkTransformation(
            program.next_id(),
            name,
            (self._transformation,),
            self._value_type(),
            sink.fixed_parallelism or self._environment.get_parallelism(),
            is_parallelism_fixed=sink.fixed_parallelism is not None,
            sink=sink,
            place=place_of_caller(),
        )
        program.record(transformation)
        return DataStreamSink(transformation, self._environment)


class KeyedStream(KeyedAggregates, KeyedProcessing, DataStream):
    """A stream partitioned by key: elements of one key are in one subtask, in order."""

    def __init__(
        self,
        origin: DataStream,
        selector: Callable[[Any], Any] | KeySelector | ColumnKeys,
        key_type: TypeInformation | None,
    ) -> None:
        """Made by `key_by`, not by users."""
        partitioned = _partitioned(origin, _with_key(origin, "KeyBy", selector, key_type), ShipStrategy.HASH)
        super().__init__(origin.get_execution_environment(), partitioned.get_transformation())
        self._origin = origin
        self._selector = selector
        self._key_type = key_type

    def map(self, func: Callable[[Any], Any] | MapFunction, output_type: TypeInformation | None = None) -> DataStream:
        """As on a DataStream; a MapFunction may use keyed state."""
        return self._with_state("Map", func, output_type) or super().map(func, output_type)

    def flat_map(
        self,
        func: Callable[[Any], Iterable[Any] | None] | FlatMapFunction,
        output_type: TypeInformation | None = None,
    ) -> DataStream:
        """As on a DataStream; a FlatMapFunction may use keyed state."""
        return self._with_state("FlatMap", func, output_type) or super().flat_map(func, output_type)

    def filter(self, func: Callable[[Any], bool] | FilterFunction | Expression) -> DataStream:
        """As on a DataStream; a FilterFunction may use keyed state."""
        return self._with_state("Filter", func, self._value_type()) or super().filter(func)

    def reduce(self, func: Callable[[Any, Any], Any] | ReduceFunction) -> DataStream:
        """Reduces the elements of each key: every update in STREAMING mode, the last one in BATCH mode.

        To functions of records and to sinks every update is a record, as in Flink; `final()` keeps the last one alone.
        """
        check_function(func, ReduceFunction, "The input must be a ReduceFunction or a callable function")
        return self._apply("Reduce", ReduceOperator(func, self._value_type()), self._value_type())

    def sum(self, position_to_sum: int | str = 0) -> DataStream:
        """Rolling sum per key of one field, by position or name; 0 is the element itself if it has none."""
        return self._aggregate("sum", position_to_sum)

    def min(self, position_to_min: int | str = 0) -> DataStream:
        """Rolling minimum per key of one field; the other fields stay those of the first element."""
        return self._aggregate("min", position_to_min)

    def max(self, position_to_max: int | str = 0) -> DataStream:
        """Rolling maximum per key of one field; the other fields stay those of the first element."""
        return self._aggregate("max", position_to_max)

    def min_by(self, position_to_min_by: int | str = 0) -> DataStream:
        """The element with the smallest field so far, per key; the first of equals."""
        return self._aggregate("min_by", position_to_min_by)

    def max_by(self, position_to_max_by: int | str = 0) -> DataStream:
        """The element with the greatest field so far, per key; the first of equals."""
        return self._aggregate("max_by", position_to_max_by)

    def _aggregate(self, kind: str, position: int | str) -> DataStream:
        if not isinstance(position, (int, str)):
            raise TypeError(
                "The field position must be of int or str type to locate the value to calculate for min, "
                f"max, min_by, max_by and sum. The given type is: {type(position)}"
            )
        operator = AggregateOperator(kind, position, self._value_type())
        return self._apply(kind.title().replace("_", ""), operator, self._value_type())

    def key_by(
        self,
        key_selector: Callable[[Any], Any] | KeySelector | str | Expression,
        key_type: TypeInformation | str | Expression | None = None,
        *more_columns: str | Expression,
    ) -> KeyedStream:
        """Keys the original stream anew."""
        return self._origin.key_by(key_selector, key_type, *more_columns)

    def get_type(self) -> TypeInformation:
        """`Types.ROW([key type, element type])`, as in PyFlink; functions get the element alone."""
        key_type = self._key_type if self._key_type is not None else Types.PICKLED_BYTE_ARRAY()
        return Types.ROW([key_type, super().get_type()])

    def _collected(self) -> DataStream:
        """Keys and elements, before they go to where their keys are."""
        extracted = _with_key(self._origin, "KeyBy", self._selector, self._key_type)
        pairs = self.derived(extracted).transform("Map", KeyAndRowOperator(), None)
        if parallelism := self._origin.get_transformation().parallelism:
            pairs.set_parallelism(parallelism)
        return pairs

    def without_keys(self) -> DataStream:
        """*shmflink only.* The elements, where their keys have brought them."""
        return self._apply("_keyed_stream_values_operator", KeyedValuesOperator(), self._value_type())

    def assign_timestamps_and_watermarks(self, watermark_strategy: WatermarkStrategy) -> DataStream:
        with self._environment.program.all_or_nothing():
            return self.without_keys().assign_timestamps_and_watermarks(watermark_strategy)

    def sink_to(self, sink: Sink) -> DataStreamSink:
        with self._environment.program.all_or_nothing():
            return self.without_keys().sink_to(sink)

    def add_sink(self, sink_func: Sink | SinkFunction) -> DataStreamSink:
        with self._environment.program.all_or_nothing():
            return self.without_keys().add_sink(sink_func)

    def print(self, sink_identifier: str | None = None) -> DataStreamSink:
        with self._environment.program.all_or_nothing():
            return self.without_keys().print(sink_identifier)

    def shuffle(self) -> DataStream:
        raise JobGraphError(NO_PARTITIONING)

    def rescale(self) -> DataStream:
        raise JobGraphError(NO_PARTITIONING)

    def rebalance(self) -> DataStream:
        raise JobGraphError(NO_PARTITIONING)

    def forward(self) -> DataStream:
        raise JobGraphError(NO_PARTITIONING)

    def broadcast(self, *args: Any) -> DataStream:
        raise JobGraphError(NO_PARTITIONING)

    def partition_custom(
        self,
        partitioner: Callable[[Any, int], int] | Partitioner,
        key_selector: Callable[[Any], Any] | KeySelector,
    ) -> DataStream:
        raise JobGraphError(NO_PARTITIONING)

    def _recorded(self, method: str) -> RecordedOperator:
        """A keyed stream is no operator: everything that sets one up is forbidden, as in PyFlink."""
        raise JobGraphError(KEYED_STREAM_BANS[method])


def _partitioned(
    stream: DataStream, transformation: Transformation, strategy: ShipStrategy, partitioner: Any = None
) -> DataStream:
    """`transformation`, made from `stream`, with its rows distributed anew."""
    environment = stream.get_execution_environment()
    partitioned = PartitionTransformation(
        environment.program.next_id(),
        f"{strategy.lower()}()",
        (transformation,),
        transformation.output_type,
        strategy=strategy,
        partitioner=partitioner,
    )
    return DataStream(environment, partitioned)


def _with_key(stream: DataStream, name: str, selector: Any, key_type: TypeInformation | None) -> Transformation:
    """The stream with its keys extracted in the tasks that produce it; each branch of a union by itself."""

    def extractor() -> Operator:
        if isinstance(selector, ColumnKeys):
            return ColumnKeyExtractor(selector)
        return KeyExtractor(selector, key_type)

    return expand_branches(
        stream,
        lambda program, t: OperatorTransformation(program.next_id(), name, (t,), t.output_type, operator=extractor()),
    )


def _check_same(first: DataStream, other: DataStream) -> None:
    """Streams that are to be united."""
    if not isinstance(other, DataStream):
        raise TypeError(f"union() takes DataStreams, got {type(other).__name__}")
    if other.get_execution_environment() is not first.get_execution_environment():
        raise JobGraphError("union(): the streams belong to different environments")
    types = [stream.get_transformation().output_type for stream in (first, other)]
    if types[0] != types[1]:
        raise TypeMismatchError(f"Cannot union streams of different types: {types[0]} and {types[1]}")
