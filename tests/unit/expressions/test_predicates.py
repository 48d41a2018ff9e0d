"""What filters imply about single columns."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pytest

from shmflink.expressions import Expression, bind, bounds, col, conjuncts, lit, not_

A, S, D, F = col("a"), col("s"), col("d"), col("f")
SCHEMA = pa.schema([("a", pa.int64()), ("s", pa.utf8()), ("d", pa.date32()), ("f", pa.bool_())])


def test_parts_that_all_must_be_true() -> None:
    parts = conjuncts(((A > 1) & (A < 5) & A.between(2, 3)).is_true)
    assert [str(part) for part in parts] == ["(a > 1)", "(a < 5)", "(a >= 2)", "(a <= 3)"]
    assert len(conjuncts((A > 1) | (A < 5))) == 1


@pytest.mark.parametrize(
    ("predicate", "expected"),
    [
        (A == 5, [("a", "=", 5)]),
        (lit(5) > A, [("a", "<", 5)]),
        (A >= lit(2) * 3, [("a", ">=", 6)]),  # noqa: SIM300  which side is the column is what is tested
        (A.in_(1, None, 2), [("a", "in", (1, 2))]),
        (A.is_null, [("a", "is_null", None)]),
        (A.is_not_null & F, [("a", "is_not_null", None), ("f", "=", True)]),
        (not_(F), [("f", "=", False)]),
        (S.starts_with("ab"), [("s", ">=", "ab"), ("s", "<", "ac")]),
        (S.starts_with("a\U0010ffff"), [("s", ">=", "a\U0010ffff")]),
        (D.between("2024-01-01", lit("2024-02-01").cast("DATE")), [
            ("d", ">=", date(2024, 1, 1)), ("d", "<=", date(2024, 2, 1))]),
        ((A > 1) | (A < 0), []),
        (A != 1, []),
        (~F, []),
        (A + 1 > 2, []),
        (A == None, []),  # noqa: E711  an expression, not a comparison
        (A > A, []),
    ],
)  # fmt: skip
def test_bounds(predicate: Expression, expected: list[object]) -> None:
    bind([predicate], SCHEMA)
    assert bounds(predicate, SCHEMA) == expected


def test_without_a_schema_values_are_as_written() -> None:
    assert bounds(D > "2024-01-01") == [("d", ">", "2024-01-01")]
    assert bounds(D > "soon", SCHEMA) == []
    assert bounds(col("other") > 1, SCHEMA) == []
