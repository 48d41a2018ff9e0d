"""Per-record windows with allowed lateness; what is too late goes aside. Arguments: OUTPUT ROWS [ROWS_PER_S].

Which rows are late depends on when watermarks come. What does not: each row is in the last firing of its window, or
aside.
"""

import os
import sys

from shmflink.common import Duration, Encoder, Time, Types
from shmflink.common.watermark_strategy import TimestampAssigner, WatermarkStrategy
from shmflink.connectors.generator import GeneratorSource
from shmflink.datastream import KeyedProcessFunction, OutputTag, ProcessWindowFunction, StreamExecutionEnvironment
from shmflink.datastream.connectors.file_system import FileSink, RollingPolicy
from shmflink.datastream.state import MapStateDescriptor
from shmflink.datastream.window import TumblingEventTimeWindows

ROW = Types.TUPLE([Types.LONG(), Types.LONG(), Types.LONG()])
COUNTED = Types.TUPLE([Types.LONG(), Types.LONG(), Types.LONG(), Types.LONG()])
LATE = OutputTag("late", ROW)
KEYS = 211
END_MS = 1 << 40


def rows_of(start, stop):
    """Key, time in ms, value; one row in thirteen is some seconds behind, one in a hundred and one much more."""
    made = []
    for row in range(start, stop):
        behind = 30_000 if row % 101 == 0 else 4_000 if row % 13 == 0 else row * 7919 % 300
        made.append((row * 31 % KEYS, max(row * 5 - behind, 0), row % 7))
    return made


class RowTime(TimestampAssigner):
    def extract_timestamp(self, value, record_timestamp):
        return value[1]


class Count(ProcessWindowFunction):
    def process(self, key, context, elements):
        rows = list(elements)
        yield key, context.window().start, len(rows), sum(row[2] for row in rows)


class Last(KeyedProcessFunction):
    """The last that is said of each window; late rows are windows of one row that only add up."""

    def open(self, runtime_context):
        self.windows = runtime_context.get_map_state(
            MapStateDescriptor("windows", Types.LONG(), Types.TUPLE([Types.LONG(), Types.LONG()]))
        )

    def process_element(self, value, ctx):
        _, start, count, total = value
        before = (self.windows.get(start) or (0, 0)) if start < 0 else (0, 0)
        self.windows.put(start, (before[0] + count, before[1] + total))
        ctx.timer_service().register_event_time_timer(END_MS)

    def on_timer(self, timestamp, ctx):
        last = list(self.windows.values())
        yield f"{ctx.get_current_key()}: {sum(one[0] for one in last)} rows, {sum(one[1] for one in last)}"


def main(output, rows, rate=None):
    env = StreamExecutionEnvironment.get_execution_environment()
    source = GeneratorSource(rows_of, int(rows), ROW, batch_rows=200, rows_per_second=rate and float(rate))
    timed = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(500)).with_timestamp_assigner(RowTime())
    counted = (
        env.from_source(source, timed, "rows")
        .key_by(lambda row: row[0], Types.LONG())
        .window(TumblingEventTimeWindows.of(Time.seconds(2)))
        .allowed_lateness(6_000)
        .side_output_late_data(LATE)
        .process(Count(), COUNTED)
    )
    late = counted.get_side_output(LATE).map(lambda row: (row[0], -1, 1, row[2]), COUNTED)
    (
        counted.union(late)
        .key_by(lambda one: one[0], Types.LONG())
        .process(Last(), Types.STRING())
        .sink_to(
            FileSink.for_row_format(os.path.join(output, "totals"), Encoder.simple_string_encoder())
            .with_rolling_policy(RollingPolicy.default_rolling_policy(part_size=1 << 12))
            .build()
        )
    )
    env.execute("late windows")


main(*sys.argv[1:])
