"""State objects over a backend: values by the current key, with value semantics."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

from shmflink.core.elements import BARRIER_SAVEPOINT, Barrier
from shmflink.core.row import Row
from shmflink.core.types.typeinfo import Types
from shmflink.errors import TypeMismatchError, UsageError
from shmflink.state.descriptors import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    ValueStateDescriptor,
)
from shmflink.state.heap_backend import HeapKeyedStateBackend
from shmflink.state.heap_table import HeapStateTable
from shmflink.state.keyed_states import ValueState
from shmflink.state.snapshots import OperatorSnapshot, restored_from

ANY = Types.PICKLED_BYTE_ARRAY()


class Mean:
    def create_accumulator(self) -> tuple[int, int]:
        return 0, 0

    def add(self, value: int, accumulator: tuple[int, int]) -> tuple[int, int]:
        return accumulator[0] + value, accumulator[1] + 1

    def get_result(self, accumulator: tuple[int, int]) -> float:
        return accumulator[0] / accumulator[1]


@pytest.fixture
def backend() -> HeapKeyedStateBackend:
    backend = HeapKeyedStateBackend(128)
    backend.entry = "a"
    return backend


def test_a_value_belongs_to_its_key(backend: HeapKeyedStateBackend) -> None:
    state = backend.state(ValueStateDescriptor("v", Types.LONG()))
    assert state.value() is None
    state.update(1)
    backend.entry = "b"
    assert state.value() is None
    state.update(2)
    backend.entry = "a"
    assert state.value() == 1
    state.update(None)
    assert state.value() is None
    assert backend.table("v").entries() == {"b": 2}


@pytest.mark.parametrize("value", [[1, [2]], {"k": [1]}, Row(a=[1]), ([1],)])
def test_what_is_changed_outside_is_not_changed_inside(backend: HeapKeyedStateBackend, value: Any) -> None:
    def change(of: Any) -> None:
        inner = of["k"] if isinstance(of, dict) else of[-1] if isinstance(of, (list, tuple)) else of.a
        inner.append(99)

    state = backend.state(ValueStateDescriptor("v", ANY))
    before = repr(value)
    state.update(value)
    change(value)
    assert repr(state.value()) == before
    change(state.value())
    assert repr(state.value()) == before


def test_a_state_goes_with_its_backend() -> None:
    """They know each other; the collector finds the way back through the native part."""

    class Entry:
        entry = "a"
        state: ValueState

    current = Entry()
    current.state = ValueState(HeapStateTable(), current)
    gone = weakref.ref(current)
    del current
    gc.collect()
    assert gone() is None


def test_lists(backend: HeapKeyedStateBackend) -> None:
    state = backend.state(ListStateDescriptor("l", Types.LONG()))
    assert list(state) == []
    state.add(1)
    state.add_all([2, 3])
    got = state.get()
    got.append(4)
    assert state.get() == [1, 2, 3]
    state.update([9])
    assert state.get() == [9]
    state.update([])
    assert backend.table("l").entries() == {}
    for wrong in (lambda: state.add(None), lambda: state.add_all([1, None]), lambda: state.update(None)):
        with pytest.raises(UsageError, match="None"):
            wrong()


def test_maps(backend: HeapKeyedStateBackend) -> None:
    state = backend.state(MapStateDescriptor("m", Types.STRING(), Types.LONG()))
    assert state.is_empty()
    state["x"] = 1
    state.put_all({"y": 2, "z": 3})
    assert dict(state.items()) == {"x": 1, "y": 2, "z": 3}
    for key in state:  # keys as they were: removing while iterating is fine
        if key != "y":
            del state[key]
    assert "y" in state
    assert "x" not in state
    assert (list(state.keys()), list(state.values())) == (["y"], [2])
    state.remove("y")
    assert state.is_empty()
    assert backend.table("m").entries() == {}


def test_reducing_and_aggregating(backend: HeapKeyedStateBackend) -> None:
    total = backend.state(ReducingStateDescriptor("r", lambda a, b: a + b, Types.LONG()))
    mean = backend.state(AggregatingStateDescriptor("a", Mean(), ANY))
    assert (total.get(), mean.get()) == (None, None)
    for value in (1, 2, 6):
        total.add(value)
        mean.add(value)
    assert (total.get(), mean.get()) == (9, 3.0)
    total.clear()
    mean.add(None)
    assert (total.get(), mean.get()) == (None, None)


def test_one_name_is_one_state(backend: HeapKeyedStateBackend) -> None:
    backend.state(ValueStateDescriptor("v", Types.LONG())).update(1)
    assert backend.state(ValueStateDescriptor("v", Types.LONG())).value() == 1
    with pytest.raises(TypeMismatchError, match=r"'v'.*String.*ValueStateDescriptor of type Long"):
        backend.state(ValueStateDescriptor("v", Types.STRING()))
    with pytest.raises(TypeMismatchError, match="ListStateDescriptor"):
        backend.state(ListStateDescriptor("v", Types.LONG()))


def test_state_of_windows_moves_with_its_key_group() -> None:
    backend = HeapKeyedStateBackend(4)
    state = backend.state(ListStateDescriptor("w", Types.LONG()), is_namespaced=True)
    for key in range(20):
        backend.entry = (key, (0, key))
        state.add(key)
    halves = []
    snapshot = OperatorSnapshot(tuple(backend.freeze(Barrier(1, 0), range(4))))
    for groups in (range(2), range(2, 4)):
        halves.append(HeapKeyedStateBackend(4))
        halves[-1].restore(restored_from([snapshot], groups, 0, 1))
        snapshot = OperatorSnapshot(tuple(backend.freeze(Barrier(2, 0, BARRIER_SAVEPOINT), range(4))))
    found = []
    for half in halves:
        restored = half.state(ListStateDescriptor("w", Types.LONG()), is_namespaced=True)
        for key in range(20):
            half.entry = (key, (0, key))
            found += restored.get()
    assert sorted(found) == list(range(20))
    with pytest.raises(TypeMismatchError, match="with and without windows"):
        halves[0].value_state("w")


def test_descriptors_say_what_they_need() -> None:
    for wrong in (
        lambda: ValueStateDescriptor("", Types.LONG()),
        lambda: ValueStateDescriptor("v", int),  # type: ignore[arg-type]
        lambda: MapStateDescriptor("m", Types.LONG(), "x"),  # type: ignore[arg-type]
        lambda: ReducingStateDescriptor("r", 1, Types.LONG()),
        lambda: AggregatingStateDescriptor("a", lambda a: a, Types.LONG()),
    ):
        with pytest.raises(UsageError):
            wrong()
