"""Snapshots of native tables: whatever is frozen, lost or written late, a table restored from the files continues
unchanged.

Files are kept as checkpoint storage keeps them: a full one begins a chain, changes extend it, one that could not be
saved is not there. Each restore is done by the table and by the generic rule: a later row replaces an earlier one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shmflink import _core
from shmflink.core.keys.groups import key_groups

GROUPS = 16
KEYS = pa.schema([("key", pa.string()), ("number", pa.int64())])
ARGUMENTS = pa.schema([("value", pa.int64()), ("word", pa.string())])
Call = tuple[str, str, list[int], list[Any], bool]
IN_ROWS: list[Call] = [
    ("n", "count", [], [], False),
    ("known", "count", [0], [], False),
    ("total", "sum", [0], [], False),
    ("least", "min", [0], [], False),
    ("mean", "avg", [0], [], False),
    ("spread", "stddev_pop", [0], [], False),
]
BESIDE_ROWS: list[Call] = [
    ("all", "collect", [0], [], False),
    ("middle", "median", [0], [], False),
    ("kinds", "count", [1], [], True),
    ("sum_of_kinds", "sum", [0], [], True),
    ("about", "approx_count_distinct", [1], [], False),
    ("quantile", "approx_quantile", [0], [0.5], False),
    ("first", "first_value", [1], [], False),
    ("longest", "max", [1], [], False),
    ("best", "arg_max", [1, 0], [], False),
    ("top", "top_n", [0], [2], False),
]
_OF_ORDER = {"all", "first", "best"}  # which row comes first in a window depends on how its panes were merged
CALLS = {"rows": IN_ROWS, "vectors": [*IN_ROWS[:3], *BESIDE_ROWS], "none": []}
LONG = "a key that fits no two words: "

_key = st.tuples(st.sampled_from(["a", "b", "", LONG + "1", LONG + "2", None]), st.integers(0, 3) | st.none())
_value = st.tuples(st.integers(-50, 50) | st.none(), st.sampled_from(["x", "y", LONG, None]))
_rows = st.lists(st.tuples(_key, _value), min_size=1, max_size=6)


def batch_of(rows: list[tuple[Any, Any]]) -> pa.RecordBatch:
    columns = zip(*((*key, *value) for key, value in rows), strict=True)
    fields = [*KEYS, *ARGUMENTS]
    return pa.record_batch(
        [pa.array(c, f.type) for c, f in zip(columns, fields, strict=True)], schema=pa.schema(fields)
    )


@dataclass
class Storage:
    """Files as checkpoint storage keeps them."""

    entry: int
    chain: list[list[pa.RecordBatch]] = field(default_factory=list)

    def save(self, frozen: _core.FrozenTable, *, is_saved: bool) -> list[list[pa.RecordBatch]]:
        """The files that a checkpoint consists of."""
        batches = read(frozen)
        assert not frozen.is_delta or self.chain, "changes of nothing"
        frozen.saved(is_saved)
        if not is_saved:
            return []
        self.chain = [*self.chain, batches] if frozen.is_delta else [batches]
        return self.chain

    def collapsed(self, files: list[list[pa.RecordBatch]]) -> dict[str, Any]:
        """By the generic rule, from the text of an entry to its values."""
        entries: dict[str, Any] = {}
        for number, batches in enumerate(files):
            for row in (row for batch in batches for row in zip(*(c.to_pylist() for c in batch.columns), strict=True)):
                is_deleted = number > 0 and row[-1]
                values = row[1 + self.entry : -1 if number else None]
                entries[repr(row[: 1 + self.entry])] = values
                if is_deleted:
                    del entries[repr(row[: 1 + self.entry])]
        return entries


def read(frozen: _core.FrozenTable) -> list[pa.RecordBatch]:
    batches = []
    while (batch := frozen.next_batch()) is not None:
        assert batch.schema == frozen.schema
        assert batch.schema.names[0] == "key_group"
        groups = batch.column(0).to_pylist()
        assert groups == key_groups(batch.columns[1:3], GROUPS).tolist()
        assert groups == sorted(groups)
        batches.append(batch)
    return batches


def sorted_rows(batches: list[pa.RecordBatch]) -> list[str]:
    return sorted(repr(row) for batch in batches for row in zip(*(c.to_pylist() for c in batch.columns), strict=True))


# --- groups ---

_group_steps = st.lists(
    st.tuples(st.just("update"), _rows)
    | st.tuples(st.sampled_from(["saved", "saved", "lost", "savepoint", "late"]), st.booleans()),
    min_size=2,
    max_size=14,
)


def group_table(calls: list[Call]) -> _core.GroupTable:
    return _core.GroupTable(KEYS, ARGUMENTS, calls)


def results_of(table: _core.GroupTable) -> list[str]:
    batches = []
    while (batch := table.drain_results(3)) is not None:
        batches.append(batch)
    return sorted_rows(batches)


def check_groups(files: list[list[pa.RecordBatch]], calls: list[Call], done: list[Any], storage: Storage) -> None:
    expected = group_table(calls)
    for rows in done:
        expected.update(batch_of(rows))
    restored, generic = group_table(calls), group_table(calls)
    for batch in (batch for batches in files for batch in batches):
        restored.restore(batch)
    restored.end_restore()
    assert len(storage.collapsed(files)) == restored.num_groups
    for batch in read(restored.freeze(GROUPS)):
        generic.restore(batch)
    generic.end_restore()
    assert results_of(restored) == results_of(generic) == results_of(expected)


@given(st.sampled_from(sorted(CALLS)), st.lists(_rows, max_size=3), _group_steps, st.booleans())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_groups_of_any_checkpoint_are_those_of_its_moment(
    kind: str, early: list[Any], steps: list[tuple[str, Any]], is_incremental: bool
) -> None:
    """Updates go on while a snapshot is written; lost ones are contained in the next."""
    calls = CALLS[kind]
    table, storage = group_table(calls), Storage(2)
    done: list[Any] = []
    late: list[tuple[_core.FrozenTable, list[Any]]] = []
    # Many keys that do not change, so that changes are written as such.
    fill = [((f"k{number}", number), (number, "x")) for number in range(60)]
    for rows in [fill, *early]:
        table.update(batch_of(rows))
        done.append(rows)

    def written() -> None:
        for frozen, at in late:
            check_groups(storage.save(frozen, is_saved=True), calls, at, storage)
        late.clear()

    for step, argument in [*steps, ("saved", True)]:
        if step == "update":
            table.update(batch_of(argument))
            done.append(argument)
            continue
        frozen = table.freeze(GROUPS, is_incremental=is_incremental, is_savepoint=step == "savepoint")
        if step == "savepoint":
            assert not frozen.is_delta
            if argument:
                table.update(batch_of(fill[:9]))
                check_groups([read(frozen)], calls, list(done), storage)
                done.append(fill[:9])
            else:
                check_groups([read(frozen)], calls, list(done), storage)
        elif step == "late":
            late.append((frozen, list(done)))
        else:
            written()
            files = storage.save(frozen, is_saved=step == "saved")
            if files:
                check_groups(files, calls, list(done), storage)
    written()


# --- windows ---

WINDOWS: dict[str, dict[str, int]] = {
    "tumbling": {"size": 10, "slide": 10},
    "sliding": {"size": 20, "slide": 5},
    "uneven": {"size": 15, "slide": 10},
    "gaps": {"size": 5, "slide": 10},
    "sessions": {"gap": 6},
}
_window_steps = st.lists(
    st.tuples(st.just("update"), st.lists(st.tuples(_key, _value, st.integers(-12, 25)), min_size=1, max_size=6))
    | st.tuples(st.just("advance"), st.integers(1, 14))
    | st.tuples(st.sampled_from(["saved", "saved", "lost", "savepoint", "late"]), st.none()),
    min_size=3,
    max_size=18,
)


def window_table(kind: str, calls: list[Call], lateness: int) -> _core.WindowTable:
    arguments: Any = (KEYS, ARGUMENTS, calls, ("s", "e"))
    options: Any = {**WINDOWS[kind], "lateness": lateness}
    if kind == "sessions":
        return _core.WindowTable.sessions(*arguments, **options)
    return _core.WindowTable.sliding(*arguments, **options)


def run(table: _core.WindowTable, watermark: int, steps: list[tuple[str, Any]]) -> list[list[str]]:
    """What comes of each step; timestamps are relative to the watermark."""
    outputs = []
    for step, argument in steps:
        late = None
        if step == "update":
            stamps = pa.array([max(0, watermark) + at for _, _, at in argument], pa.int64())
            late = table.update(batch_of([(key, value) for key, value, _ in argument]), stamps)
        elif step == "advance":
            watermark += argument
            table.advance(watermark)
        batches = []
        while (batch := table.take_results(4)) is not None:
            batches.append(batch)
        outputs.append([*sorted_rows(batches), repr(late and late.to_pylist())])
    return outputs


def watermark_after(steps: list[tuple[str, Any]]) -> int:
    return sum(argument for step, argument in steps if step == "advance")


@given(
    st.sampled_from(sorted(WINDOWS)),
    st.sampled_from(["rows", "vectors", "none"]),
    st.sampled_from([0, 0, 7, 30]),
    _window_steps,
    st.integers(0, 40),
)
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_windows_of_any_checkpoint_go_on_as_those_before(
    kind: str, calls_name: str, lateness: int, steps: list[tuple[str, Any]], filled: int
) -> None:
    """[T8] Panes and sessions that come, change, merge, fire, leave late and go, whole and as changes."""
    calls = [call for call in CALLS[calls_name] if call[0] not in _OF_ORDER]
    fill = ("update", [((f"k{number}", number), (number, "x"), number % 25) for number in range(filled)])
    steps = [fill] * (filled > 0) + [*steps, ("saved", None), ("advance", 3), ("saved", None), ("advance", 100)]
    undisturbed = run(window_table(kind, calls, lateness), 0, steps)
    table, storage = window_table(kind, calls, lateness), Storage(3)
    late: list[tuple[_core.FrozenTable, int, int]] = []

    def check(files: list[list[pa.RecordBatch]], step: int, fired: int) -> None:
        restored = window_table(kind, calls, lateness)
        rows = sum(batch.num_rows for batches in files for batch in batches)
        for batch in (batch for batches in files for batch in batches):
            restored.restore(batch)
        restored.end_restore([(0, GROUPS, fired)], fired, GROUPS)
        assert len(storage.collapsed(files)) == restored.num_groups or not rows
        assert run(restored, watermark_after(steps[:step]), steps[step:]) == undisturbed[step:]

    def written() -> None:
        for frozen, step, fired in late:
            check(storage.save(frozen, is_saved=True), step, fired)
        late.clear()

    for number, (step, argument) in enumerate(steps):
        if step in ("update", "advance"):
            outputs = run(table, watermark_after(steps[:number]), [(step, argument)])
            assert outputs == undisturbed[number : number + 1], "a snapshot changes nothing"
            continue
        frozen = table.freeze(GROUPS, is_incremental=True, is_savepoint=step == "savepoint")
        fired = table.fired_until
        if step == "savepoint":
            check([read(frozen)], number, fired)
        elif step == "late":
            late.append((frozen, number, fired))
        else:
            written()
            files = storage.save(frozen, is_saved=step == "saved")
            if files:
                check(files, number, fired)
    written()
