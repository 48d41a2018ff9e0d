"""One job as those see it who look at a cluster: `rpc.read_messages` of what it knows of itself. Changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from shmflink.core.clock import Clock
from shmflink.core.ids import SubtaskId
from shmflink.graph.job_graph import JobGraph, JobVertex
from shmflink.jobmachine.job import JobMachine
from shmflink.jobmanager.job_attempts import JobAttempts
from shmflink.jobmanager.job_history import JobHistory, TaskTimes
from shmflink.rpc.control_messages import JobOverview
from shmflink.rpc.messages import TaskSummary
from shmflink.rpc.read_messages import (
    CheckpointsRead,
    EdgeRead,
    JobRead,
    JobSummary,
    OperatorRead,
    TaskRead,
    VertexRead,
    VertexShape,
)
from shmflink.rpc.states import TaskState

__all__ = ["JobReading"]


class JobReading:
    """Of one job at this moment. Used by the event loop alone."""

    def __init__(
        self,
        graph: JobGraph,
        configuration: Mapping[str, str],
        machine: JobMachine,
        attempts: JobAttempts,
        history: JobHistory,
        clock: Clock,
    ) -> None:
        self._graph = graph
        self._configuration = configuration
        self._machine = machine
        self._attempts = attempts
        self._history = history
        self._clock = clock
        self._began_ms = clock.monotonic_ns() // 1_000_000

    def overview(self) -> JobOverview:
        """A line about the job, for lists."""
        graph, machine = self._graph, self._machine
        now_ms = self._clock.monotonic_ns() // 1_000_000
        return JobOverview(
            graph.job_id,
            graph.name,
            machine.state,
            self._history.started_ms,
            now_ms - self._began_ms,
            max(vertex.parallelism for vertex in graph.vertices),
            machine.slots,
            machine.restarts,
            machine.checkpoint_summary(now_ms),
        )

    def summary(self) -> JobSummary:
        """With the number of subtasks in each state."""
        states = Counter(self._attempts.states().values())
        unborn = sum(vertex.parallelism for vertex in self._graph.vertices) - states.total()
        states[TaskState.CREATED] += unborn  # of regions that have not begun
        entered = {state.value: at_ms for state, at_ms in self._history.entered.items()}
        return JobSummary(self.overview(), self._graph.is_batch, entered, {s.value: n for s, n in states.items()})

    def job(self) -> JobRead:
        """Without its subtasks."""
        graph = self._graph
        return JobRead(
            self.summary(),
            {**graph.configuration, **self._configuration},
            tuple(_shape(vertex) for vertex in graph.vertices),
            tuple(EdgeRead(edge.source, edge.target, edge.input_index, edge.strategy) for edge in graph.edges),
            self._history.failures,
            self._checkpoints(),
        )

    def vertex(self, index: int) -> VertexRead:
        """The subtasks of a vertex, as they are now or were at their end."""
        found = {one.subtask: one for one in self._attempts.summaries(index)}
        tasks = [
            self._task(found.get(number) or self._unborn(index, number))
            for number in range(self._graph.vertices[index].parallelism)
        ]
        return VertexRead(self._graph.job_id, index, self._machine.state, tuple(tasks))

    # --- inside ---

    def _task(self, summary: TaskSummary) -> TaskRead:
        subtask = SubtaskId(summary.vertex, summary.subtask)
        times = self._history.tasks.get(subtask)
        if times is None:
            times = TaskTimes(0, 0, "", {})
        else:
            self._history.seen(subtask, summary.state)
        entered = {state.value: at_ms for state, at_ms in times.entered.items()}
        return TaskRead(summary, times.number, times.taskmanager, entered)

    def _unborn(self, vertex: int, subtask: int) -> TaskSummary:
        name = self._graph.vertices[vertex].name
        return TaskSummary(vertex, name, subtask, TaskState.CREATED, -1, 0, 0, 0, 0, 0, 0)

    def _checkpoints(self) -> CheckpointsRead | None:
        checkpoints = self._machine.checkpoints
        if not checkpoints.is_on:
            return None
        reports, restore = checkpoints.reports, self._history.restore
        return CheckpointsRead(
            reports.counts,
            checkpoints.history,
            reports.last_completed,
            reports.last_savepoint,
            reports.last_failed,
            self._clock.processing_time_ms() - self._clock.monotonic_ns() // 1_000_000,
            reports.last_restored_id,
            0 if restore is None else restore[1],
            "" if restore is None else restore[0],
        )


def _shape(vertex: JobVertex) -> VertexShape:
    operators = tuple(
        OperatorRead(op.operator_id, op.name, op.description, op.kind.value, op.children) for op in vertex.operators
    )
    parallelism, largest = vertex.parallelism, vertex.max_parallelism
    return VertexShape(vertex.index, vertex.name, parallelism, largest, vertex.slot_sharing_group, operators)
