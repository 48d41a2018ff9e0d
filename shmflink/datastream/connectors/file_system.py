"""Files in and out under PyFlink's module name (`pyflink.datastream.connectors.file_system`)."""

from __future__ import annotations

from shmflink.connectors.file_system.formats.text.format import StreamFormat
from shmflink.connectors.file_system.reading.input_format import BulkFormat
from shmflink.connectors.file_system.reading.source import (
    FileEnumeratorProvider,
    FileSource,
    FileSourceBuilder,
    FileSplitAssignerProvider,
)
from shmflink.connectors.file_system.writing.buckets import BucketAssigner
from shmflink.connectors.file_system.writing.compaction import FileCompactor, FileCompactStrategy
from shmflink.connectors.file_system.writing.encoders import BulkWriterFactory, Encoder
from shmflink.connectors.file_system.writing.rolling import (
    DefaultRollingPolicy,
    OnCheckpointRollingPolicy,
    RollingPolicy,
)
from shmflink.connectors.file_system.writing.sink import FileSink, OutputFileConfig
from shmflink.connectors.file_system.writing.streaming_file_sink import StreamingFileSink

__all__ = [
    "BucketAssigner",
    "BulkFormat",
    "BulkWriterFactory",
    "DefaultRollingPolicy",
    "Encoder",
    "FileCompactStrategy",
    "FileCompactor",
    "FileEnumeratorProvider",
    "FileSink",
    "FileSource",
    "FileSourceBuilder",
    "FileSplitAssignerProvider",
    "OnCheckpointRollingPolicy",
    "OutputFileConfig",
    "RollingPolicy",
    "StreamFormat",
    "StreamingFileSink",
]
