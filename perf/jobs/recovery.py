"""The job of case `recovery`: sums by key over 100 k keys, whose first output in every attempt leaves a mark.

Called in the process that measures: `follow(folder, rows_per_s)` makes the job, the marks are `marks(folder)`.
"""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np
import pyarrow as pa

from shmflink.common import Types, WatermarkStrategy
from shmflink.connectors.discard import DiscardSink
from shmflink.connectors.generator import GeneratorSource
from shmflink.datastream import StreamExecutionEnvironment
from shmflink.expressions import col, count

KEYS = 100_000
OUTPUT = Types.ROW_NAMED(["key", "n", "total"], [Types.LONG()] * 3)


def rows_of(start: int, stop: int) -> pa.RecordBatch:
    """Rows `start` to `stop` - 1: key, value."""
    ids = np.arange(start, stop, dtype=np.int64)
    return pa.record_batch({"key": ids * 7919 % KEYS, "value": ids & 1023})


class Mark:
    """Writes down, once for each attempt and subtask, when its first output came."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._is_marked = False

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        if not self._is_marked and batch.num_rows:
            self._is_marked = True
            now = time.monotonic_ns()
            with open(os.path.join(self._folder, f"{os.getpid()}-{now}"), "x"):
                pass
        return batch


def marks(folder: str) -> list[int]:
    """Times of CLOCK_MONOTONIC, in ns, ascending."""
    return sorted(int(name.partition("-")[2]) for name in os.listdir(folder))


def follow(folder: str, rows_per_s: int) -> Any:
    """Submits the job, which has no end, to the executor in use; its JobClient."""
    env = StreamExecutionEnvironment.get_execution_environment()
    source = GeneratorSource(rows_of, batch_rows=5_000, rows_per_second=rows_per_s)
    (
        env.from_source(source, WatermarkStrategy.no_watermarks(), "rows")
        .key_by("key")
        .aggregate(n=count(), total=col("value").sum)
        .updates()
        .map_batches(Mark(folder), OUTPUT)
        .sink_to(DiscardSink())
    )
    return env.execute_async("recovery")
