"""One attempt of a job in this process: performs the effects of its machine, and passes messages of TaskManagers to it.

The steps of an attempt are: Prepare (memory), Connect and Deploy (tasks are built and opened), Start, and Release, once
every task has ended. Each step begins when all TaskManagers have answered the previous one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from shmflink.checkpoint.events import Acknowledged, Declined, TaskReachedEnd
from shmflink.core.ids import SubtaskId
from shmflink.errors import JobGraphError, RpcError
from shmflink.graph.execution_graph import ExecutionGraph, TaskDeployment, taskmanager_of
from shmflink.graph.job_graph import JobGraph
from shmflink.graph.watermark_alignment import AlignmentGroups, SourceTime
from shmflink.jobmachine import effects as ask
from shmflink.jobmachine.attempt import Attempt
from shmflink.jobmachine.events import (
    CallReported,
    EnumeratorFailed,
    Event,
    MemoryReady,
    MemoryRefused,
    MemoryReleased,
    TaskReported,
    TaskSaid,
)
from shmflink.jobmanager.attempt_memory import CONTROL_CAPACITY, attempt_memory, check_memory
from shmflink.jobmanager.job_loop import JobLoop
from shmflink.jobmanager.splits import SplitServer, failure_of
from shmflink.jobmanager.taskmanager_gateway import TaskManagerGateway
from shmflink.metrics.counters import BLOCKS_MAX, TaskCounters, blocks_of_task
from shmflink.rpc.messages import (
    AlignSources,
    AttemptPrepared,
    AttemptReleased,
    CallUnderWay,
    CancelTasks,
    CheckpointAcknowledged,
    CheckpointDeclined,
    DeployTasks,
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

__all__ = ["AttemptEffect", "AttemptRun", "available_memory"]

_SPLIT_RETRY_S: Final = 0.2  # interval at which an enumerator that waits for new files is asked

AttemptEffect = ask.Deploy | ask.StartTasks | ask.CancelTasks | ask.KillTaskManagers | ask.ReleaseMemory


class AttemptRun:
    """An attempt on the TaskManagers granted to it; index i of the execution graph is `taskmanagers[i]`."""

    def __init__(
        self,
        graph: JobGraph,
        attempt: Attempt,
        restore_path: str,
        taskmanagers: Sequence[TaskManagerGateway],
        configuration: Mapping[str, str],
        loop: JobLoop,
        feed: Callable[[Event], None],
        splits: SplitServer,
        ha_identity: str = "",
    ) -> None:
        """Only reads `attempt`. `splits` are those of the job, over all its regions."""
        self._graph = graph
        self._attempt = attempt
        self._restore_path = restore_path
        self._taskmanagers = list(taskmanagers)
        self._execution: ExecutionGraph = attempt.execution
        self._configuration = configuration
        self._loop = loop
        self._feed = feed
        self._splits = splits
        self._ha_identity = ha_identity
        self._alignment = AlignmentGroups(graph)

    @property
    def epoch(self) -> int:
        return self._execution.epoch

    def _index(self, task: TaskDeployment) -> int:
        return taskmanager_of(task.slot, self._execution.slots_per_taskmanager)

    def tell_all(self, message: object) -> None:
        """Sends a message to every TaskManager of the attempt."""
        for index in self._execution.taskmanagers:
            self._taskmanagers[index].send(message)

    # --- effects ---

    def begin(self) -> None:
        """Asks every TaskManager to create the attempt's memory."""
        try:
            self._check_blocks()
            memory = attempt_memory(self._execution, self._configuration)
            check_memory(memory.values(), available_memory())
        except Exception as error:
            self._feed(MemoryRefused(self.epoch, failure_of(error)))
            return
        for index, need in memory.items():
            self._taskmanagers[index].send(
                PrepareAttempt(
                    self._graph.job_id,
                    self.epoch,
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
                f"{blocks} tasks and operators in one TaskManager, but at most {BLOCKS_MAX} are possible: use more "
                "TaskManagers with fewer slots (taskmanager.numberOfTaskSlots)"
            )

    def perform(self, effect: AttemptEffect) -> None:
        """Performs an effect of the attempt's machine."""
        match effect:
            case ask.Deploy():
                self._deploy()
            case ask.StartTasks():
                self.tell_all(StartTasks(self.epoch))
                self._loop.call_soon(self._align_sources)
            case ask.CancelTasks(_, taskmanagers):
                for index in taskmanagers:
                    self._taskmanagers[index].send(CancelTasks(self.epoch))
            case ask.KillTaskManagers(_, taskmanagers, why):
                for index in taskmanagers:
                    self._taskmanagers[index].kill(why)
            case ask.ReleaseMemory(_, taskmanagers):
                self._release_memory()
                for index in taskmanagers:
                    self._taskmanagers[index].send(ReleaseAttempt(self.epoch))

    def close(self) -> None:
        """Called when the attempt is over."""
        self._release_memory()

    # --- messages of TaskManagers ---

    def message(self, taskmanager: TaskManagerGateway, message: object) -> None:
        """Handles a message of one of the attempt's TaskManagers, with the attempt's epoch."""
        match message:
            case AttemptPrepared(epoch, failure):
                self._feed(MemoryReady(epoch, self._taskmanagers.index(taskmanager), failure))
            case TaskStateChanged(epoch, subtask, state, failure):
                self._feed(TaskReported(epoch, subtask, state, failure))
            case CheckpointAcknowledged(epoch, subtask, checkpoint_id, states, sync_ns, async_ns, alignment_ns, size):
                acknowledged = Acknowledged(subtask, checkpoint_id, states, sync_ns, async_ns, alignment_ns, size)
                self._feed(TaskSaid(epoch, acknowledged))
            case CheckpointDeclined(epoch, subtask, checkpoint_id, failure, counts):
                self._feed(TaskSaid(epoch, Declined(subtask, checkpoint_id, failure.message, counts)))
            case TaskEnding(epoch, subtask):
                self._feed(TaskSaid(epoch, TaskReachedEnd(subtask)))
            case SplitRequested(_, subtask):
                self._answer_split(taskmanager, subtask)
            case CallUnderWay():
                self._feed(CallReported(message))
            case AttemptReleased(epoch):
                self._feed(MemoryReleased(epoch, self._taskmanagers.index(taskmanager)))
            case _:
                raise RpcError(f"a TaskManager must not send {type(message).__name__}")

    def _answer_split(self, taskmanager: TaskManagerGateway, subtask: SubtaskId) -> None:
        """Asks the enumerator for a split; asks again later if it has none now, because new files may arrive."""
        if self._attempt.tasks[subtask].is_terminal or taskmanager.is_lost:
            return
        try:
            answer = self._splits.answer(self.epoch, subtask)
        except Exception as error:
            name = self._graph.vertices[subtask.vertex].operators[0].name
            self._feed(EnumeratorFailed(self.epoch, failure_of(error, operator=name)))
            return
        if answer is None:
            self._loop.call_later(_SPLIT_RETRY_S, self._answer_split, taskmanager, subtask)
        else:
            taskmanager.send(answer)

    # --- deployment ---

    def _deploy(self) -> None:
        for index in self._execution.taskmanagers:
            taskmanager = self._taskmanagers[index]
            tasks = self._execution.tasks_of(index)
            peers = self._peers_of(index, tasks)
            if peers:
                taskmanager.connect_peers(self.epoch, {peer: self._taskmanagers[peer].id for peer in peers})
            taskmanager.send(self._deployment(index, tasks))
        self._release_memory()

    def _deployment(self, index: int, tasks: tuple[TaskDeployment, ...]) -> DeployTasks:
        graph = self._graph
        return DeployTasks(
            epoch=self._execution.epoch,
            job_id=graph.job_id,
            job_name=graph.name,
            taskmanager=index,
            slots_per_taskmanager=self._execution.slots_per_taskmanager,
            configuration=self._configuration,
            python_path=graph.python_path,
            working_directory=graph.working_directory,
            main_file=graph.main_file,
            tasks=tasks,
            restore_path=self._restore_path,
            ha_identity=self._ha_identity,
        )

    def _peers_of(self, index: int, tasks: Sequence[TaskDeployment]) -> list[int]:
        """TaskManagers at the other ends of this one's channels."""
        per = self._execution.slots_per_taskmanager
        channels = [c for t in tasks for side in (t.inputs, t.outputs) for edge in side for c in edge.channels]
        slots = {c.producer_slot for c in channels} | {c.consumer_slot for c in channels}
        return sorted({taskmanager_of(slot, per) for slot in slots} - {index})

    def _release_memory(self) -> None:
        """Closes our descriptors, once the TaskManagers have theirs: when they close them, the kernel frees the
        memory.
        """
        for index in self._execution.taskmanagers:
            self._taskmanagers[index].release_memory(self.epoch)

    # --- sources that wait for each other ---

    def _align_sources(self) -> None:
        """While the attempt runs, limits how far the sources of a group may run ahead of each other."""
        interval_ms = self._alignment.interval_ms
        if interval_ms is None or self._attempt.state is not JobState.RUNNING:
            return
        limits = self._alignment.limits(self._source_time)
        owners = {task.subtask: self._index(task) for task in self._execution.tasks if task.subtask in limits}
        for index in sorted(set(owners.values())):
            mine = tuple((subtask, limits[subtask]) for subtask, owner in owners.items() if owner == index)
            self._taskmanagers[index].send(AlignSources(self.epoch, mine))
        self._loop.call_later(interval_ms / 1000, self._align_sources)

    def _source_time(self, subtask: SubtaskId) -> SourceTime | None:
        if self._attempt.tasks[subtask] is not TaskState.RUNNING:
            return None
        task = next(task for task in self._execution.tasks if task.subtask == subtask)
        counters = self._taskmanagers[self._index(task)].task_counters(task.block)
        return SourceTime(counters.watermark_ms, bool(counters.is_idle))

    # --- counters ---

    def summaries(self, vertex: int | None = None) -> tuple[TaskSummary, ...]:
        """Counters of all subtasks, or of those of one vertex, read from the status pages without asking anybody."""
        return tuple(self._summary(task) for task in self._execution.tasks if vertex in (None, task.subtask.vertex))

    def _summary(self, task: TaskDeployment) -> TaskSummary:
        taskmanager = self._taskmanagers[self._index(task)]
        state = self._attempt.tasks[task.subtask]
        is_fresh = state not in (
            TaskState.CREATED,
            TaskState.DEPLOYING,
        )  # before that, the block still has an older job's counters
        counters = taskmanager.task_counters(task.block) if is_fresh else TaskCounters()
        return TaskSummary(
            vertex=task.subtask.vertex,
            vertex_name=task.vertex_name,
            subtask=task.subtask.subtask,
            state=state,
            taskmanager=taskmanager.id.index,
            records_in=counters.records_in,
            records_out=counters.records_out,
            bytes_in=counters.bytes_in,
            bytes_out=counters.bytes_out,
            busy_ns=counters.busy_ns,
            backpressured_ns=counters.backpressured_ns,
            idle_ns=counters.idle_ns,
            operators=tuple(_operator_summaries(taskmanager, task)) if is_fresh else (),
            watermark_ms=counters.watermark_ms if is_fresh else None,
            is_idle=bool(counters.is_idle),
        )


def _operator_summaries(taskmanager: TaskManagerGateway, task: TaskDeployment) -> Iterator[OperatorSummary]:
    for index, operator in enumerate(task.operators):
        counters = taskmanager.operator_counters(task.block + 1 + index)
        yield OperatorSummary(operator.name, **counters.as_dict())


def available_memory() -> int:
    """Bytes that are available without swapping, according to the kernel."""
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 1 << 62  # the kernel does not report it: no check is possible
