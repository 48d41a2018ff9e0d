"""Sources and sinks that PyFlink 2.3 has, with what is in its wheel: no further JARs."""

from __future__ import annotations

from collections.abc import Callable

from shmflink.connectors.base import Sink, Source
from shmflink.connectors.collect import CollectSink
from shmflink.connectors.collection import CollectionSource
from shmflink.connectors.file_system.formats.text.format import TextLinesFormat
from shmflink.connectors.file_system.reading.source import FileSource
from shmflink.connectors.file_system.writing.buckets import BucketAssigner, DateTimeBuckets
from shmflink.connectors.file_system.writing.encoders import SimpleStringEncoder
from shmflink.connectors.file_system.writing.rolling import DefaultRollingPolicy, OnCheckpointRollingPolicy
from shmflink.connectors.file_system.writing.sink import FileSink
from shmflink.connectors.number_sequence import NumberSequenceSource
from shmflink.connectors.print_sink import PrintSink
from shmflink.core.types.typeinfo import Types
from shmflink.core.watermark_strategy import WatermarkStrategy
from shmflink.flinktarget.verdict import Counterpart, has, lacks
from shmflink.plan.calls import Read, Write
from shmflink.plan.logical_plan import LogicalPlan
from shmflink.plan.node import Node

__all__ = ["sink_counterpart", "source_counterpart"]

_LINES = "FileSource.for_record_stream_format(StreamFormat.text_line_format(), path) and map()"
_ROWS = "map() to text and FileSink.for_row_format(path, Encoder.simple_string_encoder())"


def source_counterpart(
    of_strategy: Callable[[WatermarkStrategy], Counterpart | None],
) -> Callable[[Node, LogicalPlan], Counterpart]:
    """`of_strategy`: what keeps a watermark strategy from being PyFlink's."""

    def of(node: Node, _plan: LogicalPlan) -> Counterpart:
        call = node.call
        assert isinstance(call, Read), call
        found = _of_source(call.source)
        obstacle = None if call.watermark_strategy is None else of_strategy(call.watermark_strategy)
        return obstacle if obstacle is not None and found.is_portable else found

    return of


def _of_source(source: Source) -> Counterpart:
    if isinstance(source, CollectionSource):
        return has("StreamExecutionEnvironment.from_collection()")
    if isinstance(source, NumberSequenceSource):
        return has("NumberSequenceSource")
    if isinstance(source, FileSource):
        if not isinstance(source.file_format, TextLinesFormat):
            name = type(source.file_format).__name__
            return lacks(f"files of {name} as columns are shmflink only", _LINES)
        if source.produced_type != Types.STRING():
            return lacks("lines with columns of folders or metadata beside them are shmflink only", _LINES)
        return has("FileSource.for_record_stream_format()")
    return lacks(f"the source {type(source).__name__} is shmflink only", "a source of PyFlink's connectors")


def sink_counterpart(node: Node, _plan: LogicalPlan) -> Counterpart:
    """Of a call that writes."""
    call = node.call
    assert isinstance(call, Write), call
    return _of_sink(call.sink)


def _of_sink(sink: Sink) -> Counterpart:
    if isinstance(sink, PrintSink):
        return has("DataStream.print()")
    if isinstance(sink, CollectSink):
        return has("DataStream.execute_and_collect()")
    if isinstance(sink, FileSink):
        return _of_file_sink(sink)
    return lacks(f"the sink {type(sink).__name__} is shmflink only, or needs a JAR in Flink", _ROWS)


def _of_file_sink(sink: FileSink) -> Counterpart:
    settings = sink.settings
    if not isinstance(settings.output_format, SimpleStringEncoder):
        return lacks(f"files of {type(settings.output_format).__name__} from a stream are shmflink only", _ROWS)
    if type(settings.buckets) is not BucketAssigner and not isinstance(settings.buckets, DateTimeBuckets):
        return lacks("buckets by columns are shmflink only", "BucketAssigner.date_time_bucket_assigner()")
    if not isinstance(settings.rolling, DefaultRollingPolicy | OnCheckpointRollingPolicy):
        return lacks("RollingPolicy.limits() is shmflink only", "RollingPolicy.default_rolling_policy()")
    return has("FileSink.for_row_format()")
