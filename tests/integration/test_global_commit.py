"""A sink with a global committer: the job is stopped or drained, killed, and resumed with another parallelism."""

from __future__ import annotations

import contextlib
import json
import os
import runpy
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shmflink.client.embedded_cluster import EmbeddedCluster
from shmflink.client.executor import use_executor
from shmflink.common import Configuration
from shmflink.datastream import StreamExecutionEnvironment
from shmflink.errors import ShmflinkError

WAIT_S = 60
ROWS = 20_000
KILLS = ("never", "before subtasks", "between subtasks and all", "after all")


@pytest.fixture(scope="module")
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster({"cluster.slots": "3"}) as made:
        made.start()
        assert made.wait_started(WAIT_S)
        yield made


def dying_sink(out: Path, armed: Path) -> Any:
    """The example's. Once `armed` says when, the process is killed then, if a savepoint is complete. Local: it travels
    by value.
    """
    example = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "manifest_sink.py"))
    folder, arm = str(out), str(armed)

    def die(when: str) -> None:
        savepoints = Path(arm).parent.glob("savepoints/*/_metadata")
        if not list(savepoints):
            return
        with contextlib.suppress(FileNotFoundError):  # another subtask was faster
            os.rename(f"{arm} {when}", f"{arm} no longer")
            os.kill(os.getpid(), signal.SIGKILL)

    class DyingFileCommitter(example["FileCommitter"]):  # type: ignore[misc]
        def commit(self, committables: Sequence[Any]) -> None:
            die("before subtasks")
            super().commit(committables)

    class DyingManifestCommitter(example["ManifestCommitter"]):  # type: ignore[misc]
        def commit(self, committables: Sequence[Any]) -> None:
            die("between subtasks and all")
            super().commit(committables)
            die("after all")

    class TellingWriter(example["FileWriter"]):  # type: ignore[misc]
        def write(self, batch: Any) -> None:
            super().write(batch)
            Path(arm).with_name("written").touch()

    class DyingSink(example["ManifestSink"]):  # type: ignore[misc]
        def create_writer(self, context: Any) -> Any:
            return TellingWriter(folder)

        def create_committer(self, context: Any) -> Any:
            return DyingFileCommitter(folder)

        def create_global_committer(self, context: Any) -> Any:
            return DyingManifestCommitter(folder)

    return DyingSink(folder)


class Job:
    """Numbers to manifests, in a cluster that outlives it."""

    def __init__(self, cluster: EmbeddedCluster, folder: Path) -> None:
        self._cluster, self._folder = cluster, folder
        self.out, self.savepoints, self._armed = folder / "out", folder / "savepoints", folder / "armed"
        self.out.mkdir()

    def start(self, parallelism: int, **options: str) -> Any:
        settings = {
            "execution.checkpointing.interval": "1 h",
            "execution.checkpointing.dir": f"file://{self._folder}/checkpoints",
        }
        settings |= {name.replace("_", "."): text for name, text in options.items()}
        with use_executor(self._cluster):
            env = StreamExecutionEnvironment.get_execution_environment(Configuration.from_dict(settings))
            env.set_parallelism(parallelism)
            numbers = env.generate(
                lambda start, stop: pa.record_batch([pa.array(np.arange(start, stop))], names=["n"]),
                ROWS,
                rows_per_second=ROWS,
            )
            numbers.uid("numbers").sink_to(dying_sink(self.out, self._armed)).uid("manifests")
            return env.execute_async("manifests")

    def arm(self, when: str) -> None:
        (self._folder / f"armed {when}").touch()

    @property
    def has_died(self) -> bool:
        return (self._folder / "armed no longer").exists()

    def wait_for_rows(self) -> None:
        """The next checkpoint has something to commit."""
        while not (self._folder / "written").exists():
            os.sched_yield()

    def listed(self) -> Counter[int]:
        """As readers of manifests see it. Each file is in one of them, and has its name."""
        names = Counter(name for path in self.out.glob("manifest-*.json") for name in json.loads(path.read_text()))
        assert max(names.values(), default=1) == 1
        return Counter(n for name in names for n in pq.read_table(self.out / name)["n"].to_pylist())


@pytest.fixture
def job(cluster: EmbeddedCluster, tmp_path: Path) -> Job:
    return Job(cluster, tmp_path)


def stopped(client: Any, folder: Path, *, drains: bool) -> str:
    """The savepoint, also where the job dies behind it."""
    said = "the job is not running"
    while said == "the job is not running":  # rows flow before the JobManager knows that all tasks run
        try:
            client.stop_with_savepoint(drains, str(folder)).result()
            said = ""
        except ShmflinkError as error:
            said = str(error)
    assert not said or "is complete, but the job did not finish afterwards" in said
    with contextlib.suppress(ShmflinkError):
        client.get_job_execution_result().result()
    (savepoint,) = folder.glob("*/_metadata")
    return str(savepoint.parent)


@pytest.mark.parametrize("kill", KILLS)
@pytest.mark.parametrize(("drains", "parallelism"), [(False, 3), (True, 1)], ids=["stopped", "drained"])
def test_a_job_resumes_from_its_savepoint_with_other_subtasks(
    job: Job, kill: str, drains: bool, parallelism: int
) -> None:
    """What the first job had not committed is committed by the next one, and what it had is not repeated."""
    client = job.start(2, **{"restart-strategy_type": "none"})
    job.wait_for_rows()
    job.arm(kill)
    savepoint = stopped(client, job.savepoints, drains=drains)
    assert job.has_died is (kill != "never")
    assert (job.listed().total() > 0) is (kill in ("never", "after all"))
    job.start(parallelism, **{"execution_state-recovery_path": savepoint}).get_job_execution_result().result()
    assert job.listed() == Counter(range(ROWS))


@pytest.mark.parametrize("kill", KILLS[1:])
@pytest.mark.parametrize("drains", [False, True], ids=["stopped", "drained"])
def test_a_job_that_dies_behind_its_last_savepoint_resumes_by_itself(job: Job, kill: str, drains: bool) -> None:
    """It goes on from the savepoint, as a job does that could not be stopped."""
    options = {"restart-strategy_type": "fixed-delay", "restart-strategy_fixed-delay_delay": "1 ms"}
    client = job.start(2, **options, **{"restart-strategy_fixed-delay_attempts": "10"})
    job.wait_for_rows()
    job.arm(kill)
    stopped(client, job.savepoints, drains=drains)
    assert job.has_died
    assert job.listed() == Counter(range(ROWS))


@pytest.mark.parametrize("kill", KILLS[1:])
def test_a_job_that_resumed_dies_of_its_first_global_commit(job: Job, kill: str) -> None:
    """Another job, with other subtasks, has what the savepoint holds to commit, and dies with it."""
    client = job.start(2)
    job.wait_for_rows()
    savepoint = stopped(client, job.savepoints, drains=False)
    job.arm(kill)
    options = {"restart-strategy_type": "fixed-delay", "restart-strategy_fixed-delay_delay": "1 ms"}
    resumed = job.start(3, **options, **{"execution_state-recovery_path": savepoint})
    resumed.get_job_execution_result().result()
    assert job.has_died
    assert job.listed() == Counter(range(ROWS))
