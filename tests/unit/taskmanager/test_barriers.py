"""Barrier alignment, event in, effects out."""

from __future__ import annotations

from shmflink.core.elements import Barrier
from shmflink.taskmanager.barriers import AlignmentEffects, BarrierAlignment

_ONE, _TWO = Barrier(1, 0), Barrier(2, 0)


def test_aligned_when_every_channel_has_delivered() -> None:
    alignment = BarrierAlignment(range(3))
    assert alignment.barrier(0, _ONE) == AlignmentEffects(block=(0,))
    assert alignment.barrier(2, _ONE) == AlignmentEffects(block=(2,))
    assert alignment.barrier(1, _ONE) == AlignmentEffects(unblock=(0, 1, 2), aligned=_ONE)


def test_one_channel_is_aligned_at_once() -> None:
    assert BarrierAlignment([0]).barrier(0, _ONE).aligned == _ONE


def test_a_newer_barrier_aborts_the_older_alignment_and_counts_for_the_new_one() -> None:
    alignment = BarrierAlignment(range(2))
    alignment.barrier(0, _ONE)
    assert alignment.barrier(1, _TWO) == AlignmentEffects(block=(1,), unblock=(0,), aborted_id=1)
    assert alignment.barrier(0, _ONE) == AlignmentEffects()  # of the aborted one
    assert alignment.barrier(0, _TWO).aligned == _TWO


def test_the_end_of_a_channel_completes_an_alignment_that_waited_for_it() -> None:
    alignment = BarrierAlignment(range(2))
    alignment.barrier(0, _ONE)
    assert alignment.end_of_data(1) == AlignmentEffects(unblock=(0,), aligned=_ONE)
    assert alignment.end_of_data(0) == AlignmentEffects()
