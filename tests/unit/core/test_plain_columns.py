from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from shmflink.core.plain_columns import cast_array, kept, plain_array, plain_batch, plain_type, taken

A, B = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff"), uuid.UUID(int=0)

RECORDS = pa.StructArray.from_arrays(
    [pa.array([A.bytes, None, None, None], pa.uuid()), pa.array(["x", None, None, "y"], pa.string_view())],
    fields=[pa.field("i", pa.uuid()), pa.field("s", pa.string_view())],
    mask=pa.array([False, True, False, False]),
)

ENCODED = [
    (pa.array(["a", None, "a text longer than 12 bytes", ""], pa.string_view()), pa.string(), None),
    (pa.array([b"a", None, b"\xff" * 20, b""], pa.binary_view()), pa.binary(), None),
    (pa.array([A.bytes, None, B.bytes, A.bytes], pa.uuid()), pa.string(), [str(A), None, str(B), str(A)]),
    (
        pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, None, 0, 5], pa.int8())),
        pa.bool_(),
        [True, None, False, True],
    ),
    (pa.array(["{}", None, "1", ""], pa.json_()), pa.string(), None),
    (pa.array([[1, 2], None, [], [3]], pa.list_view(pa.int64())), pa.list_(pa.int64()), None),
    (pa.array([["x"], None, [], [None]], pa.large_list_view(pa.string_view())), pa.large_list(pa.string()), None),
    (pa.array([["x"], None, [], ["y", None]], pa.list_(pa.string_view())), pa.list_(pa.string()), None),
    (pa.array([["x", "y"], None, [None, ""], ["", ""]], pa.list_(pa.string_view(), 2)), pa.list_(pa.string(), 2), None),
    (
        RECORDS,
        pa.struct({"i": pa.string(), "s": pa.string()}),
        [{"i": str(A), "s": "x"}, None, {"i": None, "s": None}, {"i": None, "s": "y"}],
    ),
    (
        pa.array([{"k": "x"}, None, {}, {"a": "b", "c": None}], pa.map_(pa.string(), pa.string_view())),
        pa.map_(pa.string(), pa.string()),
        None,
    ),
    (pa.array([Decimal("1.5"), None, 0, 1], pa.decimal32(5, 1)), pa.decimal128(5, 1), None),
    (pa.array([Decimal("1.5"), None, 0, 1], pa.decimal64(15, 1)), pa.decimal128(15, 1), None),
    (pa.array(["b", None, "a", "b"]).dictionary_encode(), pa.string(), None),
    (
        pa.DictionaryArray.from_arrays(pa.array([1, None, 0, 1], pa.uint8()), pa.array(["a", "b"], pa.string_view())),
        pa.string(),
        ["b", None, "a", "b"],
    ),
    (pc.run_end_encode(pa.array([1, 1, None, 3])), pa.int64(), [1, 1, None, 3]),
]


@pytest.mark.parametrize(("array", "kind", "values"), ENCODED, ids=[str(array.type) for array, _, _ in ENCODED])
def test_values_in_their_plain_type(array: Any, kind: pa.DataType, values: list[Any] | None) -> None:
    expected = array.to_pylist() if values is None else values
    assert plain_type(array.type) == kind
    for start in range(len(array) + 1):
        for length in range(len(array) - start + 1):
            made = plain_array(array.slice(start, length))
            made.validate(full=True)
            assert made.type == kind
            assert made.to_pylist() == expected[start : start + length]


def test_a_dictionary_may_stay_one_whose_values_are_plain() -> None:
    given = pa.DictionaryArray.from_arrays(pa.array([1, None, 0], pa.uint32()), pa.array(["a", "b"], pa.string_view()))
    made = plain_array(given, keeps_dictionaries=True)
    assert made.type == pa.dictionary(pa.uint32(), pa.string())
    assert made.to_pylist() == ["b", None, "a"]


def test_plain_columns_are_not_copied() -> None:
    batch = pa.record_batch({"a": [1], "b": ["x"], "c": [[1]], "d": [{"e": 1}]})
    assert plain_batch(batch) is batch


def test_fields_of_structs_go_by_name() -> None:
    given = pa.array([{"a": 1, "b": "x"}, None, {"a": 2, "b": None}])
    kind = pa.struct({"b": pa.large_string(), "new": pa.int8(), "a": pa.float64()})
    made = cast_array(given, kind)
    assert made.type == kind
    assert made.to_pylist() == [{"b": "x", "new": None, "a": 1.0}, None, {"b": None, "new": None, "a": 2.0}]
    inside = cast_array(pa.array([[{"a": 1}], None, []]), pa.list_(kind))
    assert inside.to_pylist() == [[{"b": None, "new": None, "a": 1.0}], None, []]


NOON = dt.datetime(2024, 7, 1, 12)


@pytest.mark.parametrize(
    "given", [pa.array([NOON, None]), pa.array(["2024-07-01 12:00:00", None])], ids=["time", "text"]
)
def test_a_time_without_zone_is_local_time_of_the_zone_that_it_gets(given: pa.Array) -> None:
    made = cast_array(given, pa.timestamp("us", "Europe/Berlin"))
    assert made.cast(pa.timestamp("us", "UTC")).to_pylist() == [dt.datetime(2024, 7, 1, 10, tzinfo=dt.UTC), None]
    if pa.types.is_timestamp(given.type):
        assert cast_array(made, pa.timestamp("us")).to_pylist() == given.to_pylist()


def test_text_with_an_offset_says_its_moment() -> None:
    made = cast_array(pa.array(["2024-07-01T12:00:00Z"]), pa.timestamp("us", "Europe/Berlin"))
    assert made.cast(pa.timestamp("us", "UTC")).to_pylist() == [dt.datetime(2024, 7, 1, 12, tzinfo=dt.UTC)]


def test_a_value_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(pa.ArrowInvalid):
        cast_array(pa.array([{"a": 300}]), pa.struct({"a": pa.int8()}))


_COLUMNS = {
    "texts": pa.array(["a", None, "long enough to be beside the view"], pa.string_view()),
    "bytes": pa.array([b"a", None, b"b"], pa.binary_view()),
    "words": pa.array(["x", "y", None], pa.string()),
    "numbers": pa.array([1, 2, 3]),
}


@pytest.mark.parametrize("names", [["texts"], ["bytes", "numbers"], list(_COLUMNS)])
def test_rows_of_views_are_kept_and_taken(names: list[str]) -> None:
    rows = pa.record_batch({name: _COLUMNS[name] for name in names})
    mask, indices = pa.array([True, False, True]), pa.array([2, 0, 0])

    some, chosen = kept(rows, mask), taken(rows, indices)

    assert some.schema == chosen.schema == rows.schema
    assert some.to_pylist() == [rows.to_pylist()[0], rows.to_pylist()[2]]
    assert chosen.to_pylist() == [rows.to_pylist()[index] for index in (2, 0, 0)]


def test_one_column_by_indices_with_nulls() -> None:
    assert taken(_COLUMNS["texts"], pa.array([0, None])).to_pylist() == ["a", None]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[1], None, [2, 3]], pa.list_view(pa.int8())),
        pa.array([["a"], None, ["b", "c"]], pa.list_(pa.string_view())),
        pa.array([{"s": "a"}, None, {"s": "b"}], pa.struct([("s", pa.string_view())])),
    ],
)
def test_rows_of_nested_views_are_kept_and_taken_in_their_types(column: pa.Array) -> None:
    some, chosen = kept(column, pa.array([True, False, True])), taken(column, pa.array([2, 0]))

    assert some.type == chosen.type == column.type
    values = column.to_pylist()
    assert (some.to_pylist(), chosen.to_pylist()) == ([values[0], values[2]], [values[2], values[0]])
