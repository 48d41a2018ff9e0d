"""Methods of streams that work on single elements: functions, partitioning, sinks, results in the user's process."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any, overload

import pyarrow as pa

from shmflink.connectors.base import Sink
from shmflink.connectors.function_sink import FunctionSink
from shmflink.connectors.print_sink import PrintSink
from shmflink.core.schema_metadata import NO_METADATA, described_rows
from shmflink.core.ship_strategy import ShipStrategy
from shmflink.core.types.typeinfo import ColumnsTypeInfo, TypeInformation, schema_of
from shmflink.core.watermark_strategy import WatermarkStrategy
from shmflink.datastream.argument_checks import (
    check_function,
    check_key_selector,
    check_partitioner,
    check_process_function,
    checked_type,
    what_instead,
)
from shmflink.datastream.column_stream import ColumnStream
from shmflink.datastream.data_stream_sink import DataStreamSink
from shmflink.datastream.functions import (
    FilterFunction,
    FlatMapFunction,
    KeySelector,
    MapFunction,
    Partitioner,
    SinkFunction,
)
from shmflink.datastream.output_tag import OutputTag
from shmflink.datastream.process_functions import KeyedProcessFunction, ProcessFunction
from shmflink.datastream.recorded_stream import S
from shmflink.datastream.results import require
from shmflink.errors import JobGraphError, UsageError
from shmflink.expressions.node import Node
from shmflink.plan.calls import (
    Apply,
    AssignTimestamps,
    Filter,
    FilterColumns,
    FlatMap,
    Map,
    MapBatches,
    Partition,
    PartitionCustom,
    Process,
    Project,
    SideOutput,
    Write,
)
from shmflink.planner.carrying import carried_metadata

if TYPE_CHECKING:  # optional, and slow to import
    import pandas as pd
    import polars as pl

    from shmflink.datastream.collect import CloseableIterator
    from shmflink.operators.base import Operator

if TYPE_CHECKING:
    from shmflink.expressions import Expression

__all__ = ["RecordStream"]


class RecordStream(ColumnStream[S]):
    """Methods that apply functions to single elements."""

    # --- functions ---

    def map(self, func: Callable[[Any], Any] | MapFunction, output_type: TypeInformation | None = None) -> S:
        """One element out for each element in. On a keyed stream a MapFunction may use keyed state."""
        check_function(func, MapFunction, "The input must be a MapFunction or a callable function")
        return self.record(Map(func, checked_type(output_type)))

    def flat_map(
        self,
        func: Callable[[Any], Iterable[Any] | None] | FlatMapFunction,
        output_type: TypeInformation | None = None,
    ) -> S:
        """Any number of elements out for each element in: yield them, or return an iterable, or None.

        On a keyed stream a FlatMapFunction may use keyed state.
        """
        check_function(func, FlatMapFunction, "The input must be a FlatMapFunction or a callable function")
        return self.record(FlatMap(func, checked_type(output_type)))

    def filter(self, func: Callable[[Any], bool] | FilterFunction | Expression) -> S:
        """Keeps the elements for which `func` is true. On a keyed stream a FilterFunction may use keyed state.

        An expression over the columns (*shmflink only*) keeps the rows for which it is true, and drops false and null.
        """
        if isinstance(func, Node):
            return self.record(FilterColumns(func))
        check_function(func, FilterFunction, "The input must be a FilterFunction or a callable function")
        return self.record(Filter(func))

    def map_batches(
        self,
        fn: Callable[[pa.RecordBatch], pa.RecordBatch | Iterable[pa.RecordBatch] | None],
        output_type: TypeInformation | pa.Schema | None = None,
    ) -> S:
        """*shmflink only.* Applies `fn` to whole `pyarrow.RecordBatch`es; it returns one, several or None.

        shmflink chooses the sizes of batches; results must not depend on them. Timestamps are kept if the number of
        rows is unchanged. `output_type` declares the columns of the result, as one of `Types` or as a `pyarrow.Schema`;
        without it the columns are not known, and `key_by("name")`, `select()` and similar methods refuse the stream.
        """
        check_function(fn, None, "The input must be a callable function from a pyarrow.RecordBatch")
        declared = ColumnsTypeInfo(output_type) if isinstance(output_type, pa.Schema) else checked_type(output_type)
        return self.record(MapBatches(fn, declared))

    def project(self, *field_indexes: int) -> S:
        """Keeps the fields at these indexes of a stream of tuples, in this order."""
        return self.record(Project(field_indexes))

    def process(self, func: ProcessFunction | KeyedProcessFunction, output_type: TypeInformation | None = None) -> S:
        """Calls a ProcessFunction for each element, with its timestamp; it may emit to side outputs."""
        if isinstance(func, KeyedProcessFunction):
            raise JobGraphError("process(): a KeyedProcessFunction needs a keyed stream: call key_by() first")
        check_process_function(func, ProcessFunction)
        return self.record(Process(func, checked_type(output_type)))

    def assign_timestamps_and_watermarks(self, watermark_strategy: WatermarkStrategy) -> S:
        """Replaces the timestamps and watermarks of the stream by those of the strategy."""
        if not isinstance(watermark_strategy, WatermarkStrategy):
            raise TypeError(f"assign_timestamps_and_watermarks() takes a WatermarkStrategy, got {watermark_strategy!r}")
        return self.record(AssignTimestamps(watermark_strategy))

    def transform(self, name: str, operator: Operator, output_type: TypeInformation | None) -> S:
        """*shmflink only.* Applies an operator (`shmflink.operators.base.Operator`)."""
        return self.record(Apply(name, operator, checked_type(output_type)))

    # --- partitioning, side outputs ---

    def shuffle(self) -> S:
        """Rows go to random subtasks."""
        return self.record(Partition(ShipStrategy.SHUFFLE))

    def rebalance(self) -> S:
        """Rows go to all subtasks in turn."""
        return self.record(Partition(ShipStrategy.REBALANCE))

    def rescale(self) -> S:
        """Rows go in turn to a fixed subset of the next operator's subtasks."""
        return self.record(Partition(ShipStrategy.RESCALE))

    def forward(self) -> S:
        """Rows stay in the subtask of the same index; both ends need the same parallelism."""
        return self.record(Partition(ShipStrategy.FORWARD))

    def partition_custom(
        self,
        partitioner: Callable[[Any, int], int] | Partitioner,
        key_selector: Callable[[Any], Any] | KeySelector,
    ) -> S:
        """`partitioner(key, number of partitions)` chooses the subtask of each row. The stream is not keyed."""
        check_partitioner(partitioner)
        check_key_selector(key_selector)
        return self.record(PartitionCustom(partitioner, key_selector))

    def get_side_output(self, output_tag: OutputTag) -> S:
        """The side output with this tag of the operator or source that made this stream."""
        if not isinstance(output_tag, OutputTag):
            raise TypeError(f"get_side_output() takes an OutputTag, got {output_tag!r}")
        self._settings("get_side_output")
        return self.record(SideOutput(output_tag))

    # --- sinks ---

    def sink_to(self, sink: Sink) -> DataStreamSink:
        """Writes the stream to a sink."""
        if not isinstance(sink, Sink):
            raise TypeError(f"sink_to() takes a Sink, {what_instead(sink, 'FileSink.parquet({0})')}")
        return self._sink("Writer", sink)

    def add_sink(self, sink_func: Sink | SinkFunction) -> DataStreamSink:
        """Writes the stream to a Sink, like `sink_to`, or to a custom SinkFunction (*shmflink only*)."""
        if isinstance(sink_func, SinkFunction):
            return self._sink("Unnamed", FunctionSink(sink_func))
        if not isinstance(sink_func, Sink):
            raise TypeError(
                f"add_sink() takes a Sink or a SinkFunction, {what_instead(sink_func, 'FileSink.parquet({0})')}"
            )
        return self._sink("Unnamed", sink_func)

    def print(self, sink_identifier: str | None = None) -> DataStreamSink:
        """Writes every element as a line to standard output.

        Each update is a separate line. With parallelism above 1, each line begins with the subtask's number, 1-based:
        `2> `; with an identifier, `identifier:2> `.
        """
        return self._sink("Print to Std. Out", PrintSink(sink_identifier))

    def _sink(self, title: str, sink: Sink) -> DataStreamSink:
        recorded = self.environment.recorder.record(Write(sink, title), self.recorded)
        return DataStreamSink(recorded, self.environment.get_parallelism)

    # --- results; for updates: the final rows, when a bounded input has ended; of an unbounded input, every update ---

    @overload
    def execute_and_collect(self, job_execution_name: str | None = None) -> CloseableIterator[Any]: ...

    @overload
    def execute_and_collect(self, job_execution_name: str | None = None, *, limit: int) -> list[Any]: ...

    @overload
    def execute_and_collect(self, job_execution_name: str | None, limit: int) -> list[Any]: ...

    def execute_and_collect(
        self, job_execution_name: str | None = None, limit: int | None = None
    ) -> CloseableIterator[Any] | list[Any]:
        """Runs the job and returns its elements: as an iterator to close, or as a list of the first `limit`.

        The elements of a KeyedStream are `Row(f0=key, f1=value)`, as in PyFlink, in the order of their source. From a
        stream of updates (`aggregate()`, `reduce()`, ... in STREAMING mode) come the final rows, each once, when a
        bounded input has ended; if the input is unbounded, every update as it arrives. Call `updates()` before to
        receive every update of a bounded input, too.
        """
        if limit is not None and limit <= 0:
            raise UsageError(f"execute_and_collect(): limit must be greater than 0, got {limit}")
        with self.environment.recorder.all_or_nothing():
            iterator = self._collect(job_execution_name)
        if limit is None:
            return iterator
        with iterator:
            return list(islice(iterator, limit))

    def iter_batches(self, job_name: str | None = None) -> CloseableIterator[pa.RecordBatch]:
        """*shmflink only.* Runs the job and returns `pyarrow.RecordBatch`es as they arrive; closing cancels the job.

        They have the key-value metadata of their source as far as these still hold; see `FileSource.parquet`.
        """
        return self._batches(job_name, carried_metadata(self.recorded.plan())[self.node.id])

    def to_arrow(self, job_name: str | None = None) -> pa.Table:
        """*shmflink only.* Runs the job and returns the whole stream as a `pyarrow.Table`, in no particular order.

        It has the key-value metadata of its source as far as these still hold; see `FileSource.parquet`.
        """
        return self._table(job_name, carried_metadata(self.recorded.plan())[self.node.id])

    def collect_arrow(self, job_name: str | None = None) -> pa.Table:
        """*shmflink only.* The same as `to_arrow`."""
        return self.to_arrow(job_name)

    def to_pandas(self, job_name: str | None = None) -> pd.DataFrame:
        """*shmflink only.* Like `to_arrow`, but returns a `pandas.DataFrame`. Needs pandas."""
        require("pandas", "to_pandas()")
        frame: pd.DataFrame = self._table(job_name).to_pandas()
        return frame

    def to_polars(self, job_name: str | None = None) -> pl.DataFrame:
        """*shmflink only.* Like `to_arrow`, but returns a `polars.DataFrame`. Needs polars."""
        frame: pl.DataFrame = require("polars", "to_polars()").from_arrow(self._table(job_name))
        return frame

    def _batches(self, job_name: str | None, annotations: pa.Schema) -> CloseableIterator[pa.RecordBatch]:
        environment, declared = self.environment, self.declared_type
        with environment.recorder.all_or_nothing():
            return environment.collect_batches(self._collect_into, declared, job_name, annotations)

    def _table(self, job_name: str | None, annotations: pa.Schema = NO_METADATA) -> pa.Table:
        schema = schema_of(self.declared_type)
        with self._batches(job_name, annotations) as batches:
            found = list(batches)
        if schema is None:  # rows without a declared type
            return pa.Table.from_batches(found) if found else pa.table({})
        return pa.Table.from_batches(found, described_rows(schema, annotations))

    def _collect(self, job_name: str | None) -> CloseableIterator[Any]:
        return self.environment.collect(self._collect_into, job_name)

    def _collect_into(self, sink: Sink) -> None:
        """Ends the stream in a collecting sink, chained to the last task if there is one."""
        node = self.node
        collecting = self._sink("Data stream collect sink", sink)
        collecting.set_parallelism(node.settings.parallelism or -1 if node.call.is_operator else 1)
