"""Real processes: a cluster starts, runs jobs, and leaves nothing behind, whichever process is killed."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator

import pytest

from shmflink.client.embedded_cluster import EmbeddedCluster
from shmflink.client.executor import use_executor
from shmflink.datastream import StreamExecutionEnvironment
from shmflink.errors import (
    ConfigurationError,
    InsufficientSlotsError,
    JobCancelledError,
    JobExecutionError,
    JobManagerLostError,
)

WAIT_S = 60


@pytest.fixture
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster({"cluster.slots": "2", "heartbeat.interval": "50 ms", "heartbeat.timeout": "1 s"}) as cluster:
        cluster.start()
        assert cluster.wait_started(WAIT_S)
        with use_executor(cluster):
            yield cluster


def _pids(cluster: EmbeddedCluster) -> list[int]:
    return [cluster.pid, cluster.fork_server_pid, *cluster.pids]


def _shared_memory(pids: list[int]) -> set[str]:
    """Inodes of the memfds that these processes have mapped or hold open."""
    inodes = set()
    for pid in pids:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/maps") as maps:
            inodes |= {line.split()[4] for line in maps if "/memfd:" in line}
        with contextlib.suppress(OSError):
            for name in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    path = f"/proc/{pid}/fd/{name}"
                    if os.readlink(path).startswith("/memfd:"):
                        inodes.add(str(os.stat(path).st_ino))
    return inodes


@contextlib.contextmanager
def all_end(cluster: EmbeddedCluster) -> Iterator[None]:
    """Asserts that every process of the cluster is gone at the end of the block, and all memory that it shared."""
    pidfds = {pid: os.pidfd_open(pid) for pid in _pids(cluster)}
    memory = _shared_memory(list(pidfds))
    assert memory, "TaskManagers share at least their status pages"
    try:
        yield
        for pid, pidfd in pidfds.items():
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            assert poll.poll(WAIT_S * 1000), f"process {pid} still lives"
        everybody = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        assert not memory & _shared_memory(everybody), "somebody still holds memory of the cluster"
    finally:
        for pidfd in pidfds.values():
            os.close(pidfd)


def _threads(pid: int) -> list[str]:
    names = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/comm") as file:
            names.append(file.read().strip())
    return sorted(names)


def _job(function) -> StreamExecutionEnvironment:
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    env.from_collection([1, 2, 3]).map(function).print()
    return env


def _blocking_job(fifo: str):
    """A job that writes to `fifo` when it runs, and then does not come back; its JobClient."""

    def block(value):
        with open(fifo, "w") as file:
            file.write(str(os.getpid()))
        while True:
            time.sleep(1000)  # the thing under test is what becomes of it

    return _job(block).execute_async("blocked")


@pytest.fixture
def fifo(tmp_path) -> str:
    path = str(tmp_path / "fifo")
    os.mkfifo(path)
    return path


def _read(fifo: str) -> str:
    """Waits until somebody wrote."""
    with open(fifo) as file:
        return file.read()


def test_the_fork_server_has_one_thread_and_taskmanagers_a_heartbeat(cluster):
    """[P11] [U14]"""
    assert _threads(cluster.fork_server_pid) == ["shmflink-fork"]
    assert [len(_threads(pid)) for pid in cluster.pids] == [2, 2]


def test_taskmanagers_are_pinned_and_first_to_go_when_memory_runs_out(cluster):
    """[P5]"""
    usable = os.sched_getaffinity(0)
    places = [frozenset(os.sched_getaffinity(pid)) for pid in cluster.pids]
    pinned = [place for place in places if place != usable]  # the others where clusters of other tests have the CPUs
    assert all(len(place) == 1 and place <= usable for place in pinned)
    assert len(set(pinned)) == len(pinned)
    scores = []
    for pid in (cluster.pids[0], cluster.pid):
        with open(f"/proc/{pid}/oom_score_adj") as file:
            scores.append(int(file.read()))
    assert scores[0] > scores[1]


def _regions(pids: list[int]) -> list[str]:
    """Names of the control memory that TaskManagers hold open: each belongs to an attempt of a job."""
    links = [os.readlink(f"/proc/{pid}/fd/{fd}") for pid in pids for fd in os.listdir(f"/proc/{pid}/fd")]
    return [link for link in links if "control memory" in link]


def test_one_cluster_runs_one_job_after_the_other_without_leaking(cluster):
    """[M1] [L12]"""
    _job(lambda v: v).execute()
    pids = _pids(cluster)
    counts = []
    for _ in range(5):
        _job(lambda v: v).execute()
        counts.append([len(os.listdir(f"/proc/{pid}/fd")) for pid in pids])
    assert counts == [counts[0]] * 5
    assert not _regions(cluster.pids)
    assert _pids(cluster) == pids


def test_jobs_wait_for_each_other_where_slots_do_not_suffice(cluster):
    clients = []
    for _ in range(4):
        env = StreamExecutionEnvironment.get_execution_environment()
        env.set_parallelism(2)
        env.from_collection(list(range(100))).map(lambda v: v + 1).rebalance().map(lambda v: v).print()
        clients.append(env.execute_async("one of four"))
    assert [client.get_job_execution_result().result().get_job_id() for client in clients] == [
        client.get_job_id() for client in clients
    ]


def test_close_ends_everything(cluster):
    with all_end(cluster):
        cluster.close()
    with pytest.raises(JobManagerLostError, match="was closed"):
        _job(lambda v: v).execute()


def test_close_cancels_what_runs(cluster, fifo):
    client = _blocking_job(fifo)
    _read(fifo)
    with all_end(cluster):
        cluster.close()
    with pytest.raises((JobCancelledError, JobManagerLostError)):
        client.get_job_execution_result().result()


def test_a_killed_jobmanager_takes_all_with_it_and_is_told(cluster, fifo):
    """[M1]"""
    client = _blocking_job(fifo)
    _read(fifo)
    with all_end(cluster):
        os.kill(cluster.pid, signal.SIGKILL)
        with pytest.raises(JobManagerLostError, match="was killed by signal 9"):
            client.get_job_execution_result().result()


def test_a_killed_fork_server_takes_all_with_it_and_is_told(cluster, fifo):
    client = _blocking_job(fifo)
    _read(fifo)
    with all_end(cluster):
        os.kill(cluster.fork_server_pid, signal.SIGKILL)
        with pytest.raises(JobExecutionError, match=r"the fork server .* was killed by signal 9"):
            client.get_job_execution_result().result()


@pytest.mark.parametrize("victim", ["JobManager", "fork server"])
def test_what_user_code_started_ends_with_the_cluster(cluster, fifo, victim):
    """[P10] [P6] Also where nobody is left to ask: who orders it was killed."""

    def start(value):
        child = subprocess.Popen(["sleep", "1000"])
        with open(fifo, "w") as file:
            file.write(str(child.pid))
        child.wait()

    client = _job(start).execute_async("with a child")
    child = os.pidfd_open(int(_read(fifo)))
    with all_end(cluster):
        os.kill(cluster.pid if victim == "JobManager" else cluster.fork_server_pid, signal.SIGKILL)
        with pytest.raises((JobManagerLostError, JobExecutionError)):
            client.get_job_execution_result().result()
    poll = select.poll()
    poll.register(child, select.POLLIN)
    assert poll.poll(WAIT_S * 1000), "what user code started still runs"
    os.close(child)


def test_a_killed_taskmanager_fails_the_job_and_is_replaced(cluster, fifo):
    client = _blocking_job(fifo)
    pid = int(_read(fifo))
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(JobExecutionError, match=rf"TaskManager \d+ \(pid {pid}\) was killed by signal 9"):
        client.get_job_execution_result().result()
    _job(lambda v: v).execute()


def test_a_stopped_taskmanager_is_found_by_its_heartbeat(cluster, fifo):
    """[P2]"""
    client = _blocking_job(fifo)
    pid = int(_read(fifo))
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(JobExecutionError, match=rf"pid {pid}\) did not answer: no heartbeat for"):
        client.get_job_execution_result().result()
    _job(lambda v: v).execute()


def test_a_killed_client_leaves_nothing(tmp_path):
    """[M1]"""
    script = tmp_path / "job.py"
    script.write_text(
        textwrap.dedent(
            """
            import sys, time
            from shmflink.client.embedded_cluster import EmbeddedCluster
            from shmflink.client.executor import use_executor
            from shmflink.datastream import StreamExecutionEnvironment
            cluster = EmbeddedCluster({"cluster.slots": "2"})
            cluster.start()
            cluster.wait_started(60)
            with use_executor(cluster):
                env = StreamExecutionEnvironment.get_execution_environment()
                env.from_collection([1]).map(lambda v: time.sleep(1000)).print()
                env.execute_async("blocked")
                print(cluster.pid, cluster.fork_server_pid, *cluster.pids, flush=True)
                time.sleep(1000)
            """
        )
    )
    client = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    pidfds = [os.pidfd_open(int(pid)) for pid in client.stdout.readline().split()]
    client.kill()
    client.wait()
    client.stdout.close()
    for pidfd in pidfds:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        assert poll.poll(WAIT_S * 1000)
        os.close(pidfd)


def test_user_code_that_does_not_stop_is_killed_in_time(fifo):
    """[U2] [U12]"""
    settings = {"cluster.slots": "1", "task.cancellation.timeout": "200 ms"}
    with EmbeddedCluster(settings) as cluster, use_executor(cluster):
        client = _blocking_job(fifo)
        _read(fifo)
        client.cancel().result()
        with pytest.raises(JobCancelledError, match="was canceled"):
            client.get_job_execution_result().result()
        _job(lambda v: v).execute()


def test_force_kills_at_once(cluster, fifo):
    client = _blocking_job(fifo)
    _read(fifo)
    with all_end(cluster):
        assert cluster.cancel(force=True)
        with pytest.raises(JobManagerLostError):
            client.get_job_execution_result().result()


def test_too_few_slots_is_said_before_anything_starts(cluster):
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(3)
    env.from_collection([1]).map(lambda v: v).print()
    with pytest.raises(InsufficientSlotsError, match=r"needs 3 slots .* the cluster has 2"):
        env.execute()


def test_a_wrong_option_of_a_job_is_refused(cluster):
    env = _job(lambda v: v)
    env._configuration.set_string("heartbeat.timeou", "1 s")
    with pytest.raises(ConfigurationError, match=r"did you mean 'heartbeat\.timeout'"):
        env.execute()
