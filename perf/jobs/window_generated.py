"""The job of the window cases without files. Arguments: windows, keys, rows, seconds of event time that they cover.

`windows`: tumbling (10 s), sliding (10 s by 1 s) or session (gap 5 s). The rows are made of their numbers, so that any
engine can make the same; results are thrown away.
"""

from __future__ import annotations

import sys
from functools import partial

import numpy as np
import pyarrow as pa

from shmflink.common import Duration, Time, WatermarkStrategy
from shmflink.connectors.discard import DiscardSink
from shmflink.connectors.generator import GeneratorSource
from shmflink.datastream import RuntimeExecutionMode, StreamExecutionEnvironment
from shmflink.datastream.window import (
    EventTimeSessionWindows,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
    WindowAssigner,
)
from shmflink.expressions import col, count

FIRST_MS = 1_735_689_600_000  # 2025-01-01 00:00:00 UTC
JITTER_MS = 512
BOUND_SECONDS = 1

WINDOWS: dict[str, WindowAssigner] = {
    "tumbling": TumblingEventTimeWindows.of(Time.seconds(10)),
    "sliding": SlidingEventTimeWindows.of(Time.seconds(10), Time.seconds(1)),
    "session": EventTimeSessionWindows.with_gap(Time.seconds(5)),
}


def events(keys: int, rows: int, seconds: int, start: int, stop: int) -> pa.RecordBatch:
    """Rows `start` to `stop` - 1: key, ts, price; half a second out of order."""
    ids = np.arange(start, stop, dtype=np.uint64)
    mixed = ids * np.uint64(0x9E3779B97F4A7C15)
    key = ((mixed >> np.uint64(32)) * np.uint64(keys) >> np.uint64(32)).view(np.int64)
    jitter = (mixed >> np.uint64(7)) & np.uint64(JITTER_MS - 1)
    ts = FIRST_MS + (ids * np.uint64(seconds * 1000) // np.uint64(rows) + jitter).view(np.int64)
    price = ((mixed >> np.uint64(20)) & np.uint64(8191)).astype(np.float64) / 64
    return pa.record_batch({"key": key, "ts": pa.array(ts, pa.timestamp("ms")), "price": price})


def main(windows: str, keys: str, rows: str, seconds: str) -> None:
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_runtime_mode(RuntimeExecutionMode.STREAMING)
    source = GeneratorSource(partial(events, int(keys), int(rows), int(seconds)), int(rows))
    bound = Duration.of_seconds(BOUND_SECONDS)
    times = WatermarkStrategy.for_bounded_out_of_orderness(bound).with_timestamp_column("ts")
    (
        env.from_source(source, times, "events")
        .key_by("key")
        .window(WINDOWS[windows])
        .aggregate(n=count(), total=col("price").sum, top=col("price").max)
        .sink_to(DiscardSink())
    )
    env.execute("window_generated")


if __name__ == "__main__":
    main(*sys.argv[1:])
