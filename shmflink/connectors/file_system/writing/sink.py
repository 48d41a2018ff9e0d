"""Writing files (`pyflink.datastream.connectors.file_system`: FileSink and its builders)."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final, Literal, NoReturn, Self, TypedDict, Unpack

import pyarrow as pa

from shmflink.config.checkpoint_options import CHECKPOINT_INTERVAL, HA_TYPE, RECOVERY_PATH
from shmflink.connectors.base import Committer, DeliveryGuarantee, Sink, SinkWriter
from shmflink.connectors.file_system.file_systems import FileSystem
from shmflink.connectors.file_system.formats.arrow.output import IpcWriterFactory
from shmflink.connectors.file_system.formats.orc.output import OrcWriterFactory
from shmflink.connectors.file_system.formats.parquet.output import ParquetOptions, ParquetWriterFactory
from shmflink.connectors.file_system.writing.buckets import BucketAssigner, partition_assigner
from shmflink.connectors.file_system.writing.encoders import BulkWriterFactory, Encoder, OutputFormat, no_rows
from shmflink.connectors.file_system.writing.output_compression import TextCompression
from shmflink.connectors.file_system.writing.output_file_config import OutputFileConfig
from shmflink.connectors.file_system.writing.parts.part_writers import PartNames, WriterSettings
from shmflink.connectors.file_system.writing.parts.staging import (
    FileCommitter,
    StagedFile,
    hidden_names,
    remove_leftovers,
)
from shmflink.connectors.file_system.writing.replacing import SinkMode, check_mode, refuse_files_before
from shmflink.connectors.file_system.writing.rolling import OnCheckpointRollingPolicy, RollingPolicy
from shmflink.connectors.file_system.writing.sink_writer import FileSinkWriter, Publishing
from shmflink.connectors.file_system.writing.text_output import (
    CsvStyle,
    CsvWriterFactory,
    JsonLinesWriterFactory,
    Timestamps,
)
from shmflink.connectors.keywords import check_keywords
from shmflink.core.changelog import Changelog
from shmflink.core.schema_metadata import metadata_of_fewer_rows
from shmflink.core.types.typeinfo import PickledBytesTypeInfo, schema_of
from shmflink.errors import ConfigurationError, JobGraphError, UsageError
from shmflink.operators.base import OperatorContext

__all__ = ["BulkFormatBuilder", "FileSink", "Layout", "OutputFileConfig", "RowFormatBuilder"]

_OPEN_PARTS_MAX: Final = 128
_BUFFERED_BYTES_MAX: Final = 32 << 20
_CHECK_INTERVAL_MS: Final = 60_000


class Layout(TypedDict, total=False):
    """*shmflink only.* Where the files of a sink go and when they are complete. All options are optional.

    - `partition_by`: columns, or assigners like `BucketAssigner.timestamp_bucket_assigner`, for nested folders.
    - `keep_partition_columns`: the files contain those columns as well.
    - `rolling`: when a file is full; never by default.
    - `publish`: files appear `at_end`, when all rows are written, or `when_rolled`, which an unbounded job without
      checkpoints needs; with checkpoints, files appear when a checkpoint completes.
    - `part_prefix`: the beginning of file names.
    - `schema`: the columns and their types; default: those of the rows.
    - `open_parts_max`: the largest number of files that a subtask writes at a time; to open another one, it closes the
      least recently written.
    - `buffered_bytes_max`: the memory of all open files together.
    - `check_interval_ms`: how often the age of files is checked.
    - `storage_options`, `file_system`: for remote paths, as in `FileSource`; files wait in the temporary directory
      until they are uploaded.
    - `mode`: what happens to visible files that exist when the job begins. `append` keeps them; with `error` the job
      does not start; with `overwrite` the first commit removes them, but no file that appeared since. A job that
      resumes from a checkpoint or savepoint does not begin again.
    - `empty_file`: in BATCH mode, a sink without rows writes one file with the columns, unless there are files already;
      not with `partition_by`, because rows determine the folders.
    """

    partition_by: str | BucketAssigner | Sequence[str | BucketAssigner]
    keep_partition_columns: bool
    rolling: RollingPolicy
    publish: Literal["at_end", "when_rolled"]
    part_prefix: str
    schema: pa.Schema
    open_parts_max: int
    buffered_bytes_max: int
    check_interval_ms: int
    mode: SinkMode
    empty_file: bool
    storage_options: Mapping[str, Any]
    file_system: Any


class FileSink(Sink):
    """Writes part files into bucket folders under a base path.

    Created by `parquet`, `csv`, `json_lines`, `ipc`, `orc` (*shmflink only*), or built as in Flink by `for_row_format`
    or `for_bulk_format`, whose default bucket is the hour, as in Flink.

    A file is named ``<prefix>-<id of the subtask>-<number><suffix>``, and appears completely or not at all. In a job
    without checkpoints, files appear when all subtasks have written all their rows; a job that fails or is canceled
    earlier leaves no file. In a job with checkpoints, a file appears when the checkpoint that holds its rows is
    complete, and each row is in one file exactly once, regardless of restarts.

    A checkpoint ends all files, except uncompressed text files with a rolling policy by size or time: after a restart,
    these are truncated to what the restored checkpoint holds. A savepoint ends these as well. If the path is remote,
    files are uploaded under hidden names and then moved; an object store copies them to do so.

    Between the two phases files have hidden names in `path` (`.*.inprogress.*`). The next attempt of the job removes
    leftovers; `leftovers` of `shmflink.connectors.file_system.writing.parts.staging` lists those of jobs that never run
    again.
    """

    BaseBuilder: ClassVar[Any]
    RowFormatBuilder: ClassVar[Any]
    BulkFormatBuilder: ClassVar[Any]

    def __init__(self, settings: Any, publishing: Any = None, *, makes_empty_file: bool = False) -> None:
        self._settings: WriterSettings = settings
        self._makes_empty_file = makes_empty_file
        self._publishing: Publishing = publishing or Publishing(False, _CHECK_INTERVAL_MS)

    @property
    def settings(self) -> WriterSettings:
        """*shmflink only.* Where and how the subtasks write."""
        return self._settings

    @staticmethod
    def for_row_format(base_path: str, encoder: Encoder) -> _RowFormatBuilder:
        """Records one after another, for example lines of text."""
        return _RowFormatBuilder(base_path, encoder)

    @staticmethod
    def for_bulk_format(base_path: str, writer_factory: BulkWriterFactory) -> _BulkFormatBuilder:
        """Records in batches, for example Parquet."""
        return _BulkFormatBuilder(base_path, writer_factory)

    @staticmethod
    def parquet(
        path: str,
        *,
        compression: str = "snappy",
        compression_level: int | None = None,
        row_group_rows: int = 1 << 18,
        row_group_bytes: int = 32 << 20,
        dictionary: bool | Sequence[str] | Literal["auto"] = "auto",
        encodings: Literal["plain", "compact"] = "plain",
        statistics: bool | Sequence[str] = True,
        page_index: bool = False,
        bloom_filters: Sequence[str] = (),
        data_page_version: Literal["1.0", "2.0"] = "1.0",
        metadata: Mapping[str, str] | None = None,
        **layout: Unpack[Layout],
    ) -> FileSink:
        """*shmflink only.* Parquet files below `path`; `ParquetOptions` and `Layout` document the options."""
        options = ParquetOptions(
            compression=compression,
            compression_level=compression_level,
            row_group_rows=row_group_rows,
            row_group_bytes=row_group_bytes,
            dictionary=dictionary,
            encodings=encodings,
            statistics=statistics,
            page_index=page_index,
            bloom_filters=bloom_filters,
            data_page_version=data_page_version,
            metadata=dict(metadata or {}),
        )
        return _laid_out("parquet", path, ParquetWriterFactory(layout.get("schema"), options=options), layout)

    @staticmethod
    def csv(
        path: str,
        *,
        header: bool = True,
        delimiter: str = ",",
        quoting: Literal["minimal", "all", "none"] = "minimal",
        quote: str = '"',
        null_text: str = "",
        line_end: str = "\n",
        timestamps: Timestamps = "sql",
        compression: TextCompression = "none",
        compression_level: int | None = None,
        **layout: Unpack[Layout],
    ) -> FileSink:
        """*shmflink only.* CSV files below `path`; `CsvStyle` and `Layout` document the options."""
        dialect = CsvStyle(delimiter, header, quoting, quote, null_text, line_end, timestamps)
        factory = CsvWriterFactory(dialect, layout.get("schema"), compression, compression_level)
        return _laid_out("csv", path, factory, layout)

    @staticmethod
    def json_lines(
        path: str,
        *,
        omit_nulls: bool = False,
        timestamps: Timestamps = "sql",
        compression: TextCompression = "none",
        compression_level: int | None = None,
        **layout: Unpack[Layout],
    ) -> FileSink:
        """*shmflink only.* Files of JSON objects, one per line, below `path`; `Layout` documents the options.

        NaN and infinities, which JSON lacks, are null; bytes are base64.
        """
        factory = JsonLinesWriterFactory(layout.get("schema"), compression, compression_level, omit_nulls, timestamps)
        return _laid_out("json_lines", path, factory, layout)

    @staticmethod
    def ipc(
        path: str,
        *,
        compression: Literal["none", "lz4", "zstd"] = "none",
        compression_level: int | None = None,
        **layout: Unpack[Layout],
    ) -> FileSink:
        """*shmflink only.* Arrow IPC files below `path`; `Layout` documents the options."""
        return _laid_out("ipc", path, IpcWriterFactory(layout.get("schema"), compression, compression_level), layout)

    @staticmethod
    def orc(
        path: str,
        *,
        compression: Literal["none", "snappy", "zlib", "lz4", "zstd"] = "zlib",
        stripe_bytes: int = 64 << 20,
        **layout: Unpack[Layout],
    ) -> FileSink:
        """*shmflink only.* ORC files below `path`, in stripes of about `stripe_bytes`; `Layout` documents the
        options.
        """
        return _laid_out("orc", path, OrcWriterFactory(layout.get("schema"), compression, stripe_bytes), layout)

    @staticmethod
    def avro(path: str, *_arguments: Any, **_options: Any) -> NoReturn:
        """Not available: as in Flink, Avro files are written with an Avro schema.

        Raises:
            UsageError: always; the message shows how.
        """
        raise UsageError(
            f"FileSink.avro(): Avro files need an Avro schema: FileSink.for_bulk_format({path!r}, "
            "AvroBulkWriters.for_generic_record(AvroSchema.parse_string(...))).build(); both names are in "
            "shmflink.datastream.formats.avro"
        )

    def with_input_type(self, declared: Any) -> FileSink:
        schema = schema_of(declared)
        if schema is None:
            output_format = self._settings.output_format
            if (
                isinstance(declared, PickledBytesTypeInfo)
                and output_format.is_bulk
                and isinstance(output_format, BulkWriterFactory)
            ):
                raise output_format.without_columns()
            return self
        self._check_columns(schema)
        if self._publishing.no_rows is not None or not self._makes_empty_file:
            return self
        return FileSink(self._settings, replace(self._publishing, no_rows=schema), makes_empty_file=True)

    def with_input_metadata(self, rows: pa.Schema) -> FileSink:
        """Parquet and Arrow IPC files store metadata, ORC files that of columns. A file may contain only a part of
        the rows.
        """
        output_format = self._settings.output_format
        if not isinstance(output_format, BulkWriterFactory):
            return self
        settings = replace(self._settings, output_format=output_format.with_metadata(metadata_of_fewer_rows(rows)))
        return FileSink(settings, self._publishing, makes_empty_file=self._makes_empty_file)

    def _check_columns(self, given: pa.Schema) -> None:
        """Raises TypeMismatchError or ConfigurationError for columns that the files cannot hold."""
        settings = self._settings
        rows = no_rows(settings.output_format.declared or given)
        if settings.buckets.is_by_value:
            list(settings.buckets.split(rows))
        settings.output_format.check_columns(settings.buckets.strip(rows).schema)

    def check_target(self, configuration: Mapping[str, str]) -> None:
        """Only checks a job that cannot resume: for others, only the tasks know whether the job begins."""
        may_resume = RECOVERY_PATH.read(configuration) or HA_TYPE.read(configuration) != "NONE"
        if self._publishing.mode == "error" and not may_resume:
            refuse_files_before(self._settings.files, self._settings.base_path)

    def create_writer(self, context: OperatorContext) -> SinkWriter:
        return self.restore_writer(context, ())

    def restore_writer(self, context: OperatorContext, states: Sequence[StagedFile]) -> SinkWriter:
        publishing = self._publishing
        if _has_checkpoints(context.configuration):
            publishing = replace(publishing, when_rolled=False)
        return FileSinkWriter(self._settings, publishing, context, states)

    def create_committer(self, context: OperatorContext) -> Committer:
        return FileCommitter(self._settings.files)

    def remove_leftovers(self, context: OperatorContext, kept: Sequence[StagedFile]) -> None:
        hidden = hidden_names(kept)
        remove_leftovers(self._settings.base_path, self._settings.files, context, hidden)

    def takes_updates(self, changelog: Changelog) -> bool:
        """Accepts only updates of per-record functions (`reduce()`, `sum()`, ...), each as a record, as in Flink."""
        return changelog.of_records

    def delivery_guarantee(self, configuration: Mapping[str, str]) -> DeliveryGuarantee:
        """Exactly-once, except for a job without checkpoints that publishes when files are full and is restarted."""
        if self._publishing.when_rolled and not _has_checkpoints(configuration):
            return DeliveryGuarantee.AT_LEAST_ONCE
        return DeliveryGuarantee.EXACTLY_ONCE


class _Builder:
    """The common part of both builders."""

    def __init__(self, base_path: str, output_format: OutputFormat, rolling: RollingPolicy) -> None:
        files = FileSystem()
        self._settings = WriterSettings(
            base_path=_output_directory(base_path, files),
            files=files,
            output_format=output_format,
            buckets=BucketAssigner.date_time_bucket_assigner(),
            rolling=rolling,
            names=PartNames("part", ""),
            open_parts_max=_OPEN_PARTS_MAX,
            buffered_bytes_max=_BUFFERED_BYTES_MAX,
        )
        self._check_interval_ms = _CHECK_INTERVAL_MS

    def with_bucket_check_interval(self, interval: int) -> Self:
        """How often, in milliseconds, the age of parts is checked; a minute by default."""
        if interval < 1:
            raise ConfigurationError(f"with_bucket_check_interval() needs milliseconds, at least 1, got {interval}")
        self._check_interval_ms = interval
        return self

    def with_bucket_assigner(self, bucket_assigner: BucketAssigner) -> Self:
        """Chooses the folder under the base path for each record."""
        self._settings = replace(self._settings, buckets=bucket_assigner)
        return self

    def with_output_file_config(self, output_file_config: OutputFileConfig) -> Self:
        """How the files are named."""
        names = PartNames(output_file_config.get_part_prefix(), output_file_config.get_part_suffix())
        self._settings = replace(self._settings, names=names)
        return self

    def with_rolling_policy(self, rolling_policy: RollingPolicy) -> Self:
        """When a file is full."""
        self._settings = replace(self._settings, rolling=rolling_policy)
        return self

    def disable_compact(self) -> Self:
        """The default: files are not compacted."""
        return self

    def enable_compact(self, strategy: Any, compactor: Any) -> Self:
        """Not in this version.

        Raises:
            JobGraphError: always; the message shows how to write larger files from the start.
        """
        raise JobGraphError(
            "enable_compact(): this version does not compact files after they were written. For fewer and larger "
            "files, use with_rolling_policy(RollingPolicy.default_rolling_policy(part_size=...)), a longer "
            "execution.checkpointing.interval where files roll on checkpoints, or a smaller parallelism of the sink"
        )

    def build(self) -> FileSink:
        return FileSink(self._settings, Publishing(False, self._check_interval_ms))


class _RowFormatBuilder(_Builder):
    """Builds a FileSink that writes record by record."""

    def __init__(self, base_path: str, encoder: Encoder) -> None:
        super().__init__(base_path, encoder, RollingPolicy.default_rolling_policy())

    def with_rolling_policy(self, rolling_policy: RollingPolicy) -> Self:
        """When a file is full; records of a row format are not counted."""
        if rolling_policy.rows_max is not None:
            raise ConfigurationError("a row format cannot count rows: roll by size or time, or use FileSink.csv()")
        return super().with_rolling_policy(rolling_policy)


class _BulkFormatBuilder(_Builder):
    """Builds a FileSink that writes batch by batch."""

    def __init__(self, base_path: str, writer_factory: BulkWriterFactory) -> None:
        super().__init__(base_path, writer_factory, RollingPolicy.on_checkpoint_rolling_policy())

    def with_rolling_policy(self, rolling_policy: RollingPolicy) -> Self:
        """Only the on-checkpoint policy, as in Flink; `FileSink.parquet(rolling=...)` takes any."""
        if not isinstance(rolling_policy, OnCheckpointRollingPolicy):
            raise ValueError("rolling_policy must be OnCheckpointRollingPolicy for bulk format")  # noqa: TRY004  PyFlink's
        return super().with_rolling_policy(rolling_policy)


RowFormatBuilder = _RowFormatBuilder
BulkFormatBuilder = _BulkFormatBuilder
FileSink.BaseBuilder = _Builder
FileSink.RowFormatBuilder = RowFormatBuilder
FileSink.BulkFormatBuilder = BulkFormatBuilder


def _laid_out(method: str, path: str, output_format: OutputFormat, layout: Layout) -> FileSink:
    taken = inspect.signature(getattr(FileSink, method)).parameters
    check_keywords(f"FileSink.{method}()", layout, {*Layout.__annotations__, *taken} - {"path", "layout"})
    publish = layout.get("publish", "at_end")
    if publish not in ("at_end", "when_rolled"):
        raise ConfigurationError(f"publish={publish!r}: must be at_end or when_rolled")
    mode = layout.get("mode", "append")
    check_mode(mode, publish)
    limits = {
        "open_parts_max": layout.get("open_parts_max", _OPEN_PARTS_MAX),
        "buffered_bytes_max": layout.get("buffered_bytes_max", _BUFFERED_BYTES_MAX),
        "check_interval_ms": layout.get("check_interval_ms", _CHECK_INTERVAL_MS),
    }
    for name, value in limits.items():
        if value < 1:
            raise ConfigurationError(f"{name} must be at least 1, got {value}")
    files = FileSystem(layout.get("storage_options"), layout.get("file_system"))
    config = OutputFileConfig.builder().with_part_prefix(layout.get("part_prefix", "part")).build()
    settings = WriterSettings(
        base_path=_output_directory(path, files),
        files=files,
        output_format=output_format,
        buckets=partition_assigner(
            layout.get("partition_by", ()), keep_columns=layout.get("keep_partition_columns", False)
        ),
        rolling=layout.get("rolling", RollingPolicy.on_checkpoint_rolling_policy()),
        names=PartNames(config.get_part_prefix(), output_format.extension),
        open_parts_max=limits["open_parts_max"],
        buffered_bytes_max=limits["buffered_bytes_max"],
    )
    no_rows = layout.get("schema") if layout.get("empty_file", True) else None
    publishing = Publishing(publish == "when_rolled", limits["check_interval_ms"], mode, no_rows)
    return FileSink(settings, publishing, makes_empty_file=layout.get("empty_file", True))


def _has_checkpoints(configuration: Mapping[str, str]) -> bool:
    return CHECKPOINT_INTERVAL.read(configuration) is not None


def _output_directory(base_path: str, files: FileSystem) -> str:
    path = files.absolute(base_path)
    if files.is_local(path) and os.path.exists(path) and not os.path.isdir(path):
        raise JobGraphError(f"{path}: a file sink needs a directory, but this is a file")
    return path
