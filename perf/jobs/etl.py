"""The job of the ETL cases: filter, derive, upper. Arguments: format, input folder, output folder."""

from __future__ import annotations

import sys

from event_files import read

from shmflink.datastream import StreamExecutionEnvironment
from shmflink.datastream.connectors.file_system import FileSink
from shmflink.expressions import col

MIN_PRICE = 30.0


def main(file_format: str, inputs: str, output: str) -> None:
    env = StreamExecutionEnvironment.get_execution_environment()
    (
        read(env, file_format, inputs)
        .filter(col("price") > MIN_PRICE)
        .select(
            "id",
            "ts",
            "key",
            "quantity",
            name=col("name").upper_case,
            total=col("price") * col("quantity"),
        )
        .sink_to(FileSink.parquet(output, compression="snappy"))
    )
    env.execute("etl")


if __name__ == "__main__":
    main(*sys.argv[1:])
