"""Jobs with separate HA directories share a database, an output folder and a checkpoint folder, under kills."""

from __future__ import annotations

import glob
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from oracle.postgres_server import PostgresServer

from shmflink.client.embedded_cluster import EmbeddedCluster
from shmflink.client.executor import use_executor
from shmflink.common import Configuration
from shmflink.common.typeinfo import Types
from shmflink.connectors.base import Sink
from shmflink.datastream import StreamExecutionEnvironment
from shmflink.datastream.connectors.file_system import FileSink
from shmflink.datastream.connectors.postgres import PostgresSink, staged_rows

ROWS = 6_000
KILLS = 4
JOBS = ("a", "b")


def kill_often(folder: Path) -> Callable[[Any], int]:
    """Passes numbers on. After new checkpoints it kills its process, or its JobManager. Local: it travels by value."""
    kills, rows, kills_max = str(folder / "kill"), ROWS, KILLS

    def jobmanager() -> int:
        """The parent of the fork server, which is our own."""
        with open(f"/proc/{os.getppid()}/stat") as file:
            return int(file.read().rpartition(")")[2].split()[1])

    def pass_on(record: Any) -> int:
        number = int(record.n)
        if number % 50 == 0:
            for kill in range(kills_max):
                marker = f"{kills}-{kill}"
                if number % rows > (kill + 1) * rows // (kills_max + 2) and not os.path.exists(marker):
                    if glob.glob(f"{folder}/../checkpoints/*/chk-*/_metadata"):
                        open(marker, "w").close()
                        os.kill(jobmanager() if kill % 2 else os.getpid(), signal.SIGKILL)
                    break
        return number

    return pass_on


def run(name: str, number: int, folder: Path, sink: Sink) -> None:
    """One program: the numbers from `number * ROWS` on, through a function that kills."""
    own = folder / name
    own.mkdir()
    options = {
        "cluster.slots": "2",
        "high-availability.type": "filesystem",
        "high-availability.storageDir": f"{own}/ha",
        "execution.checkpointing.interval": "30 ms",
        "execution.checkpointing.dir": f"file://{folder}/checkpoints",
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": "100",
        "restart-strategy.fixed-delay.delay": "1 ms",
    }
    first = number * ROWS

    def rows(start: int, stop: int) -> pa.RecordBatch:
        return pa.record_batch([pa.array(np.arange(first + start, first + stop))], names=["n"])

    with EmbeddedCluster(options) as cluster, use_executor(cluster):
        env = StreamExecutionEnvironment.get_execution_environment(Configuration.from_dict(options))
        env.set_parallelism(2)
        numbers = env.generate(rows, ROWS, rows_per_second=ROWS // 2, batch_rows=50)
        killed = numbers.map(kill_often(own), Types.LONG())
        killed.map_batches(lambda batch: pa.record_batch([batch.column(0)], names=["n"])).sink_to(sink)
        env.execute(name)


def run_both(folder: Path, sink: Callable[[], Sink]) -> None:
    """Both at the same time; raises what either of them does."""
    with ThreadPoolExecutor(len(JOBS)) as threads:
        for done in [threads.submit(run, name, number, folder, sink()) for number, name in enumerate(JOBS)]:
            done.result()
    for name in JOBS:
        assert len(list((folder / name).glob("kill-*"))) == KILLS, f"{name} was not killed so often"


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    made = PostgresServer()
    yield made
    made.stop()


def test_one_output_folder(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_both(tmp_path, lambda: FileSink.csv(str(out), header=False))
    files = [path for path in out.rglob("*") if path.is_file()]
    assert [path.name for path in files if path.name.startswith(".")] == []
    assert Counter(int(line) for path in files for line in path.read_text().split()) == Counter(range(2 * ROWS))


def test_one_database(tmp_path: Path, server: PostgresServer) -> None:
    server.rows("CREATE TABLE numbers (n bigint)")
    run_both(tmp_path, lambda: PostgresSink.for_table(server.url, "numbers"))
    assert Counter(n for (n,) in server.rows("SELECT n FROM numbers")) == Counter(range(2 * ROWS))
    assert list(staged_rows(server.url, "numbers")) == []
    assert server.rows("SELECT count(DISTINCT sink) FROM shmflink_sinks") == [(2,)]
