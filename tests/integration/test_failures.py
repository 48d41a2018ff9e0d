"""How failures of user code reach the user: through real processes, at the end of `execute()`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shmflink.client.embedded_cluster import EmbeddedCluster
from shmflink.client.executor import use_executor
from shmflink.datastream import StreamExecutionEnvironment
from shmflink.errors import JobExecutionError, SerializationError


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
    import sys

    text = fails(lambda v: sys.exit(3))
    assert "user code called sys.exit(3)" in text
    assert "taskmanager/task.py" not in text


def test_os_exit(fails):
    """[U11]"""
    import os

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
