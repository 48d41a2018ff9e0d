"""Stories of the local and the global step of a grouped aggregation."""

from __future__ import annotations

import decimal
import itertools
import math
import pickle
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shmflink.core.batch import Batch
from shmflink.core.elements import MAX_WATERMARK, Barrier
from shmflink.core.keys.groups import key_groups, range_of
from shmflink.errors import DataFormatError, StateMismatchError, TypeMismatchError
from shmflink.expressions import AggregateCall, Expression, col, lit
from shmflink.operators.aggregates import group as group_aggregate
from shmflink.operators.aggregates.group import AggregateSpec, GlobalAggregateOperator, LocalAggregateOperator
from shmflink.operators.aggregates.snapshots import AGGREGATE, TableState
from shmflink.state.snapshots import RestoredState, restored_from, rows_of
from shmflink.testing import OperatorHarness

_ROWS = pa.RecordBatch.from_pydict(
    {"user": ["ann", None, "bob", "ann"], "price": [1.5, 2.0, math.nan, 2.5], "n": [1, None, 3, 4]}
)


def _spec(keys: Iterable[str] = ("user",), schema: pa.Schema = _ROWS.schema, **calls: AggregateCall) -> AggregateSpec:
    return AggregateSpec(schema, tuple((key, col(key)) for key in keys), tuple(calls.items()))


def _call(function: str, *arguments: Expression, **options: Any) -> AggregateCall:
    return AggregateCall(function, arguments, **options)


def _batches(harness: OperatorHarness) -> list[pa.RecordBatch]:
    return [element.columns() for element in harness.elements if isinstance(element, Batch)]


def _rows(harness: OperatorHarness) -> list[dict[str, Any]]:
    return [row for batch in _batches(harness) for row in batch.to_pylist()]


def test_schemas_are_known_before_any_row() -> None:
    spec = _spec(count=_call("count"), mean=_call("avg", col("price")), top=_call("max", col("n")))
    assert spec.input_schema.names == ["user", "__argument0", "__argument1"]
    assert spec.partial_schema.names == ["user", "count", "mean.sum", "mean.count", "top"]
    kinds = [pa.string(), pa.int64(), pa.float64(), pa.int64()]
    assert spec.result_schema == pa.schema(zip(["user", "count", "mean", "top"], kinds, strict=True))
    assert spec.columns == {"user", "price", "n"}
    assert pickle.loads(pickle.dumps(spec)).partial_schema == spec.partial_schema


def test_equal_arguments_are_evaluated_once() -> None:
    spec = _spec(low=_call("min", col("n") + 1), high=_call("max", col("n") + 1))
    assert spec.input_schema.names == ["user", "__argument0"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (_call("sum", col("user")), "sum takes numbers, got string"),
        (_call("bool_and", col("n")), "bool_and takes booleans"),
        (_call("quantile", col("n"), parameters=(1.5,)), "fractions between 0 and 1"),
        (_call("top_n", col("n"), parameters=(0,)), "a positive number"),
        (_call("list_agg", col("n")), "list_agg takes strings"),
        (_call("arg_min", col("n")), "arg_min takes 2 arguments, got 1"),
        (_call("nonsense", col("n")), "unknown aggregate function nonsense"),
    ],
)
def test_a_misfit_names_call_line_and_columns(call: AggregateCall, message: str) -> None:
    with pytest.raises(TypeMismatchError) as raised:
        _spec(wrong=call)
    text = str(raised.value)
    assert message in text
    assert "`wrong`" in text
    assert "test_group.py:" in text
    assert "user: string" in text


def test_constants_may_be_written_as_arguments() -> None:
    spec = _spec(users=_call("list_agg", col("user"), lit("; ")), keys=())
    with OperatorHarness(GlobalAggregateOperator(spec, takes_input=True), is_batch=True) as harness:
        harness.process_batch(_ROWS)
        harness.finish()
        assert _rows(harness) == [{"users": "ann; bob; ann"}]


def test_partial_rows_of_several_producers_add_up() -> None:
    spec = _spec(rows=_call("count"), known=_call("count", col("n")), total=_call("sum", col("n")))
    with OperatorHarness(GlobalAggregateOperator(spec), is_batch=True) as merging:
        for _ in range(2):
            with OperatorHarness(LocalAggregateOperator(spec), is_batch=True) as local:
                local.process_batch(_ROWS)
                assert _batches(local) == []
                local.finish()
                for partial in _batches(local):
                    assert partial.schema == spec.partial_schema
                    merging.process_batch(partial)
        merging.process_batch(spec.inputs(_ROWS))  # rows that a local step passed on
        assert _batches(merging) == []
        merging.finish()
        assert _rows(merging) == [
            {"user": "ann", "rows": 6, "known": 6, "total": 15},
            {"user": None, "rows": 3, "known": 0, "total": None},
            {"user": "bob", "rows": 3, "known": 3, "total": 9},
        ]


def test_keys_may_arrive_as_dictionaries() -> None:
    long = "a name of more than fifteen bytes"
    users = pa.DictionaryArray.from_arrays(pa.array([1, 0, None, 1, 0, 2, 1, 1], pa.int8()), ["ann", long, None])
    rows = pa.RecordBatch.from_pydict({"user": users, "n": pa.array(range(8))})
    plain = rows.set_column(0, "user", users.dictionary_decode())
    for key, names in ((col("user"), [long, "ann"]), (col("user").upper_case, [long.upper(), "ANN"])):
        spec = AggregateSpec(plain.schema, (("user", key),), (("total", _call("sum", col("n"))),))
        assert pa.types.is_dictionary(spec.table_inputs(rows).schema.field("user").type)
        assert spec.inputs(rows).schema == spec.input_schema
        with (
            OperatorHarness(LocalAggregateOperator(spec), is_batch=True) as local,
            OperatorHarness(GlobalAggregateOperator(spec, takes_input=True), is_batch=True) as direct,
        ):
            for harness in (local, direct):
                harness.process_batch(rows)
                harness.process_batch(plain)
                harness.finish()
            assert _batches(local)[0].schema == spec.partial_schema
            assert [tuple(row.values()) for row in _rows(local)] == [tuple(row.values()) for row in _rows(direct)]
            assert _rows(direct) == [
                {"user": names[0], "total": 32},
                {"user": names[1], "total": 10},
                {"user": None, "total": 14},
            ]


def test_without_keys_one_row_comes_even_of_nothing() -> None:
    spec = _spec(keys=(), rows=_call("count"), total=_call("sum", col("n")), all=_call("collect", col("n")))
    with OperatorHarness(GlobalAggregateOperator(spec), is_batch=True) as harness:
        harness.finish()
        assert _rows(harness) == [{"rows": 0, "total": None, "all": []}]
    with OperatorHarness(GlobalAggregateOperator(_spec(rows=_call("count"))), is_batch=True) as harness:
        harness.finish()
        assert _rows(harness) == []


def test_rows_without_columns_are_counted() -> None:
    spec = _spec(keys=(), rows=_call("count"))
    with OperatorHarness(GlobalAggregateOperator(spec, takes_input=True), is_batch=True) as harness:
        harness.process_batch(_ROWS)
        harness.finish()
        assert _rows(harness) == [{"rows": 4}]


def test_streaming_gives_the_keys_that_changed() -> None:
    spec = _spec(rows=_call("count"), dear=_call("arg_max", col("price"), col("n")))
    with (
        OperatorHarness(LocalAggregateOperator(spec)) as local,
        OperatorHarness(GlobalAggregateOperator(spec)) as merging,
    ):
        local.process_batch(_ROWS.slice(0, 2))
        local.process_batch(_ROWS.slice(3))
        for partial in _batches(local):
            merging.process_batch(partial)
        merging.finish()
        assert _rows(merging) == [
            {"user": "ann", "rows": 1, "dear": 1.5},
            {"user": None, "rows": 1, "dear": None},
            {"user": "ann", "rows": 2, "dear": 2.5},
        ]


def test_results_come_in_bounded_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_aggregate, "OUTPUT_ROWS_MAX", 100)
    rows = pa.RecordBatch.from_pydict({"user": [str(number) for number in range(250)]})
    spec = _spec(schema=rows.schema, rows=_call("count"))
    with OperatorHarness(GlobalAggregateOperator(spec, takes_input=True), is_batch=True) as harness:
        harness.process_batch(rows)
        harness.finish()
        assert [batch.num_rows for batch in _batches(harness)] == [100, 100, 50]


def _keyed(keys: np.ndarray[Any, Any]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"user": keys, "n": np.ones(len(keys), np.int64)})


def _through(spec: AggregateSpec, batches: list[pa.RecordBatch], *, is_batch: bool) -> tuple[int, int, dict[Any, Any]]:
    """Rows of the local step as they came, partial rows, and the results."""
    passed, partial = 0, 0
    with (
        OperatorHarness(LocalAggregateOperator(spec), is_batch=is_batch) as local,
        OperatorHarness(GlobalAggregateOperator(spec), is_batch=True) as merging,
    ):
        for batch in batches:
            local.process_batch(batch)
        local.finish()
        for sent in _batches(local):
            is_partial = sent.schema.names == spec.partial_schema.names
            passed, partial = passed + (not is_partial) * sent.num_rows, partial + is_partial * sent.num_rows
            merging.process_batch(sent)
        merging.finish()
        return passed, partial, {row["user"]: row["n"] for row in _rows(merging)}


@pytest.mark.parametrize("is_batch", [True, False])
def test_keys_that_do_not_repeat_are_passed_on(*, is_batch: bool) -> None:
    per_batch = group_aggregate.SAMPLE_ROWS
    batches = [_keyed(np.arange(start * per_batch, (start + 1) * per_batch)) for start in range(3)]
    spec = _spec(schema=batches[0].schema, n=_call("sum", col("n")))
    passed, partial, results = _through(spec, batches, is_batch=is_batch)
    assert (passed, partial) == (2 * per_batch, per_batch)
    assert len(results) == 3 * per_batch
    assert set(results.values()) == {1}


def test_keys_that_repeat_are_aggregated_and_tried_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    per_batch = group_aggregate.SAMPLE_ROWS
    monkeypatch.setattr(group_aggregate, "PASSED_ROWS_MIN", per_batch)
    distinct, same = np.arange(per_batch), np.arange(per_batch) % 7
    batches = [_keyed(keys) for keys in (distinct, same, same, same)]
    spec = _spec(schema=batches[0].schema, n=_call("sum", col("n")))
    passed, partial, results = _through(spec, batches, is_batch=True)
    assert (passed, partial) == (per_batch, per_batch + 7)
    assert sum(results.values()) == 4 * per_batch


def test_a_table_that_is_full_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_aggregate, "TABLE_BYTES_MAX", 1 << 16)
    keys = np.repeat(np.arange(3000), 3)
    spec = _spec(schema=_keyed(keys).schema, n=_call("sum", col("n")))
    passed, partial, results = _through(spec, [_keyed(keys), _keyed(keys)], is_batch=True)
    assert (passed, partial) == (0, 6000)
    assert set(results.values()) == {6}


# --- checkpoints ---

_STATE_SCHEMA = pa.schema([("user", pa.string()), ("n", pa.int64())])


def _global(**options: Any) -> OperatorHarness:
    spec = _spec(schema=_STATE_SCHEMA, total=_call("sum", col("n")), kinds=_call("count", col("n"), is_distinct=True))
    return OperatorHarness(GlobalAggregateOperator(spec, takes_input=True), name="Totals", **options)


def _users(numbers: Iterable[int]) -> pa.RecordBatch:
    return pa.record_batch([[f"u{n}" for n in numbers], list(numbers)], schema=_STATE_SCHEMA)


def _read(kept: dict[str, list[pa.RecordBatch]], name: str) -> Iterator[pa.RecordBatch]:
    return iter(kept[name])


def test_groups_go_on_from_a_checkpoint_in_as_many_subtasks_as_there_are() -> None:
    """[C21] Full, then changes, then taken over by three."""
    with _global() as before:
        before.process_batch(_users(range(300)))
        full = before.snapshot()
        full.keyed[0].saved(True)
        before.process_batch(_users([7, 8]))
        changes = before.snapshot()
    assert [changes.keyed[0].is_delta, full.keyed[0].is_delta] == [True, False]
    rows = []
    files = [(snapshot.keyed[0].name, list(snapshot.keyed[0].batches())) for snapshot in (full, changes)]
    for subtask in range(3):
        mine = range_of(subtask, 128, 3)
        batches = [rows_of(batch, mine) for _, kept in files for batch in kept]
        restored = RestoredState(2, tuple({name for name, _ in files}), partial(_read, {"aggregate": batches}))
        with _global(restored=restored, subtask_index=subtask, parallelism=3) as after:
            owned = [n for n in range(300) if int(key_groups(pa.array([f"u{n}"]), 128)[0]) in mine]
            after.process_batch(_users(owned))
            rows += _rows(after)
    assert sorted((row["user"], row["total"], row["kinds"]) for row in rows) == sorted(
        (f"u{n}", n * (3 if n in (7, 8) else 2), 1) for n in range(300)
    )


def test_after_a_restore_results_of_what_changes_leave_and_no_others() -> None:
    with _global() as before:
        before.process_batch(_users(range(20)))
        restored = restored_from([before.snapshot()], range(128), 0, 1)
    with _global(restored=restored) as after:
        assert _rows(after) == []
        after.process_batch(_users([3]))
        assert _rows(after) == [{"user": "u3", "total": 6, "kinds": 1}]


def test_state_of_other_aggregates_is_refused() -> None:
    with _global() as before:
        before.process_batch(_users(range(3)))
        restored = restored_from([before.snapshot()], range(128), 0, 1)
    spec = _spec(schema=_STATE_SCHEMA, total=_call("max", col("n")))
    after = OperatorHarness(GlobalAggregateOperator(spec, takes_input=True), name="Totals", restored=restored)
    with pytest.raises(StateMismatchError) as raised, after:
        pass
    text = str(raised.value)
    assert "operator 'Totals'" in text
    assert "has aggregate of user string: total = sum(int64), kinds = count(distinct int64)" in text
    assert "now has aggregate of user string: total = max(int64)" in text
    other = RestoredState(checkpoint_id=1, keyed_names=("timers",))
    with pytest.raises(StateMismatchError, match="the checkpoint has the states timers"), _global(restored=other):
        pass


def test_the_local_step_keeps_nothing_over_a_barrier() -> None:
    spec = _spec(schema=_STATE_SCHEMA, total=_call("sum", col("n")))
    barrier = Barrier(1, 0)
    with OperatorHarness(LocalAggregateOperator(spec), is_batch=True) as harness:
        harness.process_batch(_users([1, 2]))
        assert harness.elements == []
        harness.process_control(barrier)
        [partials, passed] = harness.elements
        assert passed is barrier
        assert isinstance(partials, Batch)
        assert partials.num_rows == 2
        assert harness.snapshot().keyed == ()


def test_final_results_leave_once_also_where_a_job_goes_on_behind_them() -> None:
    """[C22] In STREAMING mode: nothing before the end of the input, all at it, and nothing again after a restore."""
    spec = _spec(schema=_STATE_SCHEMA, total=_call("sum", col("n")))
    final = GlobalAggregateOperator(spec, takes_input=True).with_final_results()
    with OperatorHarness(final) as before:
        before.process_batch(_users(range(300)))
        earlier = before.snapshot()
        earlier.keyed[0].saved(True)
        before.process_batch(_users([7]))
        assert before.batches() == []
        before.process_control(MAX_WATERMARK)
        before.finish()
        assert sorted(row["total"] for row in _rows(before)) == sorted([*range(7), 14, *range(8, 300)])
        behind = before.snapshot()
        assert not behind.keyed[0].is_delta
    restored = restored_from([behind], range(128), 0, 1)
    with OperatorHarness(final, restored=restored) as after:
        after.finish()
        assert _rows(after) == []
    with OperatorHarness(final, restored=restored_from([earlier], range(128), 0, 1)) as again:
        again.process_batch(_users([7]))
        again.finish()
        assert len(_rows(again)) == 300


def test_the_one_row_of_all_rows_leaves_once() -> None:
    spec = _spec(keys=(), n=_call("count"))
    final = GlobalAggregateOperator(spec, takes_input=True).with_final_results()
    with OperatorHarness(final) as before:
        before.finish()
        assert _rows(before) == [{"n": 0}]
        behind = before.snapshot()
    with OperatorHarness(final, restored=restored_from([behind], range(128), 0, 1)) as after:
        after.finish()
        assert _rows(after) == []
        assert restored_from([after.snapshot()], range(128), 0, 1).operator_state


def _aggregated(values: pa.Array, *, pieces: int = 1, **calls: AggregateCall) -> dict[str, Any]:
    """One group of the column `x`: local steps over pieces of it, merged by a global one."""
    schema = pa.schema([("x", values.type)])
    spec = AggregateSpec(schema, (), tuple(calls.items()))
    merged = spec.table()
    for piece in np.array_split(np.arange(len(values)), pieces):
        local = spec.table()
        local.update(spec.inputs(pa.RecordBatch.from_arrays([values.take(pa.array(piece))], schema=schema)))
        while (partials := local.drain_partials(10)) is not None:
            merged.merge(partials)
    results = merged.drain_results(10)
    assert results is not None
    return dict(results.to_pylist()[0])


_NANOSECONDS = [1_700_000_000_000_000_000 + index for index in range(10)]
_NINES = 10**38 - 1


def _decimals(unscaled: int, scale: int) -> pa.Array:
    """Three of them, of 38 digits."""
    value = decimal.Context(prec=38).scaleb(decimal.Decimal(unscaled), -scale)
    return pa.array([value] * 3, pa.decimal128(38, scale))


@pytest.mark.parametrize("pieces", [1, 3])
@pytest.mark.parametrize(
    ("values", "mean"),
    [
        (pa.array(_NANOSECONDS), 1_700_000_000_000_000_004),
        (pa.array([2**63 - 1] * 5), 2**63 - 1),
        (pa.array([-(2**63)] * 5), -(2**63)),
        (pa.array([2**64 - 1, 2**64 - 3, None], pa.uint64()), 2**64 - 2),
        (pa.array([2**31 - 1, 1, 2], pa.int32()), (2**31 + 2) / 3),
        (pa.array([1, 2, None], pa.int8()), 1.5),
        (pa.array([1, 2, 2], pa.int8()), 5 / 3),
        (pa.array([1, 2, 2], pa.decimal128(10, 0)), decimal.Decimal("1.666667")),
    ],
)
def test_averages_are_exact_and_within_their_values(values: pa.Array, mean: Any, pieces: int) -> None:
    assert _aggregated(values, pieces=pieces, mean=_call("avg", col("x"))) == {"mean": mean}


@pytest.mark.parametrize("pieces", [1, 3])
@pytest.mark.parametrize("function", ["sum", "sum0"])
@pytest.mark.parametrize(
    ("values", "message"),
    [
        (pa.array([2**63 - 1, 1, 1]), r"of `x` of a group does not fit BIGINT: cast the column to DECIMAL\(38, 0\)"),
        (pa.array([-(2**63), -1, -1]), "of `x` of a group does not fit BIGINT"),
        (pa.array([2**64 - 1, 1, 1], pa.uint64()), "of `x` of a group does not fit uint64"),
        (_decimals(_NINES, 0), r"does not fit DECIMAL\(38, 0\): cast the column to DOUBLE"),
        (_decimals(-_NINES, 2), r"does not fit DECIMAL\(38, 2\)"),
    ],
)
def test_a_sum_that_does_not_fit_names_column_and_remedy(
    function: str, values: pa.Array, message: str, pieces: int
) -> None:
    with pytest.raises(DataFormatError, match=message):
        _aggregated(values, pieces=pieces, total=_call(function, col("x")))


def test_an_average_of_decimals_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(DataFormatError, match="the avg of `x` of a group does not fit"):
        _aggregated(_decimals(_NINES, 0), mean=_call("avg", col("x")))


def test_flinks_types_wrap_around_and_cut() -> None:
    calls = {
        "total": _call("sum", col("x"), has_flink_types=True),
        "mean": _call("avg", col("x"), has_flink_types=True),
        "spread": _call("var_samp", col("x"), has_flink_types=True),
    }

    assert _aggregated(pa.array([127, 1], pa.int8()), **calls) == {"total": -128, "mean": 64, "spread": 2}


def test_sums_of_an_older_average_are_restored() -> None:
    spec = _spec(schema=_STATE_SCHEMA, mean=_call("avg", col("n")))
    context = OperatorHarness(GlobalAggregateOperator(spec)).context
    state = TableState(context, AGGREGATE, spec)
    older = pa.record_batch({"key_group": [0], "user": ["ann"], "mean.sum": [7], "mean.count": [2]})

    assert state._in_todays_types(older).schema.field("mean.sum").type == pa.decimal128(38, 0)


_LONG = 2**63 - 1


@pytest.mark.parametrize("pieces", [1, 2, 3])
@pytest.mark.parametrize("function", ["sum", "sum0"])
@pytest.mark.parametrize(
    ("values", "total"),
    [
        (pa.array([_LONG, 1, -5]), _LONG - 4),
        (pa.array([-_LONG, -2, 5]), -_LONG + 3),
        (pa.array([_LONG, None, _LONG, -_LONG]), _LONG),
        (pa.array([2**64 - 1, 0, None], pa.uint64()), 2**64 - 1),
        (pa.array([_NINES, _NINES, -_NINES], pa.decimal128(38, 0)), decimal.Decimal(_NINES)),
        (pa.array([-_NINES, -_NINES, _NINES], pa.decimal128(38, 0)), decimal.Decimal(-_NINES)),
    ],
)
def test_a_sum_that_fits_does_not_depend_on_the_order_of_rows(
    function: str, values: pa.Array, total: Any, pieces: int
) -> None:
    for order in itertools.permutations(range(len(values))):
        rows = values.take(pa.array(order))
        assert _aggregated(rows, pieces=pieces, total=_call(function, col("x"))) == {"total": total}


def test_an_average_of_decimals_fits_where_their_sum_does_not() -> None:
    mean = decimal.Context(prec=38).scaleb(decimal.Decimal(_NINES), -10)

    assert _aggregated(_decimals(_NINES, 10), mean=_call("avg", col("x"))) == {"mean": mean}


def test_only_the_group_whose_sum_does_not_fit_is_an_error() -> None:
    schema = pa.schema([("k", pa.string()), ("x", pa.int64())])
    spec = AggregateSpec(schema, (("k", col("k")),), (("total", _call("sum", col("x"))),))
    rows = [("a", _LONG), ("b", 1), ("a", 1), ("b", 2), ("c", _LONG)]
    table = spec.table()
    table.update(spec.inputs(pa.RecordBatch.from_pylist([{"k": k, "x": x} for k, x in rows], schema)))
    partials = table.drain_partials(10)
    assert partials is not None
    assert partials.column("total").to_pylist() == [decimal.Decimal(2**63), decimal.Decimal(3), decimal.Decimal(_LONG)]

    merged = spec.table()
    merged.merge(partials)
    with pytest.raises(DataFormatError, match="the sum of `x` of a group does not fit BIGINT"):
        merged.drain_results(10)
    merged = spec.table()
    merged.merge(partials)
    merged.update(spec.inputs(pa.RecordBatch.from_pylist([{"k": "a", "x": -7}], schema)))
    assert merged.drain_results(10).to_pydict() == {"k": ["a", "b", "c"], "total": [_LONG - 6, 3, _LONG]}


@pytest.mark.parametrize("more", [None, -7])
def test_a_sum_beyond_its_type_is_saved_and_restored(more: int | None) -> None:
    spec = _spec(schema=_STATE_SCHEMA, total=_call("sum", col("n")))
    final = GlobalAggregateOperator(spec, takes_input=True).with_final_results()

    def rows(*numbers: int) -> Batch:
        names = ["ann"] * len(numbers)
        return Batch.of_columns(pa.RecordBatch.from_arrays([pa.array(names), pa.array(numbers)], schema=_STATE_SCHEMA))

    with OperatorHarness(final) as before:
        before.process_batch(rows(_LONG, 1))
        saved = before.snapshot()
        before.process_batch(rows(-1))
    with OperatorHarness(final, restored=restored_from([saved], range(128), 0, 1)) as after:
        if more is None:
            with pytest.raises(DataFormatError, match="does not fit BIGINT"):
                after.finish()
        else:
            after.process_batch(rows(more))
            after.finish()
            assert [row["total"] for row in _rows(after)] == [_LONG - 6]


@pytest.mark.parametrize(
    ("kind", "function", "older", "column", "today"),
    [
        (pa.int64(), "sum", pa.int64(), "mean", pa.decimal128(38, 0)),
        (pa.uint64(), "sum0", pa.uint64(), "mean", pa.decimal128(38, 0)),
        (pa.decimal128(38, 2), "sum", pa.decimal128(38, 2), "mean", pa.decimal256(76, 2)),
        (pa.decimal128(30, 2), "avg", pa.decimal128(38, 2), "mean.sum", pa.decimal256(76, 2)),
        (pa.decimal128(28, 2), "sum", pa.decimal128(38, 2), "mean", pa.decimal128(38, 2)),
    ],
)
def test_sums_of_older_releases_are_widened(
    kind: pa.DataType, function: str, older: pa.DataType, column: str, today: pa.DataType
) -> None:
    schema = pa.schema([("user", pa.string()), ("n", kind)])
    spec = _spec(schema=schema, mean=_call(function, col("n")))
    state = TableState(OperatorHarness(GlobalAggregateOperator(spec)).context, AGGREGATE, spec)
    saved = pa.record_batch({"key_group": [0], "user": ["ann"], column: pa.array([7], older)})

    widened = state._in_todays_types(saved)

    assert widened.schema.field(column).type == today
    assert widened.column(column).to_pylist() == [7]
