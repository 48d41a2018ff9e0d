"""Rules in broadcast state, added up while the rows pass. Arguments: OUTPUT ROWS [ROWS_PER_S].

What a row sees of the rules depends on time. At the end of both inputs a timer tells for each key what all of them came
to.
"""

import os
import sys

from shmflink.common import Encoder, Types, WatermarkStrategy
from shmflink.connectors.generator import GeneratorSource
from shmflink.datastream import KeyedBroadcastProcessFunction, StreamExecutionEnvironment
from shmflink.datastream.connectors.file_system import FileSink, RollingPolicy
from shmflink.datastream.state import MapStateDescriptor, ValueStateDescriptor

PAIR = Types.TUPLE([Types.LONG(), Types.LONG()])
RULES = MapStateDescriptor("rules", Types.LONG(), Types.LONG())
KEYS = 1_009
RULE_KEYS = 97
END_MS = 1 << 40


class AddUp(KeyedBroadcastProcessFunction):
    def open(self, runtime_context):
        self.total = runtime_context.get_state(ValueStateDescriptor("total", Types.LONG()))
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def process_broadcast_element(self, value, ctx):
        rules = ctx.get_broadcast_state(RULES)
        rules.put(value[0], (rules.get(value[0]) or 0) + value[1])

    def process_element(self, value, ctx):
        self.total.update((self.total.value() or 0) + value[1])
        count = (self.count.value() or 0) + 1
        self.count.update(count)
        ctx.timer_service().register_event_time_timer(END_MS)
        if count % 5 == 0:
            yield f"{value[0]} reaches {count}"

    def on_timer(self, timestamp, ctx):
        rules = dict(ctx.get_broadcast_state(RULES).items())
        yield f"{ctx.get_current_key()} ends with {self.total.value()}; {len(rules)} rules: {sum(rules.values())}"


def rows_of(start, stop):
    return [(row * 7919 % KEYS, row % 11) for row in range(start, stop)]


def rules_of(start, stop):
    return [(row % RULE_KEYS, row) for row in range(start, stop)]


def main(output, rows, rate=None):
    env = StreamExecutionEnvironment.get_execution_environment()
    count, none = int(rows), WatermarkStrategy.no_watermarks()
    few = max(count // 20, 1)
    source = GeneratorSource(rows_of, count, PAIR, batch_rows=300, rows_per_second=rate and float(rate))
    rules = GeneratorSource(rules_of, few, PAIR, batch_rows=20, rows_per_second=rate and float(rate) / 20)
    spread = env.from_source(rules, none, "rules").set_parallelism(1).broadcast(RULES)
    (
        env.from_source(source, none, "rows")
        .key_by(lambda row: row[0], Types.LONG())
        .connect(spread)
        .process(AddUp(), Types.STRING())
        .sink_to(
            FileSink.for_row_format(os.path.join(output, "rules"), Encoder.simple_string_encoder())
            .with_rolling_policy(RollingPolicy.default_rolling_policy(part_size=1 << 13))
            .build()
        )
    )
    env.execute("broadcast")


main(*sys.argv[1:])
