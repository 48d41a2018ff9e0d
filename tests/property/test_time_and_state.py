"""Random small programs, run in an inline cluster and by the oracle: time, windows, state, timers, in both modes.

Where several channels meet, the time at which a watermark comes is not fixed: such programs are given rows that come on
time, and functions for which their order does not matter; or only what must hold in any case is asked of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from oracle import windows as naive
from oracle.elements import Results, Stream, union
from oracle.processing import broadcast_batch, process_inputs
from oracle.programs import (
    ENDINGS,
    KEYS,
    ROWS,
    SAFE,
    STEPS,
    Ending,
    PairUp,
    Step,
    WithTime,
    by_name,
    on_time,
    outputs,
    plain,
    stream_of,
    window_ending,
    windows,
)
from oracle.running import examples
from oracle.scripted_functions import RULES, ObeyRules
from oracle.scripted_source import TYPES, ScriptedSource, ScriptRow, strategy

from shmflink.datastream import RuntimeExecutionMode, StreamExecutionEnvironment
from shmflink.testing import MiniCluster

FORMS = st.sampled_from(sorted(TYPES))
SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=4)
SLOTS = st.integers(1, 4)
PATHS = st.lists(st.sampled_from(STEPS), max_size=3)

Rows = list[ScriptRow]


def read(env: Any, rows: Rows, sizes: list[int], form: str) -> Any:
    return env.from_source(ScriptedSource(rows, sizes, form), strategy(form), "script")


def collected(stream: Any, sides: Sequence[Any]) -> list[tuple[str, Any]]:
    """(output, (time, value)) of the main output and the side outputs."""
    named = stream.process(WithTime()).map(lambda value: ("main", value))
    for tag in sides:
        side = stream.get_side_output(tag).process(WithTime())
        named = named.union(side.map(lambda value, name=tag.tag_id: (name, value)))
    with named.execute_and_collect() as found:
        return [(name, plain(value)) for name, value in found]


def run(
    mode: str,
    slots: int,
    rows: Rows,
    sizes: list[int],
    form: str,
    path: list[Step],
    ending: Ending,
    *,
    wide: bool = False,
) -> list[tuple[str, Any]]:
    """`wide`: the steps before the ending run in parallel, too."""
    with MiniCluster(slots=slots):
        env = StreamExecutionEnvironment.get_execution_environment()
        env.set_runtime_mode(RuntimeExecutionMode[mode])
        stream = read(env, rows, sizes, form)
        if wide:
            stream = stream.rebalance()
        for step in path:
            env.set_parallelism(slots if wide else 1)
            stream = step.apply(stream)
        env.set_parallelism(slots)
        return collected(ending.apply(stream), ending.sides)


def meant(stream: Stream, path: list[Step]) -> Stream:
    for step in path:
        stream = step.meaning(stream)
    return stream


def compared(made: list[tuple[str, Any]], *, is_ordered: bool) -> Any:
    """As a multiset; where order counts, the outputs of each key (the value's first field) as lists."""
    if not is_ordered:
        return sorted(map(repr, made))
    found: dict[str, list[str]] = {}
    for name, (time, value) in made:
        found.setdefault(repr((name, value[0])), []).append(repr((time, value)))
    return found


@examples(150)
@given(ROWS, SIZES, FORMS, SLOTS, PATHS, ENDINGS)
def test_a_stream_of_one_channel_means_what_the_oracle_says(
    rows: Rows, sizes: list[int], form: str, slots: int, path: list[Step], ending: Ending
) -> None:
    expected = ending.streaming(meant(stream_of(rows), path))
    made = run("STREAMING", slots, rows, sizes, form, path, ending)
    assert compared(made, is_ordered=ending.is_ordered) == compared(
        outputs(expected, ending.sides), is_ordered=ending.is_ordered
    )


@examples(100)
@given(ROWS, SIZES, FORMS, SLOTS, PATHS, ENDINGS)
def test_batch_mode_means_what_the_oracle_says(
    rows: Rows, sizes: list[int], form: str, slots: int, path: list[Step], ending: Ending
) -> None:
    expected = ending.batch(meant(stream_of(rows), path))
    made = run("BATCH", slots, rows, sizes, form, path, ending)
    if "reduce" in repr(ending) and "window" not in repr(ending):  # final values have no time of their own
        made = [(name, (None, value)) for name, (_, value) in made]
        expected = Results([type(e)(e.value) for e in expected.main if hasattr(e, "value")])
    assert compared(made, is_ordered=ending.is_ordered) == compared(
        outputs(expected, ending.sides), is_ordered=ending.is_ordered
    )


@examples(60)
@given(ROWS.map(on_time), SIZES, FORMS, SLOTS, PATHS, windows(is_plain=True))
def test_rows_on_time_mean_the_same_in_parallel_and_in_batch_mode(
    rows: Rows, sizes: list[int], form: str, slots: int, path: list[Step], ending: Ending
) -> None:
    expected = compared(outputs(ending.streaming(meant(stream_of(rows), path)), ending.sides), is_ordered=False)
    assert compared(run("STREAMING", slots, rows, sizes, form, path, ending, wide=True), is_ordered=False) == expected
    assert compared(run("BATCH", 5 - slots, rows, sizes, form, path, ending, wide=True), is_ordered=False) == expected


@examples(40)
@given(ROWS, SIZES, FORMS, st.integers(2, 4), KEYS, st.integers(3, 12))
def test_in_parallel_no_row_is_lost_and_none_is_there_twice(
    rows: Rows, sizes: list[int], form: str, slots: int, key: Any, size: int
) -> None:
    spec = naive.Windowing(naive.Tumbling(size), late="late")
    ending = window_ending(key, spec, "aggregate")
    made = run("STREAMING", slots, rows, sizes, form, [], ending, wide=True)
    numbers = [value[1] for name, (_, value) in made]  # the sum of a window, or the number of a late row
    assert sum(numbers) == sum(row[1] for row in rows)


@examples(40)
@given(ROWS.map(on_time), SIZES, FORMS, SLOTS, st.integers(2, 6))
def test_windows_of_windows_of_one_size_line_up(rows: Rows, sizes: list[int], form: str, slots: int, size: int) -> None:
    first = window_ending(by_name, naive.Windowing(naive.Tumbling(size)), "reduce")
    second = window_ending(lambda row: row[1] % 2, naive.Windowing(naive.Tumbling(size)), "process")
    between = first.streaming(stream_of(rows)).main
    for mode in ("STREAMING", "BATCH"):
        with MiniCluster(slots=slots):
            env = StreamExecutionEnvironment.get_execution_environment()
            env.set_runtime_mode(RuntimeExecutionMode[mode])
            made = collected(second.apply(first.apply(read(env, rows, sizes, form))), ())
        expected = outputs(second.streaming(between), ())
        assert compared(made, is_ordered=False) == compared(expected, is_ordered=False)


@examples(60)
@given(ROWS.map(on_time), ROWS.map(on_time), SIZES, FORMS, FORMS, SLOTS, KEYS, st.booleans())
def test_two_streams_wait_for_each_other(
    left: Rows, right: Rows, sizes: list[int], form: str, other: str, slots: int, key: Any, is_union: bool
) -> None:
    """Connected, or united and then windowed: event time is the minimum of both."""
    streams = [stream_of(left), stream_of(right)]
    ending = window_ending(key, naive.Windowing(naive.Sliding(10, 5)), "aggregate+process")
    if is_union:
        expected = ending.streaming(union(streams, []))
    else:
        expected = process_inputs(streams, ["process_element1", "process_element2"], PairUp(), [key, key])
    for mode in ("STREAMING", "BATCH"):
        with MiniCluster(slots=slots):
            env = StreamExecutionEnvironment.get_execution_environment()
            env.set_runtime_mode(RuntimeExecutionMode[mode])
            first, second = read(env, left, sizes, form), read(env, right, sizes[::-1], form if is_union else other)
            if is_union:
                made = collected(ending.apply(first.union(second)), ())
            else:
                made = collected(first.connect(second).key_by(key, key).process(PairUp()), ())
        assert compared(made, is_ordered=False) == compared(outputs(expected, ()), is_ordered=False)


class NumberedRules(ObeyRules):
    """The numbers of rows are commands; elements of the broadcast side are rules (name, number, at, mark)."""

    sees_marks = False

    def process_element(self, value: Any, ctx: Any) -> Iterator[Any]:
        yield from super().process_element((value[0], SAFE[value[1] % len(SAFE)], value[1]), ctx)

    def process_broadcast_element(self, value: Any, ctx: Any) -> Iterator[Any]:
        yield from super().process_broadcast_element((str(value[0]), value[1] % 4), ctx)


def with_rules(mode: str, slots: int, rows: Rows, rules: Rows, sizes: list[int], forms: tuple[str, str]) -> list[Any]:
    """(time, value) of what is emitted for elements and timers, main output."""
    with MiniCluster(slots=slots):
        env = StreamExecutionEnvironment.get_execution_environment()
        env.set_runtime_mode(RuntimeExecutionMode[mode])
        stream, ruling = read(env, rows, sizes, forms[0]), read(env, rules, sizes[::-1], forms[1])
        connected = stream.key_by(by_name).connect(ruling.broadcast(RULES))
        made = collected(connected.process(NumberedRules()), ())
    return [(name, one) for name, one in made if one[1][1] != "rule"]


@examples(40)
@given(ROWS, ROWS, SIZES, FORMS, FORMS, SLOTS)
def test_in_batch_mode_all_rules_hold_from_the_start(
    rows: Rows, rules: Rows, sizes: list[int], form: str, other: str, slots: int
) -> None:
    expected = broadcast_batch(stream_of(rows), stream_of(rules), NumberedRules(), by_name)
    made = with_rules("BATCH", slots, rows, rules, sizes, (form, other))
    assert compared(made, is_ordered=True) == compared(outputs(Results(expected), ()), is_ordered=True)


@examples(40)
@given(ROWS, ROWS, SIZES, FORMS, FORMS, SLOTS)
def test_rules_hold_in_the_order_in_which_they_came(
    rows: Rows, rules: Rows, sizes: list[int], form: str, other: str, slots: int
) -> None:
    """When a rule comes is not fixed; each key sees the rules of some moment, later elements those of a later one."""
    known: dict[str, int] = {}
    moments = [repr([])]
    for name, number, _, _ in rules:
        known = {k: n for k, n in {**known, str(name): number % 4}.items() if n}
        moments.append(repr(sorted(known.items())))
    made = with_rules("STREAMING", slots, rows, rules, sizes, (form, other))
    seen: dict[Any, list[str]] = {}
    for _, (_, value) in made:
        if value[1] == "rules":
            seen.setdefault(value[0], []).append(value[2])
    assert {k: len(texts) for k, texts in seen.items()} == Counter(row[0] for row in rows)
    for texts in seen.values():
        at = 0
        for text in texts:
            at = moments.index(text, at)
