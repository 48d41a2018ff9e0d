"""What a run did, per task and operator: the figures behind the live view, the final table and the JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, field
from typing import Any, Final

from shmflink.core.lazy_dataclass import dataclass
from shmflink.rpc.messages import JobEnded, OperatorSummary, TaskSummary

__all__ = ["OperatorTotals", "RunRecord", "TaskTotals", "by_task", "rows_of"]


_SOURCE: Final = "Source: "  # names of sources begin like this, as in Flink
_SINK: Final = "Sink: "


@dataclass(slots=True)
class OperatorTotals:
    """One operator over all subtasks. `busy_ns` is the operator's own time."""

    name: str
    records_in: int = 0
    records_out: int = 0
    busy_ns: int = 0
    malformed_rows: int = 0

    @property
    def rows_read(self) -> int:
        """Rows that a source read from outside."""
        return self.records_out if self.name.startswith(_SOURCE) else self.records_in

    @property
    def rows_written(self) -> int:
        """Rows that a sink wrote to the outside."""
        return self.records_in if self.name.startswith(_SINK) else self.records_out

    def add(self, operator: OperatorSummary) -> None:
        self.records_in += operator.records_in
        self.records_out += operator.records_out
        self.busy_ns += operator.busy_ns
        self.malformed_rows += operator.malformed_rows


@dataclass(slots=True)
class TaskTotals:
    """The sum over all subtasks of one vertex."""

    vertex: int
    name: str
    parallelism: int = 0
    records_in: int = 0
    records_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    busy_ns: int = 0
    backpressured_ns: int = 0
    idle_ns: int = 0
    operators: list[OperatorTotals] = field(default_factory=list)
    subtask_rows: list[int] = field(default_factory=list)  # read by each subtask
    subtask_busy_ns: list[int] = field(default_factory=list)

    def add(self, task: TaskSummary) -> None:
        self.parallelism += 1
        self.records_in += task.records_in
        self.records_out += task.records_out
        self.bytes_in += task.bytes_in
        self.bytes_out += task.bytes_out
        self.busy_ns += task.busy_ns
        self.backpressured_ns += task.backpressured_ns
        self.idle_ns += task.idle_ns
        if not self.operators:
            self.operators = [OperatorTotals(one.name) for one in task.operators]
        for totals, operator in zip(self.operators, task.operators, strict=False):  # a task that never ran has none
            totals.add(operator)
        read_in_source = task.operators[0].records_out if task.operators else 0
        self.subtask_rows.append(task.records_in or read_in_source)
        self.subtask_busy_ns.append(task.busy_ns)

    @property
    def rows_read(self) -> int:
        """From other tasks; for a source, from outside."""
        return sum(self.subtask_rows)

    @property
    def rows_written(self) -> int:
        """To other tasks; for a task that ends in sinks, to the outside."""
        sinks = [operator.records_in for operator in self.operators if operator.name.startswith(_SINK)]
        # In a job of one task, rows read also count as its output.
        is_job_in_one_task = bool(sinks) and not self.records_in and self.records_out == self.rows_read
        return sum(sinks) + (0 if is_job_in_one_task else self.records_out)

    @property
    def exchange_ns(self) -> int:
        """Busy time outside the operators: receiving, scattering and shipping batches."""
        return max(0, self.busy_ns - sum(operator.busy_ns for operator in self.operators))


def by_task(tasks: Sequence[TaskSummary]) -> list[TaskTotals]:
    """One entry per vertex, in graph order."""
    totals: dict[int, TaskTotals] = {}
    for task in sorted(tasks, key=lambda one: (one.vertex, one.subtask)):
        totals.setdefault(task.vertex, TaskTotals(task.vertex, task.vertex_name)).add(task)
    return list(totals.values())


def rows_of(tasks: Sequence[TaskTotals]) -> int:
    """The larger of the rows that the busiest task has read and written, shown as the job's progress."""
    return max((max(one.records_in, one.records_out) for one in tasks), default=0)


@dataclass(slots=True)
class RunRecord:
    """One `shmflink run`: the jobs it ran and how long the cluster took to start."""

    file: str
    slots: int = 0
    cluster_start_ms: float | None = None
    jobs: list[tuple[str, JobEnded]] = field(default_factory=list)

    def as_dict(self, exit_code: int, total_ms: float) -> dict[str, Any]:
        """The `--json` summary. The last word of each key is the unit: milliseconds, rows, bytes or nanoseconds."""
        return {
            "file": self.file,
            "exit_code": exit_code,
            "total_ms": round(total_ms, 1),
            "slots": self.slots,
            "cluster_start_ms": None if self.cluster_start_ms is None else round(self.cluster_start_ms, 1),
            "jobs": [_job_as_dict(name, ended) for name, ended in self.jobs],
        }


def _job_as_dict(name: str, ended: JobEnded) -> dict[str, Any]:
    tasks = by_task(ended.tasks)
    return {
        "job_id": str(ended.job_id),
        "name": name,
        "state": str(ended.state),
        "runtime_ms": ended.runtime_ms,
        "failure": None if ended.failure is None else ended.failure.message,
        "rows": rows_of(tasks),
        "restarts": ended.restarts,
        "checkpoints": None if ended.checkpoints is None else asdict(ended.checkpoints),
        "tasks": [_task_as_dict(one) for one in tasks],
    }


_TASK_WORDS: Final = (
    "name",
    "parallelism",
    "records_in",
    "records_out",
    "rows_read",
    "rows_written",
    "subtask_rows",
    "bytes_in",
    "bytes_out",
    "busy_ns",
    "backpressured_ns",
    "idle_ns",
    "exchange_ns",
)


def _task_as_dict(one: TaskTotals) -> dict[str, Any]:
    return {word: getattr(one, word) for word in _TASK_WORDS} | {"operators": [asdict(each) for each in one.operators]}
