"""Barrier alignment, event in, effects out."""

from __future__ import annotations

from shmflink.core.elements import Barrier
from shmflink.taskmanager.barriers import AlignmentEffects, BarrierAlignment, BarrierTracker

_ONE, _TWO, _THREE = Barrier(1, 0), Barrier(2, 0), Barrier(3, 0)


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


def test_an_aborted_checkpoint_is_ignored_and_an_older_one_is_not() -> None:
    alignment = BarrierAlignment(range(2))
    alignment.abort(2)
    assert alignment.barrier(0, _ONE) == AlignmentEffects(block=(0,))
    assert alignment.barrier(1, _ONE).aligned == _ONE
    assert alignment.barrier(0, _TWO) == AlignmentEffects()
    assert alignment.barrier(0, _THREE) == AlignmentEffects(block=(0,))


def test_at_least_once_barriers_of_several_checkpoints_are_counted_at_once() -> None:
    tracker = BarrierTracker(range(2))
    assert tracker.barrier(0, _ONE) == AlignmentEffects()
    assert tracker.barrier(0, _TWO) == AlignmentEffects()
    assert tracker.barrier(1, _ONE) == AlignmentEffects(aligned=_ONE)
    assert tracker.barrier(1, _TWO) == AlignmentEffects(aligned=_TWO)
    assert tracker.barrier(1, _TWO) == AlignmentEffects()


def test_at_least_once_the_end_of_a_channel_completes_all_that_waited_for_it() -> None:
    tracker = BarrierTracker(range(2))
    tracker.barrier(0, _ONE)
    tracker.barrier(0, _TWO)
    assert tracker.end_of_data(1) == AlignmentEffects(aligned=_ONE, aligned_next=(_TWO,))
    assert tracker.start(_TWO) == AlignmentEffects(aligned=_TWO)
    assert tracker.barrier(0, _THREE).aligned == _THREE


def test_at_least_once_an_aborted_checkpoint_is_ignored_and_an_older_one_is_not() -> None:
    tracker = BarrierTracker(range(2))
    tracker.barrier(0, _ONE)
    tracker.barrier(0, _TWO)
    tracker.abort(2)
    tracker.abort(3)
    assert tracker.barrier(1, _ONE).aligned == _ONE
    assert tracker.barrier(1, _TWO) == AlignmentEffects()
    assert tracker.barrier(0, _THREE) == AlignmentEffects()


def test_at_least_once_a_checkpoint_that_a_task_upstream_skipped_is_forgotten() -> None:
    tracker = BarrierTracker(range(2))
    tracker.barrier(0, _ONE)
    tracker.barrier(0, _TWO)
    assert tracker.barrier(1, _TWO) == AlignmentEffects(aligned=_TWO)
    assert tracker.end_of_data(1) == AlignmentEffects()


def test_at_least_once_few_checkpoints_are_counted_at_once() -> None:
    tracker = BarrierTracker(range(2))
    for number in range(50):
        assert tracker.barrier(0, Barrier(number, 0)) == AlignmentEffects()
    assert tracker.barrier(0, Barrier(50, 0)) == AlignmentEffects(aborted_id=0)
    assert tracker.barrier(1, Barrier(1, 0)).aligned == Barrier(1, 0)
