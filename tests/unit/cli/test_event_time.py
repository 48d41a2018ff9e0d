"""Which subtask holds event time back."""

from __future__ import annotations

from shmflink.cli.event_time import EventTime
from shmflink.core.elements import MAX_WATERMARK, MIN_TIMESTAMP_MS
from shmflink.rpc.messages import TaskSummary
from shmflink.rpc.states import TaskState

SECOND = 1_000_000_000
NAMES = ("Source: a", "Source: b", "join", "Sink: w")
UPSTREAM = {2: [0, 1], 3: [2]}


def subtask(vertex: int, index: int, rows: int, watermark: int | None, *, is_idle: bool = False) -> TaskSummary:
    return TaskSummary(
        vertex, NAMES[vertex], index, TaskState.RUNNING, 0, rows, rows, 0, 0, 0, 0, 0, (), watermark, is_idle
    )


def told(*watermarks_of: list[int | None], idle: tuple[int, ...] = (), has_rows: bool = True) -> str:
    """After ten seconds. `watermarks_of` each vertex: of its subtasks; source a goes on where it is given 0."""
    follows = EventTime(UPSTREAM)
    for second in range(11):
        tasks = [
            subtask(vertex, index, second * has_rows, second * 1000 if mark == 0 else mark, is_idle=vertex in idle)
            for vertex, watermarks in enumerate(watermarks_of)
            for index, mark in enumerate(watermarks)
        ]
        follows.seen(tasks, second * SECOND)
    return follows.text()


def test_the_slowest_source_is_named_behind_everything_that_waits_for_it():
    assert told([0, 0], [7_000, 0], [7_000, 7_000], [7_000]) == (
        "The watermark of 'Sink: w' has been at 1970-01-01 00:00:07 for 0:10, held by subtask 1/2 of 'Source: b'"
    )


def test_a_subtask_without_any_watermark():
    nothing = MIN_TIMESTAMP_MS
    assert told([0, 0], [nothing, 0], [nothing, nothing], [nothing]) == (
        "'Sink: w' has had no watermark for 0:10: subtask 1/2 of 'Source: b' has emitted none"
    )


def test_an_operator_that_is_behind_its_input_holds_it_itself():
    assert told([0], [0], [3_000], [3_000]).endswith("held by subtask 1/1 of 'join'")


def test_idle_sources_hold_nothing_back():
    assert told([0], [3_000], [0], [0], idle=(1,)) == ""


def test_nothing_is_said_where_event_time_goes_on_is_over_or_is_not_used():
    over, nothing = MAX_WATERMARK.timestamp_ms, MIN_TIMESTAMP_MS
    assert told([0], [0], [0], [0]) == ""
    assert told([over], [over], [over], [over]) == ""
    assert told([nothing], [nothing], [nothing], [nothing]) == ""
    assert told([None], [None], [None], [None]) == ""


def test_nothing_is_said_where_no_rows_come():
    """A quiet source is no fault: nothing waits for event time."""
    assert told([7_000], [7_000], [7_000], [7_000], has_rows=False) == ""
