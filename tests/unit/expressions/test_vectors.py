"""Every function on slices, on no rows, on only nulls, and on constants: the same results as on whole columns."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from shmflink.expressions import (
    Expression,
    JsonOnNull,
    JsonQueryWrapper,
    TimeIntervalUnit,
    TimePointUnit,
    array,
    atan2,
    bind,
    col,
    convert_tz,
    date_format,
    from_unixtime,
    greatest,
    json,
    json_array,
    json_object,
    json_string,
    least,
    lit,
    log,
    map_,
    map_from_arrays,
    object_of,
    row,
    temporal_overlaps,
    timestamp_diff,
    to_date,
    to_timestamp,
    to_timestamp_ltz,
    unix_timestamp,
)

COLUMNS: dict[str, pa.Array] = {
    "x": pa.array([-2.5, None, 0.0, 0.5, 1e300]),
    "i": pa.array([-7, 0, None, 3, 1250]),
    "n": pa.array([Decimal("1.25"), Decimal("-9.99"), None, Decimal("0.05"), Decimal("0.00")]),
    "d": pa.array([dt.date(2024, 1, 31), None, dt.date(1969, 12, 31), dt.date(2000, 2, 29), dt.date(1900, 1, 1)]),
    "t": pa.array([0, 86_399_999, None, 45_296_789, 1], pa.time32("ms")),
    "ts": pa.array([0, None, -1, 1_700_000_000_123_456, 951_782_400_000_000], pa.timestamp("us")),
    "z": pa.array([0, None, -1, 1_700_000_000_123, 951_782_400_000], pa.timestamp("ms", "Europe/Berlin")),
    "span": pa.array([0, -1, None, 90_061_001, 86_400_000], pa.duration("ms")),
    "s": pa.array(["a b&ä", None, "", "x=1,y=2", "100%"]),
    "when": pa.array(["2024-02-29 12:30:00", "2024-02-30", None, "", "1969-12-31 23:59:59"]),
    "good": pa.array(["2024-02-29 12:30:00", "2023-01-01", None, "1-1-1", "1969-12-31 23:59:59"]),
    "j": pa.array(['{"a": [1, {"b": "x"}]}', None, "oops", '{"a": 5}', "[1, 2]"]),
    "url": pa.array(["http://u@h:1/p?k=v#r", None, "nothing", "mailto:x", "https://h"]),
    "ip": pa.array(["127.0.0.1", None, "1", "1.2.3.4.5", "255.255.255.255"]),
    "l": pa.array([[3, 1, None, 3], None, [], [7], [2, 2]]),
    "k": pa.array([[3], [1], None, [], [2, 9]]),
    "words": pa.array([["x", None, "y"], None, [], ["z"], [None]]),
    "one": pa.array([[1], None, [], [None], [5]]),
    "m": pa.array([[("a", 1), ("b", None)], None, [], [("c", 3)], [("a", 4)]], pa.map_(pa.string(), pa.int64())),
    "r": pa.array([{"p": 1, "q": "x"}, None, {"p": None, "q": "y"}, {"p": 2, "q": None}, {"p": 3, "q": ""}]),
}
X, W, N, D, T, TS, Z, SPAN = (col(name) for name in ("x", "i", "n", "d", "t", "ts", "z", "span"))
S, WHEN, GOOD, J, URL, IP = (col(name) for name in ("s", "when", "good", "j", "url", "ip"))
L, K, WORDS, M, R = (col(name) for name in ("l", "k", "words", "m", "r"))
UNITS = [unit for unit in TimeIntervalUnit if "_TO_" not in unit.name]

_MATHS = ["exp", "ln", "log10", "log2", "sqrt", "abs", "sign", "degrees", "radians", "sin", "cos", "tan", "cot"]
_MATHS += ["asin", "acos", "atan", "sinh", "cosh", "tanh"]
_SPANS = ["year", "years", "quarter", "quarters", "month", "months", "week", "weeks", "day", "days", "hour", "hours"]
_SPANS += ["minute", "minutes", "second", "seconds", "milli", "millis"]
_DIGESTS = ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"]

EXPRESSIONS: list[Expression] = [
    *(getattr(number, name) for name in _MATHS for number in (X, W, N)),
    *(getattr(W, name) for name in _SPANS),
    *(getattr(S, name) for name in _DIGESTS),
    *(method(places) for number in (X, W, N) for method in (number.round, number.truncate) for places in (-1, 0, 1)),
    *(method() for number in (X, W, N) for method in (number.floor, number.ceil)),
    X.round(W % 3),
    X.log(2),
    log(X),
    atan2(X, W),
    greatest(X, W, 1),
    least(D.cast("TIMESTAMP(6)"), TS),
    *(point.extract(unit) for point in (TS, Z, D) for unit in UNITS),
    *(T.extract(unit) for unit in UNITS if unit.name in ("HOUR", "MINUTE", "SECOND")),
    *(SPAN.extract(unit) for unit in UNITS if unit.name in ("DAY", "HOUR", "MINUTE", "SECOND", "WEEK")),
    W.months.extract(TimeIntervalUnit.YEAR),
    *(method(unit) for point in (TS, D) for method in (point.floor, point.ceil) for unit in UNITS[:4]),
    T.floor(TimeIntervalUnit.MINUTE),
    TS.floor_to(seconds=10),
    Z.floor_to(hours=1, offset_ms=900_000),
    W.floor_to(milliseconds=100),
    *(timestamp_diff(unit, D, TS) for unit in TimePointUnit if unit is not TimePointUnit.SECOND),
    TS + W.months,
    D - W.days,
    T + SPAN,
    TS - SPAN,
    temporal_overlaps(TS, SPAN, D, W.days),
    GOOD.to_date,
    GOOD.to_timestamp,
    TS.to_date,
    TS.to_time,
    D.to_timestamp,
    to_date(WHEN, "yyyy-MM-dd HH:mm:ss"),
    to_timestamp(WHEN),
    to_timestamp_ltz(W, 0),
    to_timestamp_ltz(X.sign),
    to_timestamp_ltz(WHEN, "yyyy-MM-dd HH:mm:ss", "Asia/Tokyo"),
    date_format(TS, "yyyy-MM-dd HH:mm:ss.SSSSSS EEE"),
    date_format(Z, "HH:mm"),
    date_format(WHEN, "dd.MM.yyyy"),
    from_unixtime(W),
    unix_timestamp(WHEN),
    convert_tz(WHEN, "UTC", "PST"),
    J.is_json(),
    J.json_exists("$.a"),
    J.json_value("$.a", "INT"),
    J.json_value("$.a[1].b"),
    J.json_query("$.a", JsonQueryWrapper.CONDITIONAL_ARRAY),
    S.json_quote(),
    S.json_unquote(),
    json_string(R),
    json_string(M),
    json_object(JsonOnNull.ABSENT, "i", W, "raw", json(json_string(L)), "inner", json_array(JsonOnNull.NULL, TS)),
    json_array(JsonOnNull.NULL, W, "x", N),
    S.url_encode(),
    S.url_decode(),
    URL.parse_url("HOST"),
    URL.parse_url("QUERY", "k"),
    IP.inet_aton(),
    W.inet_ntoa(),
    S.sha2(256),
    L.at(2),
    L[1],
    M.at("a"),
    L.cardinality,
    M.cardinality,
    col("one").element,
    array(W, 1, W),
    L.array_append(W),
    L.array_prepend(W),
    L.array_concat(K, L),
    L.array_reverse(),
    L.array_slice(W),
    L.array_slice(-2, 1),
    L.array_contains(3),
    L.array_position(W),
    L.array_remove(W),
    L.array_distinct(),
    L.array_union(K),
    L.array_except(K),
    L.array_intersect(K),
    L.array_sort(),
    L.array_sort(False, True),
    L.array_max(),
    L.array_min(),
    WORDS.array_join("-"),
    WORDS.array_join("-", S),
    map_("k", W, "l", X),
    map_from_arrays(L.array_remove(lit(None)), L.array_remove(lit(None))),
    M.map_keys,
    M.map_values,
    M.map_entries,
    M.map_union(map_("a", W)),
    S.str_to_map(),
    row(W, S),
    object_of("User", "i", W),
    R.get("p"),
    R.get(1),
    R.object_update("p", W),
]


def batch_of(columns: dict[str, pa.Array]) -> pa.RecordBatch:
    return pa.record_batch(columns)


def ids(expression: Expression) -> str:
    return str(expression)[:60]


def same(left: list[Any], right: list[Any]) -> bool:
    return repr(left) == repr(right)  # NaN is NaN here


WHOLE = batch_of(COLUMNS)


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=ids)
def test_slices_and_no_rows(expression: Expression) -> None:
    bound = bind([expression], WHOLE.schema)
    whole = bound.evaluate(WHOLE)[0]
    assert whole.type == bound.fields.field(0).type
    assert len(whole) == WHOLE.num_rows
    whole.validate(full=True)
    for start, rows in ((1, 4), (3, 1), (5, 0)):
        part = bound.evaluate(WHOLE.slice(start, rows))[0]
        part.validate(full=True)
        assert part.type == whole.type
        assert same(part.to_pylist(), whole.slice(start, rows).to_pylist())


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=ids)
def test_nothing_but_nulls(expression: Expression) -> None:
    nulls = batch_of({name: pa.nulls(3, array.type) for name, array in COLUMNS.items()})
    result = bind([expression], nulls.schema).evaluate(nulls)[0]
    result.validate(full=True)
    assert len(result) == 3
    assert result.type == bind([expression], WHOLE.schema).fields.field(0).type


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=ids)
def test_constants_in_place_of_columns(expression: Expression) -> None:
    whole = bind([expression], WHOLE.schema).evaluate(WHOLE)[0]
    for index in (0, 1, 3):
        constants = {name: array[index] for name, array in COLUMNS.items()}
        replaced = bind([_with_constants(expression, constants)], WHOLE.schema)
        assert replaced.fields.field(0).type == whole.type
        assert same(replaced.evaluate(WHOLE.slice(0, 2))[0].to_pylist(), [whole[index].as_py()] * 2)


def _with_constants(expression: Expression, constants: dict[str, pa.Scalar]) -> Expression:
    if expression.function == "col":
        return Expression("lit", (), (constants[expression.parameters[0]],))
    arguments = tuple(_with_constants(argument, constants) for argument in expression.arguments)
    return Expression(expression.function, arguments, expression.parameters)
