"""Writing files (`pyflink.datastream.connectors.file_system`: FileSink and its builders)."""

from __future__ import annotations

import contextlib
import os
import uuid
from dataclasses import dataclass
from typing import Any, Final, Self

from shmflink.connectors.base import Sink, SinkWriter
from shmflink.connectors.file_system.buckets import BucketAssigner
from shmflink.connectors.file_system.encoders import BulkWriter, BulkWriterFactory, Encoder, OutputFormat
from shmflink.connectors.file_system.part_file import PartFile
from shmflink.connectors.file_system.rolling import OnCheckpointRollingPolicy, RollingPolicy
from shmflink.connectors.file_system.splits import local_path
from shmflink.connectors.outbox import Outbox
from shmflink.core.batch import Batch
from shmflink.errors import ConfigurationError, JobGraphError, ResourceError
from shmflink.operators.base import OperatorContext

__all__ = ["FileSink", "OutputFileConfig"]

_WAITING_DESCRIPTORS_MAX: Final = 64
"""Full parts beyond this number wait under hidden names instead of in open descriptors."""


@dataclass(frozen=True, slots=True)
class OutputFileConfig:
    """What stands before and after the unique part of a file's name."""

    part_prefix: str = "part"
    part_suffix: str = ""

    @staticmethod
    def builder() -> OutputFileConfigBuilder:
        return OutputFileConfigBuilder()

    def get_part_prefix(self) -> str:
        """What a file's name begins with."""
        return self.part_prefix

    def get_part_suffix(self) -> str:
        """What a file's name ends with."""
        return self.part_suffix


class OutputFileConfigBuilder:
    """Builds an OutputFileConfig."""

    def __init__(self) -> None:
        self._prefix = "part"
        self._suffix = ""

    def with_part_prefix(self, prefix: str) -> OutputFileConfigBuilder:
        """The beginning of the file names; `part` by default."""
        self._prefix = _name_part(prefix)
        return self

    def with_part_suffix(self, suffix: str) -> OutputFileConfigBuilder:
        """The end of the file names; empty by default."""
        self._suffix = _name_part(suffix)
        return self

    def build(self) -> OutputFileConfig:
        return OutputFileConfig(self._prefix, self._suffix)


@dataclass(frozen=True, slots=True)
class _Settings:
    base_path: str
    output_format: OutputFormat
    buckets: BucketAssigner
    rolling: RollingPolicy
    names: OutputFileConfig


class FileSink(Sink):
    """Writes part files into bucket folders under a base path.

    Built by `for_row_format` or `for_bulk_format`.

    A file is named ``<prefix>-<id of the subtask>-<number><suffix>``, and appears, whole, when its subtask
    has written all its rows; a job that fails or is cancelled before leaves nothing of that subtask. The
    default bucket is the hour, as in Flink.
    """

    def __init__(self, settings: Any) -> None:
        self._settings: _Settings = settings

    @staticmethod
    def for_row_format(base_path: str, encoder: Encoder) -> RowFormatBuilder:
        """Records one after the other, such as lines of text."""
        return RowFormatBuilder(base_path, encoder)

    @staticmethod
    def for_bulk_format(base_path: str, writer_factory: BulkWriterFactory) -> BulkFormatBuilder:
        """Records in batches, such as Parquet."""
        return BulkFormatBuilder(base_path, writer_factory)

    def create_writer(self, context: OperatorContext) -> SinkWriter:
        return _FileWriter(self._settings, context)


class _Builder:
    """What both builders have in common."""

    def __init__(self, base_path: str, output_format: OutputFormat, rolling: RollingPolicy) -> None:
        self._base_path = local_path(base_path)
        if os.path.exists(self._base_path) and not os.path.isdir(self._base_path):
            raise JobGraphError(f"{self._base_path}: a file sink writes into a directory, this is a file")
        self._format = output_format
        self._rolling = rolling
        self._buckets = BucketAssigner.date_time_bucket_assigner()
        self._names = OutputFileConfig()

    def with_bucket_check_interval(self, interval: int) -> Self:
        """Changes nothing: a part is closed at the next write after it is full, or at the end."""
        return self

    def with_bucket_assigner(self, bucket_assigner: BucketAssigner) -> Self:
        """In which folder under the base path records go."""
        self._buckets = bucket_assigner
        return self

    def with_output_file_config(self, output_file_config: OutputFileConfig) -> Self:
        """How the files are named."""
        self._names = output_file_config
        return self

    def with_rolling_policy(self, rolling_policy: RollingPolicy) -> Self:
        """When a file is full."""
        self._rolling = rolling_policy
        return self

    def disable_compact(self) -> Self:
        """The default: files are left as they were written."""
        return self

    def enable_compact(self, strategy: Any, compactor: Any) -> Self:
        """Not supported yet.

        Raises:
            JobGraphError: always.
        """
        raise JobGraphError("compaction of output files is not supported in this release; use larger parts instead")

    def build(self) -> FileSink:
        return FileSink(_Settings(self._base_path, self._format, self._buckets, self._rolling, self._names))


class RowFormatBuilder(_Builder):
    """Builds a FileSink that writes record by record."""

    def __init__(self, base_path: str, encoder: Encoder) -> None:
        super().__init__(base_path, encoder, RollingPolicy.default_rolling_policy())


class BulkFormatBuilder(_Builder):
    """Builds a FileSink that writes batch by batch."""

    def __init__(self, base_path: str, writer_factory: BulkWriterFactory) -> None:
        super().__init__(base_path, writer_factory, RollingPolicy.on_checkpoint_rolling_policy())

    def with_rolling_policy(self, rolling_policy: RollingPolicy) -> Self:
        """Only the on-checkpoint policy, as in Flink."""
        if not isinstance(rolling_policy, OnCheckpointRollingPolicy):
            raise ValueError("rolling_policy must be OnCheckpointRollingPolicy for bulk format")  # noqa: TRY004  PyFlink's
        return super().with_rolling_policy(rolling_policy)


class _FileWriter(SinkWriter):
    """Encodes in the slot's thread; a thread of its own waits for the disk."""

    def __init__(self, settings: _Settings, context: OperatorContext) -> None:
        self._settings = settings
        self._clock = context.clock
        self._made_base_path = _make_directory(settings.base_path)
        self._parts = _Parts(settings)
        self._outbox = Outbox(f"files {context.task_name}", context.mailbox, self._parts.write, self._parts.publish)

    def write(self, batch: Batch) -> None:
        if batch.num_rows:
            self._outbox.put((self._clock.processing_time_ms(), self._settings.output_format.encode(batch)))

    @property
    def is_available(self) -> bool:
        return self._outbox.is_available

    def finish(self) -> None:
        self._outbox.finish()

    @property
    def is_finished(self) -> bool:
        return self._outbox.is_finished

    def close(self) -> None:
        if self._outbox.close() and not self._parts.is_published:
            self._parts.discard()
            if self._made_base_path:
                with contextlib.suppress(OSError):
                    os.rmdir(self._settings.base_path)


class _Part:
    """One part file and the writer of its content."""

    def __init__(self, file: PartFile, writer: BulkWriter, path: str, now_ms: int) -> None:
        self.file = file
        self.writer = writer
        self.path = path
        self.opened_ms = self.written_ms = now_ms


class _Parts:
    """The open and the full part files of one subtask.

    Used by the outbox's thread alone, `discard` after it ended.
    """

    def __init__(self, settings: _Settings) -> None:
        self._settings = settings
        self._id = uuid.uuid4()
        self._count = 0
        self._open: dict[str, _Part] = {}
        self._full: list[_Part] = []
        self.is_published = False

    def write(self, item: tuple[int, Any]) -> None:
        now_ms, encoded = item
        bucket = self._settings.buckets.bucket_of(now_ms)
        part = self._open.get(bucket)
        if part is not None and self._is_full(part, now_ms):
            self._close(bucket)
            part = None
        if part is None:
            part = self._open[bucket] = self._begin(bucket, encoded, now_ms)
        try:
            part.writer.write(encoded)
        except OSError as error:
            raise ResourceError(f"{part.path}: cannot be written: {error.strerror or error}") from error
        part.written_ms = now_ms

    def publish(self) -> None:
        for bucket in list(self._open):
            self._close(bucket)
        for part in self._full:
            part.file.publish(part.path)
        self.is_published = True

    def discard(self) -> None:
        for part in (*self._open.values(), *self._full):
            part.writer.abandon()
            part.file.discard()

    def _is_full(self, part: _Part, now_ms: int) -> bool:
        size = part.file.size_bytes + part.writer.buffered_bytes
        return self._settings.rolling.should_roll(size, part.opened_ms, part.written_ms, now_ms)

    def _begin(self, bucket: str, first: Any, now_ms: int) -> _Part:
        names = self._settings.names
        name = f"{names.part_prefix}-{self._id}-{self._count}{names.part_suffix}"
        self._count += 1
        file = PartFile(self._settings.base_path, name)
        try:
            writer = self._settings.output_format.create(file.file, first)
        except BaseException:
            file.discard()
            raise
        return _Part(file, writer, os.path.join(self._settings.base_path, bucket, name), now_ms)

    def _close(self, bucket: str) -> None:
        part = self._open.pop(bucket)
        self._full.append(part)
        part.writer.close()
        if len(self._full) > _WAITING_DESCRIPTORS_MAX:
            part.file.park()


def _make_directory(path: str) -> bool:
    """True where it was made here."""
    try:
        os.makedirs(path)
        return True
    except FileExistsError:
        if os.path.isdir(path):
            return False
        raise ResourceError(f"{path}: a file sink writes into a directory, this is a file") from None
    except OSError as error:
        raise ResourceError(f"{path}: cannot be made: {error.strerror}") from error


def _name_part(text: str) -> str:
    if "/" in text or "\0" in text:
        raise ConfigurationError(f"{text!r} cannot be part of a file name")
    return text
