"""Commits that subtasks report in any order: which checkpoints are complete."""

from __future__ import annotations

import random

import pytest

from shmflink.taskmanager.commit_messages import AtEnd, Committed, Ended
from shmflink.taskmanager.global_progress import GlobalProgress


def test_a_checkpoint_is_whole_when_all_subtasks_have_committed_it() -> None:
    progress = GlobalProgress()
    progress.tell(Committed(0, 2, 1, ((1, "a"),)))
    assert progress.whole() == []
    progress.tell(Committed(1, 2, 1, ()))
    assert progress.whole() == [(1, ["a"])]
    progress.committed(1)
    assert progress.whole() == []
    assert progress.held() == []


def test_what_an_aborted_checkpoint_staged_comes_with_the_next_one() -> None:
    progress = GlobalProgress()
    progress.tell(Committed(0, 1, 3, ((2, "of the aborted one"), (3, "b"))))
    assert progress.whole() == [(2, ["of the aborted one"]), (3, ["b"])]


def test_a_subtask_that_has_ended_is_waited_for_no_longer() -> None:
    progress = GlobalProgress()
    progress.tell(Committed(0, 2, 7, ((7, "a"),)))
    progress.tell(Ended(1, 2))
    assert progress.whole() == [(7, ["a"])]


def test_only_commits_follow_when_all_subtasks_are_at_their_end() -> None:
    progress = GlobalProgress()
    assert not progress.is_at_end
    progress.tell(AtEnd(0, 2))
    assert not progress.is_at_end
    progress.tell(AtEnd(1, 2))
    assert progress.is_at_end
    assert progress.whole() == []


def test_a_part_of_a_checkpoint_waits_over_a_restore_for_the_other_part() -> None:
    before = GlobalProgress()
    before.tell(Committed(0, 2, 1, ((1, "a"),)))
    after = GlobalProgress(before.held())
    after.tell(Committed(0, 2, 2, ((2, "c"),)))
    assert after.whole() == []
    after.tell(Committed(1, 2, 2, ((1, "b"), (2, "d"))))  # it had not told of the first
    assert after.whole() == [(1, ["a", "b"]), (2, ["c", "d"])]


def test_what_is_reported_again_after_a_restore_is_committed_once() -> None:
    """At-least-once: a report that came behind the barrier is in the snapshots of both sides."""
    progress = GlobalProgress([(1, "a")])
    progress.tell(Committed(0, 1, 1, ((1, "a"), (1, "b"))))
    assert progress.whole() == [(1, ["a", "b"])]


def test_what_is_held_is_whole_when_all_had_ended_before_the_restore() -> None:
    progress = GlobalProgress([(4, "a")])
    assert progress.whole() == []
    progress.end()
    assert progress.whole() == [(4, ["a"])]


def test_what_was_in_flight_from_other_subtasks_waits_for_the_present_ones() -> None:
    """An unaligned checkpoint of a sink with three subtasks is restored with two."""
    progress = GlobalProgress([(4, "a")])
    progress.tell(Committed(1, 3, 4, ((4, "b"),)))
    progress.tell(Ended(2, 3))
    assert progress.whole() == []
    progress.tell(Committed(0, 2, 4, ((4, "c"),)))
    assert progress.whole() == []
    progress.tell(Committed(1, 2, 4, ()))
    assert progress.whole() == [(4, ["a", "b", "c"])]


@pytest.mark.parametrize("seed", range(20))
def test_every_checkpoint_is_whole_once_in_order_and_with_all_its_parts(seed: int) -> None:
    """However the messages of subtasks interleave, and whatever is restored in between."""
    rng = random.Random(seed)
    queues = [
        [Committed(s, 3, n, ((n, f"{n} of {s}"),) if rng.random() < 0.7 else ()) for n in range(1, 9)] for s in range(3)
    ]
    expected = {n: {c for q in queues for _, c in q[n - 1].committables} for n in range(1, 9)}
    progress, done = GlobalProgress(), dict[int, set[str]]()
    while any(queues):
        told = rng.choice([queue for queue in queues if queue]).pop(0)
        progress.tell(told)
        for number, committables in progress.whole():
            assert number not in done
            assert not done or number > max(done)
            done[number] = set(committables)
            progress.committed(number)
    assert done == {number: parts for number, parts in expected.items() if parts}
