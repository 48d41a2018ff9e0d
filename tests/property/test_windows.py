"""Random scripts for the window operator against the oracle, step by step: the output at each batch, watermark and
tick.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from oracle import windows as naive
from oracle.elements import END, Event, Mark, Stream, Tick
from oracle.in_shmflink import Bench, Describe, assigner_of, late_tag, trigger_of
from oracle.running import examples
from oracle.windows import (
    AtCount,
    AtEnd,
    Counting,
    Every,
    Everything,
    Never,
    Purging,
    Session,
    Sliding,
    Tumbling,
    Windowing,
)

from shmflink.common import Types
from shmflink.datastream.window import CountEvictor
from shmflink.operators.windows.window_operator import WINDOW_STATE_NAME, WindowOperator, WindowSpec
from shmflink.state.descriptors import AggregatingStateDescriptor, ListStateDescriptor, ReducingStateDescriptor

ANY = Types.PICKLED_BYTE_ARRAY()


def key(value: Any) -> Any:
    return value[0]


def gap_of(value: Any) -> int:
    return 1 + value[1] % 4


def add(first: Any, second: Any) -> Any:
    return (first[0], first[1] + second[1])


class Spread:
    """(smallest, sum) as (key, ...) of the elements' numbers: an AggregateFunction."""

    def create_accumulator(self) -> list[Any]:
        return [None, 1 << 30, 0]

    def add(self, value: Any, accumulator: list[Any]) -> list[Any]:
        accumulator[0] = value[0]
        accumulator[1] = min(accumulator[1], value[1])
        accumulator[2] += value[1]
        return accumulator

    def get_result(self, accumulator: list[Any]) -> Any:
        return tuple(accumulator)

    def merge(self, first: list[Any], second: list[Any]) -> list[Any]:
        return [first[0], min(first[1], second[1]), first[2] + second[2]]


KEYS = st.sampled_from(["a", "b", None])
EVENTS = st.builds(lambda k, n, t: Event((k, n), t), KEYS, st.integers(0, 9), st.integers(-6, 30))
MARKS = st.builds(Mark, st.integers(-5, 32))
TICKS = st.builds(Tick, st.integers(1, 30))


def rising(script: Stream) -> Stream:
    """Without marks and ticks that do not grow: no channel hands those on."""
    made: Stream = []
    reached = {Mark: -(2**63), Tick: 0}
    for one in script:
        if not isinstance(one, Event):
            if one.time <= reached[type(one)]:
                continue
            reached[type(one)] = one.time
        made.append(one)
    return made


SCRIPTS = st.lists(st.one_of(EVENTS, EVENTS, EVENTS, MARKS, TICKS), max_size=40).map(rising)
TIMED = st.one_of(
    st.builds(Tumbling, st.integers(3, 12), st.integers(-2, 2)),
    st.builds(Sliding, st.integers(3, 12), st.integers(2, 7), st.integers(-1, 1)),
    st.builds(Session, st.integers(1, 6)),
    st.just(Session(gap_of)),
)
FIRING = st.one_of(st.just(AtEnd()), st.builds(AtCount, st.integers(1, 4)), st.builds(Every, st.integers(1, 6)))
TRIGGERS = st.one_of(FIRING, FIRING, st.builds(Purging, FIRING))


@st.composite
def windowings(draw: Any) -> tuple[Windowing, Any]:
    """A windowing and the descriptor of its contents."""
    is_event_time = draw(st.booleans())
    assigner = draw(
        st.one_of(TIMED, TIMED, TIMED, st.just(Everything()), st.builds(Counting, st.integers(1, 4), st.integers(1, 4)))
    )
    trigger = draw(TRIGGERS)
    if isinstance(assigner, Counting):
        assigner = replace(assigner, slide=draw(st.sampled_from([assigner.size, assigner.slide])))
        trigger = Purging(AtCount(assigner.size))
    elif isinstance(assigner, Everything):
        trigger = draw(
            st.one_of(
                st.just(Never()),
                st.builds(AtCount, st.integers(1, 4)).flatmap(lambda t: st.sampled_from([t, Purging(t)])),
            )
        )
    spec = Windowing(assigner, trigger, Describe(merges=isinstance(assigner, Session)), is_event_time=is_event_time)
    spec = replace(spec, lateness=draw(st.sampled_from([0, 0, 1, 4, 100])), late=draw(st.sampled_from([None, "late"])))
    kind = draw(st.sampled_from(["list", "list", "evicted", "reduce", "aggregate"]))
    if kind == "reduce":
        return replace(spec, fold=naive.reduced(add)), ReducingStateDescriptor(WINDOW_STATE_NAME, add, ANY)
    if kind == "aggregate":
        fold = naive.aggregated(Spread())
        return replace(spec, fold=fold), AggregatingStateDescriptor(WINDOW_STATE_NAME, Spread(), ANY)
    if kind == "evicted" and not isinstance(assigner, Session):  # which elements are the last of merged windows?
        spec = replace(spec, keep_last=draw(st.integers(1, 4)))
    return spec, ListStateDescriptor(WINDOW_STATE_NAME, ANY)


def operator_of(spec: Windowing, contents: Any) -> WindowOperator:
    evictor = None if spec.keep_last is None else CountEvictor.of(spec.keep_last)
    said = WindowSpec(
        assigner_of(spec), trigger_of(spec, spec.trigger), contents, spec.lateness, late_tag(spec), evictor
    )
    return WindowOperator(said, spec.function)


def steps_of(script: Stream, sizes: list[int]) -> list[Stream]:
    """The script cut into batches of these sizes, in turn; marks and ticks stand alone."""
    steps: list[Stream] = []
    for one in script:
        size = sizes[len(steps) % len(sizes)]
        if isinstance(one, Event) and steps and isinstance(steps[-1][0], Event) and len(steps[-1]) < size:
            steps[-1].append(one)
        else:
            steps.append([one])
    return steps


def texts(taken: Any) -> list[str]:
    return sorted(map(repr, taken))


def naively(run: naive.Run, step: Stream) -> tuple[list[Any], dict[str, list[Any]]]:
    run.results.main.clear()
    run.results.sides.clear()
    for one in step:
        if isinstance(one, Event):
            run.element(key(one.value), one)
        elif isinstance(one, Mark):
            run.mark(one)
        else:
            run.tick(one)
    sides = {tag: [(e.time, e.value) for e in side if isinstance(e, Event)] for tag, side in run.results.sides.items()}
    return [(e.time, e.value) for e in run.results.main if isinstance(e, Event)], {t: s for t, s in sides.items() if s}


def check(spec: Windowing, contents: Any, script: Stream, sizes: list[int]) -> None:
    run = naive.Run(spec)
    with Bench(operator_of(spec, contents), key) as bench:
        for step in steps_of([*script, END], sizes):
            main, sides = bench.play(step)
            expected, expected_sides = naively(run, step)
            assert texts(main) == texts(expected), step
            assert sides == expected_sides, step
        operator = bench.harness.operator
        assert operator._late_dropped.get_count() == run.dropped
        if spec.is_event_time and isinstance(spec.assigner, (Tumbling, Sliding, Session)):
            left = {
                name: table for name in operator.state.state_names() if (table := operator.state.table(name).entries())
            }
            assert set(left) <= {"fired", "total"} if isinstance(spec.assigner, Session) else {"total"}, (
                "state of windows that are over"
            )
            assert not len(operator.timers.event_timers)


@examples(500)
@given(windowings(), SCRIPTS, st.lists(st.integers(1, 7), min_size=1, max_size=4))
def test_windows_fire_as_the_oracle_says(windowing: tuple[Windowing, Any], script: Stream, sizes: list[int]) -> None:
    check(*windowing, script, sizes)


@examples(150)
@given(windowings(), SCRIPTS, st.lists(st.integers(1, 7), min_size=1, max_size=4))
def test_in_batch_mode_windows_fire_as_the_oracle_says(
    windowing: tuple[Windowing, Any], script: Stream, sizes: list[int]
) -> None:
    spec, contents = windowing
    script = [one for one in script if isinstance(one, Event)]
    expected = naive.window_batch([*script, END], key, spec)
    with Bench(operator_of(spec, contents), key, is_batch=True) as bench:
        for step in steps_of(script, sizes):
            assert bench.play(step) == ([], {})
        main, sides = bench.play([END])
        assert bench.finish() == ([], {})
    assert texts(main) == texts([(e.time, e.value) for e in expected.main if isinstance(e, Event)])
    assert sides == {}


def test_in_batch_mode_a_continuous_trigger_of_processing_time_fires_once() -> None:
    """Its next time is not waited for: when it fires first, all elements of the key are there (found at random)."""
    spec = Windowing(Session(gap_of), Every(1), Describe(merges=True), is_event_time=False)
    contents = ListStateDescriptor(WINDOW_STATE_NAME, ANY)
    with Bench(operator_of(spec, contents), key, is_batch=True) as bench:
        bench.play([Event(("a", 3), 0)])
        main, _ = bench.play([END])
    assert main == [(3, ("a", (0, 4), 1, ["('a', 3)"]))]
