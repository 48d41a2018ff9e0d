"""Programs that run inline: what the API guarantees about results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from shmflink.core.row import Row
from shmflink.core.types.typeinfo import Types
from shmflink.core.watermark_strategy import WatermarkStrategy
from shmflink.datastream import (
    DataStream,
    KeySelector,
    RuntimeContext,
    RuntimeExecutionMode,
    StreamExecutionEnvironment,
)
from shmflink.datastream.connectors.number_seq import NumberSequenceSource
from shmflink.errors import JobExecutionError
from shmflink.testing import MiniCluster

PAIR = Types.TUPLE([Types.STRING(), Types.INT()])


@pytest.fixture
def env() -> Iterator[StreamExecutionEnvironment]:
    with MiniCluster(slots=3):
        yield StreamExecutionEnvironment.get_execution_environment()


def numbers(env: StreamExecutionEnvironment) -> DataStream:
    source = NumberSequenceSource(1, 100)
    return env.from_source(source, WatermarkStrategy.no_watermarks(), "numbers", Types.LONG())


class Opened(KeySelector):
    """Fails where it was not opened with a RuntimeContext."""

    def open(self, runtime_context: Any) -> None:
        self.is_open = isinstance(runtime_context, RuntimeContext)

    def get_key(self, value: Any) -> Any:
        assert self.is_open
        return value % 3


def test_a_union_is_collected_completely(env: StreamExecutionEnvironment) -> None:
    both = numbers(env).union(numbers(env)).rebalance().filter(lambda value: value > 50)
    assert Counter(both.execute_and_collect()) == dict.fromkeys(range(51, 101), 2)


def test_batch_mode_gives_one_result_per_key_and_streaming_every_update(env: StreamExecutionEnvironment) -> None:
    streaming = list(numbers(env).key_by(Opened()).sum().execute_and_collect())
    env.set_runtime_mode(RuntimeExecutionMode.BATCH)
    batch = list(numbers(env).key_by(Opened()).reduce(lambda a, b: a + b).execute_and_collect())
    assert len(streaming) == 100
    assert sorted(batch) == [1650, 1683, 1717]


def test_collecting_a_keyed_stream_gives_keys_and_values(env: StreamExecutionEnvironment) -> None:
    pairs = list(numbers(env).key_by(Opened()).execute_and_collect())
    assert Counter(pair[0] for pair in pairs) == {0: 33, 1: 34, 2: 33}
    assert Row(f0=1, f1=100) in pairs


@pytest.mark.parametrize(("mapped", "expected"), [(False, 100), (True, 300)])
def test_a_broadcast_is_collected_once_and_mapped_everywhere(
    env: StreamExecutionEnvironment, mapped: bool, expected: int
) -> None:
    stream = numbers(env).broadcast()
    result = stream.map(lambda value: value) if mapped else stream
    assert len(list(result.execute_and_collect())) == expected


def test_partition_custom_decides_the_subtask(env: StreamExecutionEnvironment) -> None:
    placed = numbers(env).partition_custom(lambda key, count: key % count, Opened()).map(lambda value: value)
    assert sorted(placed.execute_and_collect()) == list(range(1, 101))


def test_a_limit_gives_a_list(env: StreamExecutionEnvironment) -> None:
    assert numbers(env).set_parallelism(1).execute_and_collect(limit=5) == [1, 2, 3, 4, 5]


def test_fields_are_projected_and_picked(env: StreamExecutionEnvironment) -> None:
    env.set_parallelism(1)
    rows = env.from_collection([("a", 1), ("b", 5), ("a", 3), ("a", 2)], PAIR)
    assert list(rows.project(1, 0).execute_and_collect()) == [(1, "a"), (5, "b"), (3, "a"), (2, "a")]
    rows = env.from_collection([("a", 1), ("b", 5), ("a", 3), ("a", 2)], PAIR)
    largest = rows.key_by(lambda pair: pair[0]).max_by(1).execute_and_collect()
    assert list(largest) == [("a", 1), ("b", 5), ("a", 3), ("a", 3)]


def test_a_failing_function_is_raised_by_the_iterator(env: StreamExecutionEnvironment) -> None:
    with pytest.raises(JobExecutionError, match=r"'Map' .*ZeroDivisionError"):
        list(numbers(env).map(lambda value: 1 // (value - 7)).execute_and_collect())
