"""A job in the caller's process and thread: performs what its job machine asks for, and runs its tasks in turns."""

from __future__ import annotations

import contextlib
import os
import random
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Final

from shmflink._core import Arena, RingMemory
from shmflink.checkpoint.events import TaskReachedEnd
from shmflink.checkpoint.handles import FINAL_CHECKPOINT_ID
from shmflink.checkpoint.settings import CheckpointSettings
from shmflink.core.clock import Clock
from shmflink.core.ids import LOCAL_HOST, JobId, SubtaskId, TaskManagerId
from shmflink.errors import InternalError, JobCancelledError, JobExecutionError, UserFunctionError
from shmflink.graph.execution_graph import ExecutionGraph, slots_required
from shmflink.graph.job_graph import JobGraph
from shmflink.graph.watermark_alignment import SourceTime
from shmflink.jobmachine import effects as ask
from shmflink.jobmachine import events
from shmflink.jobmachine.job import JobMachine
from shmflink.jobmanager.attempt_memory import CONTROL_CAPACITY, attempt_memory
from shmflink.metrics.counters import TaskCounters
from shmflink.network.local import LocalDoorbell
from shmflink.rpc.messages import Failure
from shmflink.rpc.states import JobState, TaskState
from shmflink.taskmanager.assembly import LocalChannels, TaskResources, build_task
from shmflink.taskmanager.remote_edges import SharedMemoryEdges
from shmflink.taskmanager.slot import SLEEP_NS_MAX, Slot
from shmflink.taskmanager.task import Task
from shmflink.taskmanager.task_states import TaskSnapshot
from shmflink.testing.inline_sources import InlineSources

__all__ = ["InlineJob"]

_SPLIT_RETRY_NS: Final = 5_000_000  # how soon an enumerator without a split now is asked again
_FENCE: Final = 1  # the epoch of all tasks: nothing restarts here
_WITHOUT_RESTARTS: Final = {"restart-strategy.type": "none"}


class InlineJob:
    """One run of a job graph, and the listener of its tasks.

    It skips the effects that only processes need: timers, states for a client, requests for memory. There are no
    checkpoints and no restarts.
    """

    def __init__(
        self,
        graph: JobGraph,
        configuration: Mapping[str, str],
        clock: Clock,
        credits: int,  # noqa: A002 - the field's word
        *,
        is_local: bool,
    ) -> None:
        """Builds the tasks. Exceptions of user code pass through. `is_local`: batches are passed by reference."""
        self._graph = graph
        self._configuration = configuration
        self._doorbell = LocalDoorbell()
        self._clock = clock
        self._runtime_ns = 0
        self._is_cancelled = False  # the machine knows of it
        self._wants_cancel = False
        self._error: BaseException | None = None
        self._states: dict[SubtaskId, TaskState] = {}
        self._memory: list[_Memory] = []
        self._channels = LocalChannels(credits) if is_local else None
        self._per = max(1, slots_required(graph))
        self._slots = [Slot(index, self._doorbell, clock) for index in range(self._per)]
        self._slot_of: dict[SubtaskId, Slot] = {}
        self._epoch_of: dict[SubtaskId, int] = {}
        self._executions: dict[int, ExecutionGraph] = {}
        self._tasks: dict[SubtaskId, Task] = {}
        self._sources = InlineSources(graph, self._slot_of.__getitem__)
        self._events: deque[events.Event] = deque()
        self._end: ask.Over | None = None
        rng = random.Random(0)  # noqa: S311 - nothing restarts, so that nothing asks for it
        settings = CheckpointSettings()
        self._machine = JobMachine(graph, {**configuration, **_WITHOUT_RESTARTS}, settings, rng, allows_local=is_local)
        self._feed(events.Submitted())
        for subtask in sorted(self._tasks):  # in the order of the graph, whatever their regions
            self._slot_of[subtask].add_task(self._tasks[subtask])

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
            for task in self._tasks.values():  # Ctrl-C, or our own bug: leave nothing open
                task.cancel()
            raise
        finally:
            self._sources.close()
            for memory in self._memory:
                memory.release()
        self._runtime_ns = self._clock.monotonic_ns() - started_ns
        self._raise_outcome()

    def _run(self) -> None:
        while not all(slot.is_done for slot in self._slots):
            if self._wants_cancel and not self._is_cancelled:
                self._is_cancelled = True
                self._feed(events.CancelRequested())
            self._sources.align(self._clock.monotonic_ns(), self._source_time)
            if not self._run_slots():
                self._sleep()

    def cancel(self) -> None:
        """Stops the job; any thread."""
        self._wants_cancel = True
        self._doorbell.ring()

    def counters(self, vertex: int, subtask: int = 0) -> TaskCounters:
        """What one subtask has counted."""
        return self._tasks[SubtaskId(vertex, subtask)].counters

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

    # --- the job machine ---

    def _feed(self, event: events.Event) -> None:
        """Events that arrive while one is handled wait for their turn."""
        self._events.append(event)
        if len(self._events) > 1:
            return
        while self._events:
            for effect in self._machine.handle(self._events[0], self._clock.monotonic_ns() // 1_000_000):
                self._perform(effect)
            self._events.popleft()

    def _perform(self, effect: ask.Effect) -> None:
        match effect:
            case ask.BeginAttempt(execution):
                self._executions[execution.epoch] = execution
                self._feed(events.MemoryReady(execution.epoch, 0))
            case ask.Deploy(epoch):
                self._deploy(self._executions[epoch])
            case ask.CancelTasks(epoch):
                for slot in self._slots:
                    slot.tell(lambda task: self._cancel_of(epoch, task))
            case ask.TellCompleted(_, checkpoint_id, stops):
                for slot in self._slots:
                    slot.tell(lambda task: task.checkpoint_completed(checkpoint_id, stops=stops))
            case ask.OpenEnumerators():
                self._sources.open()
                self._feed(events.EnumeratorsOpened())
            case ask.CloseEnumerators():
                self._sources.close()
            case ask.Over():
                self._end = effect
            case _:
                self._answer(effect)

    def _answer(self, effect: ask.Effect) -> None:
        """Answers effects that need no work in one process."""
        match effect:
            case ask.OpenStorage():
                self._feed(events.StorageOpened())
            case ask.WantSlots():
                self._feed(events.SlotsGranted((TaskManagerId(LOCAL_HOST, 0, 1),), self._per))
            case ask.PrepareRestore(_, _, attempts):
                self._feed(events.RestorePrepared(None, tuple(range(1, attempts + 1))))
            case ask.ReleaseMemory(epoch, taskmanagers):
                for taskmanager in taskmanagers:
                    self._feed(events.MemoryReleased(epoch, taskmanager))
            case ask.KeepEnd():
                self._feed(events.EndKept())
            case ask.CloseStorage():
                self._feed(events.StorageClosed())

    def _deploy(self, execution: ExecutionGraph) -> None:
        memory = None if self._channels is not None else _Memory(execution, self._configuration)
        if memory is not None:
            self._memory.append(memory)
        resources = TaskResources(
            listener=self,
            local=self._channels or LocalChannels(),
            remote=None if memory is None else memory.edges,
            configuration=self._configuration,
            clock=self._clock,
            job_id=self._graph.job_id.hex,
            epoch=_FENCE,
        )
        for deployment in execution.tasks:
            subtask, slot = deployment.subtask, self._slots[deployment.slot]
            self._epoch_of[subtask], self._slot_of[subtask] = execution.epoch, slot
            self._tasks[subtask] = build_task(deployment, resources, slot)
            self._feed(events.TaskReported(execution.epoch, subtask, TaskState.INITIALIZING))

    def _cancel_of(self, epoch: int, task: Task) -> None:
        """Other tasks of the slot belong to other attempts."""
        if self._epoch_of[task.deployment.subtask] == epoch:
            task.cancel()

    # --- what tasks tell ---

    def task_state_changed(self, subtask: SubtaskId, state: TaskState, error: BaseException | None) -> None:
        """The first failure ends the job; later ones follow from it."""
        self._states[subtask] = state
        failure = None
        if error is not None:
            self._error = self._error or error
            failure = Failure(type(error).__name__, str(error))
        self._feed(events.TaskReported(self._epoch_of[subtask], subtask, state, failure))

    def split_requested(self, subtask: SubtaskId) -> None:
        self._sources.request_split(subtask)

    def snapshot_taken(self, snapshot: TaskSnapshot) -> None:
        """There are no checkpoints here: this is a task's last snapshot, of what its sinks still have to commit."""
        assert snapshot.barrier.checkpoint_id == FINAL_CHECKPOINT_ID, "a checkpoint without a JobManager"
        for _, operator in snapshot.operators:
            if operator.pending is not None:
                operator.pending()
        self.task_ending(snapshot.subtask)

    def snapshot_given_up(self, subtask: SubtaskId, checkpoint_id: int, reason: str) -> None:
        """Cannot happen without checkpoints."""

    def task_ending(self, subtask: SubtaskId) -> None:
        """Sinks commit when all tasks have reached their end."""
        self._feed(events.TaskSaid(self._epoch_of[subtask], TaskReachedEnd(subtask)))

    # --- one turn ---

    def _run_slots(self) -> bool:
        has_run = [slot.run_once() for slot in self._slots if not slot.is_done]
        return any(has_run)

    def _sleep(self) -> None:
        for slot in self._slots:
            slot.flush()
        token = self._doorbell.prepare()
        self._sources.retry()
        if self._run_slots():
            return
        self._doorbell.wait(token, self._timeout_ns())

    def _timeout_ns(self) -> int:
        deadlines = [due for slot in self._slots if (due := slot.next_deadline_ns()) >= 0]
        until_ns = min(deadlines) - self._clock.monotonic_ns() if deadlines else SLEEP_NS_MAX
        if self._sources.are_waiting:
            until_ns = min(until_ns, _SPLIT_RETRY_NS)
        return min(max(until_ns, 0), SLEEP_NS_MAX)

    def _source_time(self, subtask: SubtaskId) -> SourceTime | None:
        if self._states.get(subtask) is not TaskState.RUNNING:
            return None
        counters = self.counters(subtask.vertex, subtask.subtask)
        return SourceTime(counters.watermark_ms, bool(counters.is_idle))

    def _raise_outcome(self) -> None:
        job_id, name = self._graph.job_id.hex, self._graph.name
        if self._end is None:
            story = "\n".join(self._machine.story.lines())
            raise InternalError(f"all tasks of job '{name}' are over, but the job is not\n{story}")
        if self._end.state is JobState.CANCELED:
            raise JobCancelledError(f"job '{name}' ({job_id}) was canceled", job_id=job_id)
        if self._end.failure is not None:
            error = self._error
            cause = self._end.failure.message if error is None else str(error)
            text = error.traceback_text if isinstance(error, UserFunctionError) else cause
            raise JobExecutionError(
                f"job '{name}' ({job_id}) failed: {cause}", job_id=job_id, cause_text=text
            ) from error


@contextlib.contextmanager
def _where_the_job_is(graph: JobGraph) -> Iterator[None]:
    """Functions find the job's modules and its working directory, as in a TaskManager."""
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
        ring_memory = RingMemory.create(
            execution.epoch, execution.slots, need.rings, need.data_capacity, CONTROL_CAPACITY
        )
        self._arena = Arena.create(execution.epoch, need.segment_bytes, need.segments)
        self.edges = SharedMemoryEdges(
            0, execution.slots_per_taskmanager, {0: (ring_memory, self._arena)}, configuration
        )

    def release(self) -> None:
        """The memory goes with the last batch over it."""
        self._arena.close()
