"""Asynchronous lookups, many in flight, by row and by batch. Arguments: OUTPUT ROWS [ROWS_PER_S]."""

import asyncio
import os
import sys

import pyarrow as pa
import pyarrow.compute as pc

from shmflink.common import Encoder, Time, Types, WatermarkStrategy
from shmflink.connectors.generator import GeneratorSource
from shmflink.datastream import AsyncBatchFunction, AsyncDataStream, AsyncFunction, StreamExecutionEnvironment
from shmflink.datastream.connectors.file_system import FileSink, RollingPolicy


class Lookup(AsyncFunction):
    """Takes longer for some; one value in seven has two results."""

    async def async_invoke(self, value):
        await asyncio.sleep(0.001 * (value % 40))
        return [value * 3] if value % 7 else [value * 3, -value]


class Squares(AsyncBatchFunction):
    async def async_invoke(self, batch):
        await asyncio.sleep(0.01)
        return pa.record_batch([pc.multiply(batch.column(0), batch.column(0))], names=["value"])


def numbers(start, stop):
    return list(range(start, stop))


def files(folder):
    policy = RollingPolicy.default_rolling_policy(part_size=1 << 13)
    return FileSink.for_row_format(folder, Encoder.simple_string_encoder()).with_rolling_policy(policy).build()


def main(output, rows, rate=None):
    env = StreamExecutionEnvironment.get_execution_environment()
    source = GeneratorSource(numbers, int(rows), Types.LONG(), batch_rows=200, rows_per_second=rate and float(rate))
    ids = env.from_source(source, WatermarkStrategy.no_watermarks(), "ids")
    found = AsyncDataStream.unordered_wait(ids, Lookup(), Time.seconds(60), 50, Types.LONG())
    squares = AsyncDataStream.ordered_wait(found, Squares(), Time.seconds(60), 3, pa.schema([("value", pa.int64())]))
    squares.map(lambda row: str(row[0]), Types.STRING()).sink_to(files(os.path.join(output, "squares")))
    env.execute("lookups")


main(*sys.argv[1:])
