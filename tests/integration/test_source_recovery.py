"""Sources of real jobs whose TaskManager is killed: no record is read twice or skipped."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shmflink.client.embedded_cluster import EmbeddedCluster
from shmflink.client.executor import use_executor
from shmflink.common import Configuration, Encoder
from shmflink.common.typeinfo import Types
from shmflink.datastream import DataStream, StreamExecutionEnvironment
from shmflink.datastream.connectors.file_system import FileSink, RollingPolicy

WAIT_S = 60
ROWS = 200_000


def kill_once(folder: Path, key: Callable[[Any], int]) -> Callable[[Any], str]:
    """Passes records on; kills its process once, after a checkpoint is complete. Local: it travels by value."""
    killed, checkpoints = str(folder / "killed"), str(folder / "checkpoints")

    def pass_on(record: Any) -> str:
        number = key(record)
        if number % 100 == 0 and not os.path.exists(killed):
            if glob.glob(f"{checkpoints}/*/chk-*/_metadata"):
                open(killed, "w").close()
                os.kill(os.getpid(), signal.SIGKILL)
            # Works hard, so that there is a checkpoint before the end.
            hashlib.pbkdf2_hmac("sha256", b"value", b"salt", 20_000)
        return str(number)

    return pass_on


@pytest.fixture(scope="module")
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster({"cluster.slots": "2"}) as made:
        made.start()
        assert made.wait_started(WAIT_S)
        yield made


@pytest.fixture
def env(cluster: EmbeddedCluster, tmp_path: Path) -> Iterator[StreamExecutionEnvironment]:
    options = {
        "execution.checkpointing.interval": "20 ms",
        "execution.checkpointing.dir": f"file://{tmp_path}/checkpoints",
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": "3",
        "restart-strategy.fixed-delay.delay": "1 ms",
    }
    with use_executor(cluster):
        made = StreamExecutionEnvironment.get_execution_environment(Configuration.from_dict(options))
        made.set_parallelism(2)
        yield made


def run(stream: DataStream, folder: Path, key: Callable[[Any], int]) -> Counter[int]:
    """How often each record came out of a job that was killed once."""
    out = folder / "out"
    sink = sink_of(out)
    stream.map(kill_once(folder, key), Types.STRING()).sink_to(sink)
    stream.get_execution_environment().execute("killed once")
    assert (folder / "killed").exists(), "nobody was killed"
    return numbers_in(out)


def sink_of(out: Path) -> FileSink:
    """Files appear with each checkpoint."""
    builder = FileSink.for_row_format(str(out), Encoder.simple_string_encoder())
    return builder.with_rolling_policy(RollingPolicy.on_checkpoint_rolling_policy()).build()


def numbers_in(out: Path) -> Counter[int]:
    """What is visible of the output."""
    files = [path for path in out.rglob("*") if path.is_file() and not path.name.startswith((".", "_"))]
    return Counter(int(line) for path in files for line in path.read_text().splitlines())


def test_files_of_text(env: StreamExecutionEnvironment, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(4):
        lines = range(number * ROWS // 4, (number + 1) * ROWS // 4)
        (folder / f"{number}.txt").write_text("".join(f"{line}\n" for line in lines))
    found = run(env.read_text(folder), tmp_path, int)
    assert found == Counter(range(ROWS))


def test_parquet(env: StreamExecutionEnvironment, tmp_path: Path) -> None:
    pq.write_table(pa.table({"n": np.arange(ROWS)}), tmp_path / "in.parquet", row_group_size=20_000)
    found = run(env.read_parquet(tmp_path / "in.parquet"), tmp_path, lambda row: row.n)
    assert found == Counter(range(ROWS))


def test_a_generator_at_its_rate(env: StreamExecutionEnvironment, tmp_path: Path) -> None:
    stream = env.generate(
        lambda start, stop: pa.record_batch([pa.array(np.arange(start, stop))], names=["n"]),
        40_000,
        rows_per_second=1e5,
    )
    found = run(stream, tmp_path, lambda row: row.n)
    assert found == Counter(range(40_000))


def kill_once_others_have_ended(folder: Path) -> Callable[[Any], str]:
    """Kills its process once, after a checkpoint in which another subtask had ended. Local: it travels by value."""
    killed, checkpoints = str(folder / "killed"), str(folder / "checkpoints")

    def pass_on(record: Any) -> str:
        if not os.path.exists(killed):
            for manifest in glob.glob(f"{checkpoints}/*/chk-*/_metadata"):
                with contextlib.suppress(OSError), open(manifest, "rb") as file:  # an older one is being removed
                    if b"is_finished" in file.read():
                        open(killed, "w").close()
                        os.kill(os.getpid(), signal.SIGKILL)
        return str(record.n)

    return pass_on


def test_a_reader_that_is_restarted_alone(env: StreamExecutionEnvironment, tmp_path: Path) -> None:
    """[C21] Subtasks that exchange nothing fail over each by itself; those that have ended are not started again."""
    rows = 45  # nine batches in eight splits: the reader with the last one ends a batch later than the other
    for attempt in range(10):
        stream = env.generate(
            lambda start, stop: pa.record_batch([pa.array(np.arange(start, stop))], names=["n"]),
            rows,
            rows_per_second=100,
        )
        out = tmp_path / f"out {attempt}"
        stream.map(kill_once_others_have_ended(tmp_path), Types.STRING()).sink_to(sink_of(out))
        env.execute("restarted in part")
        assert numbers_in(out) == Counter(range(rows))
        if (tmp_path / "killed").exists():
            return
    pytest.fail("the machine was too slow for a checkpoint in between, ten times")


def test_a_folder_that_is_watched(env: StreamExecutionEnvironment, tmp_path: Path) -> None:
    """[S9] Files come before and after the failure; a job without an end is stopped when all of them came out."""
    folder = tmp_path / "in"
    folder.mkdir()

    def appear(number: int) -> None:
        lines = range(number * 1000, (number + 1) * 1000)
        (folder / ".next").write_text("".join(f"{line}\n" for line in lines))
        (folder / ".next").rename(folder / f"{number}.txt")

    out = tmp_path / "out"
    sink = sink_of(out)
    stream = env.read_text(folder, monitor_interval=0.01)
    stream.map(kill_once(tmp_path, int), Types.STRING()).sink_to(sink)
    appear(0)
    client = env.execute_async("watching")
    turn = threading.Event()
    number = 1
    found: Counter[int] = Counter()
    while not (tmp_path / "killed").exists() or len(found) < number * 1000:
        if number < 50 and not (tmp_path / "killed").exists():
            appear(number)
            number += 1
        turn.wait(0.05)
        found = numbers_in(out)
        assert not client.get_job_execution_result().done()
    client.cancel().result()
    assert found == Counter(range(number * 1000))


def test_a_socket_gives_each_record_at_most_once(env: StreamExecutionEnvironment, tmp_path: Path) -> None:
    """[S11] It says so at the start; what the failure took is gone, and nothing comes twice."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(WAIT_S)

        def serve() -> None:
            number = 0
            while number < 100_000:
                connection, _ = server.accept()
                with connection, contextlib.suppress(OSError):
                    while number < 100_000:
                        number += 100
                        connection.sendall("".join(f"{n}\n" for n in range(number - 100, number)).encode())
                        threading.Event().wait(0.0005)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        stream = env.socket_text_stream("127.0.0.1", server.getsockname()[1])
        with pytest.warns(UserWarning, match=r"'Socket Stream' .*at most once"):
            found = run(stream, tmp_path, int)
        thread.join(WAIT_S)
    assert max(found.values()) == 1
    assert found[99_999] == 1
