"""State of all kinds is frozen and written later, while it changes: the files contain the state at the barrier."""

from __future__ import annotations

import copy
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from oracle.running import examples
from oracle.scripted_functions import Longest

from shmflink.common import Types
from shmflink.core.elements import BARRIER_SAVEPOINT, Barrier
from shmflink.core.keys.columns import decode_keys, encode_keys
from shmflink.core.keys.groups import range_of
from shmflink.state.descriptors import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    ValueStateDescriptor,
)
from shmflink.state.heap_backend import HeapKeyedStateBackend
from shmflink.state.snapshots import RestoredState, rows_of

GROUPS = 16
ANY = Types.PICKLED_BYTE_ARRAY()
KEYS = decode_keys(encode_keys([1, 2, 3, "a", None, (1, "x"), 1.5, True]))
FILES = dict[str, list[pa.RecordBatch]]


class Bench:
    """States of all kinds."""

    def __init__(self, *, is_incremental: bool = True) -> None:
        self.backend = HeapKeyedStateBackend(GROUPS, is_incremental=is_incremental)

    def open(self) -> Bench:
        of = self.backend.state
        self.value = of(ValueStateDescriptor("value", ANY))
        self.number = of(ValueStateDescriptor("number", Types.LONG()))
        self.list = of(ListStateDescriptor("list", ANY))
        self.map = of(MapStateDescriptor("map", Types.LONG(), Types.LIST(Types.LONG())))
        self.sum = of(ReducingStateDescriptor("sum", lambda a, b: a + b, Types.LONG()))
        self.longest = of(AggregatingStateDescriptor("longest", Longest(), ANY))
        return self

    def run(self, key: int, command: str, number: int) -> None:
        self.backend.entry = KEYS[key]
        match command:
            case "set":
                self.value.update([number, [number]])
                self.number.update(number)
            case "add":
                self.list.add([number])
                self.list.add_all([number, (number,)])
            case "replace":
                self.list.update([number])
            case "put":
                self.map.put(number % 3, [number])
                self.map.put_all({7: [number, number]})
            case "drop":
                self.map.remove(number % 3)
            case "reduce":
                self.sum.add(number)
                self.longest.add("x" * number)
            case "clear":
                for state in (self.value, self.number, self.list, self.map, self.sum, self.longest):
                    state.clear()

    def seen(self) -> dict[str, dict[Any, Any]]:
        """All entries."""
        return {name: copy.deepcopy(self.backend.table(name).entries()) for name in self.backend.state_names()}


COMMANDS = ["set", "add", "replace", "put", "drop", "reduce", "clear"]
RUNS = st.tuples(st.integers(0, len(KEYS) - 1), st.sampled_from(COMMANDS), st.integers(0, 9))
STEPS = st.one_of(
    RUNS, RUNS, RUNS, st.sampled_from(["tidy", "savepoint", "checkpoint", "checkpoint", "write", "write", "fail"])
)


@examples(150)
@given(st.lists(STEPS, max_size=60), st.booleans(), st.integers(1, 4))
def test_files_are_the_state_of_their_barrier(script: list[Any], is_incremental: bool, parallelism: int) -> None:
    """[C1] Also where some of them could not be written, and savepoints came in between."""
    bench = Bench(is_incremental=is_incremental).open()
    files: FILES = {}
    flying: list[tuple[Any, dict[str, dict[Any, Any]]]] = []
    for number, step in enumerate([*script, "checkpoint", *["write"] * 4]):
        if isinstance(step, tuple):
            bench.run(*step)
        elif step == "tidy":
            bench.backend.tidy()
        elif step in ("savepoint", "checkpoint") and len(flying) < 3:
            kind = BARRIER_SAVEPOINT if step == "savepoint" else 0
            flying.append((bench.backend.freeze(Barrier(number, 0, kind), range(GROUPS)), bench.seen()))
        elif step in ("write", "fail") and flying:
            frozen, then = flying.pop(0)
            written = _written(frozen, is_saved=step == "write")
            if step == "write":
                files = {n: [*(files.get(n, ()) if is_delta else ()), *rows] for n, is_delta, rows in written}
                _check(files, then, parallelism)


def _written(frozen: Any, *, is_saved: bool) -> list[tuple[str, bool, list[pa.RecordBatch]]]:
    made = []
    for one in frozen:
        made.append((one.name, one.is_delta, list(one.batches())))
        one.saved(is_saved)
    return made


def _check(files: FILES, then: dict[str, dict[Any, Any]], parallelism: int) -> None:
    found: dict[str, dict[Any, Any]] = {name: {} for name in then}
    for subtask in range(parallelism):
        groups = range_of(subtask, GROUPS, parallelism)
        bench = Bench()
        bench.backend.restore(
            RestoredState(1, tuple(files), lambda name, groups=groups: (rows_of(b, groups) for b in files[name]))  # type: ignore[misc]
        )
        for name, entries in bench.open().seen().items():
            assert not entries.keys() & found[name].keys(), "an entry in two subtasks"
            found[name].update(entries)
    assert {name: {k: repr(v) for k, v in table.items()} for name, table in found.items()} == {
        name: {k: repr(v) for k, v in table.items()} for name, table in then.items()
    }
