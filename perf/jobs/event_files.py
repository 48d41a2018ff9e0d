"""What the jobs read: the events of `perf/data.py`, in any format."""

from __future__ import annotations

import pyarrow as pa

from shmflink.common import WatermarkStrategy
from shmflink.datastream import DataStream, StreamExecutionEnvironment
from shmflink.datastream.connectors.file_system import FileSource

__all__ = ["SCHEMA", "read"]

SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("ts", pa.timestamp("ms")),
        ("key", pa.int64()),
        ("price", pa.float64()),
        ("quantity", pa.int32()),
        ("name", pa.string()),
    ]
)


def read(
    env: StreamExecutionEnvironment, file_format: str, folder: str, times: WatermarkStrategy | None = None
) -> DataStream:
    """The events in a folder. Parquet says its columns; of text they are declared."""
    if file_format == "parquet":
        source = FileSource.parquet(folder)
    elif file_format == "csv":
        source = FileSource.csv(folder, schema=SCHEMA, header=False)
    else:
        source = FileSource.json_lines(folder, schema=SCHEMA)
    return env.from_source(source, times or WatermarkStrategy.no_watermarks(), "events")
