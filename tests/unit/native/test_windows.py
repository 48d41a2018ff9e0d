"""The native table of windows with many groups: merged panes, ended sessions, memory."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shmflink import _core
from shmflink.errors import TypeMismatchError

KEYS = pa.schema([("key", pa.int64())])
ARGUMENTS = pa.schema([("value", pa.int64())])
Call = tuple[str, str, list[int], list[Any], bool]
CALLS: list[Call] = [("n", "count", [], [], False), ("total", "sum", [0], [], False), ("top", "max", [0], [], False)]
KINDS: Call = ("kinds", "count", [0], [], True)  # a state that is not in the rows
END = 2**63 - 1


def sliding(size: int, slide: int, calls: list[Call] = CALLS, lateness: int = 0) -> _core.WindowTable:
    return _core.WindowTable.sliding(KEYS, ARGUMENTS, calls, ("s", "e"), size=size, slide=slide, lateness=lateness)


def rows_of(keys: Any, values: Any) -> pa.RecordBatch:
    return pa.record_batch({"key": pa.array(keys, pa.int64()), "value": pa.array(values, pa.int64())})


def taken(table: _core.WindowTable, rows_max: int = 1000) -> list[tuple[int, ...]]:
    rows: list[tuple[int, ...]] = []
    while (batch := table.take_results(rows_max)) is not None:
        assert 0 < batch.num_rows <= rows_max
        columns = [batch.column(0), batch.column(1).cast(pa.int64()), *batch.columns[3:-1]]
        rows += zip(*(column.to_pylist() for column in columns), strict=True)
    return rows


def taken_count(table: _core.WindowTable) -> int:
    count = 0
    while (batch := table.take_results(1 << 14)) is not None:
        count += batch.num_rows
    return count


def expected_of(rows: list[tuple[int, int, int]], size: int, slide: int, *, kinds: bool) -> list[tuple[int, ...]]:
    windows: dict[tuple[int, int], list[int]] = defaultdict(list)
    for key, value, at in rows:
        for start in range(at - at % slide, at - size, -slide):
            windows[key, start].append(value)
    return sorted(
        (*window, len(values), sum(values), max(values), *([len(set(values))] if kinds else []))
        for window, values in windows.items()
    )


@pytest.mark.parametrize("kinds", [False, True])
@pytest.mark.parametrize("key_count", [3, 50_000])
@pytest.mark.parametrize(("size", "slide"), [(40, 1), (40, 5), (35, 10), (10, 10)])
def test_sliding_windows_of_few_and_of_many_keys(size: int, slide: int, key_count: int, kinds: bool) -> None:
    """Few keys are in all panes, many in few of them: panes are merged in different ways."""
    random = np.random.default_rng([size, slide, key_count])
    table = sliding(size, slide, [*CALLS, KINDS] if kinds else CALLS)
    rows: list[tuple[int, int, int]] = []
    got: list[tuple[int, ...]] = []
    for start in range(0, 100, 5):
        count = 120
        keys, values = random.integers(0, key_count, count), random.integers(-5, 5, count)
        stamps = start + random.integers(0, 10, count)
        rows += zip(keys.tolist(), values.tolist(), stamps.tolist(), strict=True)
        assert table.update(rows_of(keys, values), pa.array(stamps)) is None
        table.advance(start - 1)
        got += taken(table)
    table.advance(END)
    got += taken(table)
    assert sorted(got) == expected_of(rows, size, slide, kinds=kinds)
    assert table.num_groups == 0
    assert table.next_due is None


def test_panes_that_are_long_gone_take_no_memory() -> None:
    table = sliding(100, 10)
    sizes = []
    for step in range(200):
        keys = np.arange(5_000) + step * 5_000
        table.update(rows_of(keys, keys), pa.array(np.full(5_000, step * 10)))
        table.advance(step * 10 - 1)
        assert taken_count(table) == min(step, 10) * 5_000
        sizes.append(table.bytes)
    assert max(sizes[100:]) <= 1.5 * max(sizes[50:100])


def test_sessions_that_are_over_take_no_memory_and_others_go_on() -> None:
    """New keys all the time, and one whose session never ends."""
    table = _core.WindowTable.sessions(KEYS, ARGUMENTS, CALLS, ("s", "e"), gap=15)
    per_step, sizes, count = 10_000, [], 0
    for step in range(60):
        keys = np.append(np.arange(per_step - 1) + 1 + step * per_step, 0)
        table.update(rows_of(keys, keys), pa.array(np.full(per_step, step * 10)))
        table.advance(step * 10 - 1)
        results = taken(table, 1 << 14)
        assert {row[2] for row in results} <= {1}
        count += len(results)
        sizes.append(table.bytes)
    table.advance(END)
    last = taken(table, 1 << 14)
    assert max(last, key=lambda row: row[2]) == (0, 0, 60, 0, 0)
    assert count + len(last) == 60 * (per_step - 1) + 1
    assert max(sizes) < 3 * max(sizes[:20])


def test_sessions_that_join_many() -> None:
    table = _core.WindowTable.sessions(KEYS, ARGUMENTS, [*CALLS, KINDS], ("s", "e"), gap=10)
    stamps = np.arange(0, 2_000, 20)
    for stamp in stamps.tolist():
        table.update(rows_of([1, 2], [stamp, -stamp]), pa.array([stamp, -stamp]))
    bridges = np.random.default_rng(3).permutation(np.arange(10, 1_990, 20))
    table.update(rows_of(np.ones(len(bridges)), bridges), pa.array(bridges))
    table.advance(END)
    [(key, start, count, total, top, kinds)] = [row for row in taken(table) if row[0] == 1]
    assert (key, start, count, kinds) == (1, 0, 199, 199)
    assert (total, top) == (int(stamps.sum() + bridges.sum()), 1_980)


def test_a_state_of_ten_million_keys_would_fit() -> None:
    """60 bytes for each int64 key with count, sum and max: a tenth of them here."""
    table, keys = sliding(10, 10), 1_000_000
    for start in range(0, keys, 100_000):
        numbers = np.arange(start, start + 100_000) * 7919
        table.update(rows_of(numbers, numbers), pa.array(np.full(100_000, 5)))
    assert table.bytes / keys <= 60


def test_times_must_be_there() -> None:
    table = sliding(10, 10)
    with pytest.raises(TypeMismatchError, match="int64 without nulls"):
        table.update(rows_of([1], [1]), pa.array([None], pa.int64()))
    with pytest.raises(TypeMismatchError, match="2 times for 1 rows"):
        table.update(rows_of([1], [1]), pa.array([1, 2]))
    with pytest.raises(TypeMismatchError, match="more than 0"):
        sliding(0, 1)


@pytest.mark.parametrize(("size", "slide", "offset"), [(10, 10, 0), (10, 4, 1), (7, 7, -3)])
def test_panes_of_moments(size: int, slide: int, offset: int) -> None:
    stamps = np.random.default_rng(1).integers(-1000, 1000, 500)
    panes = _core.window_panes(pa.array(stamps), size, slide, offset)
    step = np.gcd(size, slide)
    assert panes.to_pylist() == (stamps - (stamps - offset) % step).tolist()
