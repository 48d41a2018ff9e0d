"""Stories of HashJoinOperator: stores the right side by key and probes it with the left side."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from shmflink.core.elements import MAX_WATERMARK, Watermark
from shmflink.core.types.typeinfo import ColumnsTypeInfo
from shmflink.errors import TypeMismatchError
from shmflink.operators.joins.hash_join import LEFT, RIGHT, HashJoinOperator
from shmflink.operators.joins.spec import HOW, JoinHow, JoinSpec
from shmflink.testing import OperatorHarness

ORDERS = pa.schema([("user", pa.string()), ("amount", pa.int64())])
USERS = pa.schema([("user", pa.string()), ("country", pa.string())])


def rows(schema: pa.Schema, *values: tuple[Any, ...]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([dict(zip(schema.names, value, strict=True)) for value in values], schema)


def joined(how: JoinHow, left: pa.RecordBatch, right: pa.RecordBatch, *, left_first: bool = False) -> list[Any]:
    spec = JoinSpec(left.schema, right.schema, ("user",), ("user",), how, merges_keys=True)
    with OperatorHarness(HashJoinOperator(spec), is_batch=True) as harness:
        for side, batch in [(LEFT, left), (RIGHT, right)] if left_first else [(RIGHT, right), (LEFT, left)]:
            harness.process_batch(batch, side)
            harness.end_input(side)
        harness.process_control(MAX_WATERMARK)
        harness.finish()
        return [tuple(row.values()) for batch in harness.batches() for row in batch.columns().to_pylist()]


LEFT_ROWS = rows(ORDERS, ("ann", 5), ("bob", 7), ("ann", 1), (None, 3), ("eve", 2))
RIGHT_ROWS = rows(USERS, ("ann", "AT"), ("bob", "BE"), ("bob", "NL"), (None, "??"), ("dan", "DK"))


@pytest.mark.parametrize("left_first", [False, True])
@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("inner", [("ann", 5, "AT"), ("bob", 7, "BE"), ("bob", 7, "NL"), ("ann", 1, "AT")]),
        (
            "left",
            [("ann", 5, "AT"), ("bob", 7, "BE"), ("bob", 7, "NL"), ("ann", 1, "AT"), (None, 3, None), ("eve", 2, None)],
        ),
        (
            "right",
            [
                ("ann", 5, "AT"),
                ("bob", 7, "BE"),
                ("bob", 7, "NL"),
                ("ann", 1, "AT"),
                (None, None, "??"),
                ("dan", None, "DK"),
            ],
        ),
        (
            "full",
            [
                ("ann", 5, "AT"),
                ("bob", 7, "BE"),
                ("bob", 7, "NL"),
                ("ann", 1, "AT"),
                (None, 3, None),
                ("eve", 2, None),
                (None, None, "??"),
                ("dan", None, "DK"),
            ],
        ),
        ("semi", [("ann", 5), ("bob", 7), ("ann", 1)]),
        ("anti", [(None, 3), ("eve", 2)]),
    ],
)
def test_each_kind_of_join(how: JoinHow, expected: list[Any], *, left_first: bool) -> None:
    assert joined(how, LEFT_ROWS, RIGHT_ROWS, left_first=left_first) == expected


@pytest.mark.parametrize("how", HOW)
def test_no_row_comes_behind_the_end_of_event_time(how: JoinHow) -> None:
    """Aggregates behind a join give their results there. The ends of the inputs come later."""
    spec = JoinSpec(ORDERS, USERS, ("user",), ("user",), how, merges_keys=True)
    with OperatorHarness(HashJoinOperator(spec), is_batch=True) as harness:
        harness.process_batch(LEFT_ROWS, LEFT)
        harness.process_batch(RIGHT_ROWS, RIGHT)
        harness.process_control(MAX_WATERMARK)
        before = len(harness.elements)
        harness.end_input(LEFT)
        harness.end_input(RIGHT)
        harness.finish()
        assert isinstance(harness.elements[-1], Watermark)
        assert len(harness.elements) == before > 1


@pytest.mark.parametrize("how", HOW)
def test_an_empty_right_side(how: JoinHow) -> None:
    left, nobody = rows(ORDERS, ("ann", 5)), rows(USERS)
    expected = {"left": [("ann", 5, None)], "full": [("ann", 5, None)], "anti": [("ann", 5)]}
    assert joined(how, left, nobody) == expected.get(how, [])


@pytest.mark.parametrize("how", HOW)
def test_an_empty_left_side(how: JoinHow) -> None:
    expected = {"right": [("ann", None, "AT")], "full": [("ann", None, "AT")]}
    assert joined(how, rows(ORDERS), rows(USERS, ("ann", "AT"))) == expected.get(how, [])


def test_a_key_with_many_partners_comes_in_batches() -> None:
    spec = JoinSpec(ORDERS, USERS, ("user",), ("user",), "inner", merges_keys=True)
    with OperatorHarness(HashJoinOperator(spec), is_batch=True) as harness:
        harness.process_batch(rows(USERS, *[("ann", str(n)) for n in range(1000)]), RIGHT)
        harness.end_input(RIGHT)
        harness.process_batch(rows(ORDERS, *[("ann", n) for n in range(300)]), LEFT)
        assert sum(batch.num_rows for batch in harness.batches()) == 300_000
        assert max(batch.num_rows for batch in harness.batches()) < 70_000
        assert sorted({row["amount"] for batch in harness.batches() for row in batch.columns().to_pylist()}) == [
            *range(300)
        ]


def test_keys_of_two_names_both_stay_and_equal_names_get_a_suffix() -> None:
    left, right = pa.schema([("a", pa.int64()), ("x", pa.int64())]), pa.schema([("b", pa.int64()), ("x", pa.int64())])
    spec = JoinSpec(left, right, ("a",), ("b",), "inner", merges_keys=False)
    assert spec.schema.names == ["a", "x", "b", "x_right"]


def test_keys_of_different_types_are_refused() -> None:
    other = pa.schema([("user", pa.int64())])
    with pytest.raises(TypeMismatchError, match=r"`user` is string on the left, `user` is int64 on the right: cast"):
        JoinSpec(ORDERS, other, ("user",), ("user",), "inner", merges_keys=True)


def test_two_columns_of_one_name_are_refused() -> None:
    left = pa.schema([("k", pa.int64()), ("x", pa.int64()), ("x_right", pa.int64())])
    right = pa.schema([("k", pa.int64()), ("x", pa.int64())])
    with pytest.raises(TypeMismatchError, match="two columns `x_right`: rename one"):
        JoinSpec(left, right, ("k",), ("k",), "inner", merges_keys=True)


def test_only_columns_that_somebody_reads_are_kept() -> None:
    operator = HashJoinOperator(JoinSpec(ORDERS, USERS, ("user",), ("user",), "inner", merges_keys=True))
    assert operator.columns_needed_of(LEFT, frozenset({"country"})) == {"user"}
    assert operator.columns_needed_of(RIGHT, frozenset({"amount"})) == {"user"}
    assert operator.columns_needed_of(RIGHT, None) == {"user", "country"}


def test_a_join_of_which_nobody_reads_a_column_still_has_rows() -> None:
    swapped = pa.schema([("amount", pa.int64()), ("user", pa.string())])
    operator = HashJoinOperator(JoinSpec(swapped, USERS, ("user",), ("user",), "inner", merges_keys=True))
    needed: frozenset[str] = frozenset()
    sides = [(LEFT, swapped), (RIGHT, USERS)]
    read = [
        ColumnsTypeInfo(pa.schema([schema.field(n) for n in sorted(operator.columns_needed_of(side, needed))]))
        for side, schema in sides
    ]
    assert operator.narrowed_to(read, needed).output_type == ColumnsTypeInfo(pa.schema([("amount", pa.int64())]))
