"""Streams whose rows are stored for later jobs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from shmflink.common import Row, Types
from shmflink.datastream import (
    DataStream,
    OutputTag,
    ProcessFunction,
    RuntimeExecutionMode,
    StreamExecutionEnvironment,
)
from shmflink.errors import JobExecutionError
from shmflink.testing import MiniCluster


@pytest.fixture
def env() -> Iterator[StreamExecutionEnvironment]:
    with MiniCluster(slots=2):
        env = StreamExecutionEnvironment.get_execution_environment()
        env.set_runtime_mode(RuntimeExecutionMode.BATCH)
        yield env
        env.close()


def _doubled(env: StreamExecutionEnvironment, calls: Path) -> DataStream:
    def double(value: int) -> int:
        with open(calls, "a") as file:
            file.write(".")
        return 2 * value

    calls.touch()
    return env.from_collection([1, 2, 3], Types.LONG()).rebalance().map(double, Types.LONG())


def _rows(stream: DataStream) -> list[object]:
    with stream.execute_and_collect() as results:
        return sorted(results)


def test_later_jobs_read_the_rows_of_the_first(env: StreamExecutionEnvironment, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    cached = _doubled(env, calls).cache()
    assert _rows(cached.map(lambda v: v + 1)) == [3, 5, 7]
    assert _rows(cached.filter(lambda v: v > 2)) == [4, 6]
    assert _rows(cached) == [2, 4, 6]
    assert calls.read_text() == "..."
    assert cached.get_type() == Types.LONG()


def test_rows_that_were_invalidated_are_made_again_and_kept(env: StreamExecutionEnvironment, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    cached = _doubled(env, calls).cache()
    assert _rows(cached) == [2, 4, 6]
    cached.invalidate()
    assert _rows(cached) == _rows(cached) == [2, 4, 6]
    assert calls.read_text() == "......"


def test_a_job_that_fails_keeps_nothing(env: StreamExecutionEnvironment, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    cached = _doubled(env, calls).cache()
    with pytest.raises(JobExecutionError):
        _rows(cached.map(lambda v: v // 0))
    assert _rows(cached) == [2, 4, 6]
    assert len(calls.read_text()) > 3


def test_streaming_jobs_read_what_is_kept_and_keep_nothing(env: StreamExecutionEnvironment, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    cached = _doubled(env, calls).cache()
    env.set_runtime_mode(RuntimeExecutionMode.STREAMING)
    assert _rows(cached) == _rows(cached) == [2, 4, 6]
    assert calls.read_text() == "......"
    env.set_runtime_mode(RuntimeExecutionMode.BATCH)
    assert _rows(cached) == [2, 4, 6]
    env.set_runtime_mode(RuntimeExecutionMode.STREAMING)
    assert _rows(cached) == [2, 4, 6]
    assert calls.read_text() == "........."


def test_rows_come_back_as_they_were(env: StreamExecutionEnvironment) -> None:
    values = [1, "a", None, {"b": [2]}, Row(c=3), (4, 5.5)]
    env.set_parallelism(1)
    cached = env.from_collection(values).cache()
    for _ in range(2):
        with cached.execute_and_collect() as results:
            assert list(results) == values


def test_a_side_output_can_be_kept(env: StreamExecutionEnvironment) -> None:
    odd = OutputTag("odd", Types.LONG())

    class Split(ProcessFunction):
        def process_element(self, value, ctx):
            yield value if value % 2 == 0 else (odd, value)

    cached = env.from_collection([1, 2, 3], Types.LONG()).process(Split(), Types.LONG()).get_side_output(odd).cache()
    assert _rows(cached) == _rows(cached) == [1, 3]


def test_the_rows_go_with_the_environment(
    env: StreamExecutionEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "shmflink-cache-999999999-x").mkdir()  # of a process that was killed
    cached = env.from_collection([1]).cache()
    assert _rows(cached) == [1]
    assert len(os.listdir(tmp_path)) == 1
    env.close()
    assert os.listdir(tmp_path) == []
