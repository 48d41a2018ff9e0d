"""How failures of user code reach the user: through real processes, at the end of `execute()`."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shmflink.client.embedded_cluster import EmbeddedCluster
from shmflink.client.executor import use_executor
from shmflink.common import WatermarkStrategy
from shmflink.connectors.base import SplitEnumerator
from shmflink.connectors.number_sequence import NumberSequenceSource
from shmflink.datastream import StreamExecutionEnvironment
from shmflink.errors import JobExecutionError, SerializationError, ShmflinkError


@pytest.fixture(scope="module")
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster({"cluster.slots": "2"}) as cluster:
        yield cluster


@pytest.fixture
def fails(cluster):
    """Runs a map function over 1, 2, 3 on real processes; the text of the error."""

    def run(function, parallelism: int = 1) -> str:
        with use_executor(cluster):
            env = StreamExecutionEnvironment.get_execution_environment()
            env.set_parallelism(parallelism)
            stream = env.from_collection([1, 2, 3]).rebalance() if parallelism > 1 else env.from_collection([1, 2, 3])
            stream.map(function).name("Halve").print()
            with pytest.raises(JobExecutionError) as caught:
                env.execute("halving")
        assert caught.value.cause_text in str(caught.value)
        return str(caught.value)

    return run


def test_the_users_traceback_operator_subtask_and_record(fails):
    """[U1]"""
    text = fails(lambda v: 1 // (v - 2))
    assert "job 'halving'" in text
    assert "operator 'Halve' (1/1)" in text
    assert "record: 2" in text
    assert text.endswith("ZeroDivisionError: integer division or modulo by zero")
    assert "lambda v: 1 // (v - 2)" in text, "the user's own line"
    assert "site-packages/shmflink" not in text
    assert "taskmanager/task.py" not in text


def test_a_failure_behind_a_shuffle_names_its_subtask(fails):
    assert "/2)" in fails(lambda v: 1 // (v - 2), parallelism=2)


def test_sys_exit(fails):
    """[U11]"""
    text = fails(lambda v: sys.exit(3))
    assert "user code called sys.exit(3)" in text
    assert "taskmanager/task.py" not in text


def test_os_exit(fails):
    """[U11]"""
    assert "exited with code 3: user code or a library called os._exit()" in fails(lambda v: os._exit(3))


def test_a_crash_in_native_code(fails):
    """[P3]"""
    import ctypes

    assert "was killed by signal 11 (SIGSEGV): a native library" in fails(lambda v: ctypes.string_at(0))


def test_an_interrupt_raised_by_user_code(fails):
    def interrupt(value):
        raise KeyboardInterrupt

    assert "KeyboardInterrupt" in fails(interrupt)


def test_the_cluster_goes_on_after_failures(cluster, fails):
    fails(lambda v: 1 // 0)
    with use_executor(cluster):
        env = StreamExecutionEnvironment.get_execution_environment()
        env.from_collection([1, 2]).map(lambda v: v).print()
        assert env.execute().get_net_runtime() >= 0


def test_what_cannot_travel_is_named_before_anything_runs(cluster):
    """[U5]"""
    import threading

    lock = threading.Lock()
    with use_executor(cluster):
        env = StreamExecutionEnvironment.get_execution_environment()
        env.from_collection([1]).map(lambda v: lock.acquire()).print()
        with pytest.raises(SerializationError, match=r"cannot pickle '_thread\.lock' object"):
            env.execute()


def exiting_source() -> NumberSequenceSource:
    class Exiting(NumberSequenceSource):
        """Its enumerator calls os._exit, in the JobManager, which other jobs need."""

        def create_enumerator(self, parallelism: int, state: Any = None) -> SplitEnumerator:
            os._exit(4)

    return Exiting(0, 9)


def test_an_enumerator_that_ends_the_process_fails_its_job_and_no_other(cluster):
    """[U11]"""
    with use_executor(cluster):
        env = StreamExecutionEnvironment.get_execution_environment()
        env.from_source(exiting_source(), WatermarkStrategy.no_watermarks(), "numbers").print()
        with pytest.raises(ShmflinkError, match=r"enumerator called os._exit\(4\)"):
            env.execute("ends")
        env = StreamExecutionEnvironment.get_execution_environment()
        with env.from_collection([1, 2]).map(lambda n: n + 1).execute_and_collect() as results:
            assert sorted(results) == [2, 3]


@pytest.mark.parametrize(
    ("limit", "value", "message"),
    [
        (resource.RLIMIT_NOFILE, 40, "ResourceError: .*'ulimit -n' is 40, but a cluster of 16 TaskManagers needs 120"),
        (resource.RLIMIT_FSIZE, 10_240, r"ResourceError: .*\('ulimit -f'.*\) allows 10240"),
    ],
)
def test_a_limit_of_the_system_is_named_and_user_code_is_not_blamed(limit, value, message, tmp_path):
    job = tmp_path / "job.py"
    job.write_text(
        "from shmflink.datastream import StreamExecutionEnvironment\n"
        "env = StreamExecutionEnvironment.get_execution_environment()\n"
        "env.from_collection([1]).print()\n"
        "env.execute()\n"
    )
    done = subprocess.run(
        [str(Path(sys.executable).with_name("shmflink")), "run", str(job), "--slots", "16"],
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=lambda: resource.setrlimit(limit, (value, value)),
    )
    assert done.returncode == 1
    assert re.search(message, done.stderr)
    assert "user code" not in done.stderr
