"""The job of the case `slow_function`: a function of 25 ms a record, checkpoints every 400 ms.

Arguments: how many records, `chain` or `exchange` before the function, `aligned` or `unaligned`, the file for the
result: a line for each barrier that reached the function, with the milliseconds since the checkpoint was triggered.
"""

from __future__ import annotations

import sys
import time

from shmflink.common import Configuration, WatermarkStrategy
from shmflink.datastream import MapFunction, StreamExecutionEnvironment
from shmflink.datastream.connectors.number_seq import NumberSequenceSource

RECORD_S = 0.025


class CallSomebody(MapFunction):
    def __init__(self, path: str) -> None:
        self.path = path

    def map(self, value: int) -> int:
        time.sleep(RECORD_S)
        return value

    def snapshot_state(self, context) -> None:
        waited_ms = time.time() * 1000 - context.get_checkpoint_timestamp()
        with open(self.path, "a", encoding="ascii") as file:
            file.write(f"{waited_ms:.1f}\n")


def main(records: int, way: str, mode: str, path: str) -> None:
    options = Configuration()
    options.set_string("execution.checkpointing.interval", "400 ms")
    options.set_string("execution.checkpointing.unaligned.enabled", str(mode == "unaligned").lower())
    env = StreamExecutionEnvironment.get_execution_environment(options)
    env.set_parallelism(1)
    numbers = env.from_source(NumberSequenceSource(1, records), WatermarkStrategy.no_watermarks(), "numbers")
    if way == "exchange":
        numbers = numbers.rebalance()
    numbers.map(CallSomebody(path)).filter(lambda value: value < 0).print()
    env.execute("slow function")


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
