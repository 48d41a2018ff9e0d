"""Functions of expressions against plain Python: datetime, decimal, json, lists."""

from __future__ import annotations

import calendar
import datetime as dt
import json
import math
import urllib.parse
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from shmflink.expressions import (
    Expression,
    TimeIntervalUnit,
    TimePointUnit,
    bind,
    col,
    date_format,
    json_string,
    map_from_arrays,
    timestamp_diff,
    to_timestamp,
)

A, B = col("a"), col("b")

MOMENTS = st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9990, 1, 1))
ITEMS = st.none() | st.integers(-3, 3)
LISTS = st.none() | st.lists(ITEMS, max_size=6)
NUMBERS = st.floats(-1e12, 1e12) | st.decimals(-10_000, 10_000, places=4).map(float)
SCALARS = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=8)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b c", 'q"', "é"]), inner),
    max_leaves=8,
)
STEPS = st.lists(st.sampled_from(["a", "b c", 'q"', "é", 0, 1, -1, "*"]), max_size=3)


def values(expression: Expression, **columns: Any) -> list[Any]:
    batch = pa.record_batch({name: pa.array(*given) for name, given in columns.items()})
    return bind([expression], batch.schema).evaluate(batch)[0].to_pylist()


def moments(given: list[dt.datetime | None]) -> tuple[Any, pa.DataType]:
    return given, pa.timestamp("us")


def lists(given: list[Any]) -> tuple[Any, pa.DataType]:
    return given, pa.list_(pa.int64())


def months_later(moment: dt.datetime, months: int) -> dt.datetime:
    index = moment.year * 12 + moment.month - 1 + months
    year, month = divmod(index, 12)
    day = min(moment.day, calendar.monthrange(year, month + 1)[1])
    return moment.replace(year=year, month=month + 1, day=day)


@settings(deadline=None)
@given(st.lists(st.none() | MOMENTS, max_size=5), st.integers(0, 100))
def test_months_later(given_moments: list[dt.datetime | None], months: int) -> None:
    expected = [None if moment is None else months_later(moment, months) for moment in given_moments]
    shifts = ([months] * len(given_moments), pa.int64())
    assert values(A + B.months, a=moments(given_moments), b=shifts) == expected


@settings(deadline=None)
@given(MOMENTS, MOMENTS)
def test_whole_months_between(left: dt.datetime, right: dt.datetime) -> None:
    [months] = values(timestamp_diff(TimePointUnit.MONTH, A, B), a=moments([left]), b=moments([right]))
    # Calcite's: the most months that do not go beyond the later day; then the time of day.
    first, last = sorted([left.date(), right.date()])
    whole = (last.year - first.year) * 12 + last.month - first.month
    whole -= _later(first, whole) > last
    expected = whole if right.date() >= left.date() else -whole
    expected -= _later(left.date(), expected) == right.date() and right.time() < left.time()
    assert months == expected


def _later(day: dt.date, months: int) -> dt.date:
    """So many months later; the last day of a month that is too short."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return dt.date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


@settings(deadline=None)
@given(st.lists(st.none() | MOMENTS, max_size=5), st.integers(1, 10**10), st.integers(-(10**6), 10**6))
def test_buckets(given_moments: list[dt.datetime | None], size: int, offset: int) -> None:
    epoch = dt.datetime(1970, 1, 1)
    ticks = [None if moment is None else (moment - epoch) // dt.timedelta(milliseconds=1) for moment in given_moments]
    expected = [None if tick is None else (tick - offset) // size * size + offset for tick in ticks]
    assert values(A.floor_to(milliseconds=size, offset_ms=offset), a=(ticks, pa.int64())) == expected


@settings(deadline=None)
@given(MOMENTS)
def test_parts_and_text(moment: dt.datetime) -> None:
    given_moment = moments([moment])
    iso = moment.isocalendar()
    parts = {"YEAR": moment.year, "MONTH": moment.month, "DAY": moment.day, "HOUR": moment.hour, "WEEK": iso.week}
    for unit, part in parts.items():
        assert values(A.extract(TimeIntervalUnit[unit]), a=given_moment) == [part]
    [text] = values(date_format(A, "yyyy-MM-dd HH:mm:ss.SSSSSS EEE D"), a=given_moment)
    assert text == moment.strftime("%Y").zfill(4) + moment.strftime("-%m-%d %H:%M:%S.%f %a ") + str(
        moment.timetuple().tm_yday
    )
    assert values(to_timestamp(A, "yyyy-MM-dd HH:mm:ss.SSSSSS EEE D"), a=([text], pa.string())) == [moment]


@settings(deadline=None)
@given(NUMBERS, st.integers(-4, 6))
def test_rounding_is_that_of_the_written_number(number: float, places: int) -> None:
    written = Decimal(repr(number))
    unit = Decimal(1).scaleb(-places)
    for expression, mode in ((A.round(places), ROUND_HALF_UP), (A.truncate(places), ROUND_DOWN)):
        [result] = values(expression, a=([number], pa.float64()))
        assert math.isclose(result, float(written.quantize(unit, mode)), rel_tol=1e-15, abs_tol=0)


@settings(deadline=None)
@given(st.integers(-(2**62), 2**62), st.integers(-20, 2))
def test_rounding_of_integers(number: int, places: int) -> None:
    unit = Decimal(1).scaleb(-places)
    expected = int(Decimal(number).quantize(unit, ROUND_HALF_UP)) if places < 0 else number
    if abs(expected) < 2**63:
        assert values(A.round(places), a=([number], pa.int64())) == [expected]


def distinct(items: list[Any]) -> list[Any]:
    return list(dict.fromkeys(items))


def where_not_null(function: Any, *columns: list[Any]) -> list[Any]:
    return [None if any(one is None for one in row) else function(*row) for row in zip(*columns, strict=True)]


@settings(deadline=None)
@given(st.lists(st.tuples(LISTS, LISTS, ITEMS), max_size=6), st.integers(0, 2))
def test_arrays(rows: list[tuple[Any, Any, Any]], start: int) -> None:
    left, right, needles = ([row[i] for row in rows[start:]] for i in range(3))
    batch = pa.record_batch(
        {
            "a": pa.array([row[0] for row in rows], pa.list_(pa.int64())),
            "b": pa.array([row[1] for row in rows], pa.list_(pa.int64())),
            "n": pa.array([row[2] for row in rows], pa.int64()),
        }
    ).slice(start)
    n = col("n")
    model: list[tuple[Expression, list[Any]]] = [
        (A.array_distinct(), where_not_null(distinct, left)),
        (A.array_union(B), where_not_null(lambda x, y: distinct(x + y), left, right)),
        (A.array_except(B), where_not_null(lambda x, y: distinct([i for i in x if i not in y]), left, right)),
        (A.array_intersect(B), where_not_null(lambda x, y: distinct([i for i in x if i in y]), left, right)),
        (A.array_concat(B, A), where_not_null(lambda x, y: x + y + x, left, right)),
        (A.array_reverse(), where_not_null(lambda x: x[::-1], left)),
        (A.array_max(), where_not_null(lambda x: max((i for i in x if i is not None), default=None), left)),
        (A.array_min(), where_not_null(lambda x: min((i for i in x if i is not None), default=None), left)),
        (A.array_sort(), where_not_null(lambda x: sorted(x, key=lambda i: (i is not None, i or 0)), left)),
        (A.array_sort(False), where_not_null(lambda x: sorted(x, key=lambda i: (i is None, -(i or 0))), left)),
        (A.array_append(n), [None if x is None else [*x, i] for x, i in zip(left, needles, strict=True)]),
        (A.array_prepend(n), [None if x is None else [i, *x] for x, i in zip(left, needles, strict=True)]),
        (A.array_contains(n), [None if x is None else i in x for x, i in zip(left, needles, strict=True)]),
        (A.array_remove(n), [x and [j for j in x if j != i] for x, i in zip(left, needles, strict=True)]),
        (A.array_position(n), where_not_null(lambda x, i: x.index(i) + 1 if i in x else 0, left, needles)),
    ]
    results = bind([expression for expression, _ in model], batch.schema).evaluate(batch)
    for (expression, expected), result in zip(model, results, strict=True):
        assert result.to_pylist() == expected, str(expression)


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 3), max_size=5), max_size=4))
def test_maps(keys: list[list[int]]) -> None:
    items = [list(range(len(row))) for row in keys]
    expected = [list(dict(zip(k, v, strict=True)).items()) for k, v in zip(keys, items, strict=True)]
    assert values(map_from_arrays(A, B), a=lists(keys), b=lists(items)) == expected


def is_there(value: Any, step: Any) -> bool:
    return step in value if isinstance(value, dict) else -len(value) <= step < len(value)


def followed(document: Any, steps: list[Any]) -> list[Any]:
    found = [document]
    for step in steps:
        after = []
        for value in found:
            if step == "*" and isinstance(value, (list, dict)):
                after += value.values() if isinstance(value, dict) else value
            elif isinstance(value, dict if isinstance(step, str) else list):
                after += [value[step]] if is_there(value, step) else []
        found = after
    return found


@settings(deadline=None, max_examples=200)
@given(DOCUMENTS, STEPS, st.sampled_from([None, 1]), st.booleans())
def test_json_paths(document: Any, steps: list[Any], indent: int | None, is_ascii: bool) -> None:
    text = json.dumps(document, indent=indent, ensure_ascii=is_ascii)
    path = "lax $" + "".join(f"[{step}]" if step == "*" or isinstance(step, int) else f"['{step}']" for step in steps)
    found = followed(document, steps)
    column = ([text, None], pa.string())
    compact = {"separators": (",", ":"), "ensure_ascii": is_ascii, "sort_keys": True}
    [query, _] = values(A.json_query(path), a=column)
    if "*" in steps:
        assert query == json.dumps(found, **compact)
    elif found and isinstance(found[0], (list, dict)):
        assert query == json.dumps(found[0], **compact)
    else:
        assert query is None
        [value, null] = values(A.json_value(path), a=column)
        scalar = found[0] if found else None
        assert (value, null) == (scalar if scalar is None or isinstance(scalar, str) else json.dumps(scalar), None)


@settings(deadline=None)
@given(st.text(max_size=20))
def test_any_text_is_json_or_not(text: str) -> None:
    try:
        json.loads(text, parse_constant=lambda name: [][0])
        is_json = True
    except (ValueError, IndexError):
        is_json = False
    assert values(A.is_json(), a=([text], pa.string())) == [is_json]


@settings(deadline=None)
@given(st.text(max_size=20))
def test_text_as_json_and_as_url(text: str) -> None:
    column = ([text], pa.string())
    [quoted] = values(A.json_quote(), a=column)
    assert json.loads(quoted) == text
    assert json.loads(values(json_string(A), a=column)[0]) == text
    assert values(A.json_unquote(), a=([quoted, json.dumps(text)], pa.string())) == [text, text]
    [encoded] = values(A.url_encode(), a=column)
    assert urllib.parse.unquote_plus(encoded) == text
    assert values(A.url_decode(), a=([encoded], pa.string())) == [text]
