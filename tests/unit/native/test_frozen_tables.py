"""Snapshots of large native tables: rows are copied concurrently with updates, not during the freeze."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shmflink import _core
from shmflink.core.keys.groups import key_groups
from shmflink.errors import InternalError

KEYS = pa.schema([("key", pa.int64())])
ARGUMENTS = pa.schema([("value", pa.int64())])
Call = tuple[str, str, list[int], list[Any], bool]
IN_ROWS: list[Call] = [("n", "count", [], [], False), ("total", "sum", [0], [], False), ("top", "max", [0], [], False)]
VECTORS: list[Call] = [
    *IN_ROWS,
    ("all", "collect", [0], [], False),
    ("kinds", "count", [0], [], True),
    ("about", "approx_count_distinct", [0], [], False),
    ("quantile", "approx_quantile", [0], [0.5], False),
    ("first", "first_value", [0], [], False),
    ("largest", "top_n", [0], [2], False),
]
KINDS = {"rows": IN_ROWS, "vectors": VECTORS}
GROUPS = 128


def rows_of(keys: Any, values: Any = None) -> pa.RecordBatch:
    values = keys if values is None else values
    return pa.record_batch({"key": pa.array(keys, pa.int64()), "value": pa.array(values, pa.int64())})


def table_of(kind: str, *batches: pa.RecordBatch) -> _core.GroupTable:
    table = _core.GroupTable(KEYS, ARGUMENTS, KINDS[kind])
    for batch in batches:
        table.update(batch)
    return table


def batches_of(frozen: _core.FrozenTable) -> Iterator[pa.RecordBatch]:
    while (batch := frozen.next_batch()) is not None:
        yield batch


def read(frozen: _core.FrozenTable, *, is_saved: bool = True) -> pa.Table:
    table = pa.Table.from_batches(batches_of(frozen), schema=frozen.schema)
    groups = table.column("key_group").to_numpy()
    assert (np.diff(groups) >= 0).all()
    assert (groups == key_groups(table.column("key").combine_chunks(), GROUPS)).all()
    frozen.saved(is_saved)
    return table


def restored(kind: str, *tables: pa.Table) -> _core.GroupTable:
    into = table_of(kind)
    for batch in (batch for table in tables for batch in table.to_batches()):
        into.restore(batch)
    into.end_restore()
    return into


def results(table: _core.GroupTable) -> pa.Table:
    drained = []
    while (batch := table.drain_results(1 << 16)) is not None:
        drained.append(batch)
    return pa.Table.from_batches(drained).sort_by("key")


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_was_frozen_stays_while_the_table_goes_on(kind: str) -> None:
    """Changed, grown, drained and used anew before anything of it was read."""
    random = np.random.default_rng(1)
    first = rows_of(random.permutation(30_000))
    second = rows_of(random.integers(0, 90_000, 60_000))
    table = table_of(kind, first)
    early = table.freeze(GROUPS)
    table.update(second)
    late = table.freeze(GROUPS)
    expected = results(table_of(kind, first, second))
    assert results(table) == expected
    table.update(second)
    assert read(early).sort_by("key").column("key").to_pylist() == list(range(30_000))
    assert results(restored(kind, read(late))) == expected


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_another_thread_reads_while_rows_change(kind: str) -> None:
    """The frozen table is what it was, whoever copies a chunk first."""
    random = np.random.default_rng(2)
    table, done = table_of(kind), []
    for _ in range(6):
        done.append(rows_of(random.integers(0, 40_000, 20_000)))
        table.update(done[-1])
        frozen = table.freeze(GROUPS, is_incremental=False)
        tables: list[pa.Table] = []
        reader = threading.Thread(target=lambda frozen=frozen, tables=tables: tables.append(read(frozen)))
        reader.start()
        for _ in range(5):
            done_more = rows_of(random.integers(0, 50_000, 4_000))
            table.update(done_more)
            done.append(done_more)
        reader.join()
        assert results(restored(kind, tables[0])) == results(table_of(kind, *done[:-5]))


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("share", [0.001, 0.3])
def test_changes_alone_are_written_until_they_are_too_many(kind: str, share: float) -> None:
    """Few are columns at once, many are read from the frozen rows."""
    count = 40_000
    random = np.random.default_rng(3)
    done = [rows_of(random.permutation(count))]
    table = table_of(kind, *done)
    files = [read(table.freeze(GROUPS, is_incremental=True))]
    kinds = []
    for _ in range(4):
        changed = random.permutation(count)[: int(count * share)]
        done.append(rows_of(changed, -changed))
        table.update(done[-1])
        savepoint = table.freeze(GROUPS, is_incremental=True, is_savepoint=True)
        assert (savepoint.is_delta, savepoint.num_rows) == (False, count)
        frozen = table.freeze(GROUPS, is_incremental=True)
        kinds.append(frozen.is_delta)
        if frozen.is_delta:
            assert frozen.num_rows == len(changed)
            files.append(read(frozen))
        else:
            files = [read(frozen)]
        assert (
            results(restored(kind, *files))
            == results(table_of(kind, *done))
            == results(restored(kind, read(savepoint)))
        )
    assert kinds == ([True] * 4 if share < 0.1 else [True, False, True, False])


def test_changes_that_were_not_saved_come_again() -> None:
    """Also those of a snapshot of which nothing is known yet."""
    table = table_of("rows", rows_of(range(1000)))
    read(table.freeze(GROUPS, is_incremental=True))
    table.update(rows_of([1]))
    read(table.freeze(GROUPS, is_incremental=True), is_saved=False)
    table.update(rows_of([2]))
    waiting = table.freeze(GROUPS, is_incremental=True)
    table.update(rows_of([3]))
    frozen = table.freeze(GROUPS, is_incremental=True)
    assert sorted(read(frozen).column("key").to_pylist()) == [1, 2, 3]
    assert sorted(read(waiting).column("key").to_pylist()) == [1, 2]
    assert read(table.freeze(GROUPS, is_incremental=True)).num_rows == 0
    table.update(rows_of(range(1000)))
    frozen = table.freeze(GROUPS, is_incremental=True)
    assert not frozen.is_delta
    read(frozen, is_saved=False)
    assert not table.freeze(GROUPS, is_incremental=True).is_delta


def test_after_a_restore_the_first_snapshot_is_full() -> None:
    table = table_of("rows", rows_of(range(100)))
    again = restored("rows", read(table.freeze(GROUPS, is_incremental=True)))
    frozen = again.freeze(GROUPS, is_incremental=True)
    assert (frozen.is_delta, frozen.num_rows) == (False, 100)


def test_batches_that_are_no_snapshot_are_refused() -> None:
    with pytest.raises(InternalError, match="3 columns of a snapshot"):
        table_of("rows").restore(read(table_of("rows", rows_of([1])).freeze(GROUPS)).select([0, 1, 2]).to_batches()[0])
    with pytest.raises(ValueError, match="max_parallelism 0"):
        table_of("rows").freeze(0)


# --- windows ---


def sliding(kind: str) -> _core.WindowTable:
    return _core.WindowTable.sliding(KEYS, ARGUMENTS, KINDS[kind], ("s", "e"), size=40, slide=10, lateness=30)


def taken(table: _core.WindowTable) -> pa.Table | None:
    batches = []
    while (batch := table.take_results(1 << 16)) is not None:
        batches.append(batch.drop_columns([name for name in ("all", "first") if name in batch.schema.names]))
    return pa.Table.from_batches(batches).sort_by([("key", "ascending"), ("s", "ascending")]) if batches else None


def step(table: _core.WindowTable, number: int, keys: int, late_rows: int) -> pa.Table | None:
    """Rows of one pane, some of panes that were merged already, and a watermark."""
    random = np.random.default_rng(number)
    picked = random.integers(0, keys, 6_000)
    stamps = number * 10 + random.integers(0, 10, len(picked))
    stamps[:late_rows] -= 20
    table.update(rows_of(picked, picked % 17), pa.array(stamps))
    table.advance(number * 10 - 1)
    return taken(table)


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("keys", [3_000, 30_000])
def test_sliding_windows_with_late_rows_go_on_from_each_checkpoint(kind: str, keys: int) -> None:
    """[T8] Panes that were merged and changed since are written as one."""
    steps = 9
    plain = sliding(kind)
    expected = [step(plain, number, keys, 500 * (number % 2)) for number in range(steps)]
    table = sliding(kind)
    chain: list[_core.FrozenTable] = []
    read_so_far: list[pa.Table] = []
    deltas = 0
    for number in range(steps - 1):
        assert step(table, number, keys, 500 * (number % 2)) == expected[number]
        frozen, fired = table.freeze(GROUPS, is_incremental=True), table.fired_until
        frozen.saved(True)
        deltas += frozen.is_delta
        if not frozen.is_delta:
            chain, read_so_far = [], []
        chain.append(frozen)
        if number in (3, 6, 7):
            read_so_far += [read(each) for each in chain]  # some of them after panes of theirs had gone
            chain = []
            again = sliding(kind)
            for batch in (batch for content in read_so_far for batch in content.to_batches()):
                again.restore(batch)
            again.end_restore([(0, GROUPS, fired)], fired, GROUPS)
            following = [step(again, later, keys, 500 * (later % 2)) for later in range(number + 1, steps)]
            assert following == expected[number + 1 :]
    assert deltas > 0


def test_sessions_go_on_from_changes_after_numbers_were_given_anew() -> None:
    """Sessions that are over are forgotten, and the rest renumbered, between two checkpoints."""

    def table_of_sessions() -> _core.WindowTable:
        return _core.WindowTable.sessions(KEYS, ARGUMENTS, IN_ROWS, ("s", "e"), gap=10)

    def feed(table: _core.WindowTable, number: int) -> pa.Table | None:
        start = number * 20_000
        keys = np.arange(start, start + 20_000)
        table.update(rows_of(keys), pa.array(np.full(20_000, number * 5)))
        still_open = np.arange(100_000, 160_000) * 1_000
        if number == 0:
            table.update(rows_of(still_open), pa.array(np.full(60_000, 10_000)))
        if number % 2:
            table.update(rows_of(still_open[:200]), pa.array(np.full(200, 10_000 - number)))
        table.advance(number * 5 - 1)
        return taken(table)

    plain, table = table_of_sessions(), table_of_sessions()
    expected = [feed(plain, number) for number in range(14)]
    files: list[pa.Table] = []
    sizes = []
    for number in range(14):
        assert feed(table, number) == expected[number]
        frozen, fired = table.freeze(GROUPS, is_incremental=True), table.fired_until
        sizes.append(frozen.is_delta)
        files = [*files, read(frozen)] if frozen.is_delta else [read(frozen)]
        if frozen.is_delta:
            again = table_of_sessions()
            for batch in (batch for file in files for batch in file.to_batches()):
                again.restore(batch)
            again.end_restore([(0, GROUPS, fired)], fired, GROUPS)
            assert again.num_groups == table.num_groups
            assert [feed(again, later) for later in range(number + 1, min(14, number + 3))] == expected[
                number + 1 : number + 3
            ]
    assert True in sizes
