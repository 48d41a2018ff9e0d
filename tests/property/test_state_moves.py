"""State and timers taken out in the middle of a script and given to two subtasks by key group: nothing changes."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from oracle import processing
from oracle import windows as naive
from oracle.elements import END, Event, Mark, Stream, Tick
from oracle.in_shmflink import Bench, Describe, assigner_of, trigger_of
from oracle.running import examples
from oracle.scripted_functions import COMMANDS, Obey

from shmflink.common import Types
from shmflink.core.key_groups import key_groups
from shmflink.core.keys import encode_keys
from shmflink.operators.process import KeyedProcessOperator
from shmflink.operators.windows.window_operator import WINDOW_STATE_NAME, WindowOperator, WindowSpec
from shmflink.state.descriptors import ListStateDescriptor

GROUPS = 128
KEYS = st.sampled_from(["a", "b", "c", "d", None, 1, 1.0, True, (1, "x")])
TIMES = st.integers(-5, 30)
MARKS = st.builds(Mark, st.integers(-5, 32))
TICKS = st.builds(Tick, st.integers(1, 30))
COMMAND = st.builds(lambda k, c, n, t: Event((k, c, n), t), KEYS, st.sampled_from(COMMANDS), st.integers(0, 25), TIMES)
NUMBER = st.builds(lambda k, n, t: Event((k, n), t), KEYS, st.integers(0, 9), TIMES)
WINDOWS = st.builds(
    lambda assigner, trigger, lateness: naive.Windowing(
        assigner, trigger, Describe(merges=isinstance(assigner, naive.Session)), lateness=lateness
    ),
    st.one_of(
        st.builds(naive.Tumbling, st.integers(3, 12)),
        st.builds(naive.Sliding, st.integers(3, 12), st.integers(2, 7)),
        st.builds(naive.Session, st.integers(1, 6)),
    ),
    st.one_of(
        st.just(naive.AtEnd()), st.builds(naive.AtCount, st.integers(2, 4)), st.builds(naive.Every, st.integers(1, 6))
    ),
    st.sampled_from([0, 4]),
)


def key(value: Any) -> Any:
    return value[0]


def group_of(event: Event) -> int:
    return int(np.asarray(key_groups(encode_keys([key(event.value)]), GROUPS))[0])


def move(old: Bench, border: int) -> list[Bench]:
    """Two benches with the key groups below and from `border`."""
    operator: Any = old.harness.operator
    parts = (
        operator.state.snapshot(range(GROUPS)),
        operator.timers.event_timers.snapshot(GROUPS),
        operator.timers.processing_timers.snapshot(GROUPS),
    )
    benches = []
    for groups in (range(border), range(border, GROUPS)):
        bench = Bench(fresh(operator), key)
        bench.harness.clock.advance_ms(old.harness.clock.processing_time_ms())  # type: ignore[attr-defined]
        bench.__enter__()
        new: Any = bench.harness.operator
        new.state.restore(parts[0], groups)
        new.timers.event_timers.restore(parts[1], groups)
        new.timers.processing_timers.restore(parts[2], groups)
        new.timers.schedule_restored()
        new.timers.watermark_ms = operator.timers.watermark_ms  # is no state; here nothing shall change
        benches.append(bench)
    return benches


def fresh(operator: Any) -> Any:
    if isinstance(operator, WindowOperator):
        return WindowOperator(operator._spec, operator._window_function)
    return KeyedProcessOperator(Obey())


def check(operator: Any, run: Any, script: Stream, cut: int, border: int) -> None:
    """Plays the script to one subtask up to `cut`, and to two from there on."""
    reached = {Mark: -(2**63), Tick: 0}
    benches = [Bench(operator, key)]
    with benches[0]:
        for number, one in enumerate([*script, END]):
            if number == cut:
                benches = move(benches[0], border)
            if not isinstance(one, Event):
                if one.time <= reached[type(one)]:
                    continue
                reached[type(one)] = one.time
            told = benches
            if isinstance(one, Event) and len(benches) == 2:
                told = [benches[group_of(one) >= border]]
            made = [output for bench in told for output in bench.play([one])[0]]
            assert sorted(map(repr, made)) == sorted(map(repr, naively(run, one))), (number, one)
    for bench in benches:
        bench.harness.close()


def naively(run: Any, one: Any) -> list[Any]:
    run.results.main.clear()
    if isinstance(one, Mark):
        run.mark(one)
    elif isinstance(one, Tick):
        run.tick(one)
    elif isinstance(run, processing.Run):
        run.element("process_element", key(one.value), one)
    else:
        run.element(key(one.value), one)
    return [(e.time, e.value) for e in run.results.main if isinstance(e, Event)]


@examples(100)
@given(
    st.lists(st.one_of(COMMAND, COMMAND, COMMAND, MARKS, TICKS), max_size=30),
    st.integers(0, 20),
    st.integers(0, GROUPS),
)
def test_functions_go_on_in_other_subtasks(script: Stream, cut: int, border: int) -> None:
    check(KeyedProcessOperator(Obey()), processing.Run(Obey()), script, cut, border)


@examples(100)
@given(
    WINDOWS,
    st.lists(st.one_of(NUMBER, NUMBER, NUMBER, MARKS), max_size=30),
    st.integers(0, 20),
    st.integers(0, GROUPS),
)
def test_windows_go_on_in_other_subtasks(spec: naive.Windowing, script: Stream, cut: int, border: int) -> None:
    contents = ListStateDescriptor(WINDOW_STATE_NAME, Types.PICKLED_BYTE_ARRAY())
    said = WindowSpec(assigner_of(spec), trigger_of(spec, spec.trigger), contents, spec.lateness)
    check(WindowOperator(said, spec.function), naive.Run(spec), script, cut, border)
