"""The job of the case `distinct`. Arguments: format, input folder, output folder."""

from __future__ import annotations

import sys

from shmflink.datastream import StreamExecutionEnvironment
from shmflink.datastream.connectors.file_system import FileSink


def main(inputs: str, output: str) -> None:
    env = StreamExecutionEnvironment.get_execution_environment()
    keys = env.read_parquet(inputs).select("key")
    keys.key_by("key").aggregate().sink_to(FileSink.parquet(output, compression="snappy"))
    env.execute("distinct")


if __name__ == "__main__":
    main(*sys.argv[2:])
