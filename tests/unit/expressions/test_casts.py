"""Casts, as Flink does them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from shmflink.common.typeinfo import Types
from shmflink.errors import DataFormatError, TypeMismatchError
from shmflink.expressions import bind, col, null_of
from shmflink.expressions.type_names import data_type_of

INF, NAN = float("inf"), float("nan")


def cast(values: Any, kind: Any, *, is_lenient: bool = False) -> list[Any]:
    array = values if isinstance(values, pa.Array) else pa.array(values)
    batch = pa.record_batch({"a": array})
    expression = col("a").try_cast(kind) if is_lenient else col("a").cast(kind)
    (result,) = bind([expression], batch.schema).evaluate(batch)
    assert result.type == data_type_of(kind)
    return result.to_pylist()


@pytest.mark.parametrize(
    ("texts", "kind", "expected"),
    [
        ([" 42 ", "+7", "-1.9", None], "INT", [42, 7, -1, None]),
        (["127", "-128"], "TINYINT", [127, -128]),
        (["1.5", " -1e3", "NaN", "Infinity", "2f"], "DOUBLE", [1.5, -1000.0, NAN, INF, 2.0]),
        (["TRUE", "t", " Yes ", "1", "no", "F", "0"], "BOOLEAN", [True, True, True, True, False, False, False]),
        (["1.005", "-2.5"], "DECIMAL(5, 2)", [Decimal("1.01"), Decimal("-2.50")]),
        (["2024-02-29", " 2024-2-9 "], "DATE", [date(2024, 2, 29), date(2024, 2, 9)]),
        (
            ["2024-02-29 10:11:12.123456789", "2024-02-29T10:11"],
            "TIMESTAMP(3)",
            [datetime(2024, 2, 29, 10, 11, 12, 123000), datetime(2024, 2, 29, 10, 11)],
        ),
        (["10:11:12", "1:2"], "TIME", [time(10, 11, 12), time(1, 2)]),
        (["é"], "BYTES", ["é".encode()]),
    ],
)
def test_strings_are_read(texts: list[Any], kind: str, expected: list[Any]) -> None:
    assert str(cast(texts, kind)) == str(expected)


@pytest.mark.parametrize(
    ("text", "kind"),
    [("", "INT"), ("1e3", "INT"), ("0x1A", "INT"), ("128", "TINYINT"), ("9223372036854775808", "BIGINT"),
     ("1,5", "DOUBLE"), ("maybe", "BOOLEAN"), ("1000", "DECIMAL(5, 2)"), ("1e3x", "DECIMAL(5, 2)"),
     ("2023-02-29", "DATE"), ("25:00", "TIME"), ("yesterday", "TIMESTAMP")],
)  # fmt: skip
def test_strings_that_are_none(text: str, kind: str) -> None:
    with pytest.raises(DataFormatError, match=r"cast fails where `a` = .* \(row 1 of"):
        cast([None, text, None], kind)
    assert cast([None, text, None], kind, is_lenient=True) == [None, None, None]


def test_numbers_as_strings() -> None:
    assert cast([1.0, 1e7, 1e-4, 123456.75, NAN, -INF, None], str) == [
        "1.0", "1.0E7", "1.0E-4", "123456.75", "NaN", "-Infinity", None,
    ]  # fmt: skip
    assert cast(pa.array([0.1, 16777216.0], pa.float32()), str) == ["0.1", "1.6777216E7"]
    assert cast([True, False, None], str) == ["TRUE", "FALSE", None]
    assert cast([Decimal("1.50")], str) == ["1.50"]
    assert cast([datetime(2024, 1, 2, 3, 4, 5)], str) == ["2024-01-02 03:04:05.000000"]


def test_numbers_as_numbers() -> None:
    assert cast([2**31, -1], "INT") == [-(2**31), -1]
    assert cast([1.9, -1.9, NAN, 1e20, -INF, None], "INT") == [1, -1, 0, 2**31 - 1, -(2**31), None]
    assert cast([300.7, 1e20], "TINYINT") == [44, -1]
    assert cast([1e19, -1e19], int) == [2**63 - 1, -(2**63)]
    assert cast([0, 5], bool) == [False, True]
    assert cast([True, None], "BIGINT") == [1, None]
    assert cast([Decimal("-1.9")], "INT") == [-1]
    assert cast([1.005, 2.5], "DECIMAL(4, 1)") == [Decimal("1.0"), Decimal("2.5")]
    with pytest.raises(DataFormatError):
        cast([12345], "DECIMAL(3, 0)")
    assert cast([12345, 999], "DECIMAL(3, 0)", is_lenient=True) == [None, Decimal(999)]


def test_times() -> None:
    when = pa.array([datetime(1969, 12, 31, 23, 59, 59, 999999)], pa.timestamp("us"))
    assert cast(when, "DATE") == [date(1969, 12, 31)]
    assert cast(when, "TIME") == [time(23, 59, 59)]
    assert cast(when, "TIMESTAMP(3)") == [datetime(1969, 12, 31, 23, 59, 59, 999000)]
    berlin = pa.timestamp("s", "Europe/Berlin")
    zoned = cast(pa.array([datetime(2024, 7, 1, 12)], pa.timestamp("s")), berlin)
    assert zoned[0].astimezone(UTC).hour == 10
    assert cast(pa.array([datetime(2024, 7, 1, 10)], berlin), "TIMESTAMP(0)") == [datetime(2024, 7, 1, 12)]
    with pytest.raises(TypeMismatchError, match="to_timestamp_ltz"):
        cast([1], "TIMESTAMP")
    with pytest.raises(TypeMismatchError, match="unix_timestamp"):
        cast(when, "BIGINT")


def test_types_by_any_name() -> None:
    names = [
        "bigint",
        "INT NOT NULL",
        "decimal(10,2)",
        "ARRAY<STRING>",
        "TIMESTAMP_LTZ(3)",
        "double precision",
        "int64",
    ]
    expected = [
        pa.int64(),
        pa.int32(),
        pa.decimal128(10, 2),
        pa.list_(pa.utf8()),
        pa.timestamp("ms", "UTC"),
        pa.float64(),
    ]
    assert [data_type_of(name) for name in names] == [*expected, pa.int64()]
    assert data_type_of(Types.STRING()) == pa.utf8()
    assert data_type_of(Types.LONG()) == pa.int64()
    assert bind([null_of(Types.INT())], pa.schema([])).fields.types == [pa.int32()]
    with pytest.raises(TypeMismatchError, match="'INTT' is no type"):
        data_type_of("INTT")
    with pytest.raises(TypeMismatchError, match="is no type"):
        data_type_of(5)


def test_integers_without_a_sign_do_not_become_negative() -> None:
    batch = pa.record_batch({"u": pa.array([2**64 - 1, 5, None], pa.uint64())})
    (found,) = bind([col("u").try_cast(pa.int64())], batch.schema).evaluate(batch)
    assert found.to_pylist() == [None, 5, None]
    with pytest.raises(DataFormatError, match="18446744073709551615"):
        bind([col("u").cast(pa.int64())], batch.schema).evaluate(batch)
    small = pa.record_batch({"u": pa.array([200, 5], pa.uint8())})
    (found,) = bind([col("u").try_cast("TINYINT")], small.schema).evaluate(small)
    assert found.to_pylist() == [None, 5]
