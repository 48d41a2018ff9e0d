"""Every aggregate against a plain Python model: types, nulls, NaN, any split into batches, partials merged or not."""

from __future__ import annotations

import datetime as dt
import decimal
import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shmflink import _core

_LONG = "a string that fits no two words: "
_TYPES: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "i8": (pa.int8(), st.integers(-128, 127)),
    # Sums that do not fit 64 bits are errors: see the unit tests of group aggregates.
    "i64": (pa.int64(), st.integers(-(2**54), 2**54) | st.integers(-3, 3)),
    "u64": (pa.uint64(), st.integers(0, 2**55) | st.integers(0, 3)),
    "f32": (pa.float32(), st.floats(width=32, min_value=-1000, max_value=1000) | st.just(math.nan)),
    "f64": (pa.float64(), st.floats(-1e6, 1e6) | st.sampled_from([math.nan, -0.0, 0.0, 1.5])),
    "bool": (pa.bool_(), st.booleans()),
    "text": (
        pa.string(),
        st.text(max_size=4) | st.sampled_from([_LONG + "x", _LONG + "y", "fifteen letters", "é" * 8]),
    ),
    "large": (pa.large_string(), st.sampled_from(["", "a", _LONG])),
    "view": (pa.string_view(), st.sampled_from(["", "a", _LONG])),
    "bytes": (pa.binary(), st.binary(max_size=20)),
    "fixed": (pa.binary(3), st.binary(min_size=3, max_size=3)),
    "decimal": (pa.decimal128(12, 2), st.decimals(-9999, 9999, places=2)),
    "wide": (pa.decimal256(50, 3), st.decimals(-9999, 9999, places=3)),
    "date": (pa.date32(), st.dates(dt.date(1990, 1, 1), dt.date(2030, 1, 1))),
    "instant": (pa.timestamp("us"), st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2030, 1, 1))),
    "list": (pa.list_(pa.int64()), st.lists(st.integers(0, 1) | st.none(), max_size=2)),
    "word": (pa.dictionary(pa.int32(), pa.string()), st.sampled_from(["x", "y", _LONG])),
    "nothing": (pa.null(), st.none()),
}
_NUMBERS = ["i8", "i64", "u64", "f32", "f64", "decimal", "wide"]
_ORDERED = [*_NUMBERS, "bool", "text", "large", "view", "bytes", "fixed", "date", "instant"]
_STRINGS = ["text", "large", "view"]
_ANY = [*_ORDERED, "list"]


def _rank(value: Any) -> tuple[bool, Any]:
    is_nan = isinstance(value, float) and math.isnan(value)
    return (is_nan, 0.0 if is_nan else value)


def _identity(value: Any) -> Any:
    """Equal where values are one key."""
    if isinstance(value, float):
        return "nan" if math.isnan(value) else value + 0.0
    return tuple(value) if isinstance(value, list) else value


def _unique(values: list[Any]) -> list[Any]:
    seen: dict[Any, Any] = {}
    for value in values:
        seen.setdefault(_identity(value), value)
    return list(seen.values())


def _some(function: Callable[[list[Any]], Any]) -> Callable[[list[Any]], Any]:
    """Null where no value is left without nulls."""
    return lambda values: function(values) if values else None


def _sum(values: list[Any], _kind: pa.DataType) -> Any:
    return sum(values, type(values[0])(0)) if values else 0


def _avg(values: list[Any], kind: pa.DataType) -> Any:
    total = _sum(values, kind)
    if pa.types.is_integer(kind) and kind.bit_width == 64:
        quotient = abs(total) // len(values)
        return quotient if total >= 0 else -quotient
    if pa.types.is_decimal(kind):
        return (total / len(values)).quantize(decimal.Decimal("1e-6"), decimal.ROUND_HALF_UP)
    return total / len(values)


def _quantile(values: list[Any], fraction: float) -> float:
    ordered = sorted((float(value) for value in values), key=_rank)
    place = fraction * (len(ordered) - 1)
    low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
    return low if low == high or place == int(place) else low + (high - low) * (place - math.floor(place))


def _floats(function: Callable[[list[float]], float]) -> Callable[[list[Any], pa.DataType], Any]:
    return lambda values, kind: function([float(value) for value in values])


_PLAIN: dict[str, tuple[list[str], Callable[[list[Any], pa.DataType], Any]]] = {
    "count": (_ANY, lambda values, kind: len(values)),
    "sum": (_NUMBERS, lambda values, kind: _sum(values, kind) if values else None),
    "sum0": (_NUMBERS, _sum),
    "min": (_ORDERED, lambda values, kind: min(values, key=_rank) if values else None),
    "max": (_ORDERED, lambda values, kind: max(values, key=_rank) if values else None),
    "avg": (_NUMBERS, lambda values, kind: _avg(values, kind) if values else None),
    "bool_and": (["bool"], lambda values, kind: all(values) if values else None),
    "bool_or": (["bool"], lambda values, kind: any(values) if values else None),
    "first_value": (_ANY, lambda values, kind: values[0] if values else None),
    "last_value": (_ANY, lambda values, kind: values[-1] if values else None),
    "collect": (_ANY, lambda values, kind: values),
    "list_agg": (_STRINGS, lambda values, kind: ",".join(values) if values else None),
    "median": (_NUMBERS, lambda values, kind: _quantile(values, 0.5) if values else None),
    "approx_count_distinct": (_ORDERED, lambda values, kind: len(_unique(values))),
}


@dataclass(frozen=True)
class Call:
    function: str
    columns: tuple[str, ...]
    parameters: tuple[Any, ...] = ()
    is_distinct: bool = False
    model: Callable[[list[tuple[Any, ...]]], Any] = field(compare=False, default=len)

    def native(self, index: int, names: list[str]) -> tuple[Any, ...]:
        columns = [names.index(name) for name in self.columns]
        parameters = [list(each) if isinstance(each, tuple) else each for each in self.parameters]
        return (f"c{index}", self.function, columns, parameters, self.is_distinct)

    def expected(self, rows: list[dict[str, Any]]) -> Any:
        values = [tuple(row[name] for name in self.columns) for row in rows]
        return self.model(values)


def _valid(rows: list[tuple[Any, ...]]) -> list[Any]:
    return [row[0] for row in rows if row[0] is not None]


def _of_one(function: str, column: str, is_distinct: bool) -> Call:
    kind, model = _TYPES[column][0], _PLAIN[function][1]
    keep = _unique if is_distinct else list
    return Call(function, (column,), (), is_distinct, lambda rows: model(keep(_valid(rows)), kind))


def _variance(function: str, column: str) -> Call:
    is_sample = function.endswith("samp")

    def model(rows: list[tuple[Any, ...]]) -> Any:
        values = [float(value) for value in _valid(rows)]
        if len(values) < 1 + is_sample:
            return None
        if any(math.isnan(value) for value in values):
            return math.nan
        variance = statistics.variance(values) if is_sample else statistics.pvariance(values)
        return math.sqrt(variance) if function.startswith("stddev") else variance

    return Call(function, (column,), model=model)


def _arg(function: str, value: str, rank: str) -> Call:
    pick = min if function == "arg_min" else max

    def model(rows: list[tuple[Any, ...]]) -> Any:
        ranked = [row for row in rows if row[1] is not None]
        return pick(ranked, key=lambda row: _rank(row[1]))[0] if ranked else None

    return Call(function, (value, rank), model=model)


def _top(columns: tuple[str, ...], count: int) -> Call:
    def model(rows: list[tuple[Any, ...]]) -> Any:
        ranked = [row for row in rows if row[-1] is not None]
        best = sorted(ranked, key=lambda row: _rank(row[-1]), reverse=True)
        return [row[0] for row in best[:count]] or None

    return Call("top_n", columns, (count,), model=model)


def _model_of_quantile(rows: Any) -> Any:
    return _quantile(_valid(rows), 0.3) if _valid(rows) else None


def _model_of_quantiles(rows: Any) -> Any:
    return [_quantile(_valid(rows), f) for f in (0.0, 0.9)] if _valid(rows) else None


def _model_of_pairs(rows: Any) -> int:
    return len({tuple(map(_identity, row)) for row in rows if None not in row})


def _calls() -> list[Call]:
    calls = [Call("count", ())]
    for function, (columns, _) in _PLAIN.items():
        for column in columns:
            calls.append(_of_one(function, column, False))
            calls.append(_of_one(function, column, True))
    for column in _NUMBERS:
        calls += [_variance(name, column) for name in ("var_pop", "var_samp", "stddev_pop", "stddev_samp")]
        calls.append(Call("quantile", (column,), (0.3,), model=_model_of_quantile))
        calls.append(Call("quantile", (column,), ((0.0, 0.9),), model=_model_of_quantiles))
    for rank in _ORDERED:
        calls += [
            _arg(function, value, rank) for function in ("arg_min", "arg_max") for value in ("i64", "text", "list")
        ]
        calls += [_top((rank,), 2), _top(("text", rank), 3)]
    for column in _ANY:
        calls.append(Call("array_agg", (column,), model=lambda rows: [row[0] for row in rows] or None))
    calls.append(
        Call("list_agg", ("text",), ("; ",), model=lambda rows: "; ".join(_valid(rows)) if _valid(rows) else None)
    )
    calls.append(Call("count", ("i8", "text"), (), True, _model_of_pairs))
    return calls


_CALLS = _calls()


@st.composite
def _cases(draw: st.DrawFn) -> tuple[list[str], list[Call], list[dict[str, Any]], list[int], int]:
    keys = draw(st.lists(st.sampled_from(sorted(_TYPES)), max_size=3, unique=True))
    calls = draw(st.lists(st.sampled_from(_CALLS), max_size=4, unique=True))
    names = sorted({*keys, *(name for call in calls for name in call.columns)})
    pools = {name: draw(st.lists(st.none() | _TYPES[name][1], min_size=1, max_size=4)) for name in keys}
    values = {name: st.sampled_from(pools[name]) if name in pools else st.none() | _TYPES[name][1] for name in names}
    rows = draw(st.lists(st.fixed_dictionaries(values), max_size=40))
    cuts = sorted(draw(st.lists(st.integers(0, len(rows)), max_size=4)))
    return keys, calls, rows, cuts, draw(st.integers(1, 5))


class _Tables:
    """Tables of the same calls, and batches for them."""

    def __init__(self, keys: list[str], calls: list[Call]) -> None:
        self.keys = keys
        self.arguments = sorted({name for call in calls for name in call.columns})
        self._key_schema = pa.schema([(f"k{name}", _TYPES[name][0]) for name in keys])
        self._schema = pa.schema([(name, _TYPES[name][0]) for name in self.arguments])
        self._calls = [call.native(index, self.arguments) for index, call in enumerate(calls)]

    def new(self, **options: bool) -> _core.GroupTable:
        return _core.GroupTable(self._key_schema, self._schema, self._calls, **options)

    def batch(self, rows: list[dict[str, Any]]) -> pa.RecordBatch:
        arrays = [pa.array([row[name] for row in rows], _TYPES[name][0]) for name in self.keys + self.arguments]
        columns = pa.StructArray.from_arrays(arrays, fields=[*self._key_schema, *self._schema]) if arrays else None
        if columns is None:
            return pa.RecordBatch.from_pydict({"x": [0] * len(rows)}).select([])
        return pa.RecordBatch.from_struct_array(columns)


def _drained(drain: Callable[[int], pa.RecordBatch | None], rows_max: int) -> list[pa.RecordBatch]:
    batches = []
    while (batch := drain(rows_max)) is not None:
        batch.validate(full=True)
        assert 0 < batch.num_rows <= rows_max
        batches.append(batch)
    return batches


def _same(got: Any, wanted: Any, call: Call) -> bool:
    if isinstance(wanted, list) and isinstance(got, list):
        return len(got) == len(wanted) and all(_same(g, w, call) for g, w in zip(got, wanted, strict=True))
    if isinstance(wanted, float) and isinstance(got, float):
        tolerance = 1e-5 if call.columns[0] == "f32" else 1e-9
        return (math.isnan(got) and math.isnan(wanted)) or math.isclose(got, wanted, rel_tol=tolerance, abs_tol=1e-6)
    return bool(got == wanted)


def _check(batches: list[pa.RecordBatch], keys: list[str], calls: list[Call], rows: list[dict[str, Any]]) -> None:
    groups: dict[Any, list[dict[str, Any]]] = {} if keys else {(): []}
    for row in rows:
        groups.setdefault(tuple(_identity(row[name]) for name in keys), []).append(row)
    got = {}
    for batch in batches:
        columns = [batch.column(index).to_pylist() for index in range(batch.num_columns)]
        for index in range(batch.num_rows):
            key = tuple(_identity(column[index]) for column in columns[: len(keys)])
            assert key not in got, f"key {key} twice"
            got[key] = [column[index] for column in columns[len(keys) :]]
    assert got.keys() == groups.keys()
    for key, results in got.items():
        for result, call in zip(results, calls, strict=True):
            wanted = call.expected(groups[key])
            assert _same(result, wanted, call), f"{call} of {key}: {result!r}, not {wanted!r}"


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(_cases())
def test_results_are_those_of_the_model(case: tuple[Any, ...]) -> None:
    """Directly, and by way of tables that are drained in between, whose partials are merged."""
    keys, calls, rows, cuts, rows_max = case
    tables = _Tables(keys, calls)
    direct, local, merged = tables.new(), tables.new(), tables.new()
    ends = [*cuts, len(rows)]
    for start, end in zip([0, *cuts], ends, strict=True):
        batch = tables.batch(rows[start:end])
        direct.update(batch)
        local.update(batch)
        if (start + end) % 3:
            for partial in _drained(local.drain_partials, rows_max):
                assert partial.schema == merged.partial_schema
                merged.merge(partial)
    for partial in _drained(local.drain_partials, rows_max):
        merged.merge(partial)
    for table in (direct, merged):
        table.ensure_group()
        results = _drained(table.drain_results, rows_max)
        assert all(batch.schema == table.result_schema for batch in results)
        _check(results, keys, calls, rows)
        assert table.num_groups == 0


_SAMPLES: dict[str, list[Any]] = {
    "i8": [-128, 127, 0, 5, -7],
    "i64": [2**55 - 1, -(2**55), 0, 3, -5, 12_345],
    "u64": [2**56 - 1, 0, 7, 2**53],
    "f32": [1.5, -2.25, 0.0, 100.0],
    "f64": [1e6, -3.75, 0.0, -0.0, 0.125, 42.0, 7.5],
    "bool": [True, False],
    "text": ["", "a", "é" * 8, _LONG + "x", _LONG + "y", "fifteen letters"],
    "large": ["", "b", _LONG],
    "view": ["", "c", _LONG],
    "bytes": [b"", b"\x00", b"\xff" * 20, b"ab"],
    "fixed": [b"abc", b"\x00\x00\x00", b"\xff\xff\xff"],
    "decimal": [decimal.Decimal("0.01"), decimal.Decimal("-12.34"), decimal.Decimal("9999.99")],
    "wide": [decimal.Decimal("0.001"), decimal.Decimal("-5.125"), decimal.Decimal("7.000")],
    "date": [dt.date(1999, 12, 31), dt.date(2024, 2, 29)],
    "instant": [dt.datetime(1999, 12, 31, 23, 59), dt.datetime(2024, 2, 29, 1, 2, 3, 4)],
    "list": [[], [None], [1, 2], [0]],
}


@pytest.mark.parametrize("with_nan", [False, True])
def test_every_call_by_itself(*, with_nan: bool) -> None:
    """Groups of many rows in several partials, which random calls seldom meet."""
    random = Random(11)
    keys = ["text"]
    for call in _CALLS:
        names = sorted({*call.columns, *keys})
        pools = {name: _SAMPLES[name] + [None] + [math.nan] * (with_nan and name in ("f32", "f64")) for name in names}
        rows = [{name: random.choice(pools[name]) for name in names} for _ in range(120)]
        tables = _Tables(keys, [call])
        direct, merged = tables.new(), tables.new()
        for start in range(0, len(rows), 40):
            batch = tables.batch(rows[start : start + 40])
            direct.update(batch)
            local = tables.new()
            local.update(batch)
            for partial in _drained(local.drain_partials, 4):
                merged.merge(partial)
        for table in (direct, merged):
            _check(_drained(table.drain_results, 4), keys, [call], rows)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(_cases())
def test_changes_add_up_to_the_results(case: tuple[Any, ...]) -> None:
    keys, calls, rows, cuts, rows_max = case
    tables = _Tables(keys, calls)
    table = tables.new(tracks_changes=True)
    latest: dict[Any, list[dict[str, Any]]] = {}
    for start, end in zip([0, *cuts], [*cuts, len(rows)], strict=True):
        table.update(tables.batch(rows[start:end]))
        touched = {tuple(_identity(row[name]) for name in keys) for row in rows[start:end]}
        if not calls:
            touched -= latest.keys()  # of keys alone only new ones are told
        changed = _drained(table.take_changed, rows_max)
        so_far = [row for row in rows[:end] if tuple(_identity(row[name]) for name in keys) in touched]
        if touched:
            _check(changed, keys, calls, so_far)
        else:
            assert changed == []
        latest |= dict.fromkeys(touched)
    assert table.num_groups == len(latest)


@st.composite
def _values_of_one_key(draw: st.DrawFn) -> tuple[str, list[Any], list[int]]:
    """Few keys or many, with nulls or without."""
    name = draw(st.sampled_from(sorted(_TYPES.keys() - {"nothing"})))
    pool = draw(st.lists(_TYPES[name][1] | (st.none() if draw(st.booleans()) else st.nothing()), min_size=1))
    values = draw(st.lists(st.sampled_from(pool), max_size=60))
    return name, values, sorted(draw(st.lists(st.integers(0, len(values)), max_size=5)))


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(_values_of_one_key(), st.booleans())
def test_distinct_keys_are_told_once_across_snapshots(
    case: tuple[str, list[Any], list[int]], is_restored: bool
) -> None:
    name, values, cuts = case
    tables = _Tables([name], [])
    table = tables.new(tracks_changes=True)
    told: list[Any] = []
    for start, end in zip([0, *cuts], [*cuts, len(values)], strict=True):
        table.update(tables.batch([{name: value} for value in values[start:end]]))
        for batch in _drained(table.take_changed, 3):
            told += map(_identity, batch.column(0).to_pylist())
        if is_restored:
            frozen = table.freeze(128, is_incremental=False, is_savepoint=False)
            table = tables.new(tracks_changes=True)
            while (batch := frozen.next_batch()) is not None:
                table.restore(batch)
            table.end_restore()
    assert told == list(dict.fromkeys(map(_identity, values)))
    assert table.num_groups == len(told)
