"""Every recorded aggregate of real Flink 2.3 that has a counterpart, with Flink's types: equal, or listed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from oracle.flink_recording import comparable_type, evaluated_expression, lines, same_text, text_of, type_text, value_of

from shmflink.errors import ShmflinkError
from shmflink.expressions import Expression, bind, col, split_aggregates
from shmflink.expressions.types.names import data_type_of
from shmflink.operators.aggregates.group import AggregateSpec

_LINES = {line["id"]: line for line in lines("aggregates.csv")}
_DIFFERENCES = {line["id"]: line for line in lines("aggregate_differences.csv")}


def _groups() -> pa.Table:
    """The rows of ``aggregate_inputs.csv``: key `gk`, values of each type."""
    columns = {}
    for line in lines("aggregate_inputs.csv"):
        kind = data_type_of(line["type"])
        given = json.loads(line["values"])
        columns[line["name"]] = pa.array([None if each is None else value_of(each, kind) for each in given], kind)
    return pa.table(columns)


def _special(numbers: str) -> pa.Table:
    """Doubles: 1 NaN, 2 infinity, 3 and 4 the zeros, 5 one; of one group, in this order."""
    doubles = {"1": float("nan"), "2": float("inf"), "3": 0.0, "4": -0.0, "5": 1.0}
    chosen = [doubles[number] for number in numbers.split(",")]
    return pa.table({"gk": pa.array([0] * len(chosen), pa.int32()), "d": chosen})


def _results(expression: Expression, rows: pa.Table, keys: tuple[tuple[str, Expression], ...]) -> pa.RecordBatch:
    """Key and result by group, with Flink's types; of no rows the one of the whole."""
    calls, results = split_aggregates({"result": expression})
    named = tuple((name, dataclasses.replace(call, has_flink_types=True)) for name, call in calls.items())
    spec = AggregateSpec(rows.schema, keys, named)
    table = spec.table()
    for batch in rows.to_batches():
        table.update(spec.inputs(batch))
    table.ensure_group()
    states = table.drain_results(1 << 10)
    assert states is not None
    bound = bind([*(col(name) for name, _ in keys), results["result"]], states.schema)
    return pa.RecordBatch.from_arrays(bound.evaluate(states), schema=bound.fields)


def _rows_of(line: dict[str, str]) -> pa.Table:
    kind, _, numbers = line["rows"].partition(" ")
    return _special(numbers) if kind == "special" else _groups()


def _answer(line: dict[str, str]) -> tuple[str, dict[str, str], str]:
    """Type, text by group, text over no rows."""
    expression, rows = evaluated_expression(line["expression"]), _rows_of(line)
    by_group = _results(expression, rows, (("gk", col("gk")),)).sort_by("gk")
    texts = {str(key): text_of(value) for key, value in zip(by_group[0].to_pylist(), by_group[1], strict=True)}
    whole = _results(expression, rows.slice(0, 0), ())
    return type_text(whole.schema[0].type), texts, text_of(whole[0][0])


def _mismatches(line: dict[str, str]) -> Iterator[str]:
    try:
        kind, groups, without_rows = _answer(line)
    except (ShmflinkError, AttributeError) as error:
        if not line["error"]:
            yield f"{type(error).__name__}: {error}"
        return
    if line["error"]:
        yield f"an error is expected, got {groups}"
        return
    if line["type"] and comparable_type(kind) != comparable_type(line["type"]):
        yield f"type {kind} for {line['type']}"
    expected: dict[str, str] = json.loads(line["groups"])
    if line["without_rows"]:
        expected["no rows"], groups["no rows"] = line["without_rows"], without_rows
    for group, text in expected.items():
        if not same_text(groups[group], text, comparable_type(kind)):
            yield f"group {group}: {groups[group]} for {text}"


@pytest.mark.parametrize("key", [key for key in _LINES if key not in _DIFFERENCES])
def test_aggregates_give_what_flink_gives(key: str) -> None:
    line: dict[str, Any] = _LINES[key]

    assert list(_mismatches(line)) == [], line["expression"]


@pytest.mark.parametrize("key", list(_DIFFERENCES))
def test_listed_differences_have_a_reason_and_our_value(key: str) -> None:
    listed = _DIFFERENCES[key]

    assert listed["reason"]
    assert list(_mismatches(_LINES[key])), f"take {key} from aggregate_differences.csv"
    assert _answer(_LINES[key])[1] == json.loads(listed["groups"])


def test_decimals_that_do_not_fit_are_null_with_flinks_types() -> None:
    nines = pa.array([10**38 - 1] * 3, pa.decimal128(38, 0))
    rows = pa.table({"gk": pa.array([0] * 3, pa.int32()), "c": nines})

    for expression in (col("c").sum, col("c").avg):
        assert pc.is_null(_results(expression, rows, (("gk", col("gk")),))[1]).to_pylist() == [True]
