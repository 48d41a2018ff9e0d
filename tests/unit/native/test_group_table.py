"""Tables larger than the caches, which use another lookup path, against pyarrow's group_by; errors."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from shmflink import _core
from shmflink.errors import InternalError, TypeMismatchError

_ROWS = 400_000
_CALLS = [("n", "count", [], [], False), ("total", "sum", [0], [], False), ("most", "max", [0], [], False)]
_PEERS = [([], "count_all"), ("value", "sum"), ("value", "max")]


def _keys(kind: str) -> list[pa.Array]:
    random = np.random.default_rng(5)
    numbers = random.integers(-(2**63), 2**63 - 1, _ROWS // 2)[random.integers(0, _ROWS // 2, _ROWS)]
    integers = pa.array(numbers, mask=random.random(_ROWS) < 0.01)
    match kind:
        case "one word":
            return [pa.array(numbers)]
        case "one word with nulls":
            return [integers]
        case "two words":
            return [pa.array(numbers % 200_000), pa.array(numbers % 7)]
        case "three words with nulls":
            return [integers, pa.array(numbers % 3, pa.int8()), pa.array(numbers % 2 == 0)]
        case "short strings":
            return [pc.cast(pa.array(numbers % 150_000), pa.string())]
        case _:
            prefixed = pc.binary_join_element_wise("a prefix of many bytes", pc.cast(integers, pa.string()), "-")
            return [prefixed, pa.array(numbers % 2)]


@pytest.mark.parametrize(
    "kind",
    ["one word", "one word with nulls", "two words", "three words with nulls", "short strings", "long strings"],
)
def test_tables_beyond_the_caches_hold_every_group_once(kind: str) -> None:
    keys = _keys(kind)
    names = [f"k{index}" for index in range(len(keys))]
    rows = pa.table([*keys, pa.array(np.arange(_ROWS) % 1000)], names=[*names, "value"])
    schemas = pa.schema(list(rows.schema)[:-1]), pa.schema(list(rows.schema)[-1:])
    direct, merged = _core.GroupTable(*schemas, _CALLS), _core.GroupTable(*schemas, _CALLS)
    for batch in rows.combine_chunks().to_batches(50_000):
        direct.update(batch)
    while (partial := direct.drain_partials(30_000)) is not None:
        merged.merge(partial)
    for batch in rows.combine_chunks().to_batches(70_000):
        direct.update(batch)  # the emptied table again
    order = [(name, "ascending") for name in names]
    expected = (
        rows.group_by(names, use_threads=False)
        .aggregate(_PEERS)
        .sort_by(order)
        .rename_columns([*names, "n", "total", "most"])
    )
    for table in (direct, merged):
        assert table.num_groups == expected.num_rows
        batches = []
        while (batch := table.drain_results(1 << 16)) is not None:
            batches.append(batch)
        assert pa.Table.from_batches(batches).sort_by(order).equals(expected)
        assert table.num_groups == 0


@pytest.mark.parametrize("has_nulls", [False, True])
def test_distinct_words_come_once_in_order_of_arrival(has_nulls: bool) -> None:
    numbers = np.random.default_rng(9).integers(-100_000, 100_000, _ROWS)
    numbers[::1000] = -6884282663029611473  # the key whose mix is zero: see key_set.rs
    keys = pa.array(numbers, mask=(np.arange(_ROWS) % 777 == 0) & (np.arange(_ROWS) > _ROWS // 2) & has_nulls)
    table = _core.GroupTable(pa.schema([("k", pa.int64())]), pa.schema([]), [], tracks_changes=True)
    found = []
    for start in range(0, _ROWS, 30_000):
        table.update(pa.record_batch({"k": keys.slice(start, 30_000)}))
        while (batch := table.take_changed(7_000)) is not None:
            found.append(batch.column(0))
    assert pa.chunked_array(found).combine_chunks().equals(keys.unique())
    assert table.num_groups == len(keys.unique())


def test_a_table_that_is_drained_takes_no_rows() -> None:
    table = _core.GroupTable(pa.schema([("k", pa.int64())]), pa.schema([]), [])
    rows = pa.RecordBatch.from_pydict({"k": [1, 2]})
    table.update(rows)
    assert table.drain_results(1) is not None
    with pytest.raises(InternalError, match="1 groups drained"):
        table.update(rows)
    table.clear()
    table.update(rows)
    assert table.num_groups == 2
    with pytest.raises(InternalError, match="does not track changes"):
        table.take_changed(1)


def test_misfits_are_refused() -> None:
    keys, arguments = pa.schema([]), pa.schema([("x", pa.string())])
    with pytest.raises(TypeMismatchError, match="sum takes numbers"):
        _core.GroupTable(keys, arguments, [("s", "sum", [0], [], False)])
    with pytest.raises(TypeMismatchError, match="has argument 1 of 1"):
        _core.GroupTable(keys, arguments, [("s", "count", [1], [], False)])
    with pytest.raises(TypeMismatchError, match="65 key columns; an aggregate takes 64"):
        _core.GroupTable(pa.schema([(f"k{index}", pa.int8()) for index in range(65)]), arguments, [])
    table = _core.GroupTable(keys, arguments, [("c", "count", [0], [], False)])
    for wrong in ({"a": ["x"], "b": ["y"]}, {"x": [1]}):
        with pytest.raises(InternalError, match=r"columns of .* for a table of"):
            table.update(pa.RecordBatch.from_pydict(wrong))
