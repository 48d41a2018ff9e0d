"""Expressions over dictionaries have the same results as over values, and evaluate each value once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shmflink.errors import DataFormatError
from shmflink.expressions import Expression, bind, col, if_then_else, lit
from shmflink.expressions.encoded import Encoded, decoded, encoded
from shmflink.expressions.registry import find_function

TEXTS = ["apple", "Banana", "cherry pie", "", "straße", "12", "77", "2024-02-29 01:02:03", "a_b%", "ch"]

FAMILIES: dict[str, Callable[[], Expression]] = {
    "comparison": lambda: col("s") > "b",
    "equality with a column": lambda: col("s") == col("t"),
    "in": lambda: col("s").in_("apple", "12", "absent"),
    "null": lambda: col("s").is_null | (col("s") == "ch"),
    "logic over columns": lambda: col("s").like("%a%") & (col("n") > 3),
    "like": lambda: col("s").like("%a%"),
    "like of a column": lambda: col("s").like(col("t")),
    "regular expression": lambda: col("s").regexp("^[a-z]+$"),
    "replacement": lambda: col("s").regexp_replace("[aeiou]", "*"),
    "case": lambda: if_then_else(col("s").char_length > 3, col("s").upper_case, lit("short")),
    "case over columns": lambda: if_then_else(col("n") > 3, col("s"), col("t")),
    "cast": lambda: col("s").try_cast(pa.int64()),
    "strings": lambda: (col("s").upper_case + "-" + col("s").char_length.cast(pa.string())).substring(1, 4),
    "two dictionaries": lambda: col("s") + col("t"),
    "coalesce": lambda: col("s").if_null("none"),
    "position": lambda: col("s").position("a") + col("n"),
    "the column itself": lambda: col("s"),
    "hash": lambda: col("s").md5,
}


def columns(nulls: float, rows: int = 400, seed: int = 3) -> pa.RecordBatch:
    rng = np.random.default_rng(seed)

    def texts() -> pa.Array:
        values = [TEXTS[place] for place in rng.integers(0, len(TEXTS), rows)]
        return pa.array(values, pa.string(), mask=rng.random(rows) < nulls)

    return pa.record_batch({"s": texts(), "t": texts(), "n": pa.array(rng.integers(0, 9, rows))})


def as_dictionaries(batch: pa.RecordBatch, null_encoding: str = "mask") -> pa.RecordBatch:
    arrays = [
        array.dictionary_encode(null_encoding) if pa.types.is_string(array.type) else array for array in batch.columns
    ]
    return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


@pytest.mark.parametrize("nulls", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("family", FAMILIES)
def test_dictionaries_and_values_give_the_same(family: str, nulls: float) -> None:
    plain = columns(nulls)
    bound = bind([FAMILIES[family]()], plain.schema)
    (expected,) = bound.evaluate(plain)
    for null_encoding in ("mask", "encode"):
        coded = as_dictionaries(plain, null_encoding)
        assert bound.evaluate(coded)[0].equals(expected)
        assert bound.evaluate(coded.slice(37, 120))[0].equals(expected.slice(37, 120))
        assert bound.evaluate(coded.slice(5, 7))[0].equals(expected.slice(5, 7))
        assert bound.evaluate(coded.slice(0, 0))[0].equals(expected.slice(0, 0))


def test_each_value_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    like = find_function("LIKE") or find_function("like")
    assert like is not None
    seen: list[int] = []

    def counted(column: Any, *rest: Any) -> Any:
        seen.append(len(column))
        return like.compute(column, *rest)

    plain = columns(nulls=0.1)
    bound = bind([col("s").like("%a%")], plain.schema)
    step = next(step for step in bound._steps if step.function is like)
    object.__setattr__(step, "function", type(like)(like.name, like.arity, counted))
    bound.evaluate(as_dictionaries(plain))
    assert seen == [len(TEXTS) + 1]


def test_a_value_that_no_row_has_fails_nothing() -> None:
    batch = pa.record_batch({"s": pa.DictionaryArray.from_arrays([0, 1] * 8, ["1", "2", "no number"])})
    bound = bind([col("s").cast(pa.int64())], pa.schema([("s", pa.string())]))
    assert bound.evaluate(batch)[0].to_pylist() == [1, 2] * 8


def test_a_value_that_fails_is_shown_with_its_row() -> None:
    batch = pa.record_batch({"s": pa.DictionaryArray.from_arrays([0, 0, 1, 0] * 4, ["1", "no number"])})
    bound = bind([col("s").cast(pa.int64())], pa.schema([("s", pa.string())]))
    with pytest.raises(DataFormatError, match=r"'no number' \(row 2 of the batch"):
        bound.evaluate(batch)


def test_a_branch_that_is_not_taken_may_fail() -> None:
    batch = pa.record_batch({"s": pa.DictionaryArray.from_arrays([0, 1] * 8, ["1", "no number"])})
    number = if_then_else(col("s").like("no%"), lit(0, pa.int64()), col("s").cast(pa.int64()))
    bound = bind([number], pa.schema([("s", pa.string())]))
    assert bound.evaluate(batch)[0].to_pylist() == [1, 0] * 8


def test_a_dictionary_with_as_many_values_as_rows_is_decoded() -> None:
    column = pa.array(["a", "b", "c", "a"]).dictionary_encode()
    assert isinstance(encoded(column), pa.StringArray)
    repeated = pa.concat_arrays([column] * 4)
    found = encoded(repeated)
    assert isinstance(found, Encoded)
    assert decoded(found).equals(repeated.dictionary_decode())


def test_the_first_expressions_may_stay_dictionaries() -> None:
    codes = pa.array([1, 0, None, 1, 1, 0, 1, 1], pa.int8())
    batch = pa.record_batch({"s": pa.DictionaryArray.from_arrays(codes, ["a", "b"]), "n": pa.array(range(8))})
    schema = pa.schema([("s", pa.string()), ("n", pa.int64())])
    bound = bind([col("s").upper_case, col("n"), col("s")], schema)
    upper, numbers, texts = bound.evaluate(batch, encoded_max=2)
    assert pa.types.is_dictionary(upper.type)
    assert upper.to_pylist() == ["B", "A", None, "B", "B", "A", "B", "B"]
    assert numbers.equals(batch.column("n"))
    assert texts.equals(batch.column("s").dictionary_decode())
    assert [array.type for array in bound.evaluate(batch)] == [pa.string(), pa.int64(), pa.string()]
