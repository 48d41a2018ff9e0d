"""Windows of subtasks whose snapshots were taken at different times, restored into one table: each window fires once.

That happens if an unaligned barrier overtakes a watermark on its way to one subtask, and with processing time.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shmflink import _core
from shmflink.core.keys.groups import key_groups

KEYS = pa.schema([("key", pa.int64())])
ARGUMENTS = pa.schema([("value", pa.int64())])
CALLS: list[tuple[str, str, list[int], list[Any], bool]] = [
    ("n", "count", [], [], False),
    ("total", "sum", [0], [], False),
]
GROUPS = 16
HALVES = ((0, 9), (9, GROUPS))
KEY_COUNT = 12
GROUP_OF = key_groups(pa.array(range(KEY_COUNT), pa.int64()), GROUPS)

Rows = list[tuple[int, int]]


def table(kind: str, lateness: int) -> _core.WindowTable:
    names = ("start", "end")
    if kind == "sessions":
        return _core.WindowTable.sessions(KEYS, ARGUMENTS, CALLS, names, gap=4, lateness=lateness)
    size, slide = {"tumbling": (6, 6), "sliding": (6, 2), "uneven": (7, 3), "gaps": (3, 5)}[kind]
    return _core.WindowTable.sliding(KEYS, ARGUMENTS, CALLS, names, size=size, slide=slide, lateness=lateness)


def update(into: _core.WindowTable, rows: Rows) -> list[tuple[int, int]]:
    """Returns the rows that were too late."""
    if not rows:
        return []
    keys, times = zip(*rows, strict=True)
    columns = {"key": pa.array(keys, pa.int64()), "value": pa.array([1 << time for time in times], pa.int64())}
    late = into.update(pa.record_batch(columns), pa.array(times, pa.int64()))
    return [] if late is None else [rows[row] for row in late.to_pylist()]


def results(of: _core.WindowTable) -> list[Any]:
    found: list[Any] = []
    while (batch := of.take_results(3)) is not None:
        found += [tuple(row.values()) for row in batch.to_pylist()]
    return found


def moved(parts: list[tuple[_core.WindowTable, tuple[int, int]]], kind: str, lateness: int) -> _core.WindowTable:
    into = table(kind, lateness)
    fired = [each for part, half in parts for each in part.fired_ranges(*half)]
    for part, _ in parts:
        frozen = part.freeze(GROUPS)
        while (batch := frozen.next_batch()) is not None:
            into.restore(batch)
    into.end_restore(fired, min(until for _, _, until in fired), GROUPS)
    return into


def halves_of(rows: Rows) -> list[Rows]:
    return [[row for row in rows if start <= GROUP_OF[row[0]] < stop] for start, stop in HALVES]


_rows = st.lists(st.tuples(st.integers(0, KEY_COUNT - 1), st.integers(0, 40)), max_size=12)


@given(
    st.sampled_from(["tumbling", "sliding", "uneven", "gaps", "sessions"]),
    st.sampled_from([0, 0, 3, 20]),
    _rows,
    st.tuples(st.integers(-5, 40), st.integers(-5, 40)),
    st.lists(st.tuples(_rows, st.integers(0, 15), st.booleans()), max_size=5),
)
@settings(max_examples=400, deadline=None)
def test_windows_fire_once_whatever_their_subtasks_had_fired(
    kind: str, lateness: int, before: Rows, fired: tuple[int, int], after: list[tuple[Rows, int, bool]]
) -> None:
    """`after`: rows, how far time advances, and whether the state moves once more."""
    apart = [table(kind, lateness) for _ in HALVES]
    for each, rows, until in zip(apart, halves_of(before), fired, strict=True):
        update(each, rows)
        each.advance(until)
        results(each)
    together = moved(list(zip(apart, HALVES, strict=True)), kind, lateness)
    time = min(fired)
    for rows, step, moves in [*after, ([], 100, False)]:
        expected: list[Any] = []
        late: Rows = []
        time += step
        for each, mine, until in zip(apart, halves_of(rows), fired, strict=True):
            late += update(each, mine)
            expected += results(each)
            each.advance(max(time, until))
            expected += results(each)
        assert sorted(update(together, rows)) == sorted(late)
        found = results(together)
        together.advance(time)
        found += results(together)
        assert sorted(found) == sorted(expected)
        if moves:
            together = moved([(together, (0, GROUPS))], kind, lateness)


@pytest.mark.parametrize("lateness", [0, 10])
def test_a_window_that_had_fired_for_some_keys(lateness: int) -> None:
    apart = [table("sliding", lateness) for _ in HALVES]
    rows = [(key, 1) for key in range(KEY_COUNT)]
    for each, mine in zip(apart, halves_of(rows), strict=True):
        update(each, mine)
    apart[0].advance(1)
    assert [row[0] for row in results(apart[0])] == [key for key, _ in halves_of(rows)[0]]
    together = moved(list(zip(apart, HALVES, strict=True)), "sliding", lateness)
    together.advance(1)
    assert sorted({row[0] for row in results(together)}) == sorted(key for key, _ in halves_of(rows)[1])
