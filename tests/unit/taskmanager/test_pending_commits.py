from __future__ import annotations

import pytest

from shmflink.checkpoint.handles import FINAL_CHECKPOINT_ID
from shmflink.taskmanager.pending_commits import PendingCommits


def test_what_is_not_committed_goes_with_the_next_checkpoint() -> None:
    """[E1] A checkpoint that was aborted, and whose committables nobody asked for, is in the next one."""
    pending = PendingCommits()
    pending.stage(1, lambda: ["a"])
    assert pending.stage(2, lambda: ["b"])() == [(1, "a"), (2, "b")]
    (first, *_) = due = pending.due(1)
    assert [part.committables() for part in due] == [("a",)]
    assert pending.stage(3, list)() == [(1, "a"), (2, "b")]
    pending.committed([first])
    assert pending.stage(4, lambda: ["d"])() == [(2, "b"), (4, "d")]
    assert not pending.is_empty


def test_what_the_end_of_a_job_without_checkpoints_staged_is_committed_with_a_savepoint_that_has_it() -> None:
    """The job is drained while some of its tasks wait at their end."""
    pending = PendingCommits()
    pending.stage(FINAL_CHECKPOINT_ID, lambda: ["a"])
    assert pending.due(5) == []
    assert pending.stage(5, list)() == [(5, "a")]
    assert [part.committables() for part in pending.due(5)] == [("a",), ()]


def test_a_snapshot_holds_what_was_staged_at_its_barrier_and_not_later() -> None:
    pending = PendingCommits()
    first = pending.stage(1, lambda: ["a"])
    pending.stage(2, lambda: ["b"])
    assert first() == [(1, "a")]


def test_restored_ones_come_first_in_the_order_of_their_checkpoints() -> None:
    """[E2]"""
    pending = PendingCommits([(7, "c"), (5, "a"), (7, "d")])
    assert [(part.checkpoint_id, part.committables()) for part in pending.due(7)] == [(5, ("a",)), (7, ("c", "d"))]
    assert pending.due(4) == []


def test_empty_checkpoints_leave_nothing() -> None:
    """[E9]"""
    pending = PendingCommits()
    collect = pending.stage(1, list)
    assert not pending.is_empty  # nobody knows yet
    assert collect() == []
    assert pending.is_empty


def test_committables_are_asked_for_once_and_an_error_stays() -> None:
    asked: list[int] = []

    def fail() -> list[str]:
        asked.append(1)
        raise OSError("disk full")

    pending = PendingCommits()
    for collect in (pending.stage(1, fail), pending.stage(2, lambda: ["b"])):
        with pytest.raises(OSError, match="disk full"):
            collect()
    assert asked == [1]
