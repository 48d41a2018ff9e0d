"""Arrays, maps and rows."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from shmflink.errors import DataFormatError, TypeMismatchError
from shmflink.expressions import Expression, array, bind, col, lit, map_, map_from_arrays, object_of, row

A, B = col("a"), col("b")
INTS = pa.list_(pa.int64())


def values(expression: Expression, **columns: Any) -> list[Any]:
    batch = pa.record_batch({name: pa.array(given) for name, given in columns.items()})
    return bind([expression], batch.schema).evaluate(batch)[0].to_pylist()


def test_positions_count_from_one() -> None:
    assert values(A.at(1), a=[[7, 8], [], None]) == [7, None, None]
    assert values(A[B], a=[[7, 8], [7], [7]], b=[2, 2, None]) == [8, None, None]
    assert values(A[B], a=[[7]], b=[0]) == [None]
    with pytest.raises(TypeMismatchError, match="count from 1"):
        values(A.at(0), a=[[1]])
    with pytest.raises(TypeMismatchError, match="whole number"):
        values(A.at("x"), a=[[1]])


def test_arrays_are_not_iterable() -> None:
    with pytest.raises(TypeMismatchError, match="cannot be iterated"):
        list(A)


def test_the_only_item() -> None:
    assert values(A.element, a=[[None], [], [5]]) == [None, None, 5]
    with pytest.raises(DataFormatError, match="arrays of one item, got one with 2"):
        values(A.element, a=[[1], [1, 2]])


@pytest.mark.parametrize(
    ("start", "end", "part"),
    [
        (1, 2, [1, 2]),
        (0, 2, [1, 2]),
        (2, None, [2, 3]),
        (-2, None, [2, 3]),
        (-9, -2, [1, 2]),
        (3, 2, []),
        (9, 10, []),
        (2, 0, []),
    ],
)
def test_slices(start: int, end: int | None, part: list[int]) -> None:
    assert values(A.array_slice(start, end), a=[[1, 2, 3]]) == [part]


def test_items_take_the_type_of_the_array() -> None:
    assert values(A.array_append(2), a=[[1]]) == [[1, 2]]
    assert values(A.array_append(2), a=[[1.5]]) == [[1.5, 2.0]]
    with pytest.raises(TypeMismatchError, match=r"cannot contain an item of type double: cast\(\) one of them"):
        values(A.array_append(0.5), a=[[1]])
    assert values(array(A, None, 2.5), a=[1]) == [[1.0, None, 2.5]]
    with pytest.raises(TypeMismatchError, match="cannot contain an item of type string"):
        values(A.array_append("x"), a=[[1]])
    with pytest.raises(TypeMismatchError, match="one type"):
        values(A.array_union(B), a=[[1]], b=[["x"]])


def test_nulls_are_items() -> None:
    lists = [[1, None, None], [2], None]
    assert values(A.array_contains(lit(None)), a=lists) == [True, False, None]
    assert values(A.array_position(lit(None)), a=lists) == [None, None, None]
    assert values(A.array_remove(lit(None)), a=lists) == [[1], [2], None]
    assert values(A.array_distinct(), a=lists) == [[1, None], [2], None]
    assert values(A.array_except(B), a=lists, b=[[None], None, []]) == [[1], None, None]


def test_nan_and_zeros_in_arrays() -> None:
    nan = float("nan")
    assert values(A.array_contains(nan), a=[[nan], [0.0]]) == [False, False]
    assert values(A.array_position(nan), a=[[1.0, nan]]) == [0]
    assert values(A.array_distinct(), a=[[0.0, -0.0]]) == [[0.0]]
    assert str(values(A.array_sort(False), a=[[1.0, nan, None, 2.0]])) == "[[nan, 2.0, 1.0, None]]"
    assert str(values(A.array_max(), a=[[1.0, nan, 3.0], [nan, 1.0], [None, nan], []])) == "[3.0, nan, nan, None]"
    assert str(values(A.array_min(), a=[[1.0, nan, 3.0], [nan, 1.0]])) == "[1.0, nan]"


def test_rows_are_items_too() -> None:
    rows = [[{"x": 1}, {"x": 1}, None, {"x": 2}]]
    assert values(A.array_distinct(), a=rows) == [[{"x": 1}, None, {"x": 2}]]
    with pytest.raises(TypeMismatchError, match="cannot be ordered"):
        values(A.array_sort(), a=rows)


def test_order_of_nulls() -> None:
    lists = [[2, None, 1]]
    assert values(A.array_sort(), a=lists) == [[None, 1, 2]]
    assert values(A.array_sort(True, False), a=lists) == [[1, 2, None]]
    assert values(A.array_sort(False), a=lists) == [[2, 1, None]]
    assert values(A.array_sort(False, True), a=lists) == [[None, 2, 1]]
    with pytest.raises(TypeMismatchError, match="True or False"):
        A.array_sort("up")


def test_join() -> None:
    words = [["x", None, "y"], [], None]
    assert values(A.array_join(B), a=words, b=["-", "-", "-"]) == ["x-y", "", None]
    assert values(A.array_join("-", lit(None)), a=words) == [None, None, None]
    with pytest.raises(TypeMismatchError, match="array of strings"):
        values(A.array_join("-"), a=[[1]])


@pytest.mark.parametrize("kind", [pa.large_list(pa.int64()), pa.list_(pa.int64(), 2)])
def test_other_kinds_of_lists(kind: pa.DataType) -> None:
    lists = pa.array([[1, 2], None, [2, 2]], kind)
    assert values(A.array_distinct(), a=lists) == [[1, 2], None, [2]]
    assert values(A.array_append(9), a=lists.slice(1)) == [None, [2, 2, 9]]


def test_maps() -> None:
    maps = pa.array([[("x", 1), ("y", None)], None, []], pa.map_(pa.string(), pa.int64()))
    assert values(A.at("y"), a=maps) == [None, None, None]
    assert values(A.at(B), a=maps, b=["x", "x", None]) == [1, None, None]
    assert values(A.cardinality, a=maps) == [2, None, 0]
    assert values(A.map_keys, a=maps) == [["x", "y"], None, []]
    assert values(A.map_values, a=maps.slice(0, 1)) == [[1, None]]
    assert values(A.map_entries, a=maps)[0] == [{"key": "x", "value": 1}, {"key": "y", "value": None}]
    assert values(A.map_union(map_("x", 7), A), a=maps) == [[("x", 1), ("y", None)], None, [("x", 7)]]


def test_of_equal_keys_the_last_counts() -> None:
    assert values(map_("k", A, "l", 0, "k", B), a=[1, 2], b=[3, None]) == [
        [("k", 3), ("l", 0)],
        [("k", None), ("l", 0)],
    ]
    assert values(A.str_to_map(), a=["a=1,b=2,a=3=4"]) == [[("a", "3=4"), ("b", "2")]]


def test_maps_that_cannot_be() -> None:
    with pytest.raises(DataFormatError, match="not have the same length"):
        values(map_from_arrays(A, B), a=[["k"]], b=[[1, 2]])
    assert values(map_from_arrays(A, B), a=[["k"], None], b=[None, [1]]) == [None, None]
    with pytest.raises(DataFormatError, match="key of a map is null"):
        values(map_(A, 1), a=["k", None])
    with pytest.raises(TypeMismatchError, match="last key has no value"):
        map_("k", 1, "l")
    with pytest.raises(TypeMismatchError, match="all keys must have one type"):
        values(map_("k", 1, 2, 2), a=[0])


def test_rows() -> None:
    rows = [{"x": 1, "y": "p"}, None]
    assert values(A.get("x"), a=rows) == [1, None]
    assert values(A.get(1), a=rows) == ["p", None]
    assert values(row(A.get("x"), "c"), a=rows) == [{"f0": 1, "f1": "c"}, {"f0": None, "f1": "c"}]
    assert values(object_of("T", "n", A.get("y")), a=rows) == [{"n": "p"}, {"n": None}]
    assert values(A.object_update("x", 5), a=rows) == [{"x": 5, "y": "p"}, None]


def test_fields_that_are_not_there() -> None:
    rows = [{"x": 1}]
    with pytest.raises(TypeMismatchError, match="no field 'z'; the fields are x"):
        values(A.get("z"), a=rows)
    with pytest.raises(TypeMismatchError, match="no field 1"):
        values(A.get(1), a=rows)
    with pytest.raises(TypeMismatchError, match="no field 'z'"):
        values(A.object_update("z", 1), a=rows)
    with pytest.raises(TypeMismatchError, match="alternating names and values"):
        object_of("T", "x")
    with pytest.raises(TypeMismatchError, match="get"):
        _ = A.flatten
