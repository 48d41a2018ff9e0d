"""Random scripts for keyed functions with state and timers against the oracle, step by step.

Keys are compared one by one, because the order between keys is undefined.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from oracle import processing as naive
from oracle.elements import END, Event, Mark, Stream, Tick
from oracle.in_shmflink import Bench
from oracle.running import examples
from oracle.scripted_functions import COMMANDS, RULES, Obey, ObeyBoth, ObeyRules

from shmflink.operators.functions.broadcast_process import KeyedBroadcastProcessOperator
from shmflink.operators.functions.co_process import KeyedCoProcessOperator
from shmflink.operators.functions.process import KeyedProcessOperator

KEYS = st.sampled_from(["a", "b", None, 1, 1.0, True, (1, "x")])
TIMES = st.none() | st.integers(-5, 30)
ELEMENTS = st.builds(
    lambda key, command, number, time: Event((key, command, number), time),
    KEYS,
    st.sampled_from(COMMANDS),
    st.integers(0, 25),
    TIMES,
)
TIMED = ELEMENTS.filter(lambda event: event.time is not None)
RULE = st.builds(
    lambda name, number, time: Event((name, number), time), st.sampled_from("xy"), st.integers(0, 3), TIMES
)
MARKS = st.builds(Mark, st.integers(-5, 32))
TICKS = st.builds(Tick, st.integers(1, 30))
SIZES = st.lists(st.integers(1, 7), min_size=1, max_size=4)

Step = tuple[int, Stream]


def key(value: Any) -> Any:
    return value[0]


def steps_of(script: list[tuple[int, Any]], sizes: list[int]) -> list[Step]:
    """(input, run of elements), cut into batches of these sizes; marks and ticks that do not grow are left out."""
    steps: list[Step] = []
    reached = {Mark: -(2**63), Tick: 0}
    for which, one in script:
        if isinstance(one, Event):
            size = sizes[len(steps) % len(sizes)]
            is_same = steps and steps[-1][0] == which and isinstance(steps[-1][1][0], Event)
            if is_same and len(steps[-1][1]) < size:
                steps[-1][1].append(one)
                continue
        elif one.time <= reached[type(one)]:
            continue
        else:
            reached[type(one)] = one.time
        steps.append((which, [one]))
    return steps


def by_key(taken: list[Any]) -> dict[str, list[str]]:
    """What was emitted for each key, in order."""
    found: dict[str, list[str]] = {}
    for time, value in taken:
        found.setdefault(repr(value[1] if value[0] == "second" else value[0]), []).append(repr((time, value)))
    return found


def expected_of(run: naive.Run, methods: list[str], step: Step) -> tuple[Any, Any]:
    run.results.main.clear()
    run.results.sides.clear()
    which, elements = step
    for one in elements:
        if isinstance(one, Event):
            is_rule = methods[which] == "process_broadcast_element"
            run.element(methods[which], None if is_rule else key(one.value), one)
        elif isinstance(one, Mark):
            run.mark(one)
        else:
            run.tick(one)
    events = [(e.time, e.value) for e in run.results.main if isinstance(e, Event)]
    sides = {tag: [(e.time, e.value) for e in side if isinstance(e, Event)] for tag, side in run.results.sides.items()}
    return by_key(events), {tag: by_key(side) for tag, side in sides.items() if side}


def check(operator: Any, methods: list[str], script: list[tuple[int, Any]], sizes: list[int], function: Any) -> None:
    run = naive.Run(function)
    keys = [None if method == "process_broadcast_element" else key for method in methods]
    with Bench(operator, key) as bench:
        for step in steps_of([*script, (0, END)], sizes):
            main, sides = bench.play(step[1], step[0], keys[step[0]])
            assert (by_key(main), {tag: by_key(side) for tag, side in sides.items()}) == expected_of(run, methods, step)


@examples(300)
@given(st.lists(st.one_of(ELEMENTS, ELEMENTS, ELEMENTS, MARKS, TICKS), max_size=40), SIZES)
def test_a_keyed_function_sees_its_state_and_its_timers(script: Stream, sizes: list[int]) -> None:
    check(KeyedProcessOperator(Obey()), ["process_element"], [(0, one) for one in script], sizes, Obey())


@examples(150)
@given(st.lists(st.tuples(st.integers(0, 1), st.one_of(ELEMENTS, ELEMENTS, MARKS, TICKS)), max_size=40), SIZES)
def test_a_function_of_two_inputs_sees_one_state_for_both(script: list[tuple[int, Any]], sizes: list[int]) -> None:
    methods = ["process_element1", "process_element2"]
    check(KeyedCoProcessOperator(ObeyBoth()), methods, script, sizes, ObeyBoth())


@examples(150)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just(0), st.one_of(ELEMENTS, MARKS, TICKS)),
            st.tuples(st.just(1), st.one_of(RULE, RULE, MARKS)),
        ),
        max_size=40,
    ),
    SIZES,
)
def test_a_broadcast_function_sees_the_rules_so_far(script: list[tuple[int, Any]], sizes: list[int]) -> None:
    methods = ["process_element", "process_broadcast_element"]
    check(KeyedBroadcastProcessOperator(ObeyRules(), [RULES]), methods, script, sizes, ObeyRules())


@examples(150)
@given(st.lists(TIMED, max_size=40), SIZES)
def test_in_batch_mode_a_key_is_processed_to_its_end(script: Stream, sizes: list[int]) -> None:
    expected = naive.process_batch(script, Obey(), key)
    with Bench(KeyedProcessOperator(Obey()), key, is_batch=True) as bench:
        for _, step in steps_of([(0, one) for one in script], sizes):
            assert bench.play(step) == ([], {})
        main, sides = bench.play([END])
        assert bench.finish() == ([], {})
        state = bench.harness.operator.state  # type: ignore[attr-defined]
        assert not any(state.table(name).entries() for name in state.state_names()), "state of keys that are over"
    assert by_key(main) == by_key([(e.time, e.value) for e in expected.main if isinstance(e, Event)])
    of_side = {tag: [(e.time, e.value) for e in side if isinstance(e, Event)] for tag, side in expected.sides.items()}
    assert {tag: by_key(side) for tag, side in sides.items()} == {t: by_key(s) for t, s in of_side.items()}
