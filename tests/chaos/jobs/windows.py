"""Count, sum and max per key in windows of expressions, over 100 k keys. Arguments: OUTPUT ROWS [ROWS_PER_S]."""

import os
import sys
from functools import partial

import numpy as np
import pyarrow as pa

from shmflink.common import Duration, Time
from shmflink.common.watermark_strategy import WatermarkStrategy
from shmflink.connectors.generator import GeneratorSource
from shmflink.datastream import StreamExecutionEnvironment
from shmflink.datastream.connectors.file_system import FileSink
from shmflink.datastream.window import SlidingEventTimeWindows, TumblingEventTimeWindows
from shmflink.expressions import col, count

KEYS = 100_000
FIRST_MS = 1_735_689_600_000
SECONDS = 40


def events(rows, start, stop):
    ids = np.arange(start, stop, dtype=np.uint64)
    mixed = ids * np.uint64(0x9E3779B97F4A7C15)
    key = ((mixed >> np.uint64(32)) * np.uint64(KEYS) >> np.uint64(32)).view(np.int64)
    jitter = (mixed >> np.uint64(7)) & np.uint64(511)
    ts = FIRST_MS + (ids * np.uint64(SECONDS * 1000) // np.uint64(rows) + jitter).view(np.int64)
    price = ((mixed >> np.uint64(20)) & np.uint64(8191)).view(np.int64)
    return pa.record_batch({"key": key, "ts": pa.array(ts, pa.timestamp("ms")), "price": price})


def main(output, rows, rate=None):
    env = StreamExecutionEnvironment.get_execution_environment()
    source = GeneratorSource(
        partial(events, int(rows)), int(rows), batch_rows=5_000, rows_per_second=rate and float(rate)
    )
    times = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_seconds(1)).with_timestamp_column("ts")
    keyed = env.from_source(source, times, "events").key_by("key")
    for name, windows in (
        ("tumbling", TumblingEventTimeWindows.of(Time.seconds(10))),
        ("sliding", SlidingEventTimeWindows.of(Time.seconds(10), Time.seconds(5))),
    ):
        (
            keyed.window(windows)
            .aggregate(n=count(), total=col("price").sum, top=col("price").max)
            .sink_to(FileSink.csv(os.path.join(output, name), header=False))
        )
    env.execute("windows")


main(*sys.argv[1:])
