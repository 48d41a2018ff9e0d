"""Common types of unsigned and signed integers, and zones: nothing wraps around, and values that fit are accepted."""

from __future__ import annotations

import decimal
from typing import Any

import pyarrow as pa
import pytest

from shmflink.errors import DataFormatError
from shmflink.expressions import Expression, bind, coalesce, col, greatest, if_then_else, lit

_TOP = 2**64 - 1
_ROWS = pa.record_batch({"u": pa.array([_TOP, 5], pa.uint64()), "v": pa.array([-1, 5])})


def _of(expression: Expression) -> list[Any]:
    return list(bind([expression], _ROWS.schema).evaluate(_ROWS)[0].to_pylist())


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (col("u") > col("v"), [True, False]),
        (col("v") < col("u"), [True, False]),
        (col("u") == col("v"), [False, True]),
        (col("u") > -1, [True, True]),
        (col("u") > 2**63 + 5, [True, False]),
        (col("u") < 2**64, [True, True]),
        (col("v") < 2**63, [True, True]),
        (col("v") > -(2**63) - 1, [True, True]),
        (col("u") % 10, [5, 5]),
        (col("u") / 2, [2**63 - 1, 2]),
        (col("u") - 5, [_TOP - 5, 0]),
        (col("u") + col("v"), [decimal.Decimal(_TOP - 1), decimal.Decimal(10)]),
        (coalesce(col("u"), 0), [_TOP, 5]),
        (coalesce(col("u"), -1), [decimal.Decimal(_TOP), decimal.Decimal(5)]),
        (greatest(col("u"), 7), [_TOP, 7]),
        (if_then_else(col("v") > 0, col("u"), 0), [0, 5]),
        (col("u").in_(-1, 5), [False, True]),
        (col("u").in_(2**64 - 1, 2**64), [True, False]),
        (col("u").between(6, 2**64 - 1), [True, False]),
        (col("u").try_cast("BIGINT"), [None, 5]),
        (col("v").try_cast("uint64"), [None, 5]),
    ],
)
def test_unsigned_numbers_keep_their_value(expression: Expression, expected: list[Any]) -> None:
    assert _of(expression) == expected


@pytest.mark.parametrize("expression", [col("u").cast("BIGINT"), col("v").cast("uint64")])
def test_unsigned_numbers_that_do_not_fit_fail(expression: Expression) -> None:
    with pytest.raises(DataFormatError, match="cast fails where"):
        _of(expression)


def test_types_of_whole_constants() -> None:
    kinds = [lit(value).parameters[0].type for value in (1, 2**31, 2**63, -(2**63) - 1)]

    assert kinds[:3] == [pa.int32(), pa.int64(), pa.uint64()]
    assert pa.types.is_decimal(kinds[3])
