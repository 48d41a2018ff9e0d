"""The job of the case `records`. Argument: how many rows."""

from __future__ import annotations

import sys

from shmflink.common import Types, WatermarkStrategy
from shmflink.connectors.discard import DiscardSink
from shmflink.connectors.generator import GeneratorSource
from shmflink.datastream import StreamExecutionEnvironment

KEYS = 1000


def to_pair(number: int) -> tuple[int, int]:
    return (number % KEYS, 1)


def key_of(pair: tuple[int, int]) -> int:
    return pair[0]


def combine(left: tuple[int, int], right: tuple[int, int]) -> tuple[int, int]:
    return (left[0], left[1] + right[1])


def numbers(start: int, stop: int) -> list[int]:
    return list(range(start, stop))


def main(rows: int) -> None:
    env = StreamExecutionEnvironment.get_execution_environment()
    source = GeneratorSource(numbers, rows, Types.LONG())
    (
        env.from_source(source, WatermarkStrategy.no_watermarks(), "numbers")
        .map(to_pair, output_type=Types.TUPLE([Types.LONG(), Types.LONG()]))
        .key_by(key_of)
        .reduce(combine)
        .sink_to(DiscardSink())
    )
    env.execute("records")


if __name__ == "__main__":
    main(int(sys.argv[1]))
