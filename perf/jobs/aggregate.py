"""The job of the aggregate cases: by key and 10 s bucket. Arguments: format, input folder, output folder."""

from __future__ import annotations

import sys

from event_files import read

from shmflink.datastream import StreamExecutionEnvironment
from shmflink.datastream.connectors.file_system import FileSink
from shmflink.expressions import col, count

BUCKET_SECONDS = 10


def main(file_format: str, inputs: str, output: str) -> None:
    env = StreamExecutionEnvironment.get_execution_environment()
    (
        read(env, file_format, inputs)
        .select("key", "price", bucket=col("ts").floor_to(seconds=BUCKET_SECONDS))
        .key_by("key", "bucket")
        .aggregate(n=count(), total=col("price").sum, top=col("price").max)
        .sink_to(FileSink.parquet(output, compression="snappy"))
    )
    env.execute("aggregate")


if __name__ == "__main__":
    main(*sys.argv[1:])
