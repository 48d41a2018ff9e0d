"""In a MiniCluster, containers that functions capture are the test's own; their attributes are copied per subtask."""

from __future__ import annotations

import collections
import pickle
import queue
from typing import Any

import pytest

from shmflink.core.serialization import codec
from shmflink.core.serialization.captures import shared_captures
from shmflink.datastream import MapFunction, StreamExecutionEnvironment
from shmflink.errors import SerializationError
from shmflink.testing import Channels, MiniCluster

_OF_THE_MODULE: list[Any] = []


@pytest.mark.parametrize("channels", list(Channels))
def test_lambdas_methods_and_local_classes_collect_into_the_test(channels: Channels) -> None:
    listed: list[int] = []
    by_default: set[int] = set()
    waiting: queue.Queue[int] = queue.Queue()
    seen: collections.deque[int] = collections.deque()
    _OF_THE_MODULE.clear()

    class Look(MapFunction):
        def map(self, value: int) -> int:
            seen.append(value)
            _OF_THE_MODULE.append(value)
            return value

    with MiniCluster(slots=2, channels=channels):
        env = StreamExecutionEnvironment.get_execution_environment()
        numbers = env.from_collection([1, 2, 3]).map(Look())
        numbers.map(listed.append)
        numbers.map(lambda x, to=by_default: to.add(x))
        numbers.map(lambda x: waiting.put(x))
        env.execute()
    for found in (listed, by_default, list(waiting.queue), seen, _OF_THE_MODULE):
        assert sorted(found) == [1, 2, 3]


def test_a_job_whose_result_is_collected_runs_in_a_thread_with_the_same_list() -> None:
    seen: list[int] = []
    with MiniCluster():
        env = StreamExecutionEnvironment.get_execution_environment()

        def look(value: int) -> int:
            seen.append(value)
            return -value

        assert sorted(env.from_collection([1, 2]).map(look).execute_and_collect()) == [-2, -1]
    assert sorted(seen) == [1, 2]


def test_what_a_function_object_holds_belongs_to_one_subtask() -> None:
    class Keep(MapFunction):
        def __init__(self) -> None:
            self.kept: list[int] = []

        def map(self, value: int) -> int:
            self.kept.append(value)
            return len(self.kept)

    function = Keep()
    with MiniCluster(slots=2):
        env = StreamExecutionEnvironment.get_execution_environment()
        counts = env.from_collection([5, 5, 5, 5]).rebalance().map(function)
        assert sorted(counts.execute_and_collect()) == [1, 1, 2, 2]
    assert function.kept == []


def test_without_a_mini_cluster_functions_take_copies_along() -> None:
    seen: list[int] = []
    codec.loads_trusted(codec.dumps_function(lambda: seen.append(1), "function"))()
    assert seen == []
    with shared_captures():
        data = codec.dumps_function(lambda: seen.append(1), "function")
        codec.loads_trusted(data)()
    assert seen == [1]
    with pytest.raises(SerializationError):  # the test is over
        codec.loads_trusted(data)
    with pytest.raises(pickle.UnpicklingError):
        pickle.loads(data)
