"""A whole cluster in the caller's process and thread: the same graph, tasks and operators.

Between tasks there are local channels, or those of processes.
"""

from __future__ import annotations

import contextlib
import enum
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from shmflink.client.executor import use_executor
from shmflink.client.job_client import JobClient
from shmflink.client.job_execution_result import JobExecutionResult
from shmflink.client.job_status import JobStatus
from shmflink.connectors.collect import CollectSink
from shmflink.core.clock import SYSTEM_CLOCK, Clock
from shmflink.core.serialization.captures import shared_captures
from shmflink.core.serialization.codec import loads_trusted
from shmflink.errors import JobCancelledError, JobExecutionError
from shmflink.graph.execution_graph import check_slots
from shmflink.graph.job_graph import JobGraph, NodeKind
from shmflink.network.local import CREDITS_DEFAULT
from shmflink.testing.inline_job import InlineJob

__all__ = ["Channels", "InlineJob", "MiniCluster"]


class Channels(enum.StrEnum):
    """What lies between the tasks of a `MiniCluster`."""

    LOCAL = "local"
    """Queues, through which batches go by reference: the fastest."""
    SHARED_MEMORY = "shared-memory"
    """The channels that lie between processes, on every edge: records become columns and are rows again behind it."""


class MiniCluster:
    """Runs jobs inline, so that breakpoints, coverage and monkeypatching work in user functions.

    Inside the `with`, `StreamExecutionEnvironment.execute()` runs here::

        with MiniCluster(slots=2):
            env = StreamExecutionEnvironment.get_execution_environment()
            env.from_collection([1, 2, 3]).map(lambda x: x + 1).print()
            env.execute()

    Between tasks batches go by reference, unless `channels` says that they go through shared memory, as they do between
    the processes of a cluster: a test that passes with both does not depend on how operators are chained or placed.

    Containers that a function captures are the test's own, so that it can look at what came by; what a function object
    holds (`self.seen`) is a copy for each subtask, as on a cluster::

        seen = []
        with MiniCluster():
            env = StreamExecutionEnvironment.get_execution_environment()
            env.from_collection([1, 2, 3]).map(seen.append)
            env.execute()
        assert seen == [1, 2, 3]

    All subtasks of all slots take turns in the calling thread. `execute_and_collect()` is the exception: its
    job runs in a second thread, while the caller iterates.
    """

    def __init__(
        self,
        slots: int = 2,
        configuration: Mapping[str, str] | None = None,
        *,
        clock: Clock = SYSTEM_CLOCK,
        credits: int = CREDITS_DEFAULT,  # noqa: A002 - the field's word
        channels: Channels | str = Channels.LOCAL,
    ) -> None:
        """`slots` is also the default parallelism; `credits` the batches in flight on a local channel."""
        self._slots = slots
        self._configuration = dict(configuration or {})
        self._clock = clock
        self._credits = credits
        self._channels = Channels(channels)
        self._registration: contextlib.AbstractContextManager[Any] | None = None

    @property
    def configuration(self) -> Mapping[str, str]:
        """What jobs start from, with Flink's keys."""
        return {"parallelism.default": str(self._slots), **self._configuration}

    @property
    def default_parallelism(self) -> int:
        return self._slots

    def __enter__(self) -> Self:
        self._registration = contextlib.ExitStack()
        self._registration.enter_context(use_executor(self))
        self._registration.enter_context(shared_captures())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._registration is not None
        self._registration.__exit__(kind, error, traceback)

    def submit(self, graph: JobGraph, configuration: Mapping[str, str] | None = None) -> JobClient:
        """Runs the job to its end and returns its client, from which the result is taken.

        Raises:
            InsufficientSlotsError: the job needs more slots than there are.
        """
        job = self._job(graph, configuration)
        client = JobClient(graph.job_id, lambda _: job.cancel())
        if _collects(graph):
            thread = threading.Thread(target=lambda: _follow(client, job), name="mini-cluster", daemon=True)
            thread.start()
        else:
            _follow(client, job)
        return client

    def run(self, graph: JobGraph) -> InlineJob:
        """Runs a job graph to its end, in this thread, and returns it for inspection.

        Raises:
            JobExecutionError: the job failed; caused by the first task's error.
        """
        job = self._job(graph, None)
        job.run()
        return job

    def _job(self, graph: JobGraph, configuration: Mapping[str, str] | None) -> InlineJob:
        check_slots(graph, self._slots)
        merged = {**self._configuration, **graph.configuration, **(configuration or {})}
        return InlineJob(graph, merged, self._clock, self._credits, is_local=self._channels is Channels.LOCAL)


def _follow(client: JobClient, job: InlineJob) -> None:
    """Runs the job and tells its client the outcome."""
    client.status_changed(JobStatus.RUNNING)
    try:
        job.run()
    except JobCancelledError as error:
        client.ended(JobStatus.CANCELED, error)
    except JobExecutionError as error:
        client.ended(JobStatus.FAILED, error)
    except BaseException as error:
        client.ended(JobStatus.FAILED, error)
        raise
    else:
        client.ended(JobStatus.FINISHED, JobExecutionResult(job.job_id, job.runtime_ms))


def _collects(graph: JobGraph) -> bool:
    """True where a sink hands its rows to the caller, who has to read them while the job runs."""
    return any(
        op.kind is NodeKind.SINK and isinstance(loads_trusted(op.payload), CollectSink)
        for vertex in graph.vertices
        for op in vertex.operators
    )
