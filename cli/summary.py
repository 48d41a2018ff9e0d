"""What a run did, per task: as a table, as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from shmflink.rpc.messages import JobEnded, TaskSummary

from . import numbers

__all__ = ["RunRecord", "TaskTotals", "by_task", "rows_of", "table_of"]


@dataclass(slots=True)
class TaskTotals:
    """All subtasks of one vertex, summed."""

    name: str
    parallelism: int = 0
    records_in: int = 0
    records_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    busy_ns: int = 0
    backpressured_ns: int = 0

    def add(self, task: TaskSummary) -> None:
        self.parallelism += 1
        self.records_in += task.records_in
        self.records_out += task.records_out
        self.bytes_in += task.bytes_in
        self.bytes_out += task.bytes_out
        self.busy_ns += task.busy_ns
        self.backpressured_ns += task.backpressured_ns


def by_task(tasks: Sequence[TaskSummary]) -> list[TaskTotals]:
    """One entry per vertex, in the order of the graph."""
    totals: dict[int, TaskTotals] = {}
    for task in sorted(tasks, key=lambda one: (one.vertex, one.subtask)):
        totals.setdefault(task.vertex, TaskTotals(task.vertex_name)).add(task)
    return list(totals.values())


def rows_of(tasks: Sequence[TaskSummary]) -> int:
    """Rows that the busiest task has taken or made: what a person calls the job's progress."""
    return max((max(one.records_in, one.records_out) for one in by_task(tasks)), default=0)


@dataclass(slots=True)
class RunRecord:
    """A whole `shmflink run`: the jobs it ran and how long the cluster took to come up."""

    file: str
    slots: int = 0
    cluster_start_ms: float | None = None
    jobs: list[tuple[str, JobEnded]] = field(default_factory=list)

    def as_dict(self, exit_code: int, total_ms: float) -> dict[str, Any]:
        """The `--json` summary. Milliseconds, rows, bytes, nanoseconds by the keys' last word."""
        return {
            "file": self.file,
            "exit_code": exit_code,
            "total_ms": round(total_ms, 1),
            "slots": self.slots,
            "cluster_start_ms": None if self.cluster_start_ms is None else round(self.cluster_start_ms, 1),
            "jobs": [_job_as_dict(name, ended) for name, ended in self.jobs],
        }


def _job_as_dict(name: str, ended: JobEnded) -> dict[str, Any]:
    return {
        "job_id": str(ended.job_id),
        "name": name,
        "state": str(ended.state),
        "runtime_ms": ended.runtime_ms,
        "failure": None if ended.failure is None else ended.failure.message,
        "rows": rows_of(ended.tasks),
        "tasks": [
            {
                "name": one.name,
                "parallelism": one.parallelism,
                "records_in": one.records_in,
                "records_out": one.records_out,
                "bytes_in": one.bytes_in,
                "bytes_out": one.bytes_out,
                "busy_ns": one.busy_ns,
                "backpressured_ns": one.backpressured_ns,
            }
            for one in by_task(ended.tasks)
        ],
    }


def table_of(ended: JobEnded) -> Any:
    """A rich table of the tasks; busy and back-pressured are shares of the job's time."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("Task", overflow="fold")
    for heading in ("Subtasks", "Rows in", "Rows out", "Bytes out", "Busy", "Back-pressured"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in by_task(ended.tasks):
        available_ns = ended.runtime_ms * 1e6 * one.parallelism
        table.add_row(
            one.name.replace(" -> ", " → "),
            str(one.parallelism),
            numbers.count(one.records_in),
            numbers.count(one.records_out),
            numbers.size(one.bytes_out),
            numbers.percent(one.busy_ns, available_ns),
            numbers.percent(one.backpressured_ns, available_ns),
        )
    return table
