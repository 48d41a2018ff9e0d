"""Jobs on real processes that fail and resume from their checkpoints."""

from __future__ import annotations

import glob
import hashlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shmflink.client.embedded_cluster import EmbeddedCluster
from shmflink.client.executor import use_executor
from shmflink.common import Configuration, WatermarkStrategy
from shmflink.common.typeinfo import Types
from shmflink.datastream import MapFunction, RuntimeContext, StreamExecutionEnvironment
from shmflink.datastream.connectors.number_seq import NumberSequenceSource
from shmflink.errors import JobExecutionError

WAIT_S = 60
COUNT = 60_000
KEYS = 7


@pytest.fixture(scope="module")
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster({"cluster.slots": "2"}) as made:
        made.start()
        assert made.wait_started(WAIT_S)
        yield made


@pytest.fixture
def environment(cluster: EmbeddedCluster, tmp_path: Path) -> Iterator[Callable[..., StreamExecutionEnvironment]]:
    def make(**options: str) -> StreamExecutionEnvironment:
        settings = {
            "execution.checkpointing.interval": "20 ms",
            "execution.checkpointing.dir": f"file://{tmp_path}/checkpoints",
            "restart-strategy.type": "fixed-delay",
            "restart-strategy.fixed-delay.attempts": "3",
            "restart-strategy.fixed-delay.delay": "1 ms",
            **{key.replace("_", "-").replace("--", "."): value for key, value in options.items()},
        }
        made = StreamExecutionEnvironment.get_execution_environment(Configuration.from_dict(settings))
        made.set_parallelism(2)
        return made

    with use_executor(cluster):
        yield make


def fails_once(folder: Path, *, kills: bool, only: int | None = None) -> MapFunction:
    """A function that ends its process, or raises, at one record, once there is a checkpoint. Travels by value."""

    class FailsOnce(MapFunction):
        def __init__(self) -> None:
            self.folder = str(folder)

        def open(self, runtime_context: RuntimeContext) -> None:
            self.subtask = runtime_context.get_index_of_this_subtask()
            with open(f"{self.folder}/opened", "a") as file:
                file.write(f"{self.subtask}\n")

        def map(self, value: Any) -> Any:
            failed = f"{self.folder}/failed"
            if only in (None, self.subtask) and value % 50 == 0 and not os.path.exists(failed):
                if glob.glob(f"{self.folder}/checkpoints/*/chk-*/_metadata"):
                    open(failed, "w").close()
                    if kills:
                        os.kill(os.getpid(), signal.SIGKILL)
                    raise ValueError("once")
                # Works hard, so that there is a checkpoint before the end.
                hashlib.pbkdf2_hmac("sha256", b"value", b"salt", 20_000)
            return value

    return FailsOnce()


def sums(environment: StreamExecutionEnvironment, function: MapFunction) -> dict[int, tuple[int, int, int]]:
    """Count and sum by key of all numbers, as the last result of each key says."""
    source = NumberSequenceSource(1, COUNT)
    triple = Types.TUPLE([Types.LONG()] * 3)
    stream = (
        environment.from_source(source, WatermarkStrategy.no_watermarks(), "numbers", Types.LONG())
        .map(function, Types.LONG())
        .map(lambda v: (v % KEYS, 1, v), triple)
        .key_by(lambda row: row[0], Types.LONG())
        .reduce(lambda a, b: (a[0], a[1] + b[1], a[2] + b[2]))
    )
    last: dict[int, tuple[int, int, int]] = {}
    with stream.execute_and_collect() as results:
        for row in results:
            last[row[0]] = max(tuple(row), last.get(row[0], (0, 0, 0)))
    return last


def expected() -> dict[int, tuple[int, int, int]]:
    numbers: dict[int, list[int]] = {}
    for number in range(1, COUNT + 1):
        numbers.setdefault(number % KEYS, []).append(number)
    return {key: (key, len(values), sum(values)) for key, values in numbers.items()}


@pytest.mark.parametrize("kills", [True, False], ids=["killed", "raised"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"execution__checkpointing__unaligned__enabled": "true"},
        {"execution__checkpointing__incremental": "false"},
    ],
    ids=["aligned", "unaligned", "full"],
)
def test_keyed_state_counts_every_record_once(
    environment: Callable[..., StreamExecutionEnvironment], tmp_path: Path, kills: bool, options: dict[str, str]
) -> None:
    """[P1] TaskManager killed, or a function that raises."""
    made = environment(**options)
    assert sums(made, fails_once(tmp_path, kills=kills)) == expected()
    assert (tmp_path / "failed").exists(), "nothing failed"


def test_at_least_once_loses_nothing(environment: Callable[..., StreamExecutionEnvironment], tmp_path: Path) -> None:
    made = environment(execution__checkpointing__mode="AT_LEAST_ONCE")
    found = sums(made, fails_once(tmp_path, kills=True))
    assert all(found[key][1] >= count for key, (_, count, _) in expected().items())


def test_what_is_not_connected_to_a_failure_goes_on(
    environment: Callable[..., StreamExecutionEnvironment], tmp_path: Path
) -> None:
    """Two pipelines side by side are two failover regions: one restarts, the other's function is opened once."""
    made = environment()
    source = NumberSequenceSource(1, COUNT)
    stream = made.from_source(source, WatermarkStrategy.no_watermarks(), "numbers", Types.LONG())
    stream = stream.map(fails_once(tmp_path, kills=False, only=1), Types.LONG())
    stream.print()
    made.execute("two regions")
    opened = sorted(map(int, (tmp_path / "opened").read_text().split()))
    assert opened == [0, 1, 1]
    assert (tmp_path / "failed").exists(), "nothing failed"


def test_a_job_that_always_fails_ends_with_its_first_cause(
    environment: Callable[..., StreamExecutionEnvironment], tmp_path: Path
) -> None:
    """[P13]"""
    made = environment()

    def fail(value: int) -> int:
        raise ValueError(f"number {value}")

    source = NumberSequenceSource(1, 10)
    made.from_source(source, WatermarkStrategy.no_watermarks(), "numbers", Types.LONG()).map(fail, Types.LONG()).print()
    with pytest.raises(JobExecutionError, match=r"ValueError: number \d") as caught:
        made.execute("in vain")
    assert "has failed 4 times" in str(caught.value)
    assert not glob.glob(f"{tmp_path}/checkpoints/*/chk-*")
