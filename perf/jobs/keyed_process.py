"""The job of the case `keyed_process`: a KeyedProcessFunction with a ValueState. Argument: how many rows."""

from __future__ import annotations

import sys

from shmflink.common import Types, WatermarkStrategy
from shmflink.connectors.discard import DiscardSink
from shmflink.connectors.generator import GeneratorSource
from shmflink.datastream import KeyedProcessFunction, StreamExecutionEnvironment
from shmflink.datastream.state import ValueStateDescriptor

KEYS = 1000


class RunningSum(KeyedProcessFunction):
    """Emits (key, count, sum) for each row."""

    def open(self, runtime_context):
        self.state = runtime_context.get_state(
            ValueStateDescriptor("count and sum", Types.TUPLE([Types.LONG(), Types.LONG()]))
        )

    def process_element(self, value, ctx):
        count, total = self.state.value() or (0, 0)
        count, total = count + 1, total + value[1]
        self.state.update((count, total))
        yield (value[0], count, total)


def rows(start: int, stop: int) -> list[tuple[int, int]]:
    return [(number % KEYS, number) for number in range(start, stop)]


def main(count: int) -> None:
    env = StreamExecutionEnvironment.get_execution_environment()
    pair, result = Types.TUPLE([Types.LONG()] * 2), Types.TUPLE([Types.LONG()] * 3)
    (
        env.from_source(GeneratorSource(rows, count, pair), WatermarkStrategy.no_watermarks(), "rows")
        .key_by(lambda row: row[0], Types.LONG())
        .process(RunningSum(), result)
        .sink_to(DiscardSink())
    )
    env.execute("keyed process")


if __name__ == "__main__":
    main(int(sys.argv[1]))
