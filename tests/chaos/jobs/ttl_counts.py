"""State with a time to live, and windows of seven rows. Arguments: OUTPUT ROWS [ROWS_PER_S].

Nothing expires within a run: that would show as a number that begins at one again.
"""

import os
import sys

from shmflink.common import Encoder, Time, Types, WatermarkStrategy
from shmflink.connectors.generator import GeneratorSource
from shmflink.datastream import KeyedProcessFunction, StreamExecutionEnvironment
from shmflink.datastream.connectors.file_system import FileSink, RollingPolicy
from shmflink.datastream.state import ListStateDescriptor, MapStateDescriptor, StateTtlConfig, ValueStateDescriptor

ROW = Types.TUPLE([Types.LONG(), Types.LONG()])
KEYS = 503
TO_LIVE = StateTtlConfig.new_builder(Time.hours(2)).set_update_type(StateTtlConfig.UpdateType.OnReadAndWrite).build()


class Remember(KeyedProcessFunction):
    def open(self, runtime_context):
        count = ValueStateDescriptor("count", Types.LONG())
        last = ListStateDescriptor("last", Types.LONG())
        by_digit = MapStateDescriptor("by digit", Types.LONG(), Types.LONG())
        for descriptor in (count, last, by_digit):
            descriptor.enable_time_to_live(TO_LIVE)
        self.count = runtime_context.get_state(count)
        self.last = runtime_context.get_list_state(last)
        self.by_digit = runtime_context.get_map_state(by_digit)

    def process_element(self, value, ctx):
        key, number = value
        count = (self.count.value() or 0) + 1
        self.count.update(count)
        self.last.update([*list(self.last.get())[-2:], number])
        self.by_digit.put(number % 10, (self.by_digit.get(number % 10) or 0) + 1)
        if count % 8 == 0:
            yield f"{key} {count} {list(self.last.get())} {sorted(self.by_digit.items())}"


def rows_of(start, stop):
    return [(row * 7919 % KEYS, row) for row in range(start, stop)]


def lines(output, name):
    return (
        FileSink.for_row_format(os.path.join(output, name), Encoder.simple_string_encoder())
        .with_rolling_policy(RollingPolicy.default_rolling_policy(part_size=1 << 13))
        .build()
    )


def main(output, rows, rate=None):
    env = StreamExecutionEnvironment.get_execution_environment()
    source = GeneratorSource(rows_of, int(rows), ROW, batch_rows=300, rows_per_second=rate and float(rate))
    # One reader: both outputs depend on the order of a key's rows.
    numbers = env.from_source(source, WatermarkStrategy.no_watermarks(), "rows").set_parallelism(1)
    keyed = numbers.key_by(lambda row: row[0], Types.LONG())
    keyed.process(Remember(), Types.STRING()).sink_to(lines(output, "remembered"))
    (
        keyed.count_window(7)
        .reduce(lambda left, right: (left[0], left[1] * 31 % 1_000_003 + right[1]))
        .map(lambda row: f"{row[0]} {row[1]}", Types.STRING())
        .sink_to(lines(output, "sevens"))
    )
    env.execute("ttl and counts")


main(*sys.argv[1:])
