"""What is done to a running job. Each kind waits for its victim, strikes, and says how many processes it has killed."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Final, Protocol

from tests.chaos.processes import Cluster, cluster_of, send_signal

__all__ = ["KINDS", "Victim"]

_PAUSE_S: Final = 0.005


class Victim(Protocol):
    """The run, as a disturbance sees it."""

    client_pid: int
    heartbeat_timeout_s: float
    jobmanager_kills: int
    checkpoint_folder: str

    def is_over(self) -> bool: ...

    def flip_newest_checkpoint(self, rng: random.Random) -> bool: ...

    def fill_disk(self) -> bool: ...

    def free_disk(self) -> None: ...

    def stop_with_savepoint(self, rng: random.Random) -> bool: ...


def _wait_cluster(run: Victim, is_wanted: Callable[[Cluster], bool]) -> Cluster | None:
    """The first moment at which there is such a cluster; None when the job is over before."""
    while not run.is_over():
        cluster = cluster_of(run.client_pid)
        if is_wanted(cluster):
            return cluster
        time.sleep(_PAUSE_S)
    return None


def _kill(pids: list[int]) -> int:
    return sum(send_signal(pid, signal.SIGKILL) for pid in pids)


def kill_taskmanager(run: Victim, rng: random.Random) -> int:
    """SIGKILL to one."""
    cluster = _wait_cluster(run, lambda c: bool(c.taskmanagers))
    return 0 if cluster is None else _kill([rng.choice(cluster.taskmanagers)])


def kill_twice(run: Victim, rng: random.Random) -> int:
    """A TaskManager, and another (or its successor) up to 300 ms later."""
    killed = kill_taskmanager(run, rng)
    time.sleep(rng.uniform(0, 0.3))
    return killed + kill_taskmanager(run, rng)


def kill_all_taskmanagers(run: Victim, rng: random.Random) -> int:
    """All in one go."""
    cluster = _wait_cluster(run, lambda c: len(c.taskmanagers) > 1)
    return 0 if cluster is None else _kill(list(cluster.taskmanagers))


def kill_jobmanager(run: Victim, rng: random.Random) -> int:
    """SIGKILL to the JobManager: all that it started dies with it."""
    cluster = _wait_cluster(run, lambda c: bool(c.jobmanager))
    killed = 0 if cluster is None else _kill([cluster.jobmanager])
    run.jobmanager_kills += killed
    return killed


def kill_both(run: Victim, rng: random.Random) -> int:
    """A TaskManager, and the JobManager up to 300 ms later."""
    killed = kill_taskmanager(run, rng)
    time.sleep(rng.uniform(0, 0.3))
    return killed + kill_jobmanager(run, rng)


def kill_fork_server(run: Victim, rng: random.Random) -> int:
    """The process that TaskManagers are forked from."""
    cluster = _wait_cluster(run, lambda c: bool(c.fork_server))
    killed = 0 if cluster is None else _kill([cluster.fork_server])
    run.jobmanager_kills += killed  # it ends for it, so that another can begin with a new fork server
    return killed


def kill_client(run: Victim, rng: random.Random) -> int:
    """The program: the JobManager suspends its job and ends; started again, the program goes on with the job."""
    cluster = _wait_cluster(run, lambda c: bool(c.taskmanagers))
    return 0 if cluster is None else _kill([run.client_pid])


def stop_taskmanager(run: Victim, rng: random.Random) -> int:
    """SIGSTOP until the JobManager has noticed by the heartbeat, and killed it."""
    cluster = _wait_cluster(run, lambda c: bool(c.taskmanagers))
    if cluster is None:
        return 0
    pid = rng.choice(cluster.taskmanagers)
    if not send_signal(pid, signal.SIGSTOP):
        return 0
    end = time.monotonic() + 20 * run.heartbeat_timeout_s + 10
    while pid in cluster_of(run.client_pid).taskmanagers and not run.is_over():
        if time.monotonic() > end:
            send_signal(pid, signal.SIGCONT)
            raise TimeoutError(f"the stopped TaskManager {pid} was not noticed")
        time.sleep(_PAUSE_S)
    return 1


def stop_shortly(run: Victim, rng: random.Random) -> int:
    """SIGSTOP for less than the heartbeat timeout: nothing is killed, the job goes on."""
    cluster = _wait_cluster(run, lambda c: bool(c.taskmanagers))
    if cluster is not None:
        pid = rng.choice(cluster.taskmanagers)
        send_signal(pid, signal.SIGSTOP)
        time.sleep(rng.uniform(0, run.heartbeat_timeout_s / 3))
        send_signal(pid, signal.SIGCONT)
    return 0


def fill_disk(run: Victim, rng: random.Random) -> int:
    """No byte is left on the checkpoints' disk for a while, in which a TaskManager may die, too."""
    if not run.fill_disk():
        return 0
    time.sleep(rng.uniform(0.1, 1.0))
    killed = kill_taskmanager(run, rng) if rng.random() < 0.5 else 0
    time.sleep(rng.uniform(0, 0.5))
    run.free_disk()
    return killed


def fail_writes(run: Victim, rng: random.Random) -> int:
    """System calls of one process fail for a while, as those of a dying disk do (strace injects)."""
    cluster = _wait_cluster(run, lambda c: bool(c.taskmanagers))
    if cluster is None:
        return 0
    pid = rng.choice((*cluster.taskmanagers, cluster.jobmanager))
    call, error = rng.choice((("fsync", "EIO"), ("fsync", "EIO"), ("rename", "EIO"), ("openat", "ENOSPC")))
    when = f"{rng.randint(1, 4)}+{rng.randint(1, 3)}"
    trace = ["strace", "-qq", "-f", "-p", str(pid), "-o", "/dev/null", "-e", f"trace={call}"]
    trace += ["-e", f"inject={call}:error={error}:when={when}"]
    if call == "openat":  # only where checkpoints are written: a process that cannot open anything is another story
        trace += ["-P", run.checkpoint_folder]
    tracer = subprocess.Popen(trace, stderr=subprocess.DEVNULL)
    time.sleep(rng.uniform(0.2, 1.0))
    tracer.terminate()
    tracer.wait()
    return 0


def rescale(run: Victim, rng: random.Random) -> int:
    """Stopped with a savepoint and started from it with another number of slots; a TaskManager may die meanwhile."""
    killed = kill_taskmanager(run, rng) if rng.random() < 0.3 else 0
    if not run.is_over():
        run.stop_with_savepoint(rng)
    return killed


def corrupt_checkpoint(run: Victim, rng: random.Random) -> int:
    """A file of the newest checkpoint is cut or has a bit flipped, and a TaskManager dies."""
    return kill_taskmanager(run, rng) if run.flip_newest_checkpoint(rng) else 0


KINDS: Final[dict[str, Callable[[Victim, random.Random], int]]] = {
    "taskmanager": kill_taskmanager,
    "twice": kill_twice,
    "all-taskmanagers": kill_all_taskmanagers,
    "jobmanager": kill_jobmanager,
    "both": kill_both,
    "fork-server": kill_fork_server,
    "client": kill_client,
    "stopped": stop_taskmanager,
    "stopped-shortly": stop_shortly,
    "disk-full": fill_disk,
    "write-errors": fail_writes,
    "rescale": rescale,
    "corrupted": corrupt_checkpoint,
}
