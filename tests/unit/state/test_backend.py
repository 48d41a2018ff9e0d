"""HeapKeyedStateBackend: values by key, snapshots by key group."""

from __future__ import annotations

import datetime as dt
import math
import zlib
from typing import Any

import numpy as np
import pytest

from shmflink.core.keys import decode_keys, encode_keys, key_values
from shmflink.core.row import Row
from shmflink.errors import InternalError
from shmflink.state.backend import HeapKeyedStateBackend
from shmflink.state.hashable_keys import keys_of_hashables

_KEYS: list[Any] = [
    1, -5, 2**70, 1.0, -0.0, math.nan, True, False, "1", "", b"1", None, (1, "a", None), Row(1, 2), Row(a=1),
    dt.date(2024, 1, 2), dt.datetime(2024, 1, 2, 3, 4),
]  # fmt: skip


def _assign(keys: Any, max_parallelism: int) -> Any:
    return np.asarray([zlib.crc32(str(key).encode()) % max_parallelism for key in key_values(keys)])


def _filled() -> HeapKeyedStateBackend:
    backend = HeapKeyedStateBackend(8)
    backend.value_state("sum").update(zip(decode_keys(encode_keys(_KEYS)), range(len(_KEYS)), strict=True))
    backend.value_state("count").update(zip(decode_keys(encode_keys(["a", "b"])), [10, 20], strict=True))
    return backend


def test_every_kind_of_key_comes_back_from_its_hashable() -> None:
    back = keys_of_hashables(decode_keys(encode_keys(_KEYS)))
    assert [type(key) for key in back] == [type(key) for key in _KEYS]
    assert all(a == b or (a != a and b != b) for a, b in zip(back, _KEYS, strict=True))


def test_a_snapshot_of_all_groups_restores_everything() -> None:
    backend = _filled()
    restored = HeapKeyedStateBackend(8)
    restored.restore(backend.snapshot(range(8), _assign), range(8))
    for name in backend.state_names():
        assert restored.value_state(name) == backend.value_state(name)


def test_key_groups_move_apart_and_together_again() -> None:
    whole = _filled()
    snapshot = whole.snapshot(range(8), _assign)
    parts = []
    for groups in (range(3), range(3, 8)):
        part = HeapKeyedStateBackend(8)
        part.restore(snapshot, groups)
        parts.append(part.snapshot(groups, _assign))
    assert all(len(part) > 0 for part in parts)
    merged = HeapKeyedStateBackend(8)
    for part in parts:
        merged.restore(part, range(8))
    assert merged.value_state("sum") == whole.value_state("sum")
    assert merged.value_state("count") == whole.value_state("count")


def test_a_key_of_somebody_elses_group_is_a_bug() -> None:
    with pytest.raises(InternalError, match="key group"):
        _filled().snapshot(range(1), _assign)


def test_clear_forgets_values_and_keeps_the_live_dicts() -> None:
    backend = _filled()
    live = backend.value_state("sum")
    backend.clear()
    assert live == {}
    assert backend.value_state("sum") is live
    assert backend.snapshot(range(8), _assign) == {}
