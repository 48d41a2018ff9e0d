"""The picture of a running job, rendered as text."""

from __future__ import annotations

from io import StringIO
from typing import Any

from rich.console import Console
from shmflink.cli.job_view import JobView

from shmflink.core.ids import JobId
from shmflink.graph.job_graph import JobEdge, JobGraph, JobVertex, ShipStrategy
from shmflink.rpc.messages import CheckpointSummary, JobEnded, JobProgress, OperatorSummary, SourceProgress, TaskSummary
from shmflink.rpc.states import JobState, TaskState

SECOND = 1_000_000_000
JOB = JobId(bytes(16)) if not hasattr(JobId, "random") else JobId.random()


def graph() -> JobGraph:
    vertices = tuple(JobVertex(i, name, 1, 128, "default", None, ()) for i, name in enumerate(("Source: a", "sort")))
    return JobGraph(JOB, "job", False, vertices, (JobEdge(0, 0, 0, 1, 0, ShipStrategy.REBALANCE),))


def task(vertex: int, rows: int, busy: int, held_up: int, idle: int, *operators: OperatorSummary) -> TaskSummary:
    name = ("Source: a", "sort -> Sink: w")[vertex]
    return TaskSummary(
        vertex, name, 0, TaskState.RUNNING, 0, rows * vertex, rows, 0, 4096, busy, held_up, idle, operators
    )


def tasks(rows: int, seconds: int) -> tuple[TaskSummary, ...]:
    ns = seconds * SECOND
    source = OperatorSummary("Source: a", 0, rows, ns // 5, 3)
    sort, sink = OperatorSummary("sort", rows, rows, ns * 8 // 10, 0), OperatorSummary("Sink: w", rows, 0, ns // 10, 0)
    return task(0, rows, ns // 4, ns * 3 // 4, 0, source), task(1, rows, ns * 95 // 100, 0, ns // 20, sort, sink)


def rendered(picture: Any) -> str:
    console = Console(file=StringIO(), width=140, height=40)
    console.print(picture)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_before_the_first_counters_it_says_that_the_job_starts() -> None:
    assert rendered(JobView(graph(), 0).live(2 * SECOND, 40)).startswith("starting  2.00 s")


def test_rates_are_those_of_the_last_seconds_and_progress_tells_the_time_left() -> None:
    view = JobView(graph(), 0)
    for second, rows in ((1, 1_000), (8, 9_000), (10, 11_000)):
        view.progressed(JobProgress(JOB, tasks(rows, second), (SourceProgress(0, 25, 100),)), second * SECOND)
    text = rendered(view.live(10 * SECOND, 40))
    assert "11,000 rows  1,000 rows/s  0:10" in text  # 2,000 rows in the last two seconds
    assert "25 %, about 0:30 left" in text
    assert "├ sort" in text
    assert "└ Sink: w" in text
    assert "The bottleneck: 'sort' in 'sort -> Sink: w' is busy 95 % of the time and holds up 'Source: a'" in text


def test_a_low_terminal_shows_tasks_without_their_operators() -> None:
    view = JobView(graph(), 0)
    view.progressed(JobProgress(JOB, tasks(10, 1)), SECOND)
    assert "├ sort" not in rendered(view.live(SECOND, 6))


def test_the_end_says_where_the_time_went() -> None:
    view = JobView(graph(), 0)
    text = rendered(view.ended(JobEnded(JOB, JobState.FINISHED, 10_000, None, tasks(11_000, 10))))
    lines = text[text.index("Where the time went") :].splitlines()
    assert "of 0:20 over all subtasks" in lines[0]
    assert lines[1].split()[:2] == ["40", "%"]
    assert lines[1].endswith("  sort")
    assert any(line.endswith("held up by what is behind") and "38 %" in line for line in lines)


def test_checkpoints_and_restarts_are_part_of_the_picture() -> None:
    view = JobView(graph(), 0)
    last = CheckpointSummary(7, 2, 1, 7, "/c/chk-7", 3200, 50, 2048)
    view.progressed(JobProgress(JOB, tasks(9_000, 9)), 9 * SECOND)
    assert "checkpoint" not in rendered(view.live(9 * SECOND, 40))
    view.progressed(JobProgress(JOB, tasks(1_000, 1), checkpoints=last, restarts=2), 10 * SECOND)
    text = rendered(view.live(10 * SECOND, 40))
    assert "restarted 2 times" in text
    assert "checkpoint #7 3.20 s ago, took 0.05 s, 2.0 KiB; 2 failed" in text
    assert "-8,000" not in text, "the counters of another attempt are not compared"
    ended = JobEnded(JOB, JobState.FINISHED, 10_000, None, tasks(11_000, 10), last, 2)
    assert "restarted 2 times, 7 checkpoints (2 failed), last at /c/chk-7" in rendered(view.ended(ended))
