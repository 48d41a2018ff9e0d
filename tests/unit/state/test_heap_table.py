"""Layers of entries: frozen entries do not change, and merging layers preserves entries."""

from __future__ import annotations

import random
from typing import Any

import pytest

from shmflink.state.entries import ABSENT
from shmflink.state.heap_table import FrozenEntries, HeapStateTable


def written(frozen: FrozenEntries) -> dict[Any, Any]:
    """What a snapshot writes; each key once."""
    rows = [row for keys, values in frozen.pieces(3) for row in zip(keys, values, strict=True)]
    assert len(dict(rows)) == len(rows), "a key twice"
    return dict(rows)


def freeze(table: HeapStateTable, *, is_savepoint: bool = False, is_saved: bool | None = None) -> FrozenEntries:
    frozen = table.freeze(is_savepoint=is_savepoint, is_incremental=True)
    if is_saved is not None:
        frozen.is_read = frozen.is_saved = is_saved
    return frozen


def tidy(table: HeapStateTable) -> None:
    while table.is_untidy:
        table.tidy()


def test_values_of_frozen_layers_are_copied_before_they_change() -> None:
    table = HeapStateTable()
    table.live["list"], table.live["map"] = [1], {"x": 1}
    frozen = freeze(table)
    table.own("list").append(2)
    table.own("map")["y"] = 2
    assert table.own("list") is table.own("list")
    assert written(frozen) == {"list": [1], "map": {"x": 1}}
    assert table.entries() == {"list": [1, 2], "map": {"x": 1, "y": 2}}


def test_removed_entries_stay_removed_when_layers_come_together() -> None:
    table = HeapStateTable()
    table.live.update(a=1, b=2, c=None, d=4)
    freeze(table, is_saved=True)
    assert table.take("a") == 1
    table.remove("nobody")
    table.live["b"] = 3
    assert (table.get("a"), table.get("b"), table.get("c")) == (ABSENT, 3, None)
    assert written(freeze(table, is_saved=True)) == {"a": ABSENT, "b": 3}
    tidy(table)
    assert table.below == ({"b": 3, "c": None, "d": 4},)
    assert table.entries() == {"b": 3, "c": None, "d": 4}
    table.clear()
    assert table.entries() == {}
    assert table.keys() == []


def test_the_base_does_not_change_while_a_snapshot_reads_it() -> None:
    table = HeapStateTable()
    table.live.update(dict.fromkeys(range(20), 0))
    full = freeze(table)
    table.live.update(dict.fromkeys(range(5), 1))
    savepoint = freeze(table, is_savepoint=True)
    table.live.update(dict.fromkeys(range(3), 2))
    table.remove(19)
    table.tidy()
    assert written(full) == dict.fromkeys(range(20), 0)
    full.is_read = full.is_saved = True
    table.tidy()
    assert written(savepoint) == {**dict.fromkeys(range(20), 0), **dict.fromkeys(range(5), 1)}
    savepoint.is_read = savepoint.is_saved = True
    # The savepoint left alone what counts as changed since the checkpoint.
    assert written(freeze(table, is_saved=True)) == {0: 2, 1: 2, 2: 2, 3: 1, 4: 1, 19: ABSENT}


def test_an_empty_state_that_was_saved_counts_changes_from_nothing() -> None:
    table = HeapStateTable()
    assert written(freeze(table, is_saved=True)) == {}
    table.live["a"] = 1
    second = freeze(table, is_saved=True)
    assert written(second) == {"a": 1}
    table.live["a"] = 2
    table.tidy()
    assert written(second) == {"a": 1}
    assert table.entries() == {"a": 2}


def test_snapshots_without_a_pause_between_them_do_not_pile_up_layers() -> None:
    table = HeapStateTable()
    flying: list[FrozenEntries] = []
    for turn in range(40):
        table.live[turn] = turn
        flying.append(table.freeze(is_savepoint=False, is_incremental=False))
        table.tidy()
        if len(flying) > 2:
            done = flying.pop(0)
            assert written(done) == {n: n for n in range(turn - 1)}
            done.is_read = done.is_saved = True
    assert len(table.below) <= 9
    assert table.entries() == {n: n for n in range(40)}


@pytest.mark.parametrize("seed", range(30))
def test_layers_are_a_dict(seed: int) -> None:
    """[C1] Changes that could not be saved are in the next snapshot; the files together are the state."""
    print("seed", seed)
    chance = random.Random(seed)
    table, model = HeapStateTable(), dict[int, int]()
    file: dict[int, int] = {}  # what all saved snapshots together say
    flying: list[tuple[FrozenEntries, dict[int, int]]] = []
    for step in range(600):
        key = chance.randrange(30)
        match chance.choice(["put", "put", "put", "remove", "take", "tidy", "freeze", "write"]):
            case "put":
                table.live[key] = model[key] = step
            case "remove":
                table.remove(key)
                model.pop(key, None)
            case "take":
                assert table.take(key) == model.pop(key, ABSENT)
            case "tidy":
                table.tidy()
            case "freeze" if len(flying) < 3:
                is_savepoint = chance.random() < 0.2
                is_incremental = seed % 5 > 0
                frozen = table.freeze(is_savepoint=is_savepoint, is_incremental=is_incremental)
                if is_savepoint:
                    assert written(frozen) == model
                    frozen.is_read = frozen.is_saved = True
                else:
                    flying.append((frozen, dict(model)))
            case "write" if flying:
                frozen, then = flying.pop(0)
                rows = written(frozen)
                if is_saved := chance.random() < 0.7:
                    file = {**file, **rows} if frozen.is_delta else rows
                    file = {k: v for k, v in file.items() if v is not ABSENT}
                    assert file == then
                frozen.is_read = True
                frozen.is_saved = is_saved
        assert table.get(key) == model.get(key, ABSENT)
    assert table.entries() == model
