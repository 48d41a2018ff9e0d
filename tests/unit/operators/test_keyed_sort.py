"""All rows of a key together, in order of time, in memory and through files."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shmflink.core.batch import Batch
from shmflink.core.keys.columns import decode_keys, encode_keys
from shmflink.operators.keyed_sort import KeyedSort

ROWS = st.lists(st.tuples(st.sampled_from([1, "x", None, 2.5, (1, "t")]), st.integers(-5, 5)), max_size=12)


@pytest.mark.parametrize("memory_bytes_max", [1 << 20, 0])
@given(batches=st.lists(st.tuples(st.integers(0, 1), ROWS), max_size=6))
@settings(max_examples=40, deadline=None)
def test_against_plain_python(memory_bytes_max: int, batches: list[tuple[int, list[tuple[Any, int]]]]) -> None:
    sort = KeyedSort(memory_bytes_max)
    expected: dict[Any, list[tuple[int, int, tuple[int, int]]]] = defaultdict(list)
    for number, (input_index, rows) in enumerate(batches):
        if not rows:
            continue
        keys = encode_keys([key for key, _ in rows])
        made = [(number, place) for place in range(len(rows))]
        sort.add(Batch.of_rows(made, timestamps=pa.array([t for _, t in rows], pa.int64()), keys=keys), input_index)
        for key, (_, stamp), row in zip(decode_keys(keys), rows, made, strict=True):
            expected[key].append((stamp, input_index, row))
    got = {
        key: [
            (stamp, input_index, row)
            for input_index, batch in parts
            for row, stamp in zip(batch.rows(), batch.timestamps.to_pylist(), strict=True)
        ]
        for key, parts in sort.groups()
    }
    sort.close()
    assert got == {key: sorted(rows, key=lambda one: one[0]) for key, rows in expected.items()}
