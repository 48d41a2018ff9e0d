"""Numbered rows into a table of PostgreSQL and into files. Arguments: OUTPUT ROWS [ROWS_PER_S].

Two programs may share the table and the folder: SHMFLINK_CHAOS_TAG tells their rows apart.
"""

import os
import sys

import pyarrow as pa

from shmflink.common import Encoder, Types, WatermarkStrategy
from shmflink.connectors.generator import GeneratorSource
from shmflink.datastream import KeyedProcessFunction, StreamExecutionEnvironment
from shmflink.datastream.connectors.file_system import FileSink, RollingPolicy
from shmflink.datastream.connectors.postgres import PostgresSink
from shmflink.datastream.state import ValueStateDescriptor

URL = os.environ["SHMFLINK_CHAOS_POSTGRES"]
TABLE = os.environ["SHMFLINK_CHAOS_TABLE"]
TAG = os.environ.get("SHMFLINK_CHAOS_TAG", "a")
PAIR = Types.TUPLE([Types.LONG(), Types.LONG()])
NUMBERED = Types.ROW_NAMED(["tag", "key", "number"], [Types.STRING(), Types.LONG(), Types.LONG()])
COLUMNS = pa.schema({"tag": pa.string(), "key": pa.int64(), "number": pa.int64()})
KEYS = 701


class Number(KeyedProcessFunction):
    def open(self, runtime_context):
        self.number = runtime_context.get_state(ValueStateDescriptor("number", Types.LONG()))

    def process_element(self, value, ctx):
        number = (self.number.value() or 0) + 1
        self.number.update(number)
        yield TAG, value[0], number


def rows_of(start, stop):
    return [(row * 7919 % KEYS, row) for row in range(start, stop)]


def main(output, rows, rate=None):
    env = StreamExecutionEnvironment.get_execution_environment()
    source = GeneratorSource(rows_of, int(rows), PAIR, batch_rows=300, rows_per_second=rate and float(rate))
    numbered = (
        env.from_source(source, WatermarkStrategy.no_watermarks(), "rows")
        .key_by(lambda row: row[0], Types.LONG())
        .process(Number(), NUMBERED)
    )
    numbered.sink_to(PostgresSink.for_table(URL, TABLE))
    numbered.map(lambda row: f"{row[0]} {row[1]} {row[2]}", Types.STRING()).sink_to(
        FileSink.for_row_format(os.path.join(output, "numbered"), Encoder.simple_string_encoder())
        .with_rolling_policy(RollingPolicy.default_rolling_policy(part_size=1 << 13))
        .build()
    )
    env.execute(f"database {TAG}")


main(*sys.argv[1:])
