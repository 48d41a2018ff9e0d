"""Columns into folders by value, in small rolling files. Arguments: OUTPUT ROWS [ROWS_PER_S]."""

import os
import sys

import numpy as np
import pyarrow as pa

from shmflink.common import WatermarkStrategy
from shmflink.connectors.generator import GeneratorSource
from shmflink.datastream import StreamExecutionEnvironment
from shmflink.datastream.connectors.file_system import FileSink, RollingPolicy
from shmflink.expressions import col

COLUMNS = pa.schema({"country": pa.string(), "day": pa.int64(), "number": pa.int64()})
COUNTRIES = np.array(["de", "fr", "it", "pl", "se"])


def rows_of(start, stop):
    numbers = np.arange(start, stop)
    columns = [pa.array(COUNTRIES[numbers * 7919 % 5]), pa.array(numbers // 9_000), pa.array(numbers)]
    return pa.record_batch(columns, schema=COLUMNS)


def main(output, rows, rate=None):
    env = StreamExecutionEnvironment.get_execution_environment()
    source = GeneratorSource(rows_of, int(rows), COLUMNS, batch_rows=400, rows_per_second=rate and float(rate))
    (
        env.from_source(source, WatermarkStrategy.no_watermarks(), "rows")
        .filter(col("number") % 3 != 0)
        .sink_to(
            FileSink.csv(
                os.path.join(output, "countries"),
                header=False,
                partition_by=["country", "day"],
                rolling=RollingPolicy.default_rolling_policy(part_size=1 << 12),
            )
        )
    )
    env.execute("partitioned")


main(*sys.argv[1:])
