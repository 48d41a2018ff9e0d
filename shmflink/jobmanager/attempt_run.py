"""One attempt of a job: performs the effects that its state machine asks for.

The steps of an attempt, each when all TaskManagers have answered the one before: Prepare (memory), Connect and Deploy
(tasks are built and open), Start, until every task is over, Release.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from shmflink.checkpoint.manifest import Manifest
from shmflink.config.options import CANCELLATION_INTERVAL, CANCELLATION_TIMEOUT
from shmflink.core.ids import SubtaskId
from shmflink.errors import JobGraphError, RpcError
from shmflink.graph.execution_graph import ExecutionGraph, TaskDeployment, taskmanager_of
from shmflink.graph.job_graph import JobGraph
from shmflink.graph.watermark_alignment import AlignmentGroups, SourceTime
from shmflink.jobmanager.attempt_memory import CONTROL_CAPACITY, attempt_memory, check_memory
from shmflink.jobmanager.job_loop import JobLoop
from shmflink.jobmanager.job_state import (
    ArmCancellationTimeout,
    AttemptFailed,
    CancelAll,
    CancellationExpired,
    CancelRequested,
    Deployed,
    Effect,
    Ended,
    Event,
    Job,
    KillTaskManagers,
    StartAll,
    StateEntered,
    TaskChanged,
    TaskManagerGone,
)
from shmflink.jobmanager.slow_calls import SlowCalls, sentence_of
from shmflink.jobmanager.splits import SplitServer, failure_of
from shmflink.jobmanager.taskmanagers import TaskManager
from shmflink.metrics.counters import BLOCKS_MAX, OperatorCounters, TaskCounters, blocks_of_task
from shmflink.rpc.messages import (
    AlignSources,
    AttemptPrepared,
    AttemptReleased,
    CallUnderWay,
    CancelTasks,
    CheckpointAcknowledged,
    CheckpointDeclined,
    ConnectPeers,
    DeployTasks,
    Failure,
    OperatorSummary,
    PrepareAttempt,
    ReleaseAttempt,
    SplitRequested,
    StartTasks,
    TaskEnding,
    TaskStateChanged,
    TaskSummary,
)
from shmflink.rpc.states import JobState, TaskState
from shmflink.rpc.wire import FDS_MAX, Received

__all__ = ["AttemptOwner", "AttemptRun", "RestorePoint", "available_memory"]

_SPLIT_RETRY_S: Final = 0.2  # an enumerator that waits for new files is asked so often
_PEERS_PER_MESSAGE: Final = FDS_MAX // 2


@dataclass(frozen=True, slots=True)
class RestorePoint:
    """A checkpoint that an attempt goes on from: its folder and what it says of itself."""

    directory: str
    manifest: Manifest


class AttemptOwner(Protocol):
    """Who is told of the attempt's life."""

    def attempt_state_entered(self, state: JobState) -> None: ...

    def attempt_started(self, tasks: Sequence[SubtaskId]) -> None:
        """All tasks run (or are over already)."""
        ...

    def attempt_message(self, message: object) -> None:
        """What tasks say of checkpoints, and TaskStateChanged with FINISHED."""
        ...

    def attempt_notice(self, text: str) -> None:
        """Something that a person should know of an attempt that goes on."""
        ...

    def attempt_ended(self, state: JobState, failure: Failure | None) -> None:
        """Nothing of it is left."""
        ...


class AttemptRun:
    """An attempt on the TaskManagers that were granted to it; number i of the execution graph is `taskmanagers[i]`."""

    def __init__(
        self,
        graph: JobGraph,
        execution: ExecutionGraph,
        taskmanagers: Sequence[TaskManager],
        configuration: Mapping[str, str],
        loop: JobLoop,
        owner: AttemptOwner,
        splits: SplitServer,
        restore: RestorePoint | None,
        ha_identity: str = "",
    ) -> None:
        """`splits` are the job's, over all its regions; the attempt answers its tasks out of it."""
        self.graph = graph
        self.taskmanagers = list(taskmanagers)
        self._execution = execution
        self._configuration = configuration
        self._loop = loop
        self._owner = owner
        self._restore = restore
        self._ha_identity = ha_identity
        self._are_running = False
        self._job = Job({t.subtask: self._number(t) for t in execution.tasks})
        self._splits = splits
        self._unprepared = set(execution.taskmanagers)
        self._memory_fds: dict[int, tuple[int, ...]] = {}
        self._unreleased: set[int] = set()
        self._ended: tuple[JobState, Failure | None] | None = None
        self._timeout: asyncio.TimerHandle | None = None
        self._alignment = AlignmentGroups(graph)
        self._calls = SlowCalls()

    @property
    def state(self) -> JobState:
        return self._job.state

    def _number(self, task: TaskDeployment) -> int:
        return taskmanager_of(task.slot, self._execution.slots_per_taskmanager)

    def start(self) -> None:
        """Asks every TaskManager for the attempt's memory."""
        try:
            self._check_blocks()
            memory = attempt_memory(self._execution, self._configuration)
            check_memory(memory.values(), available_memory())
        except Exception as error:
            self._handle(AttemptFailed(failure_of(error)))
            return
        for number, need in memory.items():
            self._unreleased.add(number)
            self.taskmanagers[number].send(
                PrepareAttempt(
                    self.graph.job_id,
                    self._execution.epoch,
                    need.rings,
                    need.data_capacity,
                    CONTROL_CAPACITY,
                    need.segment_bytes,
                    need.segments,
                )
            )

    def _check_blocks(self) -> None:
        blocks = max(task.block + blocks_of_task(len(task.operators)) for task in self._execution.tasks)
        if blocks > BLOCKS_MAX:
            raise JobGraphError(
                f"{blocks} tasks and operators in one TaskManager, the most is {BLOCKS_MAX}: use more "
                "TaskManagers with fewer slots (taskmanager.numberOfTaskSlots)"
            )

    def cancel(self, force: bool) -> None:
        """Stops the job; `force` kills its TaskManagers."""
        self._handle(CancelRequested(force))

    def taskmanager_lost(self, taskmanager: TaskManager, failure: Failure) -> None:
        """One of the job's TaskManagers is gone, perhaps one that came after this attempt, for another region."""
        if taskmanager not in self.taskmanagers:
            return
        number = self.taskmanagers.index(taskmanager)
        if number not in self._execution.taskmanagers:
            return
        self._unreleased.discard(number)
        if self._unprepared:  # before the tasks are deployed, nothing of them can go on
            self._unprepared.discard(number)
            self._handle(AttemptFailed(failure))
        self._handle(TaskManagerGone(number, failure))
        self._finish_if_released()

    def message(self, taskmanager: TaskManager, received: Received) -> None:
        """What a TaskManager of the job says."""
        number = self.taskmanagers.index(taskmanager)
        message = received.message
        if message.epoch != self._execution.epoch:
            for fd in received.fds:  # of an attempt that is over
                os.close(fd)
            return
        match message:
            case AttemptPrepared(_, failure):
                self._prepared(number, failure, received.fds)
            case TaskStateChanged(_, subtask, state, failure):
                self._handle(TaskChanged(subtask, state, failure))
                self._tell_owner(message)
            case CheckpointAcknowledged() | CheckpointDeclined() | TaskEnding():
                self._owner.attempt_message(message)
            case SplitRequested(_, subtask):
                self._answer_split(taskmanager, subtask)
            case CallUnderWay():
                self._heard(message)
            case AttemptReleased():
                self._unreleased.discard(number)
                self._finish_if_released()
            case _:
                raise RpcError(f"a TaskManager cannot say {type(message).__name__}")

    def _heard(self, call: CallUnderWay) -> None:
        if self._calls.heard(call, self._loop.time()):
            parallelism = self.graph.vertices[call.subtask.vertex].parallelism
            self._owner.attempt_notice(f"{sentence_of(call, parallelism)}\n{call.stack.rstrip()}")

    def _tell_owner(self, changed: TaskStateChanged) -> None:
        """The start of all tasks, then the end of each; those that were over by then come right after."""
        tasks = self._job.tasks
        if self._are_running:
            if changed.state is TaskState.FINISHED:
                self._owner.attempt_message(changed)
        elif all(state in (TaskState.RUNNING, TaskState.FINISHED) for state in tasks.values()):
            self._are_running = True
            self._owner.attempt_started(tuple(tasks))
            for subtask, state in tuple(tasks.items()):
                if state is TaskState.FINISHED:
                    self._owner.attempt_message(TaskStateChanged(changed.epoch, subtask, state))

    @property
    def slow_calls(self) -> tuple[str, ...]:
        """Sentences about its tasks that do not come back from a call."""
        parallelism = {vertex.index: vertex.parallelism for vertex in self.graph.vertices}
        return self._calls.sentences(parallelism, self._loop.time())

    def slow_call_of(self, subtask: SubtaskId) -> str:
        """`in one call of user code for 34 s: job.py:12 in slow`; empty where it is in none for long."""
        return self._calls.of(subtask, self._loop.time())

    # --- checkpoints ---

    @property
    def epoch(self) -> int:
        return self._execution.epoch

    def tell_all(self, message: object) -> None:
        """To every TaskManager of the attempt."""
        for number in self._execution.taskmanagers:
            self.taskmanagers[number].send(message)

    def fail(self, failure: Failure) -> None:
        """For a reason that is no single task's."""
        self._handle(AttemptFailed(failure))

    # --- deployment ---

    def _prepared(self, number: int, failure: Failure | None, fds: tuple[int, ...]) -> None:
        self._unprepared.discard(number)
        if failure is not None:
            self._handle(AttemptFailed(failure))
            return
        self._memory_fds[number] = fds
        if not self._unprepared and self._job.state is JobState.CREATED:
            self._deploy()

    def _deploy(self) -> None:
        for number in self._execution.taskmanagers:
            taskmanager = self.taskmanagers[number]
            tasks = self._execution.tasks_of(number)
            peers = self._peers_of(number, tasks)
            for first in range(0, len(peers), _PEERS_PER_MESSAGE):
                some = tuple(peers[first : first + _PEERS_PER_MESSAGE])
                fds = tuple(fd for peer in some for fd in self._memory_fds[peer])
                taskmanager.send(ConnectPeers(self._execution.epoch, some), fds)
            taskmanager.send(self._deployment(number, tasks))
        self._close_memory_fds()
        self._handle(Deployed())

    def _deployment(self, number: int, tasks: tuple[TaskDeployment, ...]) -> DeployTasks:
        graph = self.graph
        return DeployTasks(
            epoch=self._execution.epoch,
            job_id=graph.job_id,
            job_name=graph.name,
            taskmanager=number,
            slots_per_taskmanager=self._execution.slots_per_taskmanager,
            configuration=self._configuration,
            python_path=graph.python_path,
            working_directory=graph.working_directory,
            main_file=graph.main_file,
            tasks=tasks,
            restore_path="" if self._restore is None else self._restore.directory,
            ha_identity=self._ha_identity,
        )

    def _peers_of(self, number: int, tasks: Sequence[TaskDeployment]) -> list[int]:
        """TaskManagers at the other ends of this one's channels."""
        per = self._execution.slots_per_taskmanager
        channels = [c for t in tasks for side in (t.inputs, t.outputs) for edge in side for c in edge.channels]
        slots = {c.producer_slot for c in channels} | {c.consumer_slot for c in channels}
        return sorted({taskmanager_of(slot, per) for slot in slots} - {number})

    def _close_memory_fds(self) -> None:
        """The TaskManagers have theirs: once they let go, the kernel frees the memory."""
        for fds in self._memory_fds.values():
            for fd in fds:
                os.close(fd)
        self._memory_fds.clear()

    def _answer_split(self, taskmanager: TaskManager, subtask: SubtaskId) -> None:
        """Asks the enumerator; again and again where it has nothing now (new files may come)."""
        if self._job.tasks[subtask].is_terminal or taskmanager.is_lost:
            return
        try:
            answer = self._splits.answer(self._execution.epoch, subtask)
        except Exception as error:
            name = self.graph.vertices[subtask.vertex].operators[0].name
            self._handle(AttemptFailed(failure_of(error, operator=name)))
            return
        if answer is None:
            self._loop.call_later(_SPLIT_RETRY_S, self._answer_split, taskmanager, subtask)
        else:
            taskmanager.send(answer)

    # --- effects ---

    def _handle(self, event: Event) -> None:
        for effect in self._job.handle(event):
            self._perform(effect)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case StateEntered(state):
                self._owner.attempt_state_entered(state)
            case StartAll():
                for number in self._execution.taskmanagers:
                    self.taskmanagers[number].send(StartTasks(self._execution.epoch))
                self._loop.call_soon(self._align_sources)
            case CancelAll(numbers):
                self._cancel_tasks(numbers)
            case ArmCancellationTimeout():
                timeout_ms = CANCELLATION_TIMEOUT.read(self._configuration)
                self._timeout = self._loop.call_later(timeout_ms / 1000, self._cancellation_expired)
            case KillTaskManagers(numbers):
                for number in numbers:
                    self.taskmanagers[number].kill(f"did not stop its tasks in time, so it was killed{self._why()}")
            case Ended(state, failure):
                self._end(state, failure)

    def _why(self) -> str:
        return "".join(f"; {sentence}" for sentence in self.slow_calls)

    def _cancel_tasks(self, numbers: tuple[int, ...]) -> None:
        """Asks again and again until the job is over; a TaskManager that is asked twice interrupts user code."""
        if self._job.state.is_terminal:
            return
        for number in numbers:
            self.taskmanagers[number].send(CancelTasks(self._execution.epoch))
        interval_ms = CANCELLATION_INTERVAL.read(self._configuration)
        self._loop.call_later(interval_ms / 1000, self._cancel_tasks, numbers)

    def _cancellation_expired(self) -> None:
        """Also for TaskManagers that do not release: their tasks are over, but user code may still run."""
        self._handle(CancellationExpired())
        if self._ended is not None:
            for number in self._unreleased:
                self.taskmanagers[number].kill("did not release the job's memory in time, so it was killed")

    def _end(self, state: JobState, failure: Failure | None) -> None:
        self._ended = state, failure
        self._close_memory_fds()
        if self._timeout is None:
            self._perform(ArmCancellationTimeout())
        for number in self._unreleased:
            self.taskmanagers[number].send(ReleaseAttempt(self._execution.epoch))
        self._finish_if_released()

    def _finish_if_released(self) -> None:
        ended = self._ended
        if ended is None or self._unreleased:
            return
        self._ended = None
        if self._timeout is not None:
            self._timeout.cancel()
        self._owner.attempt_ended(*ended)

    def _align_sources(self) -> None:
        """Tells sources of a group how far they may run ahead of each other, as long as the attempt runs."""
        interval_ms = self._alignment.interval_ms
        if interval_ms is None or self._job.state is not JobState.RUNNING:
            return
        limits = self._alignment.limits(self._source_time)
        numbers = {task.subtask: self._number(task) for task in self._execution.tasks if task.subtask in limits}
        for number in sorted(set(numbers.values())):
            mine = tuple((subtask, limits[subtask]) for subtask, owner in numbers.items() if owner == number)
            self.taskmanagers[number].send(AlignSources(self._execution.epoch, mine))
        self._loop.call_later(interval_ms / 1000, self._align_sources)

    def _source_time(self, subtask: SubtaskId) -> SourceTime | None:
        if self._job.tasks[subtask] is not TaskState.RUNNING:
            return None
        task = next(task for task in self._execution.tasks if task.subtask == subtask)
        counters = TaskCounters.read(self.taskmanagers[self._number(task)].page, task.block)
        return SourceTime(counters.watermark_ms, bool(counters.is_idle))

    def summaries(self) -> tuple[TaskSummary, ...]:
        """Counters of all subtasks, read from the status pages without asking anybody."""
        return tuple(self._summary(task) for task in self._execution.tasks)

    def _summary(self, task: TaskDeployment) -> TaskSummary:
        number = self._number(task)
        state = self._job.tasks[task.subtask]
        page = self.taskmanagers[number].page
        is_fresh = state not in (
            TaskState.CREATED,
            TaskState.DEPLOYING,
        )  # before, the block is an older job's
        counters = TaskCounters.read(page, task.block) if is_fresh else TaskCounters()
        return TaskSummary(
            vertex=task.subtask.vertex,
            vertex_name=task.vertex_name,
            subtask=task.subtask.subtask,
            state=state,
            taskmanager=self.taskmanagers[number].index,
            records_in=counters.records_in,
            records_out=counters.records_out,
            bytes_in=counters.bytes_in,
            bytes_out=counters.bytes_out,
            busy_ns=counters.busy_ns,
            backpressured_ns=counters.backpressured_ns,
            idle_ns=counters.idle_ns,
            operators=tuple(_operator_summaries(page, task)) if is_fresh else (),
            watermark_ms=counters.watermark_ms if is_fresh else None,
            is_idle=bool(counters.is_idle),
        )


def _operator_summaries(page: Any, task: TaskDeployment) -> Iterator[OperatorSummary]:
    for index, operator in enumerate(task.operators):
        counters = OperatorCounters.read(page, task.block + 1 + index)
        yield OperatorSummary(operator.name, **counters.as_dict())


def available_memory() -> int:
    """Bytes that the kernel says can be had without swapping."""
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 1 << 62  # not a Linux that says so: nothing to check against
