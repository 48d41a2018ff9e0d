"""Sources and sinks of files and of lines, as calls of PyFlink's."""

from __future__ import annotations

from shmflink.connectors.base import Sink, Source
from shmflink.connectors.file_system.formats.text.format import TextLinesFormat
from shmflink.connectors.file_system.reading.source import FileSource
from shmflink.connectors.file_system.writing.buckets import DateTimeBuckets
from shmflink.connectors.file_system.writing.encoders import SimpleStringEncoder
from shmflink.connectors.file_system.writing.rolling import DefaultRollingPolicy
from shmflink.connectors.file_system.writing.sink import FileSink
from shmflink.connectors.print_sink import PrintSink
from shmflink.errors import JobGraphError

__all__ = ["file_sink_text", "file_source_text"]


def file_source_text(source: Source) -> str:
    """A source of lines."""
    assert isinstance(source, FileSource), source
    lines = source.file_format
    assert isinstance(lines, TextLinesFormat), lines
    paths = ", ".join(map(repr, source.paths))
    text = f"FileSource.for_record_stream_format(StreamFormat.text_line_format({lines.charset!r}), {paths})"
    if source.monitor_interval_ms is not None:
        text += f".monitor_continuously(Duration.of_millis({source.monitor_interval_ms}))"
    return f"{text}.build()"


def file_sink_text(sink: Sink, what: str) -> str:
    """The method of a stream that ends it in this sink."""
    if isinstance(sink, PrintSink):
        return f"print({sink.identifier!r})" if sink.identifier else "print()"
    if not isinstance(sink, FileSink):
        raise JobGraphError(
            f"{what}: what the program does with results that it reads itself is not part of the plan: write them to "
            "a FileSink, or print() them"
        )
    settings = sink.settings
    assert isinstance(settings.output_format, SimpleStringEncoder), settings
    encoder = f"Encoder.simple_string_encoder({settings.output_format.charset!r})"
    buckets, rolling, names = settings.buckets, settings.rolling, settings.names
    text = f"FileSink.for_row_format({settings.base_path!r}, {encoder})"
    if isinstance(buckets, DateTimeBuckets):
        arguments = (buckets.format_str, buckets.timezone_id)[: 1 + (buckets.timezone_id is not None)]
        text += f".with_bucket_assigner(BucketAssigner.date_time_bucket_assigner({', '.join(map(repr, arguments))}))"
    else:
        text += ".with_bucket_assigner(BucketAssigner.base_path_bucket_assigner())"
    if isinstance(rolling, DefaultRollingPolicy):
        limits = ", ".join(str(limit) for limit in rolling.limits_of_flink.values())
        text += f".with_rolling_policy(RollingPolicy.default_rolling_policy({limits}))"
    else:
        text += ".with_rolling_policy(RollingPolicy.on_checkpoint_rolling_policy())"
    if (names.prefix, names.suffix) != ("part", ""):
        text += f".with_output_file_config(OutputFileConfig({names.prefix!r}, {names.suffix!r}))"
    return f"sink_to({text}.build())"
