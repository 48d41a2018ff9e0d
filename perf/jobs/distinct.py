"""The job of the case `distinct`. Arguments: format, input folder, output folder."""

from __future__ import annotations

import sys

from shmflink.common import WatermarkStrategy
from shmflink.datastream import StreamExecutionEnvironment
from shmflink.datastream.connectors.file_system import FileSink, FileSource


def main(inputs: str, output: str) -> None:
    env = StreamExecutionEnvironment.get_execution_environment()
    events = env.from_source(FileSource.parquet(inputs), WatermarkStrategy.no_watermarks(), "events")
    events.distinct("key").sink_to(FileSink.parquet(output, compression="snappy"))
    env.execute("distinct")


if __name__ == "__main__":
    main(*sys.argv[2:])
