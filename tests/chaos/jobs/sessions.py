"""Session windows with an AggregateFunction and a ProcessWindowFunction. Arguments: OUTPUT ROWS [ROWS_PER_S]."""

import os
import sys

from shmflink.common import Duration, Encoder, Time, Types
from shmflink.common.watermark_strategy import TimestampAssigner, WatermarkStrategy
from shmflink.connectors.generator import GeneratorSource
from shmflink.datastream import AggregateFunction, ProcessWindowFunction, StreamExecutionEnvironment
from shmflink.datastream.connectors.file_system import FileSink, RollingPolicy
from shmflink.datastream.window import EventTimeSessionWindows

CLICK = Types.TUPLE([Types.STRING(), Types.LONG(), Types.LONG()])
USERS = 2_003


def clicks(start, stop):
    """User, time in ms, value: a user clicks three times within a second or so, and then not for a while."""
    made = []
    for row in range(start, stop):
        burst, user = divmod(row // 3, USERS)
        made.append((f"u{user}", burst * 10_000 + user + row % 3 * 400 + row * 7919 % 300, row % 101))
    return made


class ClickTime(TimestampAssigner):
    def extract_timestamp(self, value, record_timestamp):
        return value[1]


class Clicks(AggregateFunction):
    def create_accumulator(self):
        return (0, 0)

    def add(self, value, accumulator):
        return accumulator[0] + 1, accumulator[1] + value[2]

    def get_result(self, accumulator):
        return accumulator

    def merge(self, acc_a, acc_b):
        return acc_a[0] + acc_b[0], acc_a[1] + acc_b[1]


class Session(ProcessWindowFunction):
    def process(self, key, context, elements):
        ((count, total),) = elements
        window = context.window()
        yield f"{key} {window.start} {window.end} {count} {total}"


def main(output, rows, rate=None):
    env = StreamExecutionEnvironment.get_execution_environment()
    source = GeneratorSource(clicks, int(rows), CLICK, batch_rows=300, rows_per_second=rate and float(rate))
    bound = Duration.of_seconds(4)
    timed = WatermarkStrategy.for_bounded_out_of_orderness(bound).with_timestamp_assigner(ClickTime())
    (
        env.from_source(source, timed, "clicks")
        .key_by(lambda click: click[0], Types.STRING())
        .window(EventTimeSessionWindows.with_gap(Time.seconds(2)))
        .aggregate(Clicks(), Session(), output_type=Types.STRING())
        .sink_to(
            FileSink.for_row_format(os.path.join(output, "sessions"), Encoder.simple_string_encoder())
            .with_rolling_policy(RollingPolicy.default_rolling_policy(part_size=1 << 13))
            .build()
        )
    )
    env.execute("sessions")


main(*sys.argv[1:])
