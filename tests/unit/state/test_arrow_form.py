"""Keyed state as columns: typed where the declared type has an Arrow type, and back exactly."""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle.running import examples
from oracle.user_classes import Moved

from shmflink.common import Row, Time, Types
from shmflink.core.keys.columns import decode_keys, encode_keys
from shmflink.errors import StateMismatchError
from shmflink.operators.windows.window import CountWindow, GlobalWindow, TimeWindow
from shmflink.operators.windows.window_namespaces import WINDOW_NAMESPACES
from shmflink.state import sorted_batches
from shmflink.state.arrow_form import Entries, StateForm, batch_to_entries, entries_to_batches
from shmflink.state.descriptors import (
    ListStateDescriptor,
    MapStateDescriptor,
    StateDescriptor,
    ValueStateDescriptor,
)
from shmflink.state.namespaces import PICKLED_NAMESPACES, namespace_form
from shmflink.state.ttl import StateTtlConfig

GROUPS = 16
ROW = Types.ROW_NAMED(["name", "number"], [Types.STRING(), Types.LONG()])


def batches(form: StateForm, *pieces: Entries) -> list[pa.RecordBatch]:
    return list(entries_to_batches(form, pieces, GROUPS))


def round_trip(form: StateForm, *pieces: Entries) -> dict[Any, Any]:
    made: dict[Any, Any] = {}
    for batch in batches(form, *pieces):
        entries = batch_to_entries(batch)
        made.update(zip(entries.keys, entries.values, strict=True))
    return made


@pytest.mark.parametrize(
    ("descriptor", "value", "arrow_type"),
    [
        (ValueStateDescriptor("s", Types.LONG()), 5, pa.int64()),
        (ValueStateDescriptor("s", Types.STRING()), "ä", pa.utf8()),
        (ValueStateDescriptor("s", Types.SQL_DATE()), dt.date(2024, 1, 2), pa.date32()),
        (ValueStateDescriptor("s", Types.BIG_DEC()), decimal.Decimal("1.50"), pa.utf8()),
        (ValueStateDescriptor("s", ROW), Row(name="a", number=1), pa.struct([("name", "utf8"), ("number", "int64")])),
        (ValueStateDescriptor("s", Types.TUPLE([Types.LONG(), Types.FLOAT()])), (1, 0.5),
         pa.struct([("f0", pa.int64()), ("f1", pa.float32())])),
        (ValueStateDescriptor("s", Types.PICKLED_BYTE_ARRAY()), {"any": Moved(1)}, pa.binary()),
        (ListStateDescriptor("s", Types.LONG()), [1, 2, 3], pa.list_(pa.int64())),
        (ListStateDescriptor("s", Types.TUPLE([Types.LONG(), Types.STRING()])), [(1, "a"), (2, None)],
         pa.list_(pa.struct([("f0", pa.int64()), ("f1", pa.utf8())]))),
        (ListStateDescriptor("s", Types.PICKLED_BYTE_ARRAY()), [Moved(1), "x"], pa.list_(pa.binary())),
        (MapStateDescriptor("s", Types.STRING(), Types.LONG()), {"a": 1, "b": None}, pa.map_(pa.utf8(), pa.int64())),
        (MapStateDescriptor("s", Types.STRING(), Types.LIST(Types.LONG())), {"a": [1, 2], "b": []},
         pa.map_(pa.utf8(), pa.list_(pa.int64()))),
        (MapStateDescriptor("s", Types.LONG(), Types.PICKLED_BYTE_ARRAY()), {1: (2, "x")},
         pa.map_(pa.int64(), pa.binary())),
    ],
)  # fmt: skip
def test_a_declared_type_is_the_type_of_the_column(
    descriptor: StateDescriptor, value: Any, arrow_type: pa.DataType
) -> None:
    form = StateForm.of(descriptor)
    (batch,) = batches(form, Entries(["k"], [value]))
    assert batch.schema.names == ["key_group", "key", "value"]
    assert batch.schema.field("value").type == arrow_type
    assert round_trip(form, Entries(["k"], [value])) == {"k": value}
    assert StateForm.from_schema(batch.schema) == form


def test_what_is_not_of_the_declared_type_is_pickled_beside() -> None:
    form = StateForm.of(ValueStateDescriptor("s", Types.LONG()))
    (batch,) = batches(form, Entries([1, 2, 3], [1, "two", 2**80]))
    assert sorted(zip(*batch.select(["key", "value"]).to_pydict().values(), strict=True)) == [
        (1, 1), (2, None), (3, None),
    ]  # fmt: skip
    assert round_trip(form, Entries([1, 2, 3], [1, "two", 2**80])) == {1: 1, 2: "two", 3: 2**80}
    lists = StateForm.of(ListStateDescriptor("s", Types.LONG()))
    assert round_trip(lists, Entries([1, 2], [[1], [None, "x"]])) == {1: [1], 2: [None, "x"]}


def test_without_a_declared_type_the_values_tell() -> None:
    (batch,) = batches(StateForm.of_values(None), Entries([1, 2], [("a", 1), ("b", 2)]))
    assert batch.schema.field("value").type == pa.struct([("f0", pa.utf8()), ("f1", pa.int64())])
    mixed = Entries([1, 2, 3], [None, ("a", 1), "b"])
    assert round_trip(StateForm.of_values(None), mixed) == {1: None, 2: ("a", 1), 3: "b"}


def test_keys_of_several_types_become_one_column() -> None:
    form = StateForm.of(ValueStateDescriptor("s", Types.LONG()))
    keys = [1, "a", 2.5, True, None, (1, "x"), 2**70]
    pieces = [Entries([key], [number]) for number, key in enumerate(keys)]
    expected = dict(zip(decode_keys(encode_keys(keys)), range(len(keys)), strict=True))
    assert round_trip(form, *pieces) == expected
    assert len({batch.schema for batch in batches(form, *pieces)}) == 1


def test_deleted_entries_have_no_value() -> None:
    ttl = StateTtlConfig.new_builder(Time.seconds(1)).build()
    for descriptor, value in (
        (ValueStateDescriptor("s", Types.LONG()), 5),
        (ListStateDescriptor("s", Types.LONG()), [5]),
        (MapStateDescriptor("s", Types.LONG(), Types.LONG()), {5: 5}),
    ):
        for has_ttl in (False, True):
            kept: Any = value
            if has_ttl:
                descriptor.enable_time_to_live(ttl)
                kept = [(9, 5)] if isinstance(value, list) else {5: (9, 5)} if isinstance(value, dict) else (9, 5)
            form = StateForm.of(descriptor)
            for gone in ([True, False], [True, True]):
                entries = Entries([1, 2], [None if is_gone else kept for is_gone in gone], is_deleted=gone)
                read = [batch_to_entries(batch) for batch in batches(form, entries)]
                found = [
                    one for part in read for one in zip(part.keys, part.values, part.is_deleted or (), strict=True)
                ]
                assert sorted(key for key, _, is_deleted in found if is_deleted) == [1, 2][: sum(gone)]
                assert [v for _, v, is_deleted in found if not is_deleted] == [kept] * (2 - sum(gone))


def test_windows_are_columns_of_their_own() -> None:
    form = StateForm.of(ValueStateDescriptor("s", Types.LONG()), WINDOW_NAMESPACES)
    windows: list[Any] = [TimeWindow(0, 5), GlobalWindow.get(), CountWindow(3), TimeWindow(-5, 0)]
    for chosen in (windows, windows[::3]):
        entries = Entries(["k"] * len(chosen), list(range(len(chosen))), list(chosen))
        (batch,) = batches(form, entries)
        assert batch.schema.names == ["key_group", "key", "namespace", "value"]
        assert batch.column("namespace").field(0).to_pylist()[0] == 0
        read = batch_to_entries(batch)
        assert read.namespaces == chosen
        assert [type(window) for window in read.namespaces or ()] == [type(window) for window in chosen]
    assert namespace_form("window") is WINDOW_NAMESPACES
    with pytest.raises(StateMismatchError, match="unknown kind of namespace"):
        namespace_form("of nobody")


def test_batches_that_are_no_state_of_functions_are_refused() -> None:
    with pytest.raises(StateMismatchError, match="are not state of keyed functions"):
        StateForm.from_schema(pa.schema([("key_group", pa.int32())]))


@pytest.mark.parametrize("rows", [100, 1000])
def test_rows_come_in_order_of_key_groups_in_pieces(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(sorted_batches, "PIECE_ROWS_MAX", rows)  # less and more than a group has
    form = StateForm.of(ValueStateDescriptor("s", Types.LONG()), PICKLED_NAMESPACES)

    def pieces() -> Iterator[Entries]:
        for first in range(0, 5000, 70):
            numbers = list(range(first, min(first + 70, 5000)))
            yield Entries([number % 900 for number in numbers], numbers, [number // 900 for number in numbers])

    made = list(entries_to_batches(form, pieces(), GROUPS))
    assert max(batch.num_rows for batch in made) <= rows
    assert len(made) < 12_000 // rows
    groups = np.concatenate([np.asarray(batch.column(0)) for batch in made])
    assert np.all(np.diff(groups) >= 0)
    read = [batch_to_entries(batch) for batch in made]
    found = [one for part in read for one in zip(part.values, part.keys, part.namespaces or (), strict=True)]
    assert sorted(found) == [(number, number % 900, number // 900) for number in range(5000)]


ANYTHING = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**65), 2**65), st.floats(allow_nan=False), st.text(max_size=3),
        st.binary(max_size=3), st.dates(), st.decimals(allow_nan=False, places=2), st.builds(Moved, st.integers()),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.tuples(inner, inner), st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=6,
)  # fmt: skip
SIMPLE = st.sampled_from(
    [Types.LONG(), Types.INT(), Types.STRING(), Types.DOUBLE(), Types.BOOLEAN(), Types.SQL_TIMESTAMP(), Types.BIG_INT(),
     Types.PICKLED_BYTE_ARRAY()]
)  # fmt: skip
TYPES = st.recursive(
    SIMPLE,
    lambda inner: st.one_of(
        st.builds(Types.LIST, inner),
        st.builds(lambda a, b: Types.TUPLE([a, b]), inner, inner),
        st.builds(lambda a, b: Types.MAP(a, b), SIMPLE, inner),
    ),
    max_leaves=4,
)


@examples(200)
@given(TYPES, st.lists(ANYTHING, min_size=1, max_size=12), st.integers(1, 5))
def test_whatever_is_put_in_comes_back(declared: Any, values: list[Any], piece: int) -> None:
    form = StateForm.of(ValueStateDescriptor("s", declared))
    entries = [
        Entries(list(range(first, min(first + piece, len(values)))), values[first : first + piece])
        for first in range(0, len(values), piece)
    ]
    back = round_trip(form, *entries)
    assert [repr(back[number]) for number in range(len(values))] == list(map(repr, values))
