"""HeapKeyedStateBackend: values by key, snapshots by key group, restored at any parallelism."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable
from typing import Any

import pytest
from oracle.user_classes import Moved

from shmflink.common import Types
from shmflink.core.elements import BARRIER_SAVEPOINT, Barrier
from shmflink.core.keys.columns import decode_keys, encode_keys
from shmflink.core.row import Row
from shmflink.errors import InternalError, StateMismatchError
from shmflink.state.descriptors import ListStateDescriptor, ValueStateDescriptor
from shmflink.state.hashable_keys import keys_of_hashables
from shmflink.state.heap_backend import HeapKeyedStateBackend
from shmflink.state.snapshots import OperatorSnapshot, RestoredState, restored_from

_KEYS: list[Any] = [
    1, -5, 2**70, 1.0, -0.0, math.nan, True, False, "1", "", b"1", None, (1, "a", None), Row(1, 2), Row(a=1),
    dt.date(2024, 1, 2), dt.datetime(2024, 1, 2, 3, 4),
]  # fmt: skip
_ALL = range(8)
_CHECKPOINT = Barrier(1, 0)
_SAVEPOINT = Barrier(2, 0, BARRIER_SAVEPOINT)


def _filled() -> HeapKeyedStateBackend:
    backend = HeapKeyedStateBackend(8)
    live = backend.value_state("sum").live
    live.update(zip(decode_keys(encode_keys(_KEYS)), range(len(_KEYS)), strict=True))
    backend.value_state("count").live.update(a=10, b=20)
    return backend


def _saved(
    backends: Iterable[HeapKeyedStateBackend], parallelism: int = 1, subtask: int = 0, barrier: Barrier = _CHECKPOINT
) -> RestoredState:
    groups = range(8 * subtask // parallelism, 8 * (subtask + 1) // parallelism)
    snapshots = [OperatorSnapshot(tuple(one.freeze(barrier, _ALL))) for one in backends]
    return restored_from(snapshots, groups, subtask, parallelism)


def _restored(state: RestoredState) -> HeapKeyedStateBackend:
    backend = HeapKeyedStateBackend(8, operator="Sum")
    backend.restore(state)
    return backend


def _entries(backend: HeapKeyedStateBackend) -> dict[str, dict[Any, Any]]:
    return {name: backend.table(name).entries() for name in backend.state_names()}


def test_every_kind_of_key_comes_back_from_its_hashable() -> None:
    back = keys_of_hashables(decode_keys(encode_keys(_KEYS)))
    assert [type(key) for key in back] == [type(key) for key in _KEYS]
    assert all(a == b or (a != a and b != b) for a, b in zip(back, _KEYS, strict=True))


def test_a_snapshot_of_all_groups_restores_everything() -> None:
    assert _entries(_restored(_saved([_filled()]))) == _entries(_filled())


def test_key_groups_move_apart_and_together_again() -> None:
    whole = _filled()
    parts = [_restored(_saved([whole], 2, subtask, _SAVEPOINT)) for subtask in range(2)]
    assert all(part.table("sum").entries() for part in parts)
    assert _entries(_restored(_saved(parts))) == _entries(whole)


def test_a_key_of_somebody_elses_group_is_a_bug() -> None:
    frozen = _filled().freeze(_CHECKPOINT, range(1))
    with pytest.raises(InternalError, match="key group"):
        list(frozen[0].batches())


def test_clear_forgets_values_and_keeps_the_live_dicts() -> None:
    backend = _filled()
    live = backend.value_state("sum").live
    backend.clear()
    assert live == {}
    assert backend.value_state("sum").live is live
    assert [list(frozen.batches()) for frozen in backend.freeze(_CHECKPOINT, _ALL)] == [[], []]


def test_after_the_first_checkpoint_changes_alone_are_written_and_a_savepoint_has_all() -> None:
    backend = _filled()
    for frozen in backend.freeze(_CHECKPOINT, _ALL):
        assert not frozen.is_delta
        list(frozen.batches())
        frozen.saved(True)
    backend.value_state("sum").live["new"] = 5
    backend.value_state("sum").remove(1)
    savepoint = backend.freeze(_SAVEPOINT, _ALL)
    assert [frozen.is_delta for frozen in savepoint] == [False, False]
    rows = [batch.num_rows for batch in savepoint[0].batches()]
    assert sum(rows) == len(_KEYS)
    changes = backend.freeze(Barrier(3, 0), _ALL)
    assert [frozen.is_delta for frozen in changes] == [True, True]
    written = [row for batch in changes[0].batches() for row in batch.to_pylist()]
    assert sorted((row["value"], row["deleted"]) for row in written if not row["deleted"]) == [(5, False)]
    assert len(written) == 2
    assert list(changes[1].batches()) == []


def test_changes_that_were_not_saved_are_in_the_next_snapshot() -> None:
    backend = HeapKeyedStateBackend(8)
    table = backend.value_state("v")
    table.live.update(dict.fromkeys(range(20), 0))
    _saved([backend])
    for value, is_saved, expected in ((1, False, [1]), (2, False, [1, 2]), (3, True, [1, 2, 3]), (4, True, [4])):
        table.live[value] = value
        (frozen,) = backend.freeze(_CHECKPOINT, _ALL)
        assert frozen.is_delta
        values = sorted(row["value"] for batch in frozen.batches() for row in batch.to_pylist())
        assert values == expected
        frozen.saved(is_saved)


def test_a_full_snapshot_that_was_not_saved_is_followed_by_another() -> None:
    """[C1] A checkpoint whose files could not be written is not what the next one counts from."""
    backend = _filled()
    for is_saved, is_delta in ((False, False), (True, False), (True, True)):
        frozen = backend.freeze(_CHECKPOINT, _ALL)
        assert {one.is_delta for one in frozen} == {is_delta}
        for one in frozen:
            one.saved(is_saved)


def test_many_changes_are_written_as_a_full_snapshot() -> None:
    backend = HeapKeyedStateBackend(8)
    table = backend.value_state("v")
    table.live.update(dict.fromkeys(range(100), 0))
    _saved([backend])
    kinds = []
    for turn in range(6):
        table.live.update(dict.fromkeys(range(20), turn))
        (frozen,) = backend.freeze(_CHECKPOINT, _ALL)
        kinds.append(frozen.is_delta)
        frozen.saved(True)
        backend.tidy()
    assert kinds == [True, True, False, True, True, False]


def test_a_type_that_changed_is_refused() -> None:
    backend = HeapKeyedStateBackend(8)
    backend.entry = "a"
    backend.state(ValueStateDescriptor("v", Types.LONG())).update(1)
    saved = _saved([backend])
    restored = _restored(saved)
    with pytest.raises(StateMismatchError, match=r"'Sum': state 'v' was saved as value of Long.*value of String"):
        restored.state(ValueStateDescriptor("v", Types.STRING()))
    with pytest.raises(StateMismatchError, match="list of Long"):
        _restored(saved).state(ListStateDescriptor("v", Types.LONG()))
    with pytest.raises(StateMismatchError, match="without windows"):
        _restored(saved).state(ValueStateDescriptor("v", Types.LONG()), is_namespaced=True)
    restored = _restored(saved)
    restored.entry = "a"
    assert restored.state(ValueStateDescriptor("v", Types.LONG())).value() == 1


def test_state_that_nobody_asks_for_is_kept() -> None:
    again = _restored(_saved([_restored(_saved([_filled()]))]))
    assert _entries(again) == _entries(_filled())


def test_a_value_whose_class_is_gone_is_named_with_its_key_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """[C22] The error names operator, state, key group and class."""
    backend = HeapKeyedStateBackend(8)
    backend.value_state("v").live["a"] = Moved(1)
    saved = _saved([backend])
    assert _restored(saved).table("v").entries() == {"a": Moved(1)}
    monkeypatch.delattr("oracle.user_classes.Moved")
    with pytest.raises(StateMismatchError, match=r"'Sum': state 'v': a value of key group \d.*Moved.*old name"):
        _restored(saved)
