"""Vectorized windows against the per-record operator, and two steps against one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from shmflink.core.batch import Batch
from shmflink.core.elements import MAX_WATERMARK, Watermark
from shmflink.core.keys.groups import key_groups, range_of
from shmflink.core.output_tag import OutputTag
from shmflink.core.types.typeinfo import Types
from shmflink.expressions import AggregateCall, Expression, col
from shmflink.operators.aggregates.spec import AggregateSpec
from shmflink.operators.base import Operator, SideOutput
from shmflink.operators.windows.assigners import (
    EventTimeSessionWindows,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
    WindowAssigner,
)
from shmflink.operators.windows.pane_operator import GlobalWindowAggregateOperator, LocalWindowAggregateOperator
from shmflink.operators.windows.pane_spec import WindowAggregateSpec
from shmflink.operators.windows.window_operator import WINDOW_STATE_NAME, WindowOperator, WindowSpec
from shmflink.state.descriptors import ListStateDescriptor
from shmflink.state.snapshots import restored_from
from shmflink.testing.operator_harness import OperatorHarness

SCHEMA = pa.schema([("key", pa.string()), ("value", pa.int64())])
LATE = OutputTag("late")
CALLS: tuple[tuple[str, AggregateCall], ...] = (
    ("n", AggregateCall("count")),
    ("values", AggregateCall("count", (col("value"),))),
    ("total", AggregateCall("sum", (col("value"),))),
    ("least", AggregateCall("min", (col("value"),))),
    ("most", AggregateCall("max", (col("value"),))),
    ("mean", AggregateCall("avg", (col("value"),))),
    ("kinds", AggregateCall("count", (col("value"),), (), True)),
)

Rows = list[tuple[str | None, int | None, int]]
Steps = list[Rows | int]

RARELY_LONG = "a key that is longer than what a word of the table holds"
rows_of_batch = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c", RARELY_LONG, None]), st.none() | st.integers(-9, 9), st.integers(-30, 60)
    ),
    max_size=12,
)
steps_of_run = st.lists(rows_of_batch | st.integers(-40, 70), max_size=14)
assigners = st.one_of(
    st.tuples(st.integers(1, 20), st.integers(-5, 5))
    .filter(lambda t: abs(t[1]) < t[0])
    .map(lambda t: TumblingEventTimeWindows(*t)),
    st.tuples(st.integers(1, 20), st.integers(1, 8), st.integers(-5, 5))
    .filter(lambda t: abs(t[2]) < t[1])
    .map(lambda t: SlidingEventTimeWindows(*t)),
    st.integers(1, 12).map(EventTimeSessionWindows),
)


class Results:
    """What the calls give, one row at a time; written to be read."""

    def process(self, key: Any, context: Any, elements: Any) -> Iterator[Any]:
        window = context.window()
        rows = list(elements)
        values = [value for _, value, _ in rows if value is not None]
        total = sum(values) if values else None
        mean = None if total is None else int(total / len(values))
        most, least = max(values, default=None), min(values, default=None)
        counts = (len(rows), len(values))
        yield (key, window.start, window.end, *counts, total, least, most, mean, len(set(values)))

    def clear(self, context: Any) -> None:
        pass


def record_bench(assigner: WindowAssigner, lateness_ms: int) -> OperatorHarness:
    contents = ListStateDescriptor(WINDOW_STATE_NAME, Types.PICKLED_BYTE_ARRAY())
    spec = WindowSpec(assigner, assigner.get_default_trigger(None), contents, lateness_ms, LATE)
    return OperatorHarness(WindowOperator(spec, Results()), key_selector=lambda row: row[0])


def spec_of(assigner: WindowAssigner, lateness_ms: int, late: OutputTag | None = LATE) -> WindowAggregateSpec:
    keys: tuple[tuple[str, Expression], ...] = (("key", col("key")),)
    times = assigner.fixed_times()
    assert times is not None
    return WindowAggregateSpec(AggregateSpec(SCHEMA, keys, CALLS), times, ("start", "end"), lateness_ms, late)


def batch_of(rows: Rows) -> Batch:
    columns = pa.record_batch([[k for k, _, _ in rows], [v for _, v, _ in rows]], schema=SCHEMA)
    return Batch.of_columns(columns, timestamps=pa.array([at for _, _, at in rows], pa.int64()))


class Chain:
    """Operators one after another."""

    def __init__(self, *operators: Operator, **options: Any) -> None:
        self.benches = [OperatorHarness(operator, **options) for operator in operators]
        for bench in self.benches:
            bench.open()

    def send(self, element: Any) -> list[Any]:
        elements = [element]
        for bench in self.benches:
            out: list[Any] = []
            for one in elements:
                if isinstance(one, SideOutput):
                    out.append(one)
                elif isinstance(one, Batch):
                    out += bench.operator.process(Batch.from_wire(one.to_wire()))
                else:
                    out += bench.operator.process_control(one)
            elements = out
        return elements


def results_of(elements: list[Any]) -> list[Any]:
    """(key, start, end, results) of each row, which has the window's greatest timestamp."""
    found = []
    for batch in elements:
        if isinstance(batch, Batch):
            columns = [
                column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column for column in batch.columns()
            ]
            assert batch.timestamps is not None
            rows = list(zip(*(column.to_pylist() for column in columns), strict=True))
            assert [end - 1 for _, _, end, *_ in rows] == batch.timestamps.to_pylist()
            found += rows
    return found


def late_of(elements: list[Any]) -> Counter[Any]:
    rows: Counter[Any] = Counter()
    for each in elements:
        if isinstance(each, SideOutput):
            assert each.batch.timestamps is not None
            values = [tuple(row)[:2] for row in each.batch.rows()]
            rows.update((*value, at) for value, at in zip(values, each.batch.timestamps.to_pylist(), strict=True))
    return rows


def run_records(bench: OperatorHarness, step: Rows | int) -> list[Any]:
    bench.clear()
    if isinstance(step, int):
        bench.process_watermark(step)
    elif step:
        bench.process_rows(step, timestamps=[at for _, _, at in step])
    return list(bench.elements)


def records_of(elements: list[Any]) -> list[Any]:
    return [row for each in elements if isinstance(each, Batch) for row in each.rows()]


def growing(steps: Steps) -> Steps:
    """Watermarks never go back, and the last one ends the input."""
    seen = -(10**6)
    kept: Steps = []
    for step in steps:
        if not isinstance(step, int):
            kept.append(step)
        elif step > seen:
            seen = step
            kept.append(step)
    return [*kept, MAX_WATERMARK.timestamp_ms]


def grown(results: dict[Any, Any]) -> dict[Any, Any]:
    """The results of the windows that no other window of their key holds."""
    return {
        (key, start, end): row
        for (key, start, end), row in results.items()
        if not any(k == key and (s, e) != (start, end) and s <= start and end <= e for k, s, e in results)
    }


def sent(step: Rows | int) -> Any:
    return Watermark(step) if isinstance(step, int) else batch_of(step)


@settings(max_examples=150, deadline=None)
@given(assigners, steps_of_run, st.sampled_from([0, 0, 3, 11]))
def test_rows_one_by_one_give_the_same_at_the_same_time(
    assigner: WindowAssigner, steps: Steps, lateness_ms: int
) -> None:
    single = [[one] for step in steps if not isinstance(step, int) for one in step]
    marks = [step for step in steps if isinstance(step, int)]
    mixed = growing(
        [
            each
            for pair in zip(single, [*marks, *[None] * len(single)], strict=False)
            for each in pair
            if each is not None
        ]
    )
    with record_bench(assigner, lateness_ms) as bench:
        chain = Chain(GlobalWindowAggregateOperator(spec_of(assigner, lateness_ms), takes_input=True))
        for step in mixed:
            expected = run_records(bench, step)
            got = chain.send(sent(step))
            assert Counter(results_of(got)) == Counter(records_of(expected)), step
            assert late_of(got) == late_of(expected), step


@settings(max_examples=200, deadline=None)
@given(assigners, steps_of_run)
def test_batches_give_what_records_give(assigner: WindowAssigner, steps: Steps) -> None:
    with record_bench(assigner, 0) as bench:
        chain = Chain(GlobalWindowAggregateOperator(spec_of(assigner, 0), takes_input=True))
        for step in growing(steps):
            expected = run_records(bench, step)
            got = chain.send(sent(step))
            assert Counter(results_of(got)) == Counter(records_of(expected)), step
            assert late_of(got) == late_of(expected), step


@settings(max_examples=200, deadline=None)
@given(assigners, steps_of_run, st.sampled_from([1, 4, 15]))
def test_late_rows_of_a_batch_fire_a_window_once_with_all_it_holds(
    assigner: WindowAssigner, steps: Steps, lateness_ms: int
) -> None:
    merges = isinstance(assigner, EventTimeSessionWindows)
    of_records: dict[Any, Any] = {}
    of_batches: dict[Any, Any] = {}
    with record_bench(assigner, lateness_ms) as bench:
        chain = Chain(GlobalWindowAggregateOperator(spec_of(assigner, lateness_ms), takes_input=True))
        for step in growing(steps):
            expected = run_records(bench, step)
            got = chain.send(sent(step))
            last = {row[:3]: row for row in records_of(expected)}
            rows = results_of(got)
            assert len({row[:3] for row in rows}) == len(rows)
            if merges:  # record by record, sessions that grew within the batch fired on their way, too
                assert all(last[row[:3]] == row for row in rows)
            else:
                assert {row[:3]: row for row in rows} == last
            assert late_of(got) == late_of(expected), step
            of_records |= last
            of_batches |= {row[:3]: row for row in rows}
    assert grown(of_batches) == grown(of_records)


@settings(max_examples=200, deadline=None)
@given(assigners, steps_of_run, st.sampled_from([0, 0, 5]))
def test_two_steps_give_what_one_gives(assigner: WindowAssigner, steps: Steps, lateness_ms: int) -> None:
    spec = spec_of(assigner, lateness_ms, None)
    one = Chain(GlobalWindowAggregateOperator(spec, takes_input=True))
    two = Chain(LocalWindowAggregateOperator(spec), GlobalWindowAggregateOperator(spec))
    of_one: dict[Any, Any] = {}
    of_two: dict[Any, Any] = {}
    for step in growing(steps):
        of_one |= {row[:3]: row for row in results_of(one.send(sent(step)))}
        of_two |= {row[:3]: row for row in results_of(two.send(sent(step)))}
    if lateness_ms and isinstance(assigner, EventTimeSessionWindows):
        return  # sessions that fired before they grew differ
    assert of_one == of_two


@settings(max_examples=150, deadline=None)
@given(assigners, steps_of_run, steps_of_run, st.sampled_from([0, 6]))
def test_a_snapshot_restored_by_others_goes_on(
    assigner: WindowAssigner, before: Steps, after: Steps, lateness_ms: int
) -> None:
    """[C21] [T8] The state of one subtask, taken over by two."""
    spec = spec_of(assigner, lateness_ms, None)
    chain = Chain(GlobalWindowAggregateOperator(spec, takes_input=True))
    done = growing(before)[:-1]
    for step in done:
        chain.send(sent(step))
    snapshots = [chain.benches[0].snapshot() for _ in range(2)]  # each is read once
    seconds = []
    for subtask in range(2):
        half = range_of(subtask, 128, 2)
        restored = restored_from([snapshots[subtask]], half, subtask, 2)
        operator = GlobalWindowAggregateOperator(spec, takes_input=True)
        seconds.append((Chain(operator, subtask_index=subtask, parallelism=2, restored=restored), half))
    watermark = max((step for step in done if isinstance(step, int)), default=-1000)
    expected, got = Counter[Any](), Counter[Any]()
    for step in [watermark, *growing([watermark, *after])[1:]]:
        expected.update(results_of(chain.send(sent(step))))
        for second, half in seconds:
            mine = step if isinstance(step, int) else [row for row in step if group_of(row[0]) in half]
            got.update(results_of(second.send(sent(mine))))
    assert got == expected


def group_of(key: str | None) -> int:
    return int(key_groups([pa.array([key], pa.string())], 128)[0])
