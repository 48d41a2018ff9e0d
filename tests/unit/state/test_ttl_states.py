"""State that expires, with a manual clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shmflink.core.elements import Barrier
from shmflink.core.time_units import Duration, Time
from shmflink.core.types.typeinfo import Types
from shmflink.errors import UsageError
from shmflink.state.descriptors import (
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    StateDescriptor,
    ValueStateDescriptor,
)
from shmflink.state.heap_backend import HeapKeyedStateBackend
from shmflink.state.snapshots import OperatorSnapshot, restored_from
from shmflink.state.ttl import StateTtlConfig
from shmflink.testing.manual_clock import ManualClock


def config(*changes: Callable[[Any], Any]) -> StateTtlConfig:
    builder = StateTtlConfig.new_builder(Time.milliseconds(100)).disable_cleanup_in_background()
    for change in changes:
        builder = change(builder)
    return builder.build()


class Bench:
    def __init__(self, descriptor: StateDescriptor, ttl: StateTtlConfig) -> None:
        self.clock = ManualClock()
        self.backend = HeapKeyedStateBackend(128, self.clock)
        self.backend.entry = "a"
        descriptor.enable_time_to_live(ttl)
        self.state = self.backend.state(descriptor)

    def after(self, millis: int) -> Any:
        self.clock.advance_ms(millis)
        return self.state


def value() -> ValueStateDescriptor:
    return ValueStateDescriptor("v", Types.LONG())


def test_a_value_expires_at_its_time_and_is_removed_when_it_is_read() -> None:
    bench = Bench(value(), config())
    bench.state.update(1)
    assert bench.after(99).value() == 1
    assert bench.after(1).value() is None  # reading did not prolong it; expiry is at ttl, not after it
    assert bench.backend.table("v").entries() == {}


def test_writing_prolongs_and_so_does_reading_where_it_was_asked_for() -> None:
    written = Bench(value(), config())
    written.state.update(1)
    written.after(60).update(2)
    assert written.after(60).value() == 2
    read = Bench(value(), config(lambda b: b.update_ttl_on_read_and_write()))
    read.state.update(1)
    assert [read.after(60).value() for _ in range(4)] == [1, 1, 1, 1]
    assert read.after(100).value() is None


def test_an_expired_value_may_be_returned_once() -> None:
    bench = Bench(value(), config(lambda b: b.return_expired_if_not_cleaned_up()))
    bench.state.update(1)
    assert bench.after(500).value() == 1
    assert bench.state.value() is None


def test_elements_of_a_list_expire_one_by_one() -> None:
    bench = Bench(ListStateDescriptor("l", Types.LONG()), config())
    bench.state.add(1)
    bench.after(50).add(2)
    assert bench.after(60).get() == [2]
    assert list(bench.after(60)) == []
    assert bench.backend.table("l").entries() == {}


def test_entries_of_a_map_expire_one_by_one() -> None:
    bench = Bench(MapStateDescriptor("m", Types.STRING(), Types.LONG()), config())
    bench.state.put("x", 1)
    bench.after(50).put("y", 2)
    assert dict(bench.after(60).items()) == {"y": 2}
    assert "x" not in bench.state
    assert bench.after(60).is_empty()
    bench.state.put("z", None)  # a value as any other, as in maps that do not expire
    assert ("z" in bench.state, bench.state.get("z"), list(bench.state.items())) == (True, None, [("z", None)])
    assert "z" not in bench.after(100)


def test_a_list_that_is_given_nothing_keeps_what_it_has() -> None:
    bench = Bench(ListStateDescriptor("l", Types.LONG()), config())
    bench.state.add(1)
    for wrong in (lambda: bench.state.update(None), lambda: bench.state.update([2, None])):
        with pytest.raises(UsageError, match="None"):
            wrong()
    assert list(bench.state.get()) == [1]


def test_a_reduced_value_expires_as_a_whole() -> None:
    bench = Bench(ReducingStateDescriptor("r", lambda a, b: a + b, Types.LONG()), config())
    bench.state.add(1)
    bench.after(60).add(2)
    assert bench.after(60).get() == 3
    assert bench.after(100).get() is None


def test_forgotten_entries_go_in_the_background() -> None:
    bench = Bench(value(), StateTtlConfig.new_builder(Duration.of_millis(100)).build())
    for key in range(20):
        bench.backend.entry = key
        bench.state.update(key)
    bench.clock.advance_ms(100)
    bench.backend.entry = "other"
    for _ in range(5):
        bench.state.value()  # each looks at five entries
    assert bench.backend.table("v").entries() == {}


def test_snapshots_leave_out_what_has_expired() -> None:
    bench = Bench(value(), config(lambda b: b.cleanup_full_snapshot()))
    bench.state.update(1)
    bench.clock.advance_ms(50)
    bench.backend.entry = "b"
    bench.state.update(2)
    bench.clock.advance_ms(60)
    (frozen,) = bench.backend.freeze(Barrier(1, 0), range(128))
    assert [(row["key"], row["value"], row["ttl"]) for batch in frozen.batches() for row in batch.to_pylist()] == [
        ("b", 2, bench.clock.processing_time_ms() - 60)
    ]


def test_time_goes_on_over_a_restore() -> None:
    bench = Bench(value(), config())
    bench.state.update(1)
    snapshot = OperatorSnapshot(tuple(bench.backend.freeze(Barrier(1, 0), range(128))))
    saved = restored_from([snapshot], range(128), 0, 1)
    bench.clock.advance_ms(99)
    states = []
    for changes in ((), ("on",)):
        restored = HeapKeyedStateBackend(128, bench.clock)
        restored.restore(saved)
        restored.entry = "a"
        descriptor = value()
        if changes:
            descriptor.enable_time_to_live(config())
        states.append(restored.state(descriptor))
    assert [state.value() for state in states] == [1, 1]
    bench.clock.advance_ms(1)
    assert [state.value() for state in states] == [1, None]  # the first was restored without time to live


@pytest.mark.parametrize("kind", ["list", "map"])
def test_times_of_items_go_on_over_a_restore(kind: str) -> None:
    def described() -> StateDescriptor:
        plain = kind == "list"
        made = ListStateDescriptor("s", Types.LONG()) if plain else MapStateDescriptor("s", Types.LONG(), Types.LONG())
        made.enable_time_to_live(config())
        return made

    bench = Bench(described(), config())
    for item in (1, 2):
        bench.state.add(item) if kind == "list" else bench.state.put(item, item)
        bench.clock.advance_ms(60)
    snapshot = OperatorSnapshot(tuple(bench.backend.freeze(Barrier(1, 0), range(128))))
    restored = HeapKeyedStateBackend(128, bench.clock)
    restored.restore(restored_from([snapshot], range(128), 0, 1))
    restored.entry = "a"
    state = restored.state(described())
    assert (list(state.get()) if kind == "list" else list(state.keys())) == [2]
    bench.clock.advance_ms(40)
    assert list(state) == []


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="positive"):
        StateTtlConfig.new_builder(Time.milliseconds(0)).build()
    with pytest.raises(UsageError, match="no RocksDB"):
        StateTtlConfig.new_builder(Time.seconds(1)).cleanup_in_rocksdb_compact_filter(1000)
