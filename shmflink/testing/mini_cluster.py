"""A whole cluster in the caller's process and thread: the same graph, tasks and operators.

Between tasks there are local channels, or those of processes.
"""

from __future__ import annotations

import contextlib
import enum
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Final, Self

from shmflink._core import Arena, Region
from shmflink.checkpoint.handles import FINAL_CHECKPOINT_ID
from shmflink.client.executor import use_executor
from shmflink.client.job_client import JobClient
from shmflink.client.job_execution_result import JobExecutionResult
from shmflink.client.job_status import JobStatus
from shmflink.connectors.base import SplitEnumerator
from shmflink.connectors.collect import CollectSink
from shmflink.core.clock import SYSTEM_CLOCK, Clock
from shmflink.core.ids import JobId, SubtaskId
from shmflink.core.serialization.captures import shared_captures
from shmflink.core.serialization.codec import loads_trusted
from shmflink.errors import JobCancelledError, JobExecutionError, UserFunctionError
from shmflink.graph.execution_graph import ExecutionGraph, check_slots, slots_required
from shmflink.graph.job_graph import JobGraph, NodeKind
from shmflink.graph.watermark_alignment import AlignmentGroups, SourceTime
from shmflink.jobmanager.attempt_memory import CONTROL_CAPACITY, attempt_memory
from shmflink.metrics.counters import TaskCounters
from shmflink.network.local import CREDITS_DEFAULT, LocalDoorbell
from shmflink.taskmanager.assembly import LocalChannels, TaskResources, build_task
from shmflink.taskmanager.listener import TaskState
from shmflink.taskmanager.remote_edges import SharedMemoryEdges
from shmflink.taskmanager.slot import SLEEP_NS_MAX, Slot
from shmflink.taskmanager.task import Task
from shmflink.taskmanager.task_states import TaskSnapshot

__all__ = ["Channels", "InlineJob", "MiniCluster"]

_SPLIT_RETRY_NS: Final = 5_000_000  # how soon an enumerator without a split now is asked again


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
        return InlineJob(graph, merged, self._clock, self._credits, self._channels)


class InlineJob:
    """One run of a job graph; the listener of its tasks and the owner of its enumerators."""

    def __init__(
        self,
        graph: JobGraph,
        configuration: Mapping[str, str],
        clock: Clock,
        credits: int,  # noqa: A002 - the field's word
        channels: Channels = Channels.LOCAL,
    ) -> None:
        self._graph = graph
        self._doorbell = LocalDoorbell()
        self._clock = clock
        self._alignment = AlignmentGroups(graph)
        self._aligned_ns = 0
        self._runtime_ns = 0
        self._is_cancelled = False
        self._error: BaseException | None = None
        self._states: dict[SubtaskId, TaskState] = {}
        self._open_requests: list[SubtaskId] = []
        self._ending: set[SubtaskId] = set()  # tasks that wait for all others before they commit
        self._slot_of: dict[SubtaskId, Slot] = {}
        is_local = channels is Channels.LOCAL
        execution = ExecutionGraph.build(graph, 0, 1, max(1, slots_required(graph)), allows_local=is_local)
        self._memory = None if is_local else _Memory(execution, configuration)
        self._slots = [Slot(index, self._doorbell, clock) for index in range(execution.slots)]
        self._slot_of = {task.subtask: self._slots[task.slot] for task in execution.tasks}
        self._enumerators = self._make_enumerators()
        resources = TaskResources(
            listener=self,
            local=LocalChannels(credits),
            remote=None if self._memory is None else self._memory.edges,
            configuration=configuration,
            clock=clock,
            job_id=graph.job_id.hex,
            epoch=execution.epoch,
        )
        self._tasks: list[Task] = []
        for deployment in execution.tasks:
            slot = self._slots[deployment.slot]
            task = build_task(deployment, resources, slot)
            self._tasks.append(task)
            slot.add_task(task)

    def run(self) -> None:
        """Until all tasks have ended.

        Raises:
            JobExecutionError: a task failed; JobCancelledError after `cancel`.
        """
        started_ns = self._clock.monotonic_ns()
        try:
            with _where_the_job_is(self._graph):
                self._run()
        except BaseException:
            for task in self._tasks:  # Ctrl-C, or our own bug: leave nothing open
                task.cancel()
            raise
        finally:
            for enumerator in self._enumerators.values():
                enumerator.close()
            if self._memory is not None:
                self._memory.release()
        self._runtime_ns = self._clock.monotonic_ns() - started_ns
        self._raise_outcome()

    def _run(self) -> None:
        while not all(slot.is_done for slot in self._slots):
            self._align_sources()
            if not self._run_slots():
                self._sleep()

    def cancel(self) -> None:
        """Stops the job; any thread."""
        self._is_cancelled = True
        for slot in self._slots:
            slot.cancel()

    def counters(self, vertex: int, subtask: int = 0) -> TaskCounters:
        """What one subtask has counted."""
        wanted = SubtaskId(vertex, subtask)
        return next(task.counters for task in self._tasks if task.deployment.subtask == wanted)

    def states(self) -> dict[SubtaskId, TaskState]:
        """The last state that each task has reported."""
        return dict(self._states)

    @property
    def job_id(self) -> JobId:
        return self._graph.job_id

    @property
    def runtime_ms(self) -> int:
        """From the first quantum to the last."""
        return self._runtime_ns // 1_000_000

    # --- what tasks tell ---

    def task_state_changed(self, subtask: SubtaskId, state: TaskState, error: BaseException | None) -> None:
        """The first failure ends the job; later ones follow from it."""
        self._states[subtask] = state
        self._commit_if_over()
        if state is TaskState.FAILED and self._error is None:
            self._error = error
            for slot in self._slots:
                slot.cancel()

    def split_requested(self, subtask: SubtaskId) -> None:
        """Asks the enumerator at once; a request without an answer is asked again while nothing else runs."""
        enumerator = self._enumerators[subtask.vertex]
        split = enumerator.next_split(subtask.subtask)
        exhausted = split is None and enumerator.is_exhausted
        if split is None and not exhausted:
            self._open_requests.append(subtask)
        else:
            self._slot_of[subtask].assign_split(subtask, split, exhausted=exhausted)

    def snapshot_taken(self, snapshot: TaskSnapshot) -> None:
        """Jobs have no checkpoints here: this is a task's last, of what its sinks still have to commit."""
        assert snapshot.barrier.checkpoint_id == FINAL_CHECKPOINT_ID, "a checkpoint without a JobManager"
        for _, operator in snapshot.operators:
            if operator.pending is not None:
                operator.pending()
        self.task_ending(snapshot.subtask)

    def snapshot_given_up(self, subtask: SubtaskId, checkpoint_id: int, reason: str) -> None:
        """Cannot happen without checkpoints."""

    def task_ending(self, subtask: SubtaskId) -> None:
        """When nobody has anything else to do, everybody commits."""
        self._ending.add(subtask)
        self._commit_if_over()

    def _commit_if_over(self) -> None:
        over = {task for task, state in self._states.items() if state is TaskState.FINISHED}
        if self._ending and len(self._ending | over) == len(self._slot_of):
            self._ending.clear()
            for slot in self._slots:
                slot.tell(lambda task: task.checkpoint_completed(FINAL_CHECKPOINT_ID, stops=False))

    # --- one turn ---

    def _run_slots(self) -> bool:
        has_run = [slot.run_once() for slot in self._slots if not slot.is_done]
        return any(has_run)

    def _sleep(self) -> None:
        for slot in self._slots:
            slot.flush()
        token = self._doorbell.prepare()
        requests, self._open_requests = self._open_requests, []
        for subtask in requests:
            self.split_requested(subtask)
        if self._run_slots():
            return
        self._doorbell.wait(token, self._timeout_ns())

    def _timeout_ns(self) -> int:
        deadlines = [due for slot in self._slots if (due := slot.next_deadline_ns()) >= 0]
        until_ns = min(deadlines) - self._clock.monotonic_ns() if deadlines else SLEEP_NS_MAX
        if self._open_requests or self._alignment.interval_ms is not None:
            until_ns = min(until_ns, _SPLIT_RETRY_NS)
        return min(max(until_ns, 0), SLEEP_NS_MAX)

    def _align_sources(self) -> None:
        """Once an interval: sources that wait for others are told how far these have come."""
        interval_ms, now_ns = self._alignment.interval_ms, self._clock.monotonic_ns()
        if interval_ms is None or now_ns < self._aligned_ns + interval_ms * 1_000_000:
            return
        self._aligned_ns = now_ns
        for subtask, limit_ms in self._alignment.limits(self._source_time).items():
            self._slot_of[subtask].align(subtask, limit_ms)

    def _source_time(self, subtask: SubtaskId) -> SourceTime | None:
        if self._states.get(subtask) is not TaskState.RUNNING:
            return None
        counters = self.counters(subtask.vertex, subtask.subtask)
        return SourceTime(counters.watermark_ms, bool(counters.is_idle))

    def _make_enumerators(self) -> dict[int, SplitEnumerator]:
        return {
            vertex.index: loads_trusted(vertex.operators[0].payload).create_enumerator(vertex.parallelism)
            for vertex in self._graph.vertices
            if vertex.is_source
        }

    def _raise_outcome(self) -> None:
        job_id, name = self._graph.job_id.hex, self._graph.name
        if self._error is not None:
            text = self._error.traceback_text if isinstance(self._error, UserFunctionError) else str(self._error)
            raise JobExecutionError(
                f"job '{name}' ({job_id}) failed: {self._error}", job_id=job_id, cause_text=text
            ) from self._error
        if self._is_cancelled:
            raise JobCancelledError(f"job '{name}' ({job_id}) was canceled", job_id=job_id)


@contextlib.contextmanager
def _where_the_job_is(graph: JobGraph) -> Iterator[None]:
    """Functions find the modules that the job brings along, and its working directory, as in a TaskManager."""
    added = [path for path in graph.python_path if path not in sys.path]
    before = os.getcwd()
    sys.path[:0] = added
    try:
        if graph.working_directory:
            os.chdir(graph.working_directory)
        yield
    finally:
        os.chdir(before)
        sys.path[:] = [path for path in sys.path if path not in added]


class _Memory:
    """The shared memory of one job: all slots are those of one TaskManager."""

    def __init__(self, execution: ExecutionGraph, configuration: Mapping[str, str]) -> None:
        need = attempt_memory(execution, configuration)[0]
        region = Region.create(execution.epoch, execution.slots, need.rings, need.data_capacity, CONTROL_CAPACITY)
        self._arena = Arena.create(execution.epoch, need.segment_bytes, need.segments)
        self.edges = SharedMemoryEdges(0, execution.slots_per_taskmanager, {0: (region, self._arena)}, configuration)

    def release(self) -> None:
        """The memory goes with the last batch over it."""
        self._arena.close()


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
