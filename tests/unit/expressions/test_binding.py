"""Expressions against a schema: errors when the graph is built, and their messages."""

from __future__ import annotations

import pickle
import re

import pyarrow as pa
import pytest

from shmflink.errors import TypeMismatchError
from shmflink.expressions import Expression, bind, col, if_then_else, lit

SCHEMA = pa.schema([("price", pa.float64()), ("quantity", pa.int32()), ("name", pa.utf8()), ("day", pa.date32())])


def refused(expression: Expression) -> str:
    with pytest.raises(TypeMismatchError) as caught:
        bind([expression], SCHEMA)
    return str(caught.value)


def test_an_unknown_column_names_the_nearest_the_line_and_the_schema() -> None:
    message = refused(col("pric") + 1)
    assert re.match(r".*test_binding\.py:\d+: in `pric`: there is no column `pric`; did you mean `price`\?", message)
    assert "The columns are price: double, quantity: int32, name: string, day: date32[day]" in message


def test_the_case_of_a_column_counts_and_is_hinted_at() -> None:
    assert "did you mean `price`?" in refused(col("PRICE"))


def test_a_column_that_is_there_twice() -> None:
    twice = pa.schema([("a", pa.int64()), ("a", pa.int64())])
    with pytest.raises(TypeMismatchError, match="`a` occurs 2 times"):
        bind([col("a")], twice)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        (col("name") * 2, "times cannot be applied to (`name`: string, `2`: int32)"),
        (col("name") + 2, "cast() the other value"),
        (col("price").upper_case, "upper_case takes a string, got `price` of type double"),
        (col("name") > 1, "string and int32 cannot be compared"),
        (col("day") > "soon", "`'soon'` is not a date32[day]"),
        (if_then_else(col("price"), 1, 2), "if_then_else takes a boolean, got `price`"),
        (if_then_else(col("price") > 1, 1, "x"), "all must have one type"),
        (col("name").regexp("(?=x)"), "the regular expression '(?=x)'"),
        (col("price").sum, "sum is an aggregate over many rows"),
        (col("day") + col("day"), "a time and an interval can be added"),
        (Expression("uper_case", (col("name"),)), "no function uper_case; did you mean `upper_case`?"),
        (Expression("is_null", ()), "is_null takes 1 argument, got 0"),
        (col("price").cast("TIMESTAMP"), "use to_timestamp_ltz()"),
    ],
)
def test_wrong_types_say_what_is_wrong(expression: Expression, words: str) -> None:
    assert words in refused(expression)


def test_equal_parts_are_computed_once() -> None:
    double = col("price") * 2
    bound = bind([double + 1, col("price") * 2 - 1, double], SCHEMA)
    assert sum(step.node.function == "times" for step in bound._steps) == 1


def test_constants_are_computed_when_they_are_bound() -> None:
    bound = bind([col("quantity") + (lit(2) * 3 + 1)], SCHEMA)
    assert [step.node.function for step in bound._steps if step.constant is None] == ["col", "plus"]
    assert bind([lit(2) * 3], SCHEMA).constants[0].as_py() == 6


def test_a_constant_of_the_columns_type_is_not_cast_per_batch() -> None:
    bound = bind([col("quantity") > 5, col("day") >= "2024-01-01"], SCHEMA)
    assert not [step for step in bound._steps if step.node.function == "cast" and step.constant is None]


def test_names_and_types_of_what_comes_out() -> None:
    bound = bind([col("price"), col("quantity") + 1, col("name").alias("n"), lit(1)], SCHEMA)
    assert bound.fields == pa.schema(
        [("price", pa.float64()), ("_c1", pa.int32()), ("n", pa.utf8()), ("_c3", pa.int32())]
    )
    assert bound.columns == {"price", "quantity", "name"}


def test_encoded_columns_are_decoded_for_functions_and_passed_on_as_they_are() -> None:
    encoded = pa.array(["a", "b", "a", None]).dictionary_encode()
    batch = pa.record_batch({"d": encoded, "v": pa.array(["x", "y", None, "z"], pa.string_view())})
    upper, itself, joined = bind([col("d").upper_case, col("d"), col("d") + col("v")], batch.schema).evaluate(batch)
    assert upper.to_pylist() == ["A", "B", "A", None]
    assert itself.type == encoded.type
    assert joined.to_pylist() == ["ax", "by", None, None]


def test_large_strings() -> None:
    batch = pa.record_batch({"s": pa.array(["ab", None], pa.large_utf8())})
    upper, sliced, split = bind([col("s").upper_case, col("s").left(1), col("s").split("")], batch.schema).evaluate(
        batch
    )
    assert upper.to_pylist() == ["AB", None]
    assert sliced.to_pylist() == ["a", None]
    assert split.to_pylist() == [["a", "b"], None]


def test_trees_travel() -> None:
    expression = (col("name").upper_case == "A") & col("quantity").in_(1, 2)
    copy = pickle.loads(pickle.dumps(expression))
    assert copy.same_as(expression)
    assert copy.place == expression.place
    assert str(copy) == "((upper_case(name) == 'A') & in(quantity, 1, 2))"


def test_long_lists_of_constants_are_told_apart() -> None:
    one = col("quantity").in_(*range(1000))
    other = col("quantity").in_(*range(500), 5000, *range(501, 1000))
    assert not one.same_as(other)


def test_long_chains_stay_flat() -> None:
    any_of = col("quantity") == 0
    for number in range(1, 2000):
        any_of = any_of | (col("quantity") == number)
    batch = pa.record_batch({"quantity": pa.array([1999, 2000], pa.int32())})
    assert bind([any_of], batch.schema).evaluate(batch)[0].to_pylist() == [True, False]
    deep = col("quantity")
    for _ in range(5000):
        deep = deep + 1
    with pytest.raises(TypeMismatchError, match="nested too deeply"):
        bind([deep], SCHEMA)


def test_a_message_lists_ten_columns_and_counts_the_others() -> None:
    schema = pa.schema([(f"c{index}", pa.int64()) for index in range(13)])

    with pytest.raises(TypeMismatchError, match=r"c8: int64, c9: int64, … and 3 more$"):
        bind([col("nowhere")], schema)
