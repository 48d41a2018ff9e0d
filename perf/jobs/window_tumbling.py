"""The job of the tumbling window cases: 10 s of event time by key. Arguments: format, input folder, output folder.

Rows are up to half a second late; what parallel readers do to their order is up to the watermarks.
"""

from __future__ import annotations

import sys

from event_files import read

from shmflink.common import Duration, Time, WatermarkStrategy
from shmflink.datastream import RuntimeExecutionMode, StreamExecutionEnvironment
from shmflink.datastream.connectors.file_system import FileSink
from shmflink.datastream.window import TumblingEventTimeWindows
from shmflink.expressions import col, count

WINDOW_SECONDS = 10
BOUND_SECONDS = 1


def main(file_format: str, inputs: str, output: str) -> None:
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_runtime_mode(RuntimeExecutionMode.STREAMING)
    bound = Duration.of_seconds(BOUND_SECONDS)
    times = WatermarkStrategy.for_bounded_out_of_orderness(bound).with_timestamp_column("ts")
    (
        read(env, file_format, inputs, times)
        .key_by("key")
        .window(TumblingEventTimeWindows.of(Time.seconds(WINDOW_SECONDS)))
        .aggregate(n=count(), total=col("price").sum, top=col("price").max, window_start="bucket", window_end=None)
        .sink_to(FileSink.parquet(output, compression="snappy"))
    )
    env.execute("window_tumbling")


if __name__ == "__main__":
    main(*sys.argv[1:])
