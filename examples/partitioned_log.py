"""A source that reads its splits at the same time: the partitions of a log, each with a watermark of its own.

    shmflink run examples/partitioned_log.py --slots 2
    python examples/partitioned_log.py

Each station writes a log file of its own, some one line a minute, others one a second. The reader takes lines of all
its files by turns, so that a quiet station is soon hours ahead of a busy one. The source's watermark is that of the
slowest file: no reading is late, and every window is complete. With one watermark for all of them most readings of
the busy stations would be late.

A reader that says `reads_concurrently` returns a `SplitBatch` for each batch and a `SplitEnd` where a split ends. At a
checkpoint it gives the rest of every split that it holds.
"""

import argparse
import csv
import tempfile
from collections import deque
from pathlib import Path

import pyarrow as pa

from shmflink.common import Duration, Time, WatermarkStrategy
from shmflink.datastream import StreamExecutionEnvironment
from shmflink.datastream.connectors.custom import (
    Batch,
    ColumnsTypeInfo,
    Poll,
    Source,
    SourceReader,
    Split,
    SplitBatch,
    SplitEnd,
    SplitQueue,
)
from shmflink.datastream.window import TumblingEventTimeWindows
from shmflink.expressions import count

HOURS = 2
STATIONS = {"harbor": 1, "airport": 10, "summit": 60}  # seconds between two readings
LINES_AT_A_TIME = 50


class LogSource(Source):
    """Lines `station,seconds` of files: one split for each file."""

    schema = pa.schema([("station", pa.string()), ("time", pa.timestamp("ms"))])
    gives_timestamps = False

    def __init__(self, paths):
        self._paths = [str(path) for path in paths]

    @property
    def produced_type(self):
        return ColumnsTypeInfo(self.schema)

    def create_enumerator(self, parallelism, state=None):
        # The payload is the position in the file.
        return SplitQueue(state if state is not None else [Split(path, 0) for path in self._paths])

    def create_reader(self, context):
        return LogReader()


class LogReader(SourceReader):
    """Some lines of each of its files by turns."""

    reads_concurrently = True

    def __init__(self):
        self._files = deque()
        self._has_all = False

    def add_split(self, split):
        file = open(split.split_id, newline="")  # noqa: SIM115  closed at its end, or by close()
        file.seek(split.payload)
        self._files.append((split.split_id, file))

    def no_more_splits(self):
        self._has_all = True

    def poll(self):
        if not self._has_all:
            return Poll.NEED_SPLIT  # as many as there are: all are read at the same time
        if not self._files:
            return Poll.END
        split_id, file = self._files.popleft()
        lines = [line for line in (file.readline() for _ in range(LINES_AT_A_TIME)) if line]
        if not lines:
            file.close()
            return SplitEnd(split_id)
        self._files.append((split_id, file))
        rows = list(csv.reader(lines))
        stations = pa.array([station for station, _ in rows])
        times = pa.array([int(seconds) * 1000 for _, seconds in rows], pa.timestamp("ms"))
        return SplitBatch(split_id, Batch.of_columns(pa.record_batch([stations, times], schema=LogSource.schema)))

    def snapshot(self):
        return [Split(split_id, file.tell()) for split_id, file in self._files]

    def close(self):
        for _, file in self._files:
            file.close()


def write_logs(folder):
    paths = []
    for station, interval in STATIONS.items():
        path = folder / f"{station}.log"
        path.write_text("".join(f"{station},{second}\n" for second in range(0, HOURS * 3600, interval)))
        paths.append(path)
    return paths


def main(folder):
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)  # one reader for all files
    env.get_config().set_auto_watermark_interval(0)  # after every batch
    in_order = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_seconds(1)).with_timestamp_column("time")
    readings = env.from_source(LogSource(write_logs(folder)), in_order, "stations")
    hours = readings.key_by("station").window(TumblingEventTimeWindows.of(Time.hours(1))).aggregate(readings=count())
    for row in sorted(hours.to_arrow().to_pylist(), key=str):
        print(f"{row['station']}: {row['readings']} readings in the hour from {row['window_start']:%H:%M}")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with tempfile.TemporaryDirectory(prefix="stations-") as scratch:
        main(Path(scratch))
