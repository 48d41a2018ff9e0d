"""Connectors are available under PyFlink's module names."""

from __future__ import annotations

import importlib

import pytest


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("connectors", "FileSource FileSink StreamFormat NumberSequenceSource Source Sink"),
        ("connectors.base", "Source Sink"),
        ("connectors.number_seq", "NumberSequenceSource"),
        ("connectors.custom", "Source SourceReader SplitReader SplitQueue Split Sink SinkWriter Committer Batch"),
        (
            "connectors.file_system",
            (
                "BucketAssigner FileEnumeratorProvider FileSink FileSource FileSourceBuilder "
                "FileSplitAssignerProvider OutputFileConfig RollingPolicy StreamFormat BulkFormat"
            ),
        ),
        ("formats.parquet", "ParquetBulkWriters ParquetFormat"),
    ],
)
def test_modules_and_names(module: str, names: str) -> None:
    found = importlib.import_module(f"shmflink.datastream.{module}")
    assert set(names.split()) <= set(found.__all__)
    assert all(hasattr(found, name) for name in found.__all__)
