"""Numbers: rounding, logarithms, signs, random numbers."""

from __future__ import annotations

import math
import pickle
import re
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from shmflink.errors import TypeMismatchError
from shmflink.expressions import Expression, atan2, bind, col, greatest, least, lit, rand, rand_integer, uuid

A = col("a")


def column(expression: Expression, given: Any) -> pa.Array:
    batch = pa.record_batch({"a": pa.array(given)})
    return bind([expression], batch.schema).evaluate(batch)[0]


def values(expression: Expression, given: Any) -> list[Any]:
    return column(expression, given).to_pylist()


@pytest.mark.parametrize(
    ("number", "places", "rounded"),
    [
        (2.675, 2, 2.68),
        (-2.5, 0, -3.0),
        (0.5, 0, 1.0),
        (1.005, 2, 1.01),
        (1234.5, -2, 1200.0),
        (1250.0, -2, 1300.0),
        (1e17, 2, 1e17),
    ],
)
def test_floats_round_as_they_are_written(number: float, places: int, rounded: float) -> None:
    assert values(A.round(places), [number]) == [rounded]


@pytest.mark.parametrize(
    ("number", "places", "cut"), [(0.29, 2, 0.29), (-1.99, 0, -1.0), (42.345, 2, 42.34), (149.0, -2, 100.0)]
)
def test_floats_are_cut_as_they_are_written(number: float, places: int, cut: float) -> None:
    assert values(A.truncate(places), [number]) == [cut]


def test_integers_and_decimals_keep_their_kind() -> None:
    assert values(A.round(-1), [15, -15, 14, 2**53 + 1]) == [20, -20, 10, 2**53 - 2]
    assert values(A.round(-30), [5]) == [0]
    assert values(A.round(1), [Decimal("9.95"), Decimal("-0.04")]) == [Decimal("10.0"), Decimal("0.0")]
    assert column(A.floor(), [Decimal("-1.5")]).to_pylist() == [Decimal(-2)]
    assert column(A.floor(), pa.array([7], pa.int16())).type == pa.int16()
    assert column(A.sign, [Decimal("-0.50")]).to_pylist() == [Decimal("-1.00")]


def test_places_may_be_a_column() -> None:
    assert values(lit(1.25).round(A), [0, 1, None]) == [1.0, 1.3, None]
    with pytest.raises(TypeMismatchError, match="must be a constant"):
        values(lit(Decimal("1.25")).round(A), [0])


def test_where_functions_end() -> None:
    assert values(A.ln, [0.0]) == [-math.inf]
    assert math.isnan(values(A.ln, [-1.0])[0])
    assert values(A.log(2), [8]) == [3.0]
    assert values(atan2(A, -1.0), [0.0]) == [math.pi]
    assert values(A.cot, [0.0]) == [math.inf]


def test_greatest_and_least_know_nulls_and_types() -> None:
    assert values(greatest(A, 2.5, lit(1)), [1, None]) == [2.5, None]
    assert values(least(A, "b"), ["a", "c"]) == ["a", "b"]
    with pytest.raises(TypeMismatchError, match="one type"):
        values(greatest(A, "x"), [1])


def test_random_numbers_go_on_from_batch_to_batch() -> None:
    batch = pa.record_batch({"a": [1, 2, 3]})
    drawn = bind([rand(7)], batch.schema)
    first, second = (drawn.evaluate(batch)[0].to_pylist() for _ in range(2))
    assert first != second
    assert all(0 <= number < 1 for number in first + second)
    again = bind([pickle.loads(pickle.dumps(rand(7)))], batch.schema)
    assert again.evaluate(batch)[0].to_pylist() == first


def test_each_rand_is_its_own() -> None:
    batch = pa.record_batch({"a": list(range(50))})
    left, right = bind([rand(), rand()], batch.schema).evaluate(batch)
    assert left != right


def test_random_integers_stay_below_the_bound() -> None:
    drawn = values(rand_integer(A, 1), [3] * 200 + [0, None])
    assert set(drawn[:200]) == {0, 1, 2}
    assert drawn[200:] == [None, None]


def test_seeds_are_integers() -> None:
    with pytest.raises(TypeMismatchError, match="a seed is an integer"):
        rand("x")


def test_uuids() -> None:
    ids = values(uuid(), [0] * 100)
    assert len(set(ids)) == 100
    assert all(re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", one) for one in ids)


@pytest.mark.parametrize(
    ("number", "digits", "places", "rounded", "cut"),
    [
        ("9.99", (3, 2), 1, "10.0", "9.9"),
        ("-99.99", (4, 2), 0, "-100", "-99"),
        ("0.55", (2, 2), 0, "1", "0"),
        ("55.5", (3, 1), -2, "100", "0"),
        ("0.999", (3, 3), -1, "0", "0"),
        ("9" * 37 + ".9", (38, 1), 0, "1" + "0" * 37, "9" * 37),
    ],
)
def test_decimals_round_with_a_carry(number: str, digits: tuple[int, int], places: int, rounded: str, cut: str) -> None:
    column = pa.array([Decimal(number), Decimal(0), None], pa.decimal128(*digits))

    assert values(A.round(places), column) == [Decimal(rounded), Decimal(0), None]
    assert values(A.truncate(places), column) == [Decimal(cut), Decimal(0), None]
