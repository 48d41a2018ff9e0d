"""Which jobs get slots, in which order: events of a pool, and its grants."""

from __future__ import annotations

from shmflink.core.ids import JobId
from shmflink.jobmanager.slot_pool import Allocation, Grant, SlotPool, SlotRequest

A, B, C = (JobId(digit * 32) for digit in "abc")


def pool(*taskmanagers: str, per: int = 1) -> SlotPool[str]:
    made: SlotPool[str] = SlotPool(per)
    for taskmanager in taskmanagers:
        made.offer(taskmanager)
    return made


def test_a_job_gets_the_slots_that_it_asks_for_and_keeps_them_until_it_is_over() -> None:
    slots = pool("tm0", "tm1", "tm2")
    slots.request(SlotRequest(A, 0, 2))
    assert slots.grants() == [Grant(SlotRequest(A, 0, 2), ("tm0", "tm1"))]
    assert slots.grants() == [], "once"
    assert (slots.allocation("tm0"), slots.allocation("tm2")) == (Allocation(A, 0), None)
    assert (slots.slots_of(A), slots.free) == (2, 1)
    assert slots.release(A) == ("tm0", "tm1")
    assert (slots.slots_of(A), slots.free) == (0, 3)


def test_free_slots_are_reserved_for_the_first_request_so_that_large_jobs_do_not_starve() -> None:
    slots = pool("tm0")
    slots.request(SlotRequest(A, 0, 2))
    slots.request(SlotRequest(B, 0, 1))
    assert slots.grants() == [], "B would fit, but A came first"
    slots.offer("tm1")
    slots.offer("tm1")
    assert slots.grants() == [Grant(SlotRequest(A, 0, 2), ("tm0", "tm1"))]
    assert slots.request_of(B) == SlotRequest(B, 0, 1)
    slots.release(A)
    assert slots.grants() == [Grant(SlotRequest(B, 0, 1), ("tm0",))]


def test_jobs_that_restart_come_before_new_ones_in_their_own_order() -> None:
    slots = pool()
    for request in (SlotRequest(A, 0, 1), SlotRequest(B, 2, 1), SlotRequest(C, 1, 1)):
        slots.request(request)
    assert [request.job_id for request in slots.waiting] == [B, C, A]


def test_all_slots_of_a_taskmanager_go_to_one_job() -> None:
    slots = pool("tm0", "tm1", per=4)
    slots.request(SlotRequest(A, 0, 3))
    slots.request(SlotRequest(B, 0, 5))
    assert slots.grants() == [Grant(SlotRequest(A, 0, 3), ("tm0",))]
    assert (slots.slots_of(A), slots.free) == (4, 4)
    slots.offer("tm2")
    assert slots.grants() == [Grant(SlotRequest(B, 0, 5), ("tm1", "tm2"))]


def test_a_lost_taskmanager_is_the_loss_of_its_job_and_what_replaces_it_is_another_one() -> None:
    slots = pool("tm0", "tm1")
    slots.request(SlotRequest(A, 0, 2))
    slots.grants()
    assert slots.lose("tm1") == A
    assert slots.lose("tm1") is None, "known once"
    slots.request(SlotRequest(A, 1, 1))
    assert slots.lose("tm0") == A, "while it waits: it needs this one as well"
    slots.offer("tm2")
    assert slots.grants() == []
    slots.offer("tm3")
    assert slots.grants() == [Grant(SlotRequest(A, 1, 2), ("tm2", "tm3"))]


def test_a_job_that_asks_again_keeps_its_place_and_one_that_is_over_loses_it() -> None:
    slots = pool()
    slots.request(SlotRequest(A, 0, 1))
    slots.request(SlotRequest(B, 0, 1))
    slots.request(SlotRequest(A, 0, 2))
    assert slots.waiting == (SlotRequest(A, 0, 2), SlotRequest(B, 0, 1))
    assert slots.release(A) == ()
    assert slots.waiting == (SlotRequest(B, 0, 1),)
    slots.stop()
    assert slots.waiting == ()
