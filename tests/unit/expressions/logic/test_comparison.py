"""Comparisons, logic and conditionals: common types, nulls."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from shmflink.errors import TypeMismatchError
from shmflink.expressions import Expression, and_, bind, coalesce, col, greatest, if_then_else, lit, not_, null_if

A, B = col("a"), col("b")


def values(expression: Expression, **columns: Any) -> list[Any]:
    arrays = {name: given if isinstance(given, pa.Array) else pa.array(given) for name, given in columns.items()}
    batch = pa.record_batch(arrays)
    return bind([expression], batch.schema).evaluate(batch)[0].to_pylist()


def test_numbers_of_all_kinds_compare() -> None:
    assert values(A == 1.0, a=[1, 2]) == [True, False]
    assert values(A < B, a=[Decimal("1.50")], b=[2]) == [True]
    assert values(A > 300, a=pa.array([100], pa.int8())) == [False]
    assert values(A == 2**40, a=pa.array([1], pa.int32())) == [False]
    assert values(A == B, a=pa.array([2**63 - 1], pa.int64()), b=[float(2**63)]) == [True]


def test_strings_are_read_as_the_dates_beside_them() -> None:
    assert values(A >= "2024-01-02", a=[date(2024, 1, 1), date(2024, 1, 2), None]) == [False, True, None]
    assert values(A > "2024-01-01 12:00", a=[datetime(2024, 1, 1, 13)]) == [True]
    assert values(date(2024, 1, 1) <= A, a=[datetime(2024, 1, 1)]) == [True]
    with pytest.raises(TypeMismatchError, match=r"cannot be compared: cast the date, \.cast\('TIMESTAMP\(6\)'\)"):
        values(A == B, a=[date(2024, 1, 1)], b=[datetime(2024, 1, 1)])
    assert values(A.cast("TIMESTAMP(6)") == B, a=[date(2024, 1, 1)], b=[datetime(2024, 1, 1)]) == [True]


def test_types_that_do_not_compare_are_refused_with_what_to_write() -> None:
    numbers = {"a": [1, 2], "b": ["1", "3"]}
    for refused, remedy, instead in [
        (A == "1", "write the constant as a value of BIGINT, without quotes", A == 1),
        (B == 1, r"write the constant as the string '1', or cast the string, \.cast\('BIGINT'\)", B == "1"),
        (A == B, r"cast the string, \.cast\('BIGINT'\)", B.cast("BIGINT") == A),
    ]:
        with pytest.raises(TypeMismatchError, match=f"cannot be compared: {remedy}"):
            values(refused, **numbers)
        assert values(instead, **numbers) == [True, False]
    with pytest.raises(TypeMismatchError, match=r"value of BOOLEAN, without quotes"):
        values(A == "true", a=[True])
    with pytest.raises(TypeMismatchError, match=r"cannot be compared: cast\(\) one of them"):
        values(A == B, a=[True], b=[1])


def test_null_is_equal_to_nothing() -> None:
    assert values(A == None, a=[1, None]) == [None, None]  # noqa: E711  an expression, not a comparison
    assert values(A != B, a=[1, None], b=[None, None]) == [None, None]
    assert values(A.is_null, a=[1.0, None, float("nan")]) == [False, True, False]


def test_in_keeps_the_columns_type() -> None:
    assert values(A.in_(1, 2**40), a=pa.array([1, 2, None], pa.int8())) == [True, False, None]
    assert values(A.in_(["a", "b"]), a=["a", "c"]) == [True, False]
    assert values(A.in_("2024-01-01"), a=[date(2024, 1, 1), None]) == [True, None]
    assert values(A.in_(None), a=[1]) == [None]
    assert values(A.in_(B, 3), a=[1, 3, 5], b=[1, 0, None]) == [True, True, None]


@pytest.mark.parametrize("build", [lambda: A.in_([]), lambda: A.in_(1, "x"), lambda: bool(A == 1), lambda: 1 < A < 3])
def test_refused_at_once(build: Any) -> None:
    with pytest.raises(TypeMismatchError):
        build()


def test_nested_values_are_equal_and_have_no_order() -> None:
    assert values(A == B, a=[[1, None], [1], None], b=[[1, None], [2], [1]]) == [True, False, None]
    assert values(A != B, a=[{"x": 1, "y": None}], b=[{"x": 1, "y": None}]) == [False]
    kind = pa.map_(pa.string(), pa.int32())
    left, right = pa.array([[("a", 1), ("b", 2)]], kind), pa.array([[("b", 2), ("a", 1)]], kind)
    assert values(A == B, a=left, b=right) == [True]
    with pytest.raises(TypeMismatchError, match="a type with an order"):
        values(A < B, a=[[1]], b=[[1]])


def test_a_time_without_zone_is_local_beside_one_with() -> None:
    local = pa.array([datetime(2024, 7, 1, 12)], pa.timestamp("s"))
    moment = pa.array([datetime(2024, 7, 1, 10)], pa.timestamp("ms", "Europe/Berlin"))
    assert values(A == B, a=local, b=moment) == [True]
    assert values(coalesce(B, A), a=local, b=moment)[0].hour == 12


def test_nan_is_found_nowhere_and_above_all_numbers() -> None:
    nan = float("nan")
    assert values(A.in_(nan, 1.0), a=[nan, 1.0]) == [False, True]
    assert values(greatest(A, B), a=[nan, 1.0], b=[1.0, nan])[0] != 1.0
    assert str(values(greatest(A, B), a=[nan, 1.0], b=[1.0, nan])) == "[nan, nan]"


def test_null_safe_equality() -> None:
    assert values(A.is_distinct_from(B), a=[1, None, None], b=[1, 1, None]) == [False, True, False]
    assert values(A.is_not_distinct_from(B), a=[1, None, None], b=[1, 1, None]) == [True, False, True]
    assert values(null_if(A, 1.0), a=[1, 2, None]) == [None, 2, None]
    assert values(A.not_between(3, 2, symmetric=True), a=[1, 2, 3]) == [True, False, False]


def test_not_keeps_null_and_tilde_does_not() -> None:
    flags = pa.array([True, False, None])
    assert values(not_(A), a=flags) == [False, True, None]
    assert values(~A, a=flags) == [False, True, True]
    assert values(A.is_not_false, a=flags) == [True, False, True]
    assert values(True & A, a=flags) == [True, False, None]
    assert values(and_(A, True, None), a=flags) == [None, False, None]


def test_choices_have_one_type() -> None:
    assert values(if_then_else(A > 1, 1, 2.5), a=[1, 2]) == [2.5, 1.0]
    assert values(if_then_else(A > 1, None, "x"), a=[1, 2, None]) == ["x", None, "x"]
    assert values(coalesce(A, lit(None), 5), a=pa.array([None, 1], pa.int8())) == [5, 1]
    assert values(A.if_null("none"), a=pa.nulls(2)) == ["none", "none"]
    assert values(if_then_else(True, A, 0), a=[1]) == [1]


def test_the_largest_integers_without_a_sign_compare_with_those_that_have_one() -> None:
    u, v = pa.array([2**64 - 1, 5], pa.uint64()), pa.array([-1, 5], pa.int64())
    assert values(A > B, a=u, b=v) == [True, False]
    assert values(A == B, a=u, b=v) == [False, True]
    assert values(A > -1, a=u) == [True, True]
    assert values(A >= 2**63, a=u) == [True, False]
    assert values(A < 2**64, a=u) == [True, True]
    assert values(A.between(-1, 2**63), a=u) == [False, True]
    assert values(A.in_(-1, 5), a=u) == [False, True]
    assert values(A.in_(2**64 - 1, 7), a=u) == [True, False]
    assert values(A.in_(-1, 2**64 - 1), a=u) == [True, False]
    assert values(B.in_(2**64 - 1, 5), b=v) == [False, True]
    assert values(coalesce(A, 0), a=pa.array([2**64 - 1, None], pa.uint64())) == [2**64 - 1, 0]
    assert values(coalesce(A, B), a=pa.array([2**64 - 1, None], pa.uint64()), b=v) == [2**64 - 1, 5]
    assert values(if_then_else(A > 5, A, -1), a=u) == [2**64 - 1, -1]
