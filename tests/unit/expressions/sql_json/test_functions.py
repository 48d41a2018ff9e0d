"""SQL/JSON: which values are found, empty or errors; building JSON."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from shmflink.errors import DataFormatError, TypeMismatchError
from shmflink.expressions import (
    Expression,
    JsonExistsOnError,
    JsonOnNull,
    JsonQueryOnEmptyOrError,
    JsonQueryWrapper,
    JsonType,
    JsonValueOnEmptyOrError,
    bind,
    col,
    json,
    json_array,
    json_array_agg,
    json_object,
    json_object_agg,
    json_string,
    lit,
)

A = col("a")
OnValue, OnQuery = JsonValueOnEmptyOrError, JsonQueryOnEmptyOrError


def values(expression: Expression, given: Any) -> list[Any]:
    batch = pa.record_batch({"a": pa.array(given)})
    return bind([expression], batch.schema).evaluate(batch)[0].to_pylist()


def one(expression: Expression, text: str) -> Any:
    return values(expression, [text])[0]


def test_kinds_of_json() -> None:
    texts = ["1", '"s"', "[]", "{}", "null", "oops", "", None]
    assert values(A.is_json(), texts) == [True] * 5 + [False] * 3
    assert values(A.is_json(JsonType.SCALAR), texts) == [True, True, False, False, True] + [False] * 3
    assert values(A.is_json(JsonType.OBJECT), texts).index(True) == 3
    assert values(A.is_json(JsonType.ARRAY), texts).index(True) == 2


@pytest.mark.parametrize(
    "text", ["[1,]", "{'a': 1}", "{a: 1}", "01", "1 2", '"\n"', "[" * 1000 + "]" * 1000, '{"a": 1', "NaN"]
)
def test_what_is_no_json(text: str) -> None:
    assert one(A.is_json(), text) is False
    assert one(A.json_value("$"), text) is None


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$.a.b[0]", "1"),
        ("$['a']['b'][1]", "x/y"),
        ("$.a.b[-1]", "true"),
        ('$["a.b"]', "7"),
        ("strict $.a.b[0]", "1"),
        ("lax  $.a.b[0]", "1"),
        ("$.u", "é😀"),
        ("$.a.missing", None),
        ("$.a.b[9]", None),
        ("$.a", None),
    ],
)
def test_paths(path: str, value: str | None) -> None:
    text = r'{"a": {"b": [1, "x\/y", true]}, "a.b": 7, "u": "\u00e9\ud83d\ude00"}'
    assert one(A.json_value(path), text) == value


@pytest.mark.parametrize("path", ["", "$a", "$..", "$..*", "$.", "$[", "$[x]", "$[?(@.a)]", "$['a"])
def test_paths_that_are_refused(path: str) -> None:
    with pytest.raises(TypeMismatchError, match="JSON path"):
        A.json_value(path)


def test_of_equal_keys_the_last_counts() -> None:
    assert one(A.json_value("$.a"), r'{"a": 1, "\u0061": 2}') == "2"


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("INT", "7", 7),
        ("INT", '"7"', 7),
        ("INT", "7.5", None),
        ("BIGINT", "9007199254740993", 9007199254740993),
        ("INT", "9007199254740993", None),
        ("DOUBLE", "1e2", 100.0),
        ("BOOLEAN", "true", True),
        ("BOOLEAN", "1", None),
        ("STRING", "1.50", "1.50"),
        ("STRING", "null", None),
    ],
)
def test_types_of_values(kind: str, text: str, value: Any) -> None:
    assert one(A.json_value("$.a", kind), f'{{"a": {text}}}') == value


def test_empty_and_error_are_told_apart() -> None:
    def found(path: str) -> Any:
        expression = A.json_value(path, "STRING", OnValue.DEFAULT, "empty", OnValue.DEFAULT, "error")
        return values(expression, ['{"a": 1}', '{"a": null}', '{"a": []}', "{}", "oops", None])

    assert found("lax $.a") == ["1", None, "empty", "empty", "error", None]
    assert found("strict $.a") == ["1", None, "error", "error", "error", None]


def test_paths_without_root_and_into_depth() -> None:
    text = '{"a": 1, "b": [{"a": {"z": 2, "y": [{"q": 1, "p": 2}]}}]}'
    assert one(A.json_value("a"), text) == "1"
    assert one(A.json_query("$..a"), text) == '[1,{"y":[{"p":2,"q":1}],"z":2}]'
    assert one(A.json_exists("$..nothing"), text) is False


def test_numbers_as_jackson_writes_them() -> None:
    numbers = [1e7, 1.5e-7, 1e-4, 12345678.9, -0.5, 0.0, 100.0, float("nan"), float("-inf")]
    expected = '[1.0E+7,1.5E-7,0.00010,12345678.9,-0.5,0.0,100.0,"NaN","-Infinity"]'
    kind = pa.list_(pa.float64())
    batch = pa.record_batch({"a": pa.array([numbers], kind)})
    assert bind([json_string(A)], batch.schema).evaluate(batch)[0].to_pylist() == [expected]


def test_of_a_key_given_twice_the_last_value_counts() -> None:
    assert one(json_object(JsonOnNull.NULL, "a", 1, "b", A, "a", 2), "x") == '{"a":2,"b":"x"}'


def test_errors_that_stop_the_job() -> None:
    with pytest.raises(DataFormatError, match=r"'\$.a' fails in 'oops'"):
        values(A.json_value("$.a", on_error=OnValue.ERROR), ['{"a": 1}', "oops"])
    with pytest.raises(DataFormatError, match="finds nothing"):
        values(A.json_value("lax $.a", on_empty=OnValue.ERROR), ["{}"])
    with pytest.raises(DataFormatError, match="fails in"):
        values(A.json_exists("$.a", JsonExistsOnError.ERROR), ["{}"])
    with pytest.raises(DataFormatError, match="fails in"):
        values(A.json_query("$.a", on_error=OnQuery.ERROR), ["{}"])


def test_exists() -> None:
    texts = ['{"a": 0}', "{}", '{"a": null}', "oops", None]
    assert values(A.json_exists("lax $.a"), texts) == [True, False, False, False, None]
    assert values(A.json_exists("strict $.a", JsonExistsOnError.TRUE), texts) == [True, True, False, True, None]
    assert values(A.json_exists("$.a", JsonExistsOnError.UNKNOWN), texts) == [True, None, False, None, None]


def test_queries_and_wrappers() -> None:
    wrapped = JsonQueryWrapper
    assert one(A.json_query("$"), ' { "a" : [ 1 , "x y" ] } ') == '{"a":[1,"x y"]}'
    assert one(A.json_query("$", wrapped.CONDITIONAL_ARRAY), "{}") == "[{}]"
    assert one(A.json_query("$", wrapped.CONDITIONAL_ARRAY), "[1, 2]") == "[1,2]"
    assert one(A.json_query("$", wrapped.UNCONDITIONAL_ARRAY), "[1, 2]") == "[[1,2]]"
    assert one(A.json_query("$"), "1") is None
    assert one(A.json_query("$", wrapped.CONDITIONAL_ARRAY), "1") == "[1]"
    assert one(A.json_query("$.*.b"), '{"x": {"b": 1}, "y": {"b": [2]}, "z": 3}') == "[1,[2]]"
    assert one(A.json_query("lax $.q", wrapped.WITHOUT_ARRAY, OnQuery.EMPTY_OBJECT, OnQuery.NULL), "{}") == "{}"
    assert one(A.json_query("strict $.q", wrapped.WITHOUT_ARRAY, OnQuery.NULL, OnQuery.EMPTY_ARRAY), "{}") == "[]"


def test_options_of_the_wrong_kind() -> None:
    with pytest.raises(TypeMismatchError, match="takes a JsonValueOnEmptyOrError"):
        A.json_value("$.a", "INT", OnQuery.NULL)  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(TypeMismatchError, match="default 'x' is not a valid int32"):
        A.json_value("$.a", "INT", OnValue.DEFAULT, "x")
    with pytest.raises(TypeMismatchError, match="not date32"):
        A.json_value("$.a", "DATE")


def test_quoting() -> None:
    assert values(A.json_quote(), ['a"\\/\n\x01é']) == [r'"a\"\\\/\n\u0001é"']
    assert values(A.json_unquote(), [r'"a\"\u00e9"', "plain", '"', "", r'"\ud83d\ude00"']) == [
        'a"é',
        "plain",
        '"',
        "",
        "😀",
    ]
    with pytest.raises(DataFormatError, match="is not a JSON string"):
        values(A.json_unquote(), [r'"\x"'])


def test_values_as_json() -> None:
    assert values(json_string(A), [1.5, None]) == ["1.5", None]
    assert values(json_string(A), [Decimal("1.50")]) == ["1.50"]
    assert values(json_string(A), [dt.date(2024, 2, 29)]) == ['"2024-02-29"']
    assert values(json_string(A), [{"x": [True, None], "y": "é"}]) == ['{"x":[true,null],"y":"é"}']
    assert values(json_string(lit(None)), [1]) == [None]
    with pytest.raises(TypeMismatchError, match="no JSON form"):
        values(json_string(A), [dt.timedelta(1)])


def test_objects_and_arrays() -> None:
    inner = json_object(JsonOnNull.NULL, "k", A)
    assert values(json_object(JsonOnNull.NULL, "o", inner, "l", json_array(JsonOnNull.ABSENT, A, 1)), ["x", None]) == [
        '{"o":{"k":"x"},"l":["x",1]}',
        '{"o":{"k":null},"l":[1]}',
    ]
    assert values(json_object(JsonOnNull.NULL, "k", json(A).alias("name")), ["[1, 2]", " ", None]) == [
        '{"k":[1,2]}',
        '{"k":null}',
        '{"k":null}',
    ]
    assert values(json_object(), [1]) == ["{}"]
    assert values(json_array(), [1]) == ["[]"]


def test_json_that_is_put_in_must_be_json() -> None:
    with pytest.raises(DataFormatError, match="'oops' is not JSON"):
        values(json_array(JsonOnNull.NULL, json(A)), ["oops"])
    with pytest.raises(TypeMismatchError, match="inside json_object"):
        values(json(A), ["1"])


def test_what_cannot_be_built() -> None:
    with pytest.raises(TypeMismatchError, match="alternating keys and values"):
        json_object(JsonOnNull.NULL, "k")
    with pytest.raises(TypeMismatchError, match="must be a constant"):
        json_object(JsonOnNull.NULL, A, 1)
    with pytest.raises(TypeMismatchError, match="is a JsonOnNull"):
        json_array_agg("NULL", A)  # type: ignore[arg-type]  # as a user may write it
    with pytest.raises(TypeMismatchError, match="is a JsonOnNull"):
        json_object_agg(A, "k", A)
