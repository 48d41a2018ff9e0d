"""What the jobs read: the events of `perf/data.py`, in any format."""

from __future__ import annotations

import pyarrow as pa

from shmflink.datastream import DataStream, StreamExecutionEnvironment

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


def read(env: StreamExecutionEnvironment, file_format: str, folder: str) -> DataStream:
    """The events in a folder. Parquet says its columns; of text they are declared."""
    if file_format == "parquet":
        return env.read_parquet(folder)
    if file_format == "csv":
        return env.read_csv(folder, schema=SCHEMA, header=False)
    return env.read_json(folder, schema=SCHEMA)
