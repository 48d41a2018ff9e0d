"""Arithmetic: result types, and the limits of numbers."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from shmflink.errors import DataFormatError, TypeMismatchError
from shmflink.expressions import Expression, bind, col, lit

A, B = col("a"), col("b")


def result(expression: Expression, **columns: pa.Array) -> pa.Array:
    batch = pa.record_batch(columns)
    return bind([expression], batch.schema).evaluate(batch)[0]


def of(kind: Any, *values: Any) -> pa.Array:
    return pa.array(values, kind)


@pytest.mark.parametrize(
    ("left", "right", "sum_type"),
    [
        ("int8", "int8", "int8"),
        ("int16", "int64", "int64"),
        ("int32", "uint32", "int64"),
        ("int64", "float", "float"),
        ("float", "double", "double"),
        ("uint64", "int8", pa.decimal128(21, 0)),
    ],
)
def test_the_wider_type_of_two_numbers(left: str, right: str, sum_type: str | pa.DataType) -> None:
    found = result(A + B, a=of(left, 1), b=of(right, 2))
    assert found.type == (pa.type_for_alias(sum_type) if isinstance(sum_type, str) else sum_type)
    assert found.to_pylist() == [3]


def test_the_largest_integers_without_a_sign_beside_integers_with_one() -> None:
    u = of(pa.uint64(), 2**64 - 1, 5, None)
    v = of(pa.int64(), -1, 5, 1)
    assert result(A + B, a=u, b=v).to_pylist() == [2**64 - 2, 10, None]
    assert result(A - B, a=u, b=v).to_pylist() == [2**64, 0, None]
    assert result(B - A, a=u, b=v).to_pylist() == [-(2**64), 0, None]
    assert result(A * B, a=u, b=v).to_pylist() == [-(2**64) + 1, 25, None]
    assert result(A - 10, a=u).to_pylist() == [2**64 - 11, -5, None]
    assert result(A % 10, a=u).to_pylist() == [5, 5, None]
    assert result(-A, a=u).to_pylist() == [-(2**64) + 1, -5, None]
    assert result(-A, a=of(pa.uint8(), 255)).to_pylist() == [-255]
    assert result(A / 2, a=u).to_pylist() == [2**63 - 1, 2, None]
    assert result(A + 1, a=of(pa.uint64(), 5)).type == pa.uint64()
    assert result(A + 2**63, a=of(pa.uint64(), 5)).to_pylist() == [2**63 + 5]
    with pytest.raises(TypeMismatchError, match=r"uint64 and int64 have no common type of whole numbers: cast\(\)"):
        result(A / B, a=u, b=v)
    assert result(A.cast("DECIMAL(20, 0)") / B, a=u, b=v).to_pylist()[:2] == [-(2**64) + 1, 1]
    for narrow, kind in ((pa.uint32(), pa.int64()), (pa.uint16(), pa.int32()), (pa.uint8(), pa.int16())):
        largest = 2**narrow.bit_width - 1
        found = result(A + B, a=of(narrow, largest), b=of(pa.int8(), -1))
        assert (found.type, found.to_pylist()) == (kind, [largest - 1])


def test_ints_wrap_around_as_in_java() -> None:
    assert result(A + 1, a=of(pa.int32(), 2**31 - 1)).to_pylist() == [-(2**31)]
    assert result(A * A, a=of(pa.int64(), 2**32)).to_pylist() == [0]
    assert result(A / -1, a=of(pa.int64(), -(2**63), 6)).to_pylist() == [-(2**63), -6]
    assert result(A % -1, a=of(pa.int64(), -(2**63), 7)).to_pylist() == [0, 0]
    assert result(-A, a=of(pa.int8(), -128)).to_pylist() == [-128]


def test_division() -> None:
    assert result(A / 2, a=of(pa.int64(), 7, -7, None)).to_pylist() == [3, -3, None]
    assert result(A / 0.0, a=of(pa.int64(), 7, -7)).to_pylist() == [float("inf"), -float("inf")]
    with pytest.raises(DataFormatError, match="divide by zero"):
        result(A % 0, a=of(pa.int32(), 7))
    assert result(A / B, a=of(pa.int32(), 5), b=of(pa.int32(), None)).to_pylist() == [None]


def test_decimals_have_flinks_digits() -> None:
    a, b = of(pa.decimal128(5, 2), Decimal("7.25")), of(pa.decimal128(4, 1), Decimal("2.0"))
    for expression, kind, value in [
        (A + B, pa.decimal128(6, 2), "9.25"),
        (A * B, pa.decimal128(10, 3), "14.500"),
        (A / B, pa.decimal128(11, 7), "3.6250000"),
        (A % B, pa.decimal128(5, 2), "1.25"),
        (A + lit(1), pa.decimal128(13, 2), "8.25"),
    ]:
        found = result(expression, a=a, b=b)
        assert (found.type, found.to_pylist()) == (kind, [Decimal(value)]), expression
    assert result(A * 1.5, a=a).type == pa.float64()


def test_decimals_of_38_digits_lose_digits_after_the_point_first() -> None:
    wide = of(pa.decimal128(38, 10), Decimal("123456789012345678901234567.0123456789"))
    assert result(A + A, a=wide).type == pa.decimal128(38, 9)
    quotient = result(A / A, a=wide)
    assert quotient.type == pa.decimal128(38, 6)
    assert quotient.to_pylist() == [Decimal("1.000000")]
    assert result(A * A, a=wide).to_pylist() == [None]
    thirds = result(A / 3, a=of(pa.decimal128(10, 2), Decimal("2.00"), Decimal("-2.00")))
    assert [str(value)[:6] for value in thirds.to_pylist()] == ["0.6666", "-0.666"]
    assert [str(value)[-2:] for value in thirds.to_pylist()] == ["67", "67"]


def test_decimals_that_do_not_fit_are_null() -> None:
    nines = of(pa.decimal128(38, 0), Decimal(10**38 - 1), Decimal(1), Decimal(0), None)
    assert result(A + A, a=nines).to_pylist() == [None, Decimal(2), Decimal(0), None]
    assert result(A * A, a=nines).to_pylist() == [None, Decimal(1), Decimal(0), None]
    assert result(A - (-A), a=nines).to_pylist() == [None, Decimal(2), Decimal(0), None]
    one = of(pa.decimal128(38, 0), Decimal(10**38 - 1), Decimal(1))
    assert result(A / A, a=one).to_pylist() == [Decimal(1), Decimal(1)]
    assert result(A * 1, a=one).to_pylist() == [Decimal(10**38 - 1), Decimal(1)]
    with pytest.raises(DataFormatError, match="divided_by fails where"):
        result(A / (A - A), a=one)


def test_a_remainder_has_the_divisors_type() -> None:
    found = result(A % B, a=of(pa.int64(), 2**40 + 5, -7), b=of(pa.int8(), 10, 3))
    assert (found.type, found.to_pylist()) == (pa.int8(), [(2**40 + 5) % 10, -1])


def test_timestamps_in_seconds_stay_it_beside_whole_seconds() -> None:
    when = of(pa.timestamp("s"), datetime(2024, 1, 1))
    assert result(A + lit(1).hour, a=when).type == pa.timestamp("s")
    assert result(A + lit(1).milli, a=when).type == pa.timestamp("ms")


def test_times_and_intervals() -> None:
    days = of(pa.date32(), date(2024, 1, 31))
    assert result(A + lit(1).month, a=days).to_pylist() == [date(2024, 2, 29)]
    assert result(lit(1).day + A, a=days).to_pylist() == [date(2024, 2, 1)]
    assert result(A - lit(36).hours, a=days).type == pa.date32()
    clock = of(pa.time64("us"), time(23, 30))
    assert result(A + lit(1).hour, a=clock).to_pylist() == [time(0, 30)]
    when = of(pa.timestamp("ms"), datetime(2024, 1, 1))
    assert result(A - B, a=when, b=of(pa.date32(), date(2023, 12, 31))).to_pylist() == [timedelta(days=1)]
    assert result((lit(1).hour + lit(30).minutes) * A, a=of(pa.int32(), 2)).to_pylist() == [timedelta(hours=3)]
    assert result(A + -lit(1).month * 2, a=days).to_pylist() == [date(2023, 11, 30)]
    assert result(A + lit(None), a=days).to_pylist() == [None]


@pytest.mark.parametrize(
    "expression",
    [A + A, A * 2, lit(1).month + lit(1).day, A - 1, lit(1).day * 1.5, lit(1).day - A, -col("s"), col("s") - "x"],
)
def test_what_does_not_go_together(expression: Expression) -> None:
    with pytest.raises(TypeMismatchError):
        result(expression, a=of(pa.date32(), date(2024, 1, 31)), s=of(pa.utf8(), "x"))


def test_nulls_without_a_type() -> None:
    assert result(A + None, a=of(pa.int64(), 1)).to_pylist() == [None]
    assert result(lit(None) + None, a=of(pa.int64(), 1)).to_pylist() == [None]
    assert result(A + lit(None), a=of(pa.utf8(), "x")).type == pa.utf8()
