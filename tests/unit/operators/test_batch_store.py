"""Batches wait in memory, or in a file."""

from __future__ import annotations

import pytest

from shmflink.core.batch import Batch
from shmflink.core.types.typeinfo import Types
from shmflink.operators.batch_store import BatchStore


@pytest.mark.parametrize("memory_bytes_max", [1 << 20, 100, 0])
def test_batches_come_back_once_and_in_order(memory_bytes_max: int) -> None:
    store = BatchStore(memory_bytes_max)
    for start in range(0, 40, 10):
        store.add(Batch.of_rows(list(range(start, start + 10)), Types.LONG()))
    assert [row for batch in store.take() for row in batch.rows()] == list(range(40))
    assert list(store.take()) == []
