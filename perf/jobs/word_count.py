"""The job of the case `word_count`. Arguments: format, input folder, output folder."""

from __future__ import annotations

import sys

from shmflink.common import WatermarkStrategy
from shmflink.datastream import StreamExecutionEnvironment
from shmflink.datastream.connectors.file_system import FileSink, FileSource
from shmflink.expressions import col, count


def main(inputs: str, output: str) -> None:
    env = StreamExecutionEnvironment.get_execution_environment()
    (
        env.from_source(FileSource.text(inputs), WatermarkStrategy.no_watermarks(), "lines")
        .select(word=col("value").split(" "))
        .explode("word")
        .key_by("word")
        .aggregate(n=count())
        .sink_to(FileSink.parquet(output, compression="snappy"))
    )
    env.execute("word count")


if __name__ == "__main__":
    main(*sys.argv[2:])
