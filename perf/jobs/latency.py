"""The job of the case `latency`: 50,000 events a second through one shuffle and a running count by key.

Arguments: how many events, events a second, the file for the result. Each event carries the monotonic time at which it
was made; the sink subtracts it from its own. One JSON line for each sink subtask: counts by microsecond.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter

from shmflink.common import Types, WatermarkStrategy
from shmflink.connectors.base import Sink, SinkWriter
from shmflink.connectors.generator import GeneratorSource
from shmflink.core.batch import Batch
from shmflink.datastream import KeyedProcessFunction, StreamExecutionEnvironment
from shmflink.datastream.state import ValueStateDescriptor
from shmflink.operators.base import OperatorContext

KEYS = 1000
BATCH_ROWS = 25  # of a source subtask: one batch a millisecond at 2 x 25,000 events a second
WARM_UP = 0.2  # of the events are not counted


def events(start: int, stop: int) -> list[tuple[int, int, int]]:
    now = time.monotonic_ns()
    return [(number % KEYS, number, now) for number in range(start, stop)]


class RunningCount(KeyedProcessFunction):
    def open(self, runtime_context):
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def process_element(self, value, ctx):
        count = (self.count.value() or 0) + 1
        self.count.update(count)
        yield (count, value[1], value[2])


class LatencySink(Sink):
    """Appends a JSON line to a file when its subtask ends."""

    def __init__(self, path: str, first: int) -> None:
        self.path, self.first = path, first

    def create_writer(self, context: OperatorContext) -> SinkWriter:
        return _Writer(self.path, self.first)


class _Writer(SinkWriter):
    def __init__(self, path: str, first: int) -> None:
        self._path, self._first = path, first
        self._micros: Counter[int] = Counter()

    def write(self, batch: Batch) -> None:
        now = time.monotonic_ns()
        self._micros.update((now - made) // 1000 for _, number, made in batch.rows() if number >= self._first)

    def finish(self) -> None:
        with open(self._path, "a", encoding="ascii") as file:
            file.write(json.dumps(sorted(self._micros.items())) + "\n")


def main(rows: int, rows_per_second: int, path: str) -> None:
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_buffer_timeout(0)
    event = Types.TUPLE([Types.LONG(), Types.LONG(), Types.LONG()])
    source = GeneratorSource(events, rows, event, batch_rows=BATCH_ROWS, rows_per_second=rows_per_second)
    (
        env.from_source(source, WatermarkStrategy.no_watermarks(), "events")
        .key_by(lambda one: one[0], Types.LONG())
        .process(RunningCount(), event)
        .sink_to(LatencySink(path, int(rows * WARM_UP)))
    )
    env.execute("latency")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
