"""Where jobs run: on the executor in use, or on an embedded cluster of this process that starts on demand."""

from __future__ import annotations

import atexit
import contextvars
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final, Protocol, runtime_checkable

from shmflink.client.abandoned import ABANDONED
from shmflink.client.cluster_signals import ending_by_signals, is_program, killing_by_signals, without_traceback
from shmflink.client.embedded_cluster import EmbeddedCluster
from shmflink.client.job_client import JobClient
from shmflink.client.observer import TextObserver
from shmflink.client.tracebacks import excepthook
from shmflink.config.options import DEFAULT_PARALLELISM, SLOTS
from shmflink.graph.job_graph import JobGraph
from shmflink.graph.stream_graph import StreamGraph
from shmflink.plan.logical_plan import LogicalPlan

__all__ = [
    "Executor",
    "PlanReader",
    "awaiting_results",
    "current_executor",
    "default_slots",
    "ending_jobs_by_signals",
    "is_awaiting_results",
    "telling_errors_briefly",
    "use_executor",
]


class Executor(Protocol):
    """Runs job graphs."""

    @property
    def configuration(self) -> Mapping[str, str]:
        """The configuration that programs start from; holds `parallelism.default`."""
        ...

    @property
    def default_parallelism(self) -> int:
        """Parallelism of programs that do not set their own."""
        ...

    def submit(self, graph: JobGraph, configuration: Mapping[str, str]) -> JobClient:
        """Starts a job and returns at once."""
        ...


@runtime_checkable
class PlanReader(Protocol):
    """An executor that runs logical plans on another engine, or only shows them."""

    def submit_plan(self, plan: LogicalPlan, graph: StreamGraph, job: JobGraph) -> JobClient:
        """Takes what the program made. One that runs nothing leaves the program by an exception of its own."""
        ...


_IN_USE: Final[contextvars.ContextVar[Executor | None]] = contextvars.ContextVar("executor", default=None)


def current_executor() -> Executor:
    """The executor of the innermost `use_executor`, otherwise this process's own cluster."""
    return _IN_USE.get() or _OWN_CLUSTER


@contextmanager
def use_executor(executor: Executor) -> Iterator[None]:
    """Jobs in this context run on `executor`."""
    token = _IN_USE.set(executor)
    try:
        yield
    finally:
        _IN_USE.reset(token)


_AWAITING: Final[contextvars.ContextVar[bool]] = contextvars.ContextVar("awaiting", default=False)


@contextmanager
def awaiting_results() -> Iterator[None]:
    """Jobs submitted in this context send rows to the program: they stay attached to it, also under `run -d`."""
    token = _AWAITING.set(True)
    try:
        yield
    finally:
        _AWAITING.reset(token)


def is_awaiting_results() -> bool:
    """Whether the program waits for rows of the job that it submits."""
    return _AWAITING.get()


def default_slots(configuration: Mapping[str, str]) -> int:
    """Slots of a cluster with this configuration: the configured number, otherwise one per usable CPU."""
    return SLOTS.read(configuration) or len(os.sched_getaffinity(0))


def telling_errors_briefly() -> None:
    """In a program without our command line: an error of ours that ends it is printed without our frames."""
    if current_executor() is _OWN_CLUSTER and sys.excepthook is sys.__excepthook__ and is_program():
        sys.excepthook = excepthook


@contextmanager
def ending_jobs_by_signals() -> Iterator[None]:
    """For `execute()` in a program without our command line: Ctrl-C and SIGTERM cancel its jobs, then end it."""
    if current_executor() is not _OWN_CLUSTER:
        yield
        return
    with ending_by_signals(_OWN_CLUSTER, TextObserver().cluster_says):
        yield


class _OwnCluster:
    """`python job.py`: one embedded cluster for all jobs, started at the first, closed at exit.

    The first job's configuration determines its size. A later job that asks for another number of slots gets a new
    cluster, as does a job submitted after the cluster was lost.
    """

    def __init__(self) -> None:
        self._clusters: list[EmbeddedCluster] = []  # the last one is in use; jobs may still be running on others
        self._lock = threading.Lock()

    @property
    def configuration(self) -> Mapping[str, str]:
        return {DEFAULT_PARALLELISM.key: str(default_slots({}))}

    @property
    def default_parallelism(self) -> int:
        return default_slots({})

    def submit(self, graph: JobGraph, configuration: Mapping[str, str]) -> JobClient:
        """Starts the cluster if there is none, then the job."""
        with self._lock:
            cluster = self._clusters[-1] if self._clusters else None
            if (
                cluster is None
                or not cluster.is_usable
                or default_slots(configuration) != default_slots(cluster.configuration)
            ):
                cluster = EmbeddedCluster(configuration, TextObserver())
                if not self._clusters:
                    atexit.register(self._close)
                    without_traceback(TextObserver().cluster_says)
                self._clusters.append(cluster)
        return cluster.submit(graph, configuration)

    def forget(self) -> None:
        """In a fork, where the clusters belong to the parent. The next job starts a cluster of this process."""
        self._clusters = []
        self._lock = threading.Lock()

    # --- for signals: act on all clusters ---

    @property
    def has_jobs(self) -> bool:
        return any(cluster.has_jobs for cluster in self._clusters)

    @property
    def is_recovering(self) -> bool:
        return any(cluster.is_recovering for cluster in self._clusters)

    def cancel(self, force: bool = False) -> bool:
        """Requests the end of all jobs; False if none runs."""
        asked = [cluster.cancel(force) for cluster in self._clusters]
        return any(asked)

    def suspend(self) -> bool:
        """Ends all processes; jobs in an HA directory resume from there."""
        asked = [cluster.suspend() for cluster in self._clusters]
        return any(asked)

    def kill(self) -> None:
        for cluster in self._clusters:
            cluster.kill()

    def _close(self) -> None:
        """At exit. A signal in the meantime does not wait for a clean end."""
        with killing_by_signals(self):
            for cluster in self._clusters:
                cluster.close()


_OWN_CLUSTER: Final = _OwnCluster()
os.register_at_fork(after_in_child=_OWN_CLUSTER.forget)
os.register_at_fork(after_in_child=ABANDONED.forget)
