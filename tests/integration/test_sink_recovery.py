"""Sinks of real jobs whose TaskManager is killed repeatedly: every record is written exactly once."""

from __future__ import annotations

import glob
import json
import os
import runpy
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from oracle.postgres_server import PostgresServer
from oracle.two_phases import Poller

from shmflink.client.embedded_cluster import EmbeddedCluster
from shmflink.client.executor import use_executor
from shmflink.common import Configuration, Encoder
from shmflink.common.typeinfo import Types
from shmflink.datastream import DataStream, StreamExecutionEnvironment
from shmflink.datastream.connectors.file_system import BucketAssigner, FileSink, RollingPolicy
from shmflink.datastream.connectors.postgres import PostgresSink, staged_rows
from shmflink.expressions import col, count

WAIT_S = 60
ROWS = 20_000
KILLS = 3


def kill_often(folder: Path) -> Callable[[Any], int]:
    """Passes numbers on; kills its process after new checkpoints. Local: it travels by value."""
    checkpoints, kills, rows = str(folder / "checkpoints"), str(folder / "kill"), ROWS

    def pass_on(record: Any) -> int:
        number = int(record.n)
        if number % 50 == 0:
            for kill in range(KILLS):
                marker = f"{kills}-{kill}"
                if number > (kill + 1) * rows // (KILLS + 2) and not os.path.exists(marker):
                    if glob.glob(f"{checkpoints}/*/chk-*/_metadata"):
                        open(marker, "w").close()
                        os.kill(os.getpid(), signal.SIGKILL)
                    break
        return number

    return pass_on


@pytest.fixture(scope="module")
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster({"cluster.slots": "2"}) as made:
        made.start()
        assert made.wait_started(WAIT_S)
        yield made


@pytest.fixture
def numbers(cluster: EmbeddedCluster, tmp_path: Path) -> Iterator[DataStream]:
    """Through a function that kills its process."""
    options = {
        "execution.checkpointing.interval": "20 ms",
        "execution.checkpointing.dir": f"file://{tmp_path}/checkpoints",
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": "100",
        "restart-strategy.fixed-delay.delay": "1 ms",
    }
    with use_executor(cluster):
        env = StreamExecutionEnvironment.get_execution_environment(Configuration.from_dict(options))
        env.set_parallelism(2)
        stream = env.generate(
            lambda start, stop: pa.record_batch([pa.array(np.arange(start, stop))], names=["n"]),
            ROWS,
            rows_per_second=ROWS,
        )
        yield stream.map(kill_often(tmp_path), Types.LONG())
    assert len(list(tmp_path.glob("kill-*"))) == KILLS


def visible(out: Path) -> Counter[int]:
    """As any reader sees it: a file with a hidden name is not there."""
    files = [path for path in out.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return Counter(int(line) for path in files for line in path.read_text().split())


@pytest.mark.parametrize("rolling", ["on every checkpoint", "by size"])
def test_files(numbers: DataStream, tmp_path: Path, rolling: str) -> None:
    """[E1] [E2] [E3] [E4] [E5]"""
    out = tmp_path / "out"
    out.mkdir()
    policy = RollingPolicy.limits(part_bytes=20_000) if rolling == "by size" else None
    builder = FileSink.for_row_format(str(out), Encoder.simple_string_encoder())
    builder = builder.with_bucket_assigner(BucketAssigner.base_path_bucket_assigner())
    sink = builder.with_rolling_policy(policy or RollingPolicy.on_checkpoint_rolling_policy()).build()
    numbers.sink_to(sink)

    def look() -> None:
        seen = visible(out)
        assert max(seen.values(), default=1) == 1

    poller = Poller(look)
    numbers.get_execution_environment().execute("files")
    poller.stop()
    assert visible(out) == Counter(range(ROWS))
    assert [path.name for path in out.iterdir() if path.name.startswith(".")] == []


def test_files_that_are_overwritten(numbers: DataStream, tmp_path: Path) -> None:
    """The old ones go once, with the first commit; those of this job stay, however often it is restarted."""
    output = tmp_path / "numbers"
    output.mkdir()
    for name in ("old.csv", ".others", "part-1.csv"):
        (output / name).write_text("7\n")
    numbers.sink_to(FileSink.csv(os.fspath(output), header=False, mode="overwrite"))
    numbers.get_execution_environment().execute("overwritten")
    found = sorted(path.name for path in output.iterdir())
    assert ".others" in found
    assert not {"old.csv", "part-1.csv"} & set(found)
    lines = [line for path in output.glob("*.csv") for line in path.read_text().splitlines()]
    assert Counter(map(int, lines)) == Counter(range(ROWS))


def test_final_rows_of_an_aggregate(numbers: DataStream, tmp_path: Path) -> None:
    """Held in state until the input ends, and written once; some in each of both subtasks."""
    output = tmp_path / "totals"
    columns = numbers.as_columns(pa.schema([("n", pa.int64())])).select("n", k=col("n") % 100)
    columns.key_by("k").aggregate(rows=count(), total=col("n").sum).sink_to(
        FileSink.csv(os.fspath(output), header=False)
    )
    numbers.get_execution_environment().execute("totals")
    lines = [
        tuple(map(int, line.split(","))) for path in output.glob("*.csv") for line in path.read_text().splitlines()
    ]
    assert sorted(lines) == [(k, ROWS // 100, sum(range(k, ROWS, 100))) for k in range(100)]


def test_results_that_the_program_collects(numbers: DataStream) -> None:
    """[E2] [E3]"""
    with numbers.execute_and_collect("collected") as results:
        assert Counter(results) == Counter(range(ROWS))


def test_a_table_of_postgresql(numbers: DataStream) -> None:
    """[E1] [E2] [E3] [E4] The server, too, is killed on the way."""
    server = PostgresServer()
    try:
        server.rows("CREATE TABLE numbers (n bigint)")
        rows = numbers.map(lambda n: n, Types.LONG()).map_batches(
            lambda batch: pa.record_batch([batch.column(0)], names=["n"])
        )
        rows.sink_to(PostgresSink.for_table(server.url, "numbers"))
        killer = threading.Timer(1.0, lambda: (server.kill(), server.start()))
        killer.start()
        try:
            numbers.get_execution_environment().execute("a table")
        finally:
            killer.cancel()
            killer.join()
        assert Counter(n for (n,) in server.rows("SELECT n FROM numbers")) == Counter(range(ROWS))
        assert list(staged_rows(server.url, "numbers")) == []
    finally:
        server.stop()


def dying_manifest_sink(folder: Path, kills: Path) -> Any:
    """The example's. Its process is killed when all files of a checkpoint are committed and their manifest is not, and
    once more right after that. Local: it travels by value.
    """
    example = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "manifest_sink.py"))
    out, markers = str(folder), str(kills)

    def die_once(when: str) -> None:
        if not os.path.exists(f"{markers}-{when}"):
            open(f"{markers}-{when}", "w").close()
            os.kill(os.getpid(), signal.SIGKILL)

    class DyingCommitter(example["ManifestCommitter"]):  # type: ignore[misc]
        def commit(self, committables: Sequence[Any]) -> None:
            die_once("before")
            super().commit(committables)
            die_once("after")

    class DyingSink(example["ManifestSink"]):  # type: ignore[misc]
        def create_global_committer(self, context: Any) -> Any:
            return DyingCommitter(out)

    return DyingSink(out)


def test_manifests_of_a_global_committer(numbers: DataStream, tmp_path: Path) -> None:
    """Killed between the commits of the subtasks and the global one, and after it: each row is listed once."""
    out = tmp_path / "out"
    out.mkdir()
    columns = numbers.map(lambda n: (n,), Types.ROW_NAMED(["n"], [Types.LONG()]))
    columns.sink_to(dying_manifest_sink(out, tmp_path / "commit"))

    def look() -> None:
        files = Counter(name for path in out.glob("manifest-*.json") for name in json.loads(path.read_text()))
        assert max(files.values(), default=1) == 1
        assert all((out / name).exists() for name in files)  # committed by the subtasks before

    poller = Poller(look)
    numbers.get_execution_environment().execute("manifests")
    poller.stop()
    assert {path.name for path in tmp_path.glob("commit-*")} == {"commit-before", "commit-after"}
    listed = [name for path in out.glob("manifest-*.json") for name in json.loads(path.read_text())]
    assert Counter(n for name in listed for n in pq.read_table(out / name)["n"].to_pylist()) == Counter(range(ROWS))
