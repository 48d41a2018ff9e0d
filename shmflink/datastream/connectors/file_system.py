"""Files in and out under PyFlink's module name (`pyflink.datastream.connectors.file_system`)."""

from __future__ import annotations

from shmflink.connectors.file_system.buckets import BucketAssigner
from shmflink.connectors.file_system.compaction import FileCompactor, FileCompactStrategy
from shmflink.connectors.file_system.encoders import BulkWriterFactory, Encoder
from shmflink.connectors.file_system.formats import BulkFormat, StreamFormat
from shmflink.connectors.file_system.rolling import DefaultRollingPolicy, OnCheckpointRollingPolicy, RollingPolicy
from shmflink.connectors.file_system.sink import FileSink, OutputFileConfig
from shmflink.connectors.file_system.source import (
    FileEnumeratorProvider,
    FileSource,
    FileSourceBuilder,
    FileSplitAssignerProvider,
)
from shmflink.connectors.file_system.streaming_file_sink import StreamingFileSink

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
