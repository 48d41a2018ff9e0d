"""A job is saved and restarted at another parallelism in the middle of a script: its output does not change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from oracle import processing
from oracle import windows as naive
from oracle.elements import END, Event, Mark, Tick
from oracle.in_shmflink import Bench, Describe, assigner_of, trigger_of
from oracle.running import examples
from oracle.scripted_functions import COMMANDS, Obey

from shmflink.common import Types
from shmflink.core.elements import BARRIER_SAVEPOINT, Barrier
from shmflink.core.keys.columns import encode_keys
from shmflink.core.keys.groups import owners, range_of
from shmflink.operators.functions.process import KeyedProcessOperator
from shmflink.operators.windows.window_operator import WINDOW_STATE_NAME, WindowOperator, WindowSpec
from shmflink.state.descriptors import ListStateDescriptor
from shmflink.state.snapshots import RestoredState, rows_of
from shmflink.testing.manual_clock import ManualClock

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


@dataclass(frozen=True)
class Save:
    """A checkpoint or a savepoint, which may fail."""

    is_savepoint: bool
    is_saved: bool


@dataclass(frozen=True)
class Restart:
    """All subtasks end and others go on from a checkpoint taken at this moment."""

    parallelism: int


SAVES = st.builds(Save, st.booleans(), st.booleans())
RESTARTS = st.builds(Restart, st.integers(1, 4))


class Job:
    """An operator with several subtasks, and the files of its checkpoints."""

    def __init__(self, operator: Any) -> None:
        self.operator = operator
        self.now_ms = 0
        self.checkpoints = 0
        self.benches: list[Bench] = []
        self.begin(1, None)

    def begin(self, parallelism: int, states: list[RestoredState] | None) -> None:
        before = self.benches
        self.benches = []
        self.files: list[dict[str, list[pa.RecordBatch]]] = []
        for subtask in range(parallelism):
            clock = ManualClock()
            clock.advance_ms(self.now_ms)
            restored = {} if states is None else {"restored": states[subtask]}
            options: Any = {"clock": clock, "subtask_index": subtask, "parallelism": parallelism, **restored}
            bench = Bench(fresh(self.operator), key, **options)
            bench.__enter__()
            if before:  # is no state; here nothing shall change
                bench.harness.operator._timers.watermark_ms = before[0].harness.operator._timers.watermark_ms  # type: ignore[attr-defined]
            self.benches.append(bench)
            self.files.append({})
        for bench in before:
            bench.harness.close()

    def save(self, said: Save) -> None:
        self.checkpoints += 1
        barrier = Barrier(self.checkpoints, 0, BARRIER_SAVEPOINT if said.is_savepoint else 0)
        for bench, files in zip(self.benches, self.files, strict=True):
            for keyed in bench.harness.snapshot(barrier).keyed:
                batches = list(keyed.batches())
                if said.is_saved and not said.is_savepoint:
                    files[keyed.name] = [*(files[keyed.name] if keyed.is_delta else ()), *batches]
                keyed.saved(said.is_saved)

    def restart(self, parallelism: int) -> None:
        self.save(Save(is_savepoint=False, is_saved=True))
        names = dict.fromkeys(name for files in self.files for name in files)
        tables = {name: [b for files in self.files for b in files.get(name, ())] for name in names}
        states = [_share(tables, range_of(subtask, GROUPS, parallelism)) for subtask in range(parallelism)]
        self.begin(parallelism, states)

    def bench_of(self, event: Event) -> Bench:
        subtask = int(owners(encode_keys([key(event.value)]), GROUPS, len(self.benches))[0])
        return self.benches[subtask]


def _share(tables: dict[str, list[pa.RecordBatch]], groups: range) -> RestoredState:
    return RestoredState(1, tuple(tables), lambda name: (rows_of(batch, groups) for batch in tables[name]))


def fresh(operator: Any) -> Any:
    if isinstance(operator, WindowOperator):
        return WindowOperator(operator._spec, operator._window_function)
    return KeyedProcessOperator(Obey())


def check(operator: Any, run: Any, script: list[Any]) -> None:
    """Plays the script to a job that is saved and restarted on the way, and to the oracle, which is not."""
    reached = {Mark: -(2**63), Tick: 0}
    job = Job(operator)
    for number, one in enumerate([*script, END]):
        if isinstance(one, Save):
            job.save(one)
            continue
        if isinstance(one, Restart):
            job.restart(one.parallelism)
            continue
        if not isinstance(one, Event):
            if one.time <= reached[type(one)]:
                continue
            reached[type(one)] = one.time
            job.now_ms = reached[Tick]
        told = [job.bench_of(one)] if isinstance(one, Event) else job.benches
        made = [output for bench in told for output in bench.play([one])[0]]
        assert sorted(map(repr, made)) == sorted(map(repr, naively(run, one))), (number, one)
    for bench in job.benches:
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


@examples(150)
@given(st.lists(st.one_of(COMMAND, COMMAND, COMMAND, MARKS, TICKS, SAVES, RESTARTS), max_size=40))
def test_functions_go_on_in_other_subtasks(script: list[Any]) -> None:
    check(KeyedProcessOperator(Obey()), processing.Run(Obey()), script)


@examples(150)
@given(WINDOWS, st.lists(st.one_of(NUMBER, NUMBER, NUMBER, MARKS, SAVES, RESTARTS), max_size=40))
def test_windows_go_on_in_other_subtasks(spec: naive.Windowing, script: list[Any]) -> None:
    contents = ListStateDescriptor(WINDOW_STATE_NAME, Types.PICKLED_BYTE_ARRAY())
    said = WindowSpec(assigner_of(spec), trigger_of(spec, spec.trigger), contents, spec.lateness)
    check(WindowOperator(said, spec.function), naive.Run(spec), script)
