"""The message of a job that waits for slots."""

from __future__ import annotations

from shmflink.jobmanager.slot_queue import waiting_text


def test_who_has_the_slots() -> None:
    assert waiting_text("b", 2, 4, [("a", "id-a", 3)], 0) == (
        "Job 'b' waits for 2 slots: 1 of 4 are free; 'a' (id-a) has 3. It starts when they end; cancel one, or run it "
        "on more slots"
    )


def test_many_holders_are_counted_and_who_waits_before_is_told() -> None:
    holders = [(f"j{i}", f"id{i}", 1) for i in range(7)]
    assert waiting_text("b", 1, 7, holders, 1) == (
        "Job 'b' waits for 1 slot: 0 of 7 are free; 'j0' (id0) has 1, 'j1' (id1) has 1, 'j2' (id2) has 1, "
        "'j3' (id3) has 1, 'j4' (id4) has 1, 2 jobs more; 1 job waits before it. It starts when they end; cancel one, "
        "or run it on more slots"
    )


def test_slots_whose_processes_are_not_up_are_nobodys() -> None:
    assert waiting_text("b", 2, 2, [], 2) == "Job 'b' waits for 2 slots: 2 of 2 are free; 2 jobs wait before it"
