"""Two streams joined by key in state of a KeyedCoProcessFunction. Arguments: OUTPUT ROWS [ROWS_PER_S].

Each order waits for its payment, and each payment for its order; every third payment is sent twice, which must be seen.
"""

import os
import sys

from shmflink.common import Encoder, Types
from shmflink.common.watermark_strategy import WatermarkStrategy
from shmflink.connectors.generator import GeneratorSource
from shmflink.datastream import KeyedCoProcessFunction, StreamExecutionEnvironment
from shmflink.datastream.connectors.file_system import FileSink, RollingPolicy
from shmflink.datastream.state import ListStateDescriptor, MapStateDescriptor, ValueStateDescriptor

PAIR = Types.TUPLE([Types.LONG(), Types.LONG()])
SPREAD = 10_007  # orders and payments come in different orders, so that thousands wait in state


def orders(start, stop):
    return [(row, row * 31 % 1000) for row in range(start, stop)]


def payments(rows, start, stop):
    return [((row * SPREAD + 17) % rows, row) for row in range(start, stop)]


class Match(KeyedCoProcessFunction):
    def open(self, runtime_context):
        self.order = runtime_context.get_state(ValueStateDescriptor("order", Types.LONG()))
        self.early = runtime_context.get_list_state(ListStateDescriptor("early", Types.LONG()))
        self.seen = runtime_context.get_map_state(MapStateDescriptor("seen", Types.LONG(), Types.LONG()))

    def process_element1(self, value, ctx):
        self.order.update(value[1])
        for payment in self.early.get():
            yield self.matched(value[0], payment)
        self.early.clear()

    def process_element2(self, value, ctx):
        if self.order.value() is None:
            self.early.add(value[1])
        else:
            yield self.matched(value[0], value[1])

    def matched(self, key, payment):
        times = (self.seen.get(payment) or 0) + 1
        self.seen.put(payment, times)
        return f"{key} {self.order.value()} {payment} {times}"


def main(output, rows, rate=None):
    count = int(rows)
    env = StreamExecutionEnvironment.get_execution_environment()

    def stream(function, name):
        source = GeneratorSource(function, count, PAIR, batch_rows=500, rows_per_second=rate and float(rate))
        stream = env.from_source(source, WatermarkStrategy.no_watermarks(), name)
        return stream if name == "orders" else stream.flat_map(lambda one: [one] * (1 + (one[1] % 3 == 0)), PAIR)

    (
        stream(orders, "orders")
        .connect(stream(lambda start, stop: payments(count, start, stop), "payments"))
        .key_by(lambda one: one[0], lambda one: one[0], Types.LONG())
        .process(Match(), Types.STRING())
        .sink_to(
            FileSink.for_row_format(os.path.join(output, "matched"), Encoder.simple_string_encoder())
            .with_rolling_policy(RollingPolicy.default_rolling_policy(part_size=1 << 13))
            .build()
        )
    )
    env.execute("join")


main(*sys.argv[1:])
