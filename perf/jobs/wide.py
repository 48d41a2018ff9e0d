"""The job of the case `wide`: three of 200 columns. Arguments: format, input folder, output folder."""

from __future__ import annotations

import sys

from shmflink.common import WatermarkStrategy
from shmflink.datastream import StreamExecutionEnvironment
from shmflink.datastream.connectors.file_system import FileSink, FileSource
from shmflink.expressions import col

MIN_WIDE = 32


def main(inputs: str, output: str) -> None:
    env = StreamExecutionEnvironment.get_execution_environment()
    rows = env.from_source(FileSource.parquet(inputs), WatermarkStrategy.no_watermarks(), "rows")
    kept = rows.filter(col("c100") >= MIN_WIDE).select("c003", "c100", "c199")
    kept.sink_to(FileSink.parquet(output, compression="snappy"))
    env.execute("wide")


if __name__ == "__main__":
    main(*sys.argv[2:])
