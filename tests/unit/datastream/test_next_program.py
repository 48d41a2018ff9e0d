"""A refused program is not part of the next one: a notebook's cell can be corrected and run again."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from shmflink.common import Configuration, Types
from shmflink.datastream import DataStream, RuntimeExecutionMode, StreamExecutionEnvironment
from shmflink.datastream.connectors.file_system import FileSink
from shmflink.errors import ShmflinkError
from shmflink.expressions import col, count
from shmflink.testing import MiniCluster

Refused = Callable[[StreamExecutionEnvironment, DataStream], None]
MENDED = Configuration.from_dict({"pipeline.auto-generate-uids": "true", "python.executable": sys.executable})


@pytest.fixture
def env() -> Iterator[StreamExecutionEnvironment]:
    with MiniCluster(slots=2):
        yield StreamExecutionEnvironment.get_execution_environment()


def cannot_be_pickled(env: StreamExecutionEnvironment, rows: DataStream) -> None:
    lock = threading.Lock()
    rows.map(lambda row: (lock, row)[1]).print()


def is_given_no_uids(env: StreamExecutionEnvironment, rows: DataStream) -> None:
    env.get_config().disable_auto_generated_uids()
    rows.print()


def treats_updates_as_rows(env: StreamExecutionEnvironment, rows: DataStream) -> None:
    counts = rows.key_by("f0").aggregate(n=count())
    counts.print()
    counts.filter(col("n") > 1).print()


def names_another_python(env: StreamExecutionEnvironment, rows: DataStream) -> None:
    env.configure(Configuration().set_string("python.executable", "/nowhere/python"))
    rows.print()


def writes_into_a_file(env: StreamExecutionEnvironment, rows: DataStream) -> None:
    rows.sink_to(FileSink.csv("/dev/null/rows"))


def asks_for_too_many_slots(env: StreamExecutionEnvironment, rows: DataStream) -> None:
    rows.map(lambda row: row).set_parallelism(1000).print()


def collects(rows: DataStream) -> list[int]:
    return [row[0] for row in rows.execute_and_collect()]


@pytest.mark.parametrize(
    "refused",
    [
        cannot_be_pickled,
        is_given_no_uids,
        treats_updates_as_rows,
        names_another_python,
        writes_into_a_file,
        asks_for_too_many_slots,
    ],
)
def test_a_refused_program_is_not_refused_again_with_the_next(
    env: StreamExecutionEnvironment, refused: Refused
) -> None:
    rows = env.from_collection([(1,), (2,)], Types.ROW([Types.LONG()]))
    refused(env, rows)
    with pytest.raises((ShmflinkError, OSError)):
        env.execute("refused")
    env.configure(MENDED)
    assert env.recorder.is_empty
    assert collects(rows) == [1, 2]


def test_a_cached_stream_outlives_a_refused_program(env: StreamExecutionEnvironment) -> None:
    env.set_runtime_mode(RuntimeExecutionMode.BATCH)
    doubled = env.from_collection([1, 2], Types.LONG()).map(lambda value: 2 * value, Types.LONG()).cache()
    cannot_be_pickled(env, doubled)
    with pytest.raises(ShmflinkError, match="cannot be sent to the workers"):
        env.execute("refused")
    assert [sorted(doubled.execute_and_collect()) for _ in range(2)] == [[2, 4], [2, 4]]
