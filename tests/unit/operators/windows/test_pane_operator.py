"""Vectorized windows after the shuffle, one rule per test."""

from __future__ import annotations

from collections import Counter
from typing import Any

import orjson
import pyarrow as pa
import pytest

from shmflink.core.batch import Batch
from shmflink.core.elements import BARRIER_SAVEPOINT, MAX_WATERMARK, MIN_TIMESTAMP_MS, Barrier, Watermark
from shmflink.core.keys.groups import range_of
from shmflink.core.output_tag import OutputTag
from shmflink.errors import InternalError, StateMismatchError, UsageError
from shmflink.expressions import AggregateCall, Expression, col
from shmflink.operators.aggregates.spec import AggregateSpec
from shmflink.operators.base import SideOutput
from shmflink.operators.windows.pane_operator import GlobalWindowAggregateOperator
from shmflink.operators.windows.pane_partials import OUTPUT_ROWS_MAX
from shmflink.operators.windows.pane_spec import PaneTimes, SessionTimes, WindowAggregateSpec, WindowTimes
from shmflink.state.snapshots import restored_from
from shmflink.testing.operator_harness import OperatorHarness

SCHEMA = pa.schema([("key", pa.string()), ("value", pa.int64())])
CALLS = (("n", AggregateCall("count")), ("total", AggregateCall("sum", (col("value"),))))
KEYS: tuple[tuple[str, Expression], ...] = (("key", col("key")),)
TUMBLING = PaneTimes(10, 10)
SLIDING = PaneTimes(10, 5)
LATE = OutputTag("late")
SAVEPOINT = Barrier(1, 0, BARRIER_SAVEPOINT)

Rows = list[tuple[str | None, int, int]]


def spec_of(times: WindowTimes = TUMBLING, keys: Any = KEYS, **options: Any) -> WindowAggregateSpec:
    return WindowAggregateSpec(AggregateSpec(SCHEMA, keys, CALLS), times, **options)


def bench_of(spec: WindowAggregateSpec, **options: Any) -> OperatorHarness:
    return OperatorHarness(GlobalWindowAggregateOperator(spec, takes_input=True), **options)


def batch_of(rows: Rows, *, has_times: bool = True) -> Batch:
    """Rows (key, value, timestamp)."""
    columns = pa.record_batch([[k for k, _, _ in rows], [v for _, v, _ in rows]], schema=SCHEMA)
    return Batch.of_columns(columns, timestamps=pa.array([at for _, _, at in rows], pa.int64()) if has_times else None)


def results(bench: OperatorHarness) -> list[tuple[Any, ...]]:
    """All results since the last call: keys, start, end, n, total."""
    rows = []
    for batch in bench.batches():
        columns = batch.columns().columns
        plain = [c.cast(pa.int64()) if pa.types.is_timestamp(c.type) else c for c in columns]
        rows += list(zip(*(column.to_pylist() for column in plain), strict=True))
    bench.clear()
    return sorted(rows, key=repr)


def late_dropped(bench: OperatorHarness) -> int:
    count: int = bench.operator._late_dropped.get_count()  # type: ignore[attr-defined]
    return count


def test_a_window_fires_when_the_watermark_reaches_its_greatest_timestamp() -> None:
    with bench_of(spec_of()) as bench:
        bench.process_batch(batch_of([("a", 1, 0), ("a", 2, 9), ("b", 5, 9), ("a", 3, 10)]))
        bench.process_watermark(8)
        assert results(bench) == []
        bench.process_watermark(9)
        assert results(bench) == [("a", 0, 10, 2, 3), ("b", 0, 10, 1, 5)]
        bench.process_watermark(19)
        assert results(bench) == [("a", 10, 20, 1, 3)]


def test_results_come_before_the_watermark_and_have_the_greatest_timestamp_of_their_window() -> None:
    with bench_of(spec_of()) as bench:
        bench.process_batch(batch_of([("a", 1, 3)]))
        bench.process_watermark(25)
        [batch, watermark] = bench.elements
        assert isinstance(batch, Batch)
        assert batch.timestamps is not None
        assert batch.timestamps.to_pylist() == [9]
        assert bench.watermarks() == [25]
        assert watermark is bench.elements[-1]


def test_windows_lie_at_their_offset_also_before_1970() -> None:
    with bench_of(spec_of(PaneTimes(10, 10, 3))) as bench:
        bench.process_batch(batch_of([("a", 1, -8), ("a", 1, -7), ("a", 1, 2), ("a", 1, 3)]))
        bench.process_control(MAX_WATERMARK)
        assert results(bench) == [("a", -17, -7, 1, 1), ("a", -7, 3, 2, 2), ("a", 3, 13, 1, 1)]


def test_a_sliding_window_begins_before_the_first_row() -> None:
    with bench_of(spec_of(SLIDING)) as bench:
        bench.process_batch(batch_of([("a", 1, 0), ("a", 2, 7)]))
        bench.process_control(MAX_WATERMARK)
        assert results(bench) == [("a", -5, 5, 1, 1), ("a", 0, 10, 2, 3), ("a", 5, 15, 1, 2)]


def test_sums_of_panes_beyond_their_type_make_windows_that_fit() -> None:
    long = 2**63 - 1
    rows = [("a", -5, 0), ("a", long, 6), ("a", 3, 7), ("a", -10, 11)]
    with bench_of(spec_of(SLIDING)) as bench:
        bench.process_batch(batch_of(rows))
        bench.process_control(MAX_WATERMARK)
        assert results(bench) == [
            ("a", -5, 5, 1, -5),
            ("a", 0, 10, 3, long - 2),
            ("a", 10, 20, 1, -10),
            ("a", 5, 15, 3, long - 7),
        ]


def test_a_row_that_is_late_for_some_windows_is_in_the_others() -> None:
    with bench_of(spec_of(SLIDING, late_data=LATE)) as bench:
        bench.process_batch(batch_of([("a", 1, 6)]))
        bench.process_watermark(9)
        assert results(bench) == [("a", 0, 10, 1, 1)]
        bench.process_batch(batch_of([("a", 10, 6), ("a", 100, 4)]))
        assert bench.side_output("late") != []
        bench.process_watermark(14)
        assert results(bench) == [("a", 5, 15, 2, 11)]


def test_rows_in_merged_panes_of_long_windows_are_not_lost() -> None:
    expected: Counter[tuple[str | None, int, int]] = Counter()
    with bench_of(spec_of(PaneTimes(20, 5))) as bench:
        for watermark in range(0, 60, 5):
            rows: Rows = [("a", 1, watermark + 5), ("a", 1, watermark - 2), ("b", 1, watermark - 12)]
            bench.process_batch(batch_of(rows))
            starts = [(key, start) for key, _, at in rows for start in range(-40, 80, 5) if start <= at < start + 20]
            before = watermark - 5 if watermark else -(10**9)
            expected.update((key, start, start + 20) for key, start in starts if start + 19 > before)
            bench.process_watermark(watermark)
        bench.process_control(MAX_WATERMARK)
        assert {row[:3]: row[3] for row in results(bench)} == expected


def test_late_rows_are_dropped_and_counted() -> None:
    with bench_of(spec_of()) as bench:
        bench.process_watermark(9)
        bench.process_batch(batch_of([("a", 1, 9), ("a", 1, 10), ("b", 1, -100)]))
        assert late_dropped(bench) == 2
        bench.process_control(MAX_WATERMARK)
        assert results(bench) == [("a", 10, 20, 1, 1)]


def test_late_rows_go_to_the_side_output_as_they_came_and_are_not_counted() -> None:
    with bench_of(spec_of(late_data=LATE)) as bench:
        bench.process_watermark(9)
        bench.process_batch(batch_of([("a", 7, 3), ("b", 8, 12), ("c", 9, 4)]))
        [side] = [each for each in bench.elements if isinstance(each, SideOutput)]
        assert side.batch.columns().to_pylist() == [{"key": "a", "value": 7}, {"key": "c", "value": 9}]
        assert side.batch.timestamps is not None
        assert side.batch.timestamps.to_pylist() == [3, 4]
        assert late_dropped(bench) == 0


def test_rows_within_the_allowed_lateness_fire_their_window_again_with_all_it_holds() -> None:
    with bench_of(spec_of(allowed_lateness_ms=10)) as bench:
        bench.process_batch(batch_of([("a", 1, 3), ("b", 5, 3)]))
        bench.process_watermark(15)
        assert results(bench) == [("a", 0, 10, 1, 1), ("b", 0, 10, 1, 5)]
        bench.process_batch(batch_of([("a", 10, 4), ("a", 100, 5), ("c", 2, 14)]))
        assert results(bench) == [("a", 0, 10, 3, 111)]  # once, and the key that changed alone
        bench.process_watermark(19)
        assert results(bench) == [("c", 10, 20, 1, 2)]
        bench.process_batch(batch_of([("a", 1000, 4)]))
        assert results(bench) == []
        assert late_dropped(bench) == 1


def test_a_session_grows_by_rows_that_touch_it_and_joins_others() -> None:
    with bench_of(spec_of(SessionTimes(5))) as bench:
        bench.process_batch(batch_of([("a", 1, 0), ("a", 2, 10), ("b", 9, 3)]))
        bench.process_batch(batch_of([("a", 4, 5)]))  # ends where the first one's gap ends: it touches both
        bench.process_watermark(13)
        assert results(bench) == [("b", 3, 8, 1, 9)]
        bench.process_watermark(14)
        assert results(bench) == [("a", 0, 15, 3, 7)]


def test_a_session_that_fired_and_is_kept_grows_and_fires_again() -> None:
    with bench_of(spec_of(SessionTimes(5), allowed_lateness_ms=20)) as bench:
        bench.process_batch(batch_of([("a", 1, 0)]))
        bench.process_watermark(4)
        assert results(bench) == [("a", 0, 5, 1, 1)]
        bench.process_batch(batch_of([("a", 2, 4)]))
        assert results(bench) == []  # its end is not reached again
        bench.process_watermark(8)
        assert results(bench) == [("a", 0, 9, 2, 3)]
        bench.process_batch(batch_of([("a", 4, 1)]))
        assert results(bench) == [("a", 0, 9, 3, 7)]


def test_a_late_row_that_touches_an_open_session_is_not_late() -> None:
    with bench_of(spec_of(SessionTimes(10))) as bench:
        bench.process_batch(batch_of([("a", 1, 20)]))
        bench.process_watermark(22)
        bench.process_batch(batch_of([("a", 2, 11), ("a", 4, 5)]))
        assert late_dropped(bench) == 0  # the second touches what the first made longer
        bench.process_control(MAX_WATERMARK)
        assert results(bench) == [("a", 5, 30, 3, 7)]


@pytest.mark.parametrize("times", [TUMBLING, SLIDING, SessionTimes(5)])
def test_a_row_without_a_timestamp_is_an_error_that_says_what_to_do(times: WindowTimes) -> None:
    with bench_of(spec_of(times), name="W") as bench:
        with pytest.raises(UsageError, match=r"operator 'W': a record has no timestamp.*assign_timestamps"):
            bench.process_batch(batch_of([("a", 1, 1)], has_times=False))
        with pytest.raises(UsageError, match="no timestamp"):
            bench.process_batch(batch_of([("a", 1, 1), ("a", 1, -(2**63))]))


def test_windows_of_all_elements_have_no_key() -> None:
    with bench_of(spec_of(SLIDING, ())) as bench:
        bench.process_batch(batch_of([("a", 1, 3), ("b", 2, 7)]))
        bench.process_control(MAX_WATERMARK)
        assert results(bench) == [(-5, 5, 1, 1), (0, 10, 2, 3), (5, 15, 1, 2)]


def test_null_is_a_key() -> None:
    with bench_of(spec_of()) as bench:
        bench.process_batch(batch_of([(None, 1, 3), ("", 2, 3), (None, 4, 3)]))
        bench.process_control(MAX_WATERMARK)
        assert results(bench) == [("", 0, 10, 1, 2), (None, 0, 10, 2, 5)]


def test_what_is_made_of_the_results_keeps_their_timestamps() -> None:
    columns = (("end", col("window_end")), ("mean", col("total") / col("n")))
    with bench_of(spec_of(columns=columns)) as bench:
        bench.process_batch(batch_of([("a", 1, 3), ("a", 2, 4)]))
        bench.process_control(MAX_WATERMARK)
        [batch] = bench.batches()
        assert batch.columns().schema.names == ["end", "mean"]
        assert batch.timestamps is not None
        assert batch.timestamps.to_pylist() == [9]


def test_results_leave_lazily_in_batches_of_bounded_size() -> None:
    count = 3 * OUTPUT_ROWS_MAX + 1
    with bench_of(spec_of(PaneTimes(10, 10))) as bench:
        keys = pa.array([str(number) for number in range(count)])
        columns = pa.record_batch([keys, pa.array(range(count))], schema=SCHEMA)
        bench.process_batch(Batch.of_columns(columns, timestamps=pa.array([5] * count)))
        outputs = bench.operator.process_control(MAX_WATERMARK)
        sizes = [each.num_rows for each in outputs if isinstance(each, Batch)]
        assert sizes == [OUTPUT_ROWS_MAX] * 3 + [1]


def test_small_windows_leave_together() -> None:
    with bench_of(spec_of(PaneTimes(1, 1))) as bench:
        bench.process_batch(batch_of([("a", 1, at) for at in range(1000)]))
        bench.process_control(MAX_WATERMARK)
        assert len(bench.batches()) == 1
        assert len(results(bench)) == 1000


# --- processing time ---


def test_processing_time_windows_fire_a_millisecond_after_their_greatest_timestamp() -> None:
    with bench_of(spec_of(PaneTimes(10, 10, 0, False))) as bench:
        bench.process_batch(batch_of([("a", 1, 0)], has_times=False))
        bench.advance_processing_time_ms(9)
        assert results(bench) == []
        bench.process_batch(batch_of([("a", 2, 0)], has_times=False))
        bench.advance_processing_time_ms(1)
        assert results(bench) == [("a", 0, 10, 2, 3)]
        bench.process_watermark(10**9)  # says nothing about processing time
        bench.process_batch(batch_of([("a", 4, 0)], has_times=False))
        bench.advance_processing_time_ms(10)
        assert results(bench) == [("a", 10, 20, 1, 4)]


def test_sliding_windows_of_processing_time_fire_one_after_another() -> None:
    with bench_of(spec_of(PaneTimes(10, 5, 0, False))) as bench:
        bench.advance_processing_time_ms(7)
        bench.process_batch(batch_of([("a", 1, 0)], has_times=False))
        bench.advance_processing_time_ms(3)
        assert results(bench) == [("a", 0, 10, 1, 1)]
        bench.advance_processing_time_ms(5)
        assert results(bench) == [("a", 5, 15, 1, 1)]
        bench.advance_processing_time_ms(100)
        assert results(bench) == []


def test_sessions_of_processing_time_end_when_nothing_comes() -> None:
    with bench_of(spec_of(SessionTimes(5, False))) as bench:
        for value in (1, 2, 4):
            bench.process_batch(batch_of([("a", value, 0)], has_times=False))
            bench.advance_processing_time_ms(3)
        assert results(bench) == []
        bench.advance_processing_time_ms(2)
        assert results(bench) == [("a", 0, 11, 3, 7)]


# --- BATCH mode ---


@pytest.mark.parametrize("times", [SLIDING, SessionTimes(5), PaneTimes(10, 10, 0, False)])
def test_in_batch_mode_windows_fire_at_the_end_alone(times: WindowTimes) -> None:
    rows: Rows = [("a", 1, 22), ("a", 2, 3), ("b", 4, 7)]
    with bench_of(spec_of(times), is_batch=True) as bench, bench_of(spec_of(times)) as streaming:
        bench.process_batch(batch_of(rows))
        bench.process_watermark(1000)
        bench.process_batch(batch_of([("a", 8, 4)]))
        assert results(bench) == []
        bench.process_control(MAX_WATERMARK)
        bench.finish()
        got = results(bench)
        streaming.process_batch(batch_of([*rows, ("a", 8, 4)]))
        streaming.advance_processing_time_ms(100)
        streaming.process_control(MAX_WATERMARK)
        assert got == results(streaming) != []
        assert late_dropped(bench) == 0


def test_a_streaming_job_that_ends_without_the_last_watermark_does_not_fire() -> None:
    with bench_of(spec_of()) as bench:
        bench.process_batch(batch_of([("a", 1, 3)]))
        bench.finish()
        assert results(bench) == []


# --- snapshots ---


def test_a_key_in_the_wrong_subtask_is_an_error_of_ours() -> None:
    with bench_of(spec_of(), key_groups=range(3)) as bench:
        bench.process_batch(batch_of([(str(number), 1, 3) for number in range(99)]))
        with pytest.raises(InternalError, match="key group"):
            list(bench.snapshot().keyed[0].batches())


def restored_bench(spec: WindowAggregateSpec, *before: OperatorHarness, parallelism: int = 1) -> list[OperatorHarness]:
    """Subtasks that go on from a savepoint of those before."""
    return [
        bench_of(
            spec,
            subtask_index=subtask,
            parallelism=parallelism,
            restored=restored_from(
                [bench.snapshot(SAVEPOINT) for bench in before],
                range_of(subtask, 128, parallelism),
                subtask,
                parallelism,
            ),
        )
        for subtask in range(parallelism)
    ]


@pytest.mark.parametrize("times", [TUMBLING, SessionTimes(4)])
def test_windows_that_left_before_the_snapshot_do_not_leave_again(times: WindowTimes) -> None:
    """[T8] And what comes for them later fires them with all that they had."""
    spec = spec_of(times, allowed_lateness_ms=100)
    with bench_of(spec) as before:
        before.process_batch(batch_of([("a", 1, 3), ("b", 1, 30)]))
        before.process_watermark(15)
        assert len(results(before)) == 1
        [after] = restored_bench(spec, before)
    with after:
        after.process_watermark(16)
        assert results(after) == []
        after.process_batch(batch_of([("a", 10, 4)]))
        [(key, _, _, count, total)] = results(after)
        assert (key, count, total) == ("a", 2, 11)
        after.process_watermark(60)
        assert [row[0] for row in results(after)] == ["b"]


@pytest.mark.parametrize("times", [TUMBLING, SLIDING, SessionTimes(4)])
def test_rows_that_were_late_before_the_snapshot_are_late_after_it(times: WindowTimes) -> None:
    """[T8] Before any watermark has come again."""
    spec = spec_of(times)
    with bench_of(spec) as before:
        before.process_batch(batch_of([("a", 1, 3)]))
        before.process_watermark(25)
        [after] = restored_bench(spec, before)
    with after:
        after.process_batch(batch_of([("a", 10, 4), ("a", 1, 30)]))
        assert (results(after), late_dropped(after)) == ([], 1)


def test_subtasks_before_and_after_need_not_be_as_many() -> None:
    """[C21] Keys go where their key groups go; a key's window is one again."""
    spec = spec_of(SLIDING)
    rows: Rows = [(f"k{number}", number, number % 40) for number in range(400)]
    with bench_of(spec) as one:
        one.process_batch(batch_of(rows))
        one.process_watermark(15)
        fired = results(one)
        four = restored_bench(spec, one, parallelism=4)
        for bench in four:
            bench.open()
        three = restored_bench(spec, *four, parallelism=3)
        one.process_control(MAX_WATERMARK)
        expected = results(one)
    got = []
    for bench in three:
        with bench:
            bench.process_control(MAX_WATERMARK)
            got += results(bench)
    assert fired
    assert sorted(got, key=repr) == expected


@pytest.mark.parametrize("times", [TUMBLING, SLIDING])
@pytest.mark.parametrize("is_saved_again", [False, True])
def test_subtasks_before_may_have_been_at_different_times(times: WindowTimes, is_saved_again: bool) -> None:
    """[C21] [T8] A barrier may overtake a watermark. Each window leaves once, whichever subtask it belonged to."""
    spec = spec_of(times)
    rows: Rows = [(f"k{number}", number, number % 40) for number in range(400)]
    with bench_of(spec) as one:
        one.process_batch(batch_of(rows))
        one.process_control(MAX_WATERMARK)
        expected = results(one)
    with bench_of(spec) as one:
        one.process_batch(batch_of(rows))
        before = restored_bench(spec, one, parallelism=3)
        got = []
        for bench, watermark_ms in zip(before, (14, 24, 4), strict=True):
            bench.open()
            bench.process_watermark(watermark_ms)
            got += results(bench)
        [after] = restored_bench(spec, *before)
    after.open()
    if is_saved_again:
        after.process_watermark(9)
        got += results(after)
        [after] = restored_bench(spec, after)
        after.open()
    for watermark_ms in (14, 19, 29):
        after.process_watermark(watermark_ms)
        got += results(after)
    after.process_control(MAX_WATERMARK)
    got += results(after)
    assert sorted(got, key=repr) == expected


@pytest.mark.parametrize("times", [SLIDING, SessionTimes(4)])
def test_late_rows_fire_windows_again_that_one_of_the_subtasks_had_fired(times: WindowTimes) -> None:
    """[C21] [T8] They are late for the subtask that was ahead, and fire with all that the window has."""
    spec = spec_of(times, allowed_lateness_ms=100)
    with bench_of(spec) as one:
        one.process_batch(batch_of([(f"k{number}", 1, 3) for number in range(40)]))
        before = restored_bench(spec, one, parallelism=2)
        for bench in before:
            bench.open()
        before[0].process_watermark(20)
        before[1].process_watermark(-20)
        ahead = {row[0] for row in results(before[0])}
        [after] = restored_bench(spec, *before)
    late = min(ahead)
    with after:
        after.process_batch(batch_of([(late, 2, 4)]))
        after.process_watermark(30)
        fired = results(after)
    assert {row[0] for row in fired} == {f"k{number}" for number in range(40)} - ahead | {late}
    assert {(n, total) for key, _, _, n, total in fired if key == late} == {(2, 3)}


def test_windows_of_processing_time_go_on_by_the_clock() -> None:
    spec = spec_of(PaneTimes(10, 10, is_event_time=False))
    with bench_of(spec) as before:
        before.process_batch(batch_of([("a", 1, 0)], has_times=False))
        [after] = restored_bench(spec, before)
        start = before.clock.processing_time_ms()
    with after:
        assert after.clock.processing_time_ms() == start
        after.process_batch(batch_of([("a", 2, 0)], has_times=False))
        after.advance_processing_time_ms(10)
        [(key, _, _, count, total)] = results(after)
        assert (key, count, total) == ("a", 2, 3)


def test_other_windows_do_not_take_the_state() -> None:
    """The message names the operator, what was saved and what is wanted."""
    with bench_of(spec_of()) as before:
        before.process_batch(batch_of([("a", 1, 0)]))
        [after] = restored_bench(spec_of(SessionTimes(7)), before)
    with pytest.raises(StateMismatchError) as raised, after:
        pass
    text = str(raised.value)
    assert "operator 'Operator'" in text
    assert "windows of 10 ms every 10 ms from 0 ms in event time, key string: n = count(), total = sum(int64)" in text
    assert "sessions with a gap of 7 ms in event time" in text


def test_changes_alone_are_saved_where_the_configuration_says_so() -> None:
    for incremental, expected in [("true", True), ("false", False)]:
        configuration = {"execution.checkpointing.incremental": incremental}
        with bench_of(spec_of(), configuration=configuration) as bench:
            bench.process_batch(batch_of([(str(number), 1, 3) for number in range(99)]))
            [full] = bench.snapshot().keyed
            full.saved(True)
            bench.process_batch(batch_of([("7", 1, 3)]))
            [savepoint] = bench.snapshot(SAVEPOINT).keyed
            [changes] = bench.snapshot().keyed
            assert (full.is_delta, savepoint.is_delta, changes.is_delta) == (False, False, expected)
            [batch] = changes.batches()
            assert batch.num_rows == (1 if expected else 99)
            about = orjson.loads(batch.schema.metadata[b"shmflink"])
            assert (about["kind"], about["entry"]) == ("windows", ["key", "__start"])


def test_an_empty_operator_has_an_empty_snapshot() -> None:
    with bench_of(spec_of()) as bench:
        assert list(bench.snapshot().keyed[0].batches()) == []


# --- final results ---


@pytest.mark.parametrize("times", [TUMBLING, SLIDING, SessionTimes(5)])
def test_a_final_window_leaves_once_when_no_row_can_change_it(times: WindowTimes) -> None:
    """The last of all firings, and the watermark waits with it."""
    spec = spec_of(times, allowed_lateness_ms=10)
    steps: list[Rows | int] = [[("a", 1, 3), ("a", 2, 7)], 9, [("a", 4, 5)], 14, [("a", 8, 8), ("b", 1, 12)], 40]
    steps.append([("a", 16, 1)])
    every: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    with bench_of(spec) as updating:
        for step in steps:
            updating.process_watermark(step) if isinstance(step, int) else updating.process_batch(batch_of(step))
            every |= {row[:2]: row for row in results(updating)}
        updating.process_control(MAX_WATERMARK)
        every |= {row[:2]: row for row in results(updating)}
    with OperatorHarness(GlobalWindowAggregateOperator(spec, takes_input=True).with_final_results()) as final:
        for step in steps:
            final.process_watermark(step) if isinstance(step, int) else final.process_batch(batch_of(step))
        final.process_control(MAX_WATERMARK)
        assert final.watermarks()[:3] == [-1, 4, 30]
        seen = MIN_TIMESTAMP_MS
        for element in final.elements:
            if isinstance(element, Watermark):
                seen = element.timestamp_ms
            elif isinstance(element, Batch):
                assert pa.compute.min(element.timestamps).as_py() > seen
        assert results(final) == sorted(every.values(), key=repr)
