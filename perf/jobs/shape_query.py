"""A query over a shape, as `perf/peers/*_shapes.py`. Arguments: query, shape, input folder, output folder."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from shmflink.common import Duration, Time, WatermarkStrategy
from shmflink.datastream import DataStream, StreamExecutionEnvironment
from shmflink.datastream.connectors.file_system import FileSink, FileSource
from shmflink.datastream.window import TumblingEventTimeWindows
from shmflink.expressions import col, count

sys.path.insert(0, str(Path(__file__).parents[2]))

from perf.peers.shape_queries import MIN_VALUE, NESTED, PATTERN, TOP, WINDOW_SECONDS, passed


def etl(rows: DataStream, shape: str) -> DataStream:
    value = col("value")
    more = {"city": col("place").get("city")} if shape == NESTED else {}
    return rows.filter(value > MIN_VALUE).select(*passed(shape), **more, doubled=value + value)


def copy(rows: DataStream, _shape: str) -> DataStream:
    return rows.filter(col("value") > MIN_VALUE)


def aggregate(rows: DataStream, _shape: str) -> DataStream:
    return rows.key_by("key").aggregate(n=count(), total=col("value").sum, top=col("value").max)


def distinct(rows: DataStream, _shape: str) -> DataStream:
    return rows.distinct("text")


def top_n(rows: DataStream, _shape: str) -> DataStream:
    return rows.key_by("key").aggregate(top=col("value").top_n(TOP)).explode("top")


def like(rows: DataStream, _shape: str) -> DataStream:
    return rows.filter(col("text").like(PATTERN)).key_by("text").aggregate(n=count())


def window(rows: DataStream, _shape: str) -> DataStream:
    windows = rows.key_by("key").window(TumblingEventTimeWindows.of(Time.seconds(WINDOW_SECONDS)))
    return windows.aggregate(n=count(), total=col("value").sum, window_start="bucket", window_end=None)


QUERIES: dict[str, Callable[[DataStream, str], DataStream]] = {
    one.__name__: one for one in (etl, copy, aggregate, distinct, top_n, like, window)
}


def main(query: str, shape: str, inputs: str, output: str) -> None:
    env = StreamExecutionEnvironment.get_execution_environment()
    times = WatermarkStrategy.no_watermarks()
    if query == "window":
        bound = Duration.of_seconds(1)
        times = WatermarkStrategy.for_bounded_out_of_orderness(bound).with_timestamp_column("ts")
    rows = env.from_source(FileSource.parquet(inputs), times, "rows")
    QUERIES[query](rows, shape).sink_to(FileSink.parquet(output, compression="snappy"))
    env.execute(f"{query} of {shape}")


if __name__ == "__main__":
    main(*sys.argv[1:])
