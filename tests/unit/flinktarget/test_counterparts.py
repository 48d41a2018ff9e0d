"""What PyFlink 2.3 has for each kind of call, or why it has nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from shmflink.common import Duration, Encoder, Time, Types, WatermarkStrategy
from shmflink.connectors.collection import CollectionSource
from shmflink.connectors.file_system.reading.source import FileSource
from shmflink.connectors.file_system.writing.sink import FileSink
from shmflink.connectors.number_sequence import NumberSequenceSource
from shmflink.connectors.print_sink import PrintSink
from shmflink.core.output_tag import OutputTag
from shmflink.core.ship_strategy import ShipStrategy
from shmflink.core.types.typeinfo import ColumnsTypeInfo
from shmflink.datastream import MapFunction
from shmflink.datastream.connectors.file_system import BucketAssigner, RollingPolicy, StreamFormat
from shmflink.datastream.functions import CheckpointedFunction
from shmflink.datastream.window import CountTrigger
from shmflink.expressions import col, count
from shmflink.flinktarget.counterparts import COUNTERPARTS, counterpart
from shmflink.operators.windows.assigners import EventTimeSessionWindows, TumblingEventTimeWindows
from shmflink.operators.windows.evictors import CountEvictor
from shmflink.operators.windows.triggers import DeltaTrigger, EventTimeTrigger
from shmflink.plan import calls
from shmflink.planner.rules import RULES

ROWS = Types.ROW_NAMED(["user", "n"], [Types.STRING(), Types.LONG()])
USER = (("user", col("user")),)
TIMED = WatermarkStrategy.for_monotonous_timestamps()
SECONDS = calls.Windows(TumblingEventTimeWindows.of(Time.seconds(1)))
SESSIONS = calls.Windows(EventTimeSessionWindows.with_gap(Time.seconds(1)))
EVICTING = calls.Windows(SECONDS.assigner, evictor=CountEvictor.of(1))


class Remembering(MapFunction, CheckpointedFunction):
    def map(self, value: Any) -> Any:
        return value

    def initialize_state(self, context: Any) -> None:
        """Asks for nothing."""


class Mine(EventTimeTrigger):
    """A trigger of the user's own."""


def test_each_call_that_the_planner_knows_has_an_answer() -> None:
    assert COUNTERPARTS.keys() == RULES.keys()


def waits(**settings: Any) -> calls.AsyncWait:
    return calls.AsyncWait(len, timeout_ms=0, capacity=1, **settings)


PORTABLE: list[tuple[Any, str]] = [
    (calls.Map(len), "DataStream.map()"),
    (calls.Filter(len), "DataStream.filter()"),
    (calls.KeyBy(len), "DataStream.key_by()"),
    (calls.Reduce(max), "KeyedStream.reduce()"),
    (calls.RollingAggregate("min_by", 1), "KeyedStream.min_by()"),
    (
        calls.AssignTimestamps(TIMED.with_idleness(Duration.of_seconds(1))),
        "DataStream.assign_timestamps_and_watermarks()",
    ),
    (calls.Partition(ShipStrategy.RESCALE), "DataStream.rescale()"),
    (calls.PartitionCustom(min, len), "DataStream.partition_custom()"),
    (calls.SideOutput(OutputTag("late")), "DataStream.get_side_output()"),
    (calls.WindowApply(SECONDS, EventTimeTrigger(), "reduce", max), "WindowedStream.reduce()"),
    (calls.WindowApply(SESSIONS, CountTrigger.of(2), "apply", function=len), "WindowedStream.apply()"),
    (calls.WindowApply(SECONDS, Mine(), "reduce", max), "WindowedStream.reduce()"),
    (
        calls.WindowApply(calls.Windows(SECONDS.assigner, is_all=True), EventTimeTrigger(), "aggregate", max),
        "AllWindowedStream.aggregate()",
    ),
    (waits(is_ordered=False), "AsyncDataStream.unordered_wait()"),
    (waits(is_ordered=True), "AsyncDataStream.ordered_wait()"),
]
REFUSED: list[tuple[Any, str]] = [
    (calls.Map(Remembering()), "Remembering is a CheckpointedFunction, which PyFlink lacks"),
    (calls.MapBatches(len), "map_batches() is shmflink only"),
    (calls.FilterColumns(col("n") > 1), "filter() with an expression is shmflink only"),
    (calls.AsColumns(ColumnsTypeInfo(pa.schema([("n", pa.int64())]))), "as_columns() is shmflink only"),
    (calls.KeyBy(USER), "key_by() by columns is shmflink only"),
    (calls.Aggregate(USER, (("n", count()),)), "aggregate() over expressions is shmflink only"),
    (calls.AssignTimestamps(TIMED.with_timestamp_column("n")), "with_timestamp_column() is shmflink only"),
    (calls.AssignTimestamps(TIMED.with_max_ahead(Duration.of_seconds(1))), "with_max_ahead() is shmflink only"),
    (calls.WindowApply(EVICTING, EventTimeTrigger(), "apply", function=len), "PyFlink has no evictors"),
    (calls.WindowApply(SECONDS, DeltaTrigger.of(1, min), "reduce", max), "DeltaTrigger is shmflink only"),
    (calls.Final(), "final() is shmflink only"),
    (calls.Join(("user",), ("user",), "inner", True, "_right"), "join() of columns is shmflink only"),
    (waits(is_ordered=False, is_of_batches=True), "an AsyncBatchFunction is shmflink only"),
]


def answered(writer: Any, call: Any) -> Any:
    """The answer for a call behind rows that are read and mapped."""
    source = writer.call(calls.Read(CollectionSource([], ROWS), "rows", ROWS))
    mapped = writer.call(calls.Map(tuple, ROWS), source)
    inputs = (mapped.id,) if not isinstance(call, calls.Read) else ()
    node = type(mapped)(writer.following, "it", call, inputs)
    writer.nodes.append(node)
    return counterpart(node, writer.plan)


@pytest.mark.parametrize(("call", "method"), PORTABLE)
def test_what_pyflink_has_is_named(writer: Any, call: Any, method: str) -> None:
    verdict = answered(writer, call)
    assert (verdict.obstacle, verdict.method) == ("", method)


@pytest.mark.parametrize(("call", "obstacle"), REFUSED)
def test_what_pyflink_lacks_is_named_with_what_to_write(writer: Any, call: Any, obstacle: str) -> None:
    verdict = answered(writer, call)
    assert obstacle in verdict.obstacle
    assert verdict.instead
    assert not verdict.is_portable


def read(source: Any, strategy: WatermarkStrategy | None = None) -> calls.Read:
    return calls.Read(source, "in", source.produced_type, strategy)


def test_sources_and_sinks_are_those_of_pyflinks_wheel(writer: Any, tmp_path: Path) -> None:
    lines = tmp_path / "lines.txt"
    lines.write_text("a\n")
    text = FileSource.for_record_stream_format(StreamFormat.text_line_format(), str(lines)).build()
    out = FileSink.for_row_format(str(tmp_path / "out"), Encoder.simple_string_encoder())
    by_user, limits = BucketAssigner.column_bucket_assigner("user"), RollingPolicy.limits(part_bytes=1)
    portable = [
        (read(CollectionSource([1])), "StreamExecutionEnvironment.from_collection()"),
        (read(NumberSequenceSource(1, 2)), "NumberSequenceSource"),
        (read(text), "FileSource.for_record_stream_format()"),
        (calls.Write(PrintSink(), "print"), "DataStream.print()"),
        (calls.Write(out.build(), "out"), "FileSink.for_row_format()"),
        (
            calls.Write(out.with_bucket_assigner(BucketAssigner.base_path_bucket_assigner()).build(), "out"),
            "FileSink.for_row_format()",
        ),
    ]
    for call, method in portable:
        assert answered(writer, call).method == method
    refused = [
        (read(FileSource.csv(str(lines))), "files of CsvFormat as columns are shmflink only"),
        (read(text, TIMED.with_timestamp_column("n")), "with_timestamp_column() is shmflink only"),
        (read(writer.table().call.source), "the source ArrowSource is shmflink only"),
        (calls.Write(FileSink.parquet(str(tmp_path / "p")), "p"), "files of ParquetWriterFactory from a stream"),
        (calls.Write(out.with_rolling_policy(limits).build(), "out"), "RollingPolicy.limits() is shmflink only"),
        (calls.Write(out.with_bucket_assigner(by_user).build(), "out"), "buckets by columns are shmflink only"),
    ]
    for call, obstacle in refused:
        assert obstacle in answered(writer, call).obstacle


def test_side_outputs_of_sources_are_ours(writer: Any) -> None:
    source = writer.table()
    side = writer.call(calls.SideOutput(OutputTag("malformed")), source)
    assert counterpart(side, writer.plan).obstacle == "side outputs of sources are shmflink only"
