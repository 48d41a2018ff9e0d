"""The job of the case `slots_exchange`: a generator's columns shuffled to all slots. Argument: how many rows."""

from __future__ import annotations

import sys

import numpy as np
import pyarrow as pa

from shmflink.common import WatermarkStrategy
from shmflink.connectors.discard import DiscardSink
from shmflink.connectors.generator import GeneratorSource
from shmflink.datastream import StreamExecutionEnvironment

BATCH_ROWS = 32_768


def columns(start: int, stop: int) -> pa.RecordBatch:
    ids = np.arange(start, stop, dtype=np.int64)
    return pa.record_batch({"id": ids, "price": ids * 0.5, "customer": (ids * 2654435761) % 100_003})


def count(batch: pa.RecordBatch) -> pa.RecordBatch:
    return pa.record_batch({"rows": [batch.num_rows]})


def main(rows: int) -> None:
    env = StreamExecutionEnvironment.get_execution_environment()
    source = GeneratorSource(columns, rows, batch_rows=BATCH_ROWS)
    generated = env.from_source(source, WatermarkStrategy.no_watermarks(), "columns")
    generated.shuffle().map_batches(count).sink_to(DiscardSink())
    env.execute("shuffle")


if __name__ == "__main__":
    main(int(sys.argv[1]))
