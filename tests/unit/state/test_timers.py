"""Timers: once per key and time, in order of time, deletable, by key group."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from oracle.running import examples

from shmflink.core.elements import Barrier
from shmflink.core.keys.columns import decode_keys, encode_keys
from shmflink.state.snapshots import rows_of
from shmflink.state.timers import TimerQueue


def key(value: object) -> object:
    return decode_keys(encode_keys([value]))[0]


def test_a_timer_that_is_registered_twice_fires_once_and_a_deleted_one_never() -> None:
    timers = TimerQueue()
    for _ in range(2):
        timers.register(10, "a")
    timers.register(10, "b")
    timers.register(5, "b")
    timers.delete(10, "b")
    timers.delete(11, "a")  # another time: another timer
    assert timers.next_ms == 5
    assert list(timers.due(10)) == [(5, "b", None), (10, "a", None)]
    assert timers.next_ms is None
    timers.register(10, "b")
    assert list(timers.due(9)) == []
    assert list(timers.due(10)) == [(10, "b", None)]


def test_timers_registered_while_others_fire_come_in_their_turn() -> None:
    timers = TimerQueue()
    timers.register(1, "a")
    timers.register(5, "c")
    fired = []
    for timer in timers.due(5):
        fired.append(timer[:2])
        if timer[0] == 1:
            timers.register(3, "b")
            timers.register(9, "d")
    assert fired == [(1, "a"), (3, "b"), (5, "c")]
    assert timers.next_ms == 9


@examples(100)
@given(st.lists(st.tuples(st.booleans(), st.integers(-20, 20), st.sampled_from([1, "x", 1.5, None, (1, 2)]))))
def test_the_queue_is_a_sorted_set(changes: list[tuple[bool, int, object]]) -> None:
    timers, model = TimerQueue(), set()
    for is_added, timestamp, value in changes:
        (timers.register if is_added else timers.delete)(timestamp, key(value))
        (model.add if is_added else model.discard)((timestamp, key(value), None))
    assert len(timers) == len(model)
    keyed = timers.freeze("_event_timers", Barrier(1, 0), 8, range(8))
    halves = []
    for groups in (range(3), range(3, 8)):
        halves.append(TimerQueue())
        halves[-1].restore(rows_of(batch, groups) for batch in list(keyed.batches()))
    restored = [list(half.due(100)) for half in halves]
    assert all([t for t, _, _ in one] == sorted(t for t, _, _ in one) for one in restored)
    assert set(restored[0]) | set(restored[1]) == model
    keyed.saved(True)
    timers.tidy()
    fired = list(timers.due(100))
    assert set(fired) == model
    assert [t for t, _, _ in fired] == sorted(t for t, _, _ in model)


def test_a_timer_that_moves_with_each_element_does_not_fill_the_memory() -> None:
    timers = TimerQueue()
    for moment in range(20_000):
        timers.delete(moment + 999, "a")
        timers.register(moment + 1000, "a")
    assert len(timers) == 1
    assert len(timers._heap) < 3000
    assert list(timers.due(10**6)) == [(20_999, "a", None)]
