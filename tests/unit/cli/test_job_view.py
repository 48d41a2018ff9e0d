"""The live view of a running job, rendered as text."""

from __future__ import annotations

from io import StringIO
from typing import Any

from rich.console import Console

from shmflink.cli.job_view import JobView
from shmflink.core.ids import JobId
from shmflink.core.ship_strategy import ShipStrategy
from shmflink.graph.job_graph import JobEdge, JobGraph, JobVertex
from shmflink.rpc.messages import CheckpointSummary, JobEnded, JobProgress, OperatorSummary, SourceProgress, TaskSummary
from shmflink.rpc.states import JobState, TaskState

SECOND = 1_000_000_000
JOB = JobId(bytes(16)) if not hasattr(JobId, "random") else JobId.random()


def graph() -> JobGraph:
    vertices = tuple(JobVertex(i, name, 1, 128, "default", None, ()) for i, name in enumerate(("Source: a", "sort")))
    return JobGraph(JOB, "job", False, vertices, (JobEdge(0, 0, 0, 1, 0, ShipStrategy.REBALANCE),))


def task(vertex: int, rows: int, busy: int, waits: int, idle: int, *operators: OperatorSummary) -> TaskSummary:
    name = ("Source: a", "sort -> Sink: w")[vertex]
    return TaskSummary(
        vertex,
        name,
        0,
        TaskState.RUNNING,
        0,
        rows * vertex,
        rows * (1 - vertex),
        0,
        4096,
        busy,
        waits,
        idle,
        operators,
    )


def tasks(rows: int, seconds: int) -> tuple[TaskSummary, ...]:
    ns = seconds * SECOND
    source = OperatorSummary("Source: a", 0, rows, ns // 5, 3)
    sort, sink = OperatorSummary("sort", rows, rows, ns * 8 // 10, 0), OperatorSummary("Sink: w", rows, 0, ns // 10, 0)
    return task(0, rows, ns // 4, ns * 3 // 4, 0, source), task(1, rows, ns * 95 // 100, 0, ns // 20, sort, sink)


def rendered(picture: Any, width: int = 140) -> str:
    console = Console(file=StringIO(), width=width, height=40)
    console.print(picture)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_before_the_first_counters_it_says_that_the_job_starts() -> None:
    assert rendered(JobView(graph(), 0).live(2 * SECOND, 140, 40)).startswith("starting  2.00 s")


def test_rates_are_those_of_the_last_seconds_and_progress_tells_the_time_left() -> None:
    view = JobView(graph(), 0)
    for second, rows in ((1, 1_000), (8, 9_000), (10, 11_000)):
        view.progressed(JobProgress(JOB, tasks(rows, second), (SourceProgress(0, 25, 100),)), second * SECOND)
    text = rendered(view.live(10 * SECOND, 140, 40))
    assert "11,000 rows read  11,000 written  1,000 rows/s  0:10" in text  # 2,000 rows in the last two seconds
    assert "25 %, about 0:30 left" in text
    assert "├ sort" in text
    assert "└ Sink: w" in text
    assert "The bottleneck: 'sort' in 'sort -> Sink: w' is busy 95 % of the time and back-pressures 'Source: a'" in text


def test_a_low_terminal_shows_tasks_without_their_operators() -> None:
    view = JobView(graph(), 0)
    view.progressed(JobProgress(JOB, tasks(10, 1)), SECOND)
    assert "├ sort" not in rendered(view.live(SECOND, 140, 6))


def test_the_end_says_where_the_time_went() -> None:
    view = JobView(graph(), 0)
    text = rendered(view.ended(JobEnded(JOB, JobState.FINISHED, 10_000, None, tasks(11_000, 10)), 140))
    lines = text[text.index("Where the time went") :].splitlines()
    assert "of 0:20 over all subtasks" in lines[0]
    assert lines[1].split()[:2] == ["40", "%"]
    assert lines[1].endswith("  sort")
    assert any(line.endswith("  back-pressured") and "38 %" in line for line in lines)


def test_checkpoints_and_restarts_are_part_of_the_picture() -> None:
    view = JobView(graph(), 0)
    last = CheckpointSummary(7, 2, 1, 7, "/c/chk-7", 3200, 50, 2048)
    view.progressed(JobProgress(JOB, tasks(9_000, 9)), 9 * SECOND)
    assert "checkpoint" not in rendered(view.live(9 * SECOND, 140, 40))
    view.progressed(JobProgress(JOB, tasks(1_000, 1), checkpoints=last, restarts=2), 10 * SECOND)
    text = rendered(view.live(10 * SECOND, 140, 40))
    assert "restarted 2 times" in text
    assert "checkpoint #7 3.20 s ago, took 0.05 s, 2.0 KiB; 2 failed" in text
    assert "-8,000" not in text, "the counters of another attempt are not compared"
    ended = JobEnded(JOB, JobState.FINISHED, 10_000, None, tasks(11_000, 10), last, 2)
    assert "restarted 2 times, 7 checkpoints (2 failed), last at /c/chk-7" in rendered(view.ended(ended, 140))


def test_it_fits_eighty_columns_with_busy_back_pressured_and_idle_in_columns_of_their_own() -> None:
    view = JobView(graph(), 0)
    view.progressed(JobProgress(JOB, tasks(99_000, 1)), SECOND)
    lines = rendered(view.live(SECOND, 80, 40), 80).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[1].split() == ["Rows", "Rows", "Back-"]
    assert lines[2].split() == ["Task", "Par.", "read", "written", "Rows/s", "Busy", "pressured", "Idle"]
    assert lines[3].split()[-9:] == ["99,000", "99,000", "99,000", "25", "%", "75", "%", "0", "%"]
    assert lines[4].split()[-6:] == ["95", "%", "0", "%", "5", "%"]
    assert [line.rindex("%") for line in lines[3:5]] == 2 * [len(lines[2].rstrip()) - 1], "columns stay where they are"


def test_a_wide_terminal_shows_bytes_too() -> None:
    view = JobView(graph(), 0)
    view.progressed(JobProgress(JOB, tasks(10, 1)), SECOND)
    assert "4.0 KiB" in rendered(view.live(SECOND, 140, 40))
    assert "KiB" not in rendered(view.live(SECOND, 80, 40), 80)


def keyed() -> JobGraph:
    vertices = tuple(JobVertex(i, name, 2, 128, "default", None, ()) for i, name in enumerate(("Source: a", "count")))
    return JobGraph(JOB, "job", False, vertices, (JobEdge(0, 0, 0, 1, 0, ShipStrategy.HASH),))


def test_key_skew_is_named_while_the_job_runs_and_at_its_end() -> None:
    sources = tuple(TaskSummary(0, "Source: a", i, TaskState.RUNNING, i, 0, 500, 0, 0, 1, 0, 1) for i in range(2))
    counts = tuple(
        TaskSummary(1, "count", i, TaskState.RUNNING, i, rows, 0, 0, 0, 1, 0, 1) for i, rows in enumerate((900, 100))
    )
    view = JobView(keyed(), 0)
    view.progressed(JobProgress(JOB, sources + counts), SECOND)
    said = "key skew: subtask 1/2 of 'count' gets 90 % of the rows"
    assert said in rendered(view.live(SECOND, 80, 40))
    assert said in rendered(view.ended(JobEnded(JOB, JobState.FINISHED, 10_000, None, sources + counts), 80))


def test_a_watermark_that_stands_still_is_shown_with_who_holds_it() -> None:
    view = JobView(keyed(), 0)
    for second in range(8):
        seen = [
            TaskSummary(
                vertex, name, i, TaskState.RUNNING, i, vertex * second, second, 0, 0, 1, 0, 1, (), watermark, False
            )
            for vertex, name in enumerate(("Source: a", "count"))
            for i, watermark in enumerate((1_000 * second if vertex == 0 else 5_000, 5_000))
        ]
        view.progressed(JobProgress(JOB, tuple(seen)), second * SECOND)
    text = " ".join(rendered(view.live(8 * SECOND, 140, 40)).split())
    assert (
        "The watermark of 'count' has been at 1970-01-01 00:00:05 for 7.00 s, held by subtask 2/2 of 'Source: a'"
        in text
    )
