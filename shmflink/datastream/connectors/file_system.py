"""Files in and out under PyFlink's module name (`pyflink.datastream.connectors.file_system`)."""

from __future__ import annotations

from shmflink.connectors.file_system.buckets import BucketAssigner
from shmflink.connectors.file_system.encoders import BulkWriterFactory, Encoder
from shmflink.connectors.file_system.formats import BulkFormat, StreamFormat
from shmflink.connectors.file_system.rolling import RollingPolicy
from shmflink.connectors.file_system.sink import FileSink, OutputFileConfig
from shmflink.connectors.file_system.source import (
    FileEnumeratorProvider,
    FileSource,
    FileSourceBuilder,
    FileSplitAssignerProvider,
)

__all__ = [
    "BucketAssigner",
    "BulkFormat",
    "BulkWriterFactory",
    "Encoder",
    "FileEnumeratorProvider",
    "FileSink",
    "FileSource",
    "FileSourceBuilder",
    "FileSplitAssignerProvider",
    "OutputFileConfig",
    "RollingPolicy",
    "StreamFormat",
]
