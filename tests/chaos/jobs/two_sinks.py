"""Sums by key, timers and a side output, into two sinks: lines and Parquet. Arguments: OUTPUT ROWS [ROWS_PER_S].

Each key's rows are numbered by state; every tenth goes to the side, too. A timer tells a key's end.
"""

import os
import sys

import pyarrow as pa

from shmflink.common import Encoder, Types
from shmflink.common.watermark_strategy import TimestampAssigner, WatermarkStrategy
from shmflink.connectors.generator import GeneratorSource
from shmflink.datastream import KeyedProcessFunction, OutputTag, StreamExecutionEnvironment
from shmflink.datastream.connectors.file_system import FileSink, RollingPolicy
from shmflink.datastream.state import ReducingStateDescriptor, ValueStateDescriptor

ROW = Types.TUPLE([Types.LONG(), Types.LONG()])
COLUMNS = pa.schema({"key": pa.int64(), "number": pa.int64(), "total": pa.int64()})
TENTH = OutputTag("tenth", Types.ROW_NAMED(list(COLUMNS.names), [Types.LONG()] * 3))
KEYS = 4_001
END_MS = 1 << 40


class RowTime(TimestampAssigner):
    def extract_timestamp(self, value, record_timestamp):
        return value[1]


class Number(KeyedProcessFunction):
    def open(self, runtime_context):
        self.number = runtime_context.get_state(ValueStateDescriptor("number", Types.LONG()))
        self.ones = runtime_context.get_reducing_state(
            ReducingStateDescriptor("ones", lambda left, right: left + right, Types.LONG())
        )

    def process_element(self, value, ctx):
        number = (self.number.value() or 0) + 1
        self.number.update(number)
        self.ones.add(1)
        ctx.timer_service().register_event_time_timer(END_MS)
        if number % 10 == 0:
            yield TENTH, (value[0], number, self.ones.get())
        yield f"{value[0]} {number}"

    def on_timer(self, timestamp, ctx):
        yield f"{ctx.get_current_key()} ends with {self.number.value()} and {self.ones.get()}"


def rows_of(start, stop):
    return [(row * 7919 % KEYS, row) for row in range(start, stop)]


def main(output, rows, rate=None):
    env = StreamExecutionEnvironment.get_execution_environment()
    source = GeneratorSource(rows_of, int(rows), ROW, batch_rows=500, rows_per_second=rate and float(rate))
    timed = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(RowTime())
    numbered = (
        env.from_source(source, timed, "rows")
        .key_by(lambda row: row[0], Types.LONG())
        .process(Number(), Types.STRING())
    )
    numbered.sink_to(
        FileSink.for_row_format(os.path.join(output, "lines"), Encoder.simple_string_encoder())
        .with_rolling_policy(RollingPolicy.default_rolling_policy(part_size=1 << 13))
        .build()
    )
    numbered.get_side_output(TENTH).sink_to(FileSink.csv(os.path.join(output, "tenth"), header=False, schema=COLUMNS))
    env.execute("two sinks")


main(*sys.argv[1:])
