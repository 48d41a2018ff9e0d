"""Aggregates extracted from expressions."""

from __future__ import annotations

from typing import Any

import pytest

from shmflink.errors import TypeMismatchError
from shmflink.expressions import (
    AggregateCall,
    Expression,
    JsonOnNull,
    col,
    count,
    json_array_agg,
    json_object_agg,
    lit,
    split_aggregates,
)
from shmflink.expressions.aggregates.methods import AGGREGATE_FUNCTIONS

A, B = col("a"), col("b")


def only(expression: Expression) -> AggregateCall:
    calls, results = split_aggregates({"x": expression})
    assert str(results["x"]) == "x"
    return calls["x"]


def shape(call: AggregateCall) -> tuple[Any, ...]:
    return call.function, tuple(map(str, call.arguments)), call.parameters, call.is_distinct


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (count(), ("count", (), (), False)),
        (count(A), ("count", ("a",), (), False)),
        (A.count.distinct, ("count", ("a",), (), True)),
        (A.distinct.count, ("count", ("a",), (), True)),
        (A.count_distinct, ("count", ("a",), (), True)),
        ((A + 1).sum, ("sum", ("(a + 1)",), (), False)),
        (A.first, ("first_value", ("a",), (), False)),
        (A.stddev, ("stddev_samp", ("a",), (), False)),
        (A.list_agg(), ("list_agg", ("a",), (",",), False)),
        (A.list_agg(lit("; ")), ("list_agg", ("a",), ("; ",), False)),
        (A.percentile(0.5), ("quantile", ("a",), (0.5,), False)),
        (A.quantile(1), ("quantile", ("a",), (1.0,), False)),
        (A.arg_min(B), ("arg_min", ("a", "b"), (), False)),
        (A.top_n(2), ("top_n", ("a", "a"), (2,), False)),
        (A.top_n(2, by=B), ("top_n", ("a", "b"), (2,), False)),
        (A.sum.alias("y"), ("sum", ("a",), (), False)),
    ],
)
def test_one_aggregate(expression: Expression, expected: tuple[Any, ...]) -> None:
    assert shape(only(expression)) == expected


def test_every_aggregate_has_its_method() -> None:
    properties = [name for name in AGGREGATE_FUNCTIONS - {"collect"} if isinstance(getattr(A, name), Expression)]
    found = {only(getattr(A, name)).function for name in properties} | {"collect"}
    assert found | {"list_agg", "quantile", "approx_quantile", "arg_min", "arg_max", "top_n"} == AGGREGATE_FUNCTIONS


@pytest.mark.parametrize(
    ("expression", "calls", "result"),
    [
        (A.collect, ["collect(a)"], "multiset(__aggregate0)"),
        (A.collect.distinct, ["distinct collect(a)"], "multiset(__aggregate0)"),
        (json_array_agg(JsonOnNull.ABSENT, A), ["collect(json_text(a))"], "json_array_agg(__aggregate0)"),
        (
            json_object_agg(JsonOnNull.NULL, A, B),
            ["array_agg(a)", "array_agg(json_text(b))"],
            "json_object_agg(__aggregate0, __aggregate1, False)",
        ),
        (
            A.percentile(0.5, B),
            ["array_agg(cast(a, double))", "array_agg(cast(b, int64))"],
            "weighted_percentile(__aggregate0, __aggregate1, (0.5,), False)",
        ),
        (
            A.sum.filter(B > 1),
            ["sum(if_then_else((b > 1), a, None))"],
            "x",
        ),
    ],
)
def test_what_is_made_of_aggregates(expression: Expression, calls: list[str], result: str) -> None:
    found, results = split_aggregates({"x": expression})
    shown = [
        f"{'distinct ' * call.is_distinct}{call.function}({', '.join(map(str, call.arguments))})"
        for call in found.values()
    ]
    assert (shown, str(results["x"])) == (calls, result)


def test_expressions_over_aggregates_share_them() -> None:
    calls, results = split_aggregates({"mean": A.sum / A.count, "total": A.sum, "n": count(), "again": A.sum + 1})
    assert {name: call.function for name, call in calls.items()} == {
        "__aggregate0": "sum",
        "__aggregate1": "count",
        "n": "count",
    }
    assert {name: str(result) for name, result in results.items()} == {
        "mean": "(__aggregate0 / __aggregate1)",
        "total": "__aggregate0",
        "n": "n",
        "again": "(__aggregate0 + 1)",
    }


def test_names_do_not_collide() -> None:
    calls, results = split_aggregates({"__aggregate0": A.max, "x": A.min + 1, "__aggregate1": A.sum})
    assert set(calls) == {"__aggregate0", "__aggregate1", "__aggregate1_"}
    assert calls[str(results["__aggregate1"])].function == "sum"


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        (A, "is not an aggregate"),
        (lit(1), "is not an aggregate"),
        (A.sum + B, "`b` is not inside an aggregate"),
        (A.sum.max, "an aggregate cannot contain an aggregate"),
    ],
)
def test_what_is_no_aggregate(expression: Expression, words: str) -> None:
    with pytest.raises(TypeMismatchError, match=words):
        split_aggregates({"x": expression})


@pytest.mark.parametrize(
    "build",
    [lambda: A.quantile(1.5), lambda: A.quantile("x"), lambda: A.quantile(B), lambda: A.top_n(0), lambda: A.top_n(True),
     lambda: A.percentile(1.5, B)],
)  # fmt: skip
def test_parameters_are_checked_at_once(build: Any) -> None:
    with pytest.raises(TypeMismatchError):
        build()
