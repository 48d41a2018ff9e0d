"""When checkpoints begin, complete and fail, as events and effects."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shmflink.checkpoint.coordinator import CheckpointCoordinator
from shmflink.checkpoint.events import (
    Acknowledged,
    AttemptEnded,
    AttemptStarted,
    CheckpointRequested,
    Declined,
    Discard,
    Drain,
    FailJob,
    NotifyAborted,
    NotifyCompleted,
    RequestDone,
    SavepointRequested,
    StartCheckpoint,
    Store,
    Stored,
    StoreFailed,
    SwitchToUnaligned,
    TaskFinished,
    TaskReachedEnd,
    Tick,
)
from shmflink.checkpoint.handles import FINAL_CHECKPOINT_ID, KeyedStateHandle, OperatorSubtaskState, StateFile
from shmflink.checkpoint.history import AcknowledgedTask, CheckpointCounts, CheckpointState
from shmflink.checkpoint.settings import CheckpointSettings
from shmflink.core.elements import BARRIER_ALIGNED, BARRIER_SAVEPOINT, BARRIER_UNALIGNED
from shmflink.core.ids import SubtaskId
from shmflink.errors import InternalError

A, B = SubtaskId(0, 0), SubtaskId(1, 0)
EVERY_SECOND = CheckpointSettings(interval_ms=1000, timeout_ms=5000)


class Story:
    """A coordinator of two tasks that run since 0 ms; remembers the time."""

    def __init__(self, settings: CheckpointSettings = EVERY_SECOND) -> None:
        self.coordinator = CheckpointCoordinator(settings, [A, B], name_of={A: "A", B: "B"}.__getitem__)
        self.now_ms = 0
        assert self.tell(AttemptStarted()) == []

    def tell(self, event, at_ms=None):
        self.now_ms = self.now_ms if at_ms is None else at_ms
        return self.coordinator.handle(event, self.now_ms)

    def acknowledge(self, checkpoint_id, at_ms=None):
        assert self.tell(Acknowledged(A, checkpoint_id), at_ms) == []
        (store, *_) = self.tell(Acknowledged(B, checkpoint_id))
        assert isinstance(store, Store)
        return store

    def complete(self, checkpoint_id, at_ms=None):
        self.acknowledge(checkpoint_id, at_ms)
        return self.tell(Stored(checkpoint_id, f"chk-{checkpoint_id}"))


def test_from_trigger_to_completion():
    """[C13] A checkpoint is complete with every task's part and its metadata file, not before."""
    story = Story()
    assert story.coordinator.next_deadline_ms() == 1000
    assert story.tell(Tick(), 999) == []
    assert story.tell(Tick(), 1000) == [StartCheckpoint(1, BARRIER_ALIGNED)]
    assert story.tell(Tick(), 1001) == []
    file = StateFile("a", length=100, crc32=0)
    state = OperatorSubtaskState("x", 0, (KeyedStateHandle("k", 0, 127, (file, file)),), operator_state=file)
    assert story.tell(Acknowledged(A, 1, (state,), 5, 7, 9, bytes=100), 1100) == []
    assert story.tell(Acknowledged(A, 1, (state,)), 1150) == []
    assert story.tell(Acknowledged(B, 1), 1200) == [Store(1, False, None, {A: (state,), B: ()}, frozenset())]
    assert story.coordinator.is_storing
    assert story.tell(Stored(1, "/c/chk-1"), 1300) == [NotifyCompleted(1)]
    (record,) = story.coordinator.history
    assert (record.state, record.path, record.duration_ms) == (CheckpointState.COMPLETED, "/c/chk-1", 300)
    assert (record.bytes_written, record.bytes_all, record.acknowledged, record.subtasks) == (100, 300, 2, 2)
    assert (record.sync_ns_max, record.async_ns_max, record.alignment_ns_max) == (5, 7, 9)
    assert record.tasks == (
        AcknowledgedTask(A, 1100, 100, 300, 0, 5, 7, 9),
        AcknowledgedTask(B, 1200, 0, 0, 0, 0, 0, 0),
    )
    assert story.coordinator.reports.last_completed is record
    assert story.coordinator.reports.counts == CheckpointCounts(triggered=1, completed=1)
    assert story.coordinator.next_deadline_ms() == 2000


def test_one_checkpoint_makes_up_for_a_long_pause():
    story = Story()
    assert story.tell(Tick(), 7777) == [StartCheckpoint(1, BARRIER_ALIGNED)]
    story.complete(1)
    assert story.tell(Tick(), 8776) == []
    assert story.tell(Tick(), 8777) == [StartCheckpoint(2, BARRIER_ALIGNED)]


def test_a_slow_checkpoint_delays_the_next():
    """[C11] They do not overlap; the one that is due begins when there is room."""
    story = Story()
    story.tell(Tick(), 1000)
    assert story.tell(Tick(), 3500) == []
    assert story.coordinator.next_deadline_ms() == 6000
    assert story.complete(1) == [NotifyCompleted(1), StartCheckpoint(2, BARRIER_ALIGNED)]


def test_as_many_at_the_same_time_as_allowed():
    story = Story(replace(EVERY_SECOND, max_concurrent=2))
    story.tell(Tick(), 1000)
    assert story.tell(Tick(), 2000) == [StartCheckpoint(2, BARRIER_ALIGNED)]
    assert story.tell(Tick(), 3000) == []
    aborted = "a newer checkpoint completed first"
    done = story.complete(2)
    assert done == [NotifyCompleted(2), NotifyAborted(1, aborted), Discard(1), StartCheckpoint(3, BARRIER_ALIGNED)]
    assert story.tell(Acknowledged(A, 1)) == []


def test_an_older_one_that_is_stored_later_is_thrown_away():
    story = Story(replace(EVERY_SECOND, max_concurrent=2))
    story.tell(Tick(), 1000)
    story.tell(Tick(), 2000)
    story.acknowledge(1)
    assert story.complete(2) == [NotifyCompleted(2)]
    reason = "a newer checkpoint completed first"
    assert story.tell(Stored(1, "chk-1")) == [NotifyAborted(1, reason), Discard(1)]
    assert story.coordinator.reports.last_completed.checkpoint_id == 2


def test_the_pause_counts_from_the_completion():
    story = Story(replace(EVERY_SECOND, min_pause_ms=900))
    story.tell(Tick(), 1000)
    story.complete(1, 1800)
    assert story.coordinator.next_deadline_ms() == 2700
    assert story.tell(Tick(), 2699) == []
    assert story.tell(Tick(), 2700) == [StartCheckpoint(2, BARRIER_ALIGNED)]


def test_a_checkpoint_that_takes_too_long_is_aborted_and_counts():
    """[C12] Late acknowledgements of it change nothing."""
    story = Story(replace(EVERY_SECOND, tolerable_failures=1))
    story.tell(Tick(), 1000)
    story.tell(Acknowledged(B, 1))
    reason = "not complete after 5000 ms; 1 task has not acknowledged it: A"
    assert story.tell(Tick(), 6000) == [NotifyAborted(1, reason), Discard(1), StartCheckpoint(2, BARRIER_ALIGNED)]
    assert story.tell(Acknowledged(A, 1)) == []
    story.complete(2)
    assert story.coordinator.reports.last_failed.reason == reason
    story.tell(Tick(), 7000)
    assert not any(isinstance(effect, FailJob) for effect in story.tell(Tick(), 12_000)), "one in between completed"


def test_what_is_being_stored_does_not_expire():
    story = Story()
    story.tell(Tick(), 1000)
    story.acknowledge(1)
    assert story.tell(Tick(), 60_000) == []
    assert story.coordinator.next_deadline_ms() is None
    assert story.tell(Stored(1, "p")) == [NotifyCompleted(1), StartCheckpoint(2, BARRIER_ALIGNED)]


def test_more_failures_in_a_row_than_tolerated_fail_the_job():
    """[C1][C2] Declined by a task and failed to be stored both count; after FailJob nothing is triggered."""
    story = Story(replace(EVERY_SECOND, tolerable_failures=1))
    story.tell(Tick(), 1000)
    assert story.tell(Declined(A, 1, "no space")) == [NotifyAborted(1, "A: no space"), Discard(1)]
    assert story.tell(Declined(B, 1, "no space")) == []
    story.tell(Tick(), 2000)
    story.acknowledge(2)
    effects = story.tell(StoreFailed(2, "no space"))
    assert effects[:2] == [NotifyAborted(2, "its metadata file: no space"), Discard(2)]
    assert isinstance(effects[2], FailJob)
    assert "checkpoint 2 failed" in effects[2].reason
    assert story.tell(Tick(), 9000) == []
    assert story.coordinator.next_deadline_ms() is None


def test_an_attempt_ends_and_another_goes_on_with_new_ids():
    """[C14] What was under way is given up; what the old attempt still says is too late."""
    story = Story()
    story.tell(Tick(), 1000)
    story.tell(Acknowledged(A, 1))
    assert story.tell(AttemptEnded()) == [Discard(1)]
    assert story.coordinator.next_deadline_ms() is None
    assert story.tell(AttemptStarted(restored_id=None), 5000) == []
    assert story.tell(Acknowledged(B, 1)) == []
    assert story.tell(Tick(), 6000) == [StartCheckpoint(2, BARRIER_ALIGNED)]


def test_a_restart_waits_for_what_is_being_stored():
    story = Story()
    story.tell(Tick(), 1000)
    story.acknowledge(1)
    assert story.tell(AttemptEnded()) == []
    assert story.coordinator.is_storing
    with pytest.raises(InternalError, match="being stored"):
        story.tell(AttemptStarted())
    assert story.tell(Stored(1, "chk-1")) == []
    assert story.coordinator.reports.last_completed.checkpoint_id == 1
    story.tell(AttemptStarted(restored_id=1))
    assert story.coordinator.reports.counts.restored == 1


def test_unaligned_from_the_beginning_or_after_a_while():
    story = Story(replace(EVERY_SECOND, aligned_timeout_ms=0))
    assert story.tell(Tick(), 1000) == [StartCheckpoint(1, BARRIER_UNALIGNED)]
    story = Story(replace(EVERY_SECOND, aligned_timeout_ms=300))
    assert story.tell(Tick(), 1000) == [StartCheckpoint(1, BARRIER_ALIGNED)]
    assert story.coordinator.next_deadline_ms() == 1300
    assert story.tell(Tick(), 1300) == [SwitchToUnaligned(1)]
    assert story.tell(Tick(), 1400) == []
    assert story.coordinator.history[0].is_unaligned


def test_tasks_that_finish_take_part_as_finished():
    """[C15] Those that finish in the middle of a checkpoint, and those that had finished before it."""
    story = Story()
    story.tell(Tick(), 1000)
    story.tell(Acknowledged(B, 1))
    assert story.tell(TaskFinished(A)) == [Store(1, False, None, {B: ()}, frozenset({A}))]
    story.tell(Stored(1, "p"))
    assert story.tell(Tick(), 2000) == [StartCheckpoint(2, BARRIER_ALIGNED)]
    assert story.tell(Acknowledged(B, 2)) == [Store(2, False, None, {B: ()}, frozenset({A}))]


def test_no_checkpoints_after_tasks_have_finished_where_that_is_set():
    story = Story(replace(EVERY_SECOND, after_tasks_finish=False))
    story.tell(TaskFinished(A))
    assert story.coordinator.next_deadline_ms() is None
    assert story.tell(Tick(), 5000) == []
    (answer,) = story.tell(SavepointRequested(1))
    assert "some tasks have finished" in answer.reason
    assert story.tell(TaskReachedEnd(B)) == [NotifyCompleted(FINAL_CHECKPOINT_ID)]


def test_a_task_with_something_to_commit_gets_a_checkpoint_at_the_end():
    """[C15] At once when nobody has more to do; one that began before it ended does not count."""
    story = Story()
    assert story.tell(TaskReachedEnd(B), 100) == []
    assert story.tell(TaskFinished(A), 200) == [StartCheckpoint(1, BARRIER_ALIGNED)]
    assert story.tell(Acknowledged(B, 1)) == [Store(1, False, None, {B: ()}, frozenset({A}))]
    assert story.tell(Stored(1, "p")) == [NotifyCompleted(1)]
    assert story.tell(TaskFinished(B)) == []
    assert story.tell(Tick(), 9000) == []


def test_a_checkpoint_that_began_before_the_end_is_followed_by_another():
    story = Story()
    story.tell(Tick(), 1000)
    assert story.tell(TaskFinished(A), 1100) == []
    assert story.tell(TaskReachedEnd(B)) == []
    story.tell(Acknowledged(B, 1))
    assert story.tell(Stored(1, "p")) == [NotifyCompleted(1), StartCheckpoint(2, BARRIER_ALIGNED)]
    story.tell(Acknowledged(B, 2))
    assert story.tell(Stored(2, "p")) == [NotifyCompleted(2)]


def test_a_last_checkpoint_that_fails_is_tried_again():
    story = Story(replace(EVERY_SECOND, tolerable_failures=9))
    story.tell(TaskFinished(A))
    assert story.tell(TaskReachedEnd(B)) == [StartCheckpoint(1, BARRIER_ALIGNED)]
    story.tell(Declined(B, 1, "no space"))
    assert story.tell(Tick(), 1000) == [StartCheckpoint(2, BARRIER_ALIGNED)]


def test_without_checkpoints_all_commit_when_all_are_at_their_end():
    story = Story(CheckpointSettings())
    assert story.coordinator.next_deadline_ms() is None
    assert story.tell(TaskReachedEnd(B)) == []
    assert story.tell(TaskFinished(A)) == [NotifyCompleted(FINAL_CHECKPOINT_ID)]
    assert story.tell(Tick(), 10**9) == []


@pytest.mark.parametrize("settings", [EVERY_SECOND, CheckpointSettings()])
def test_tasks_that_come_to_their_end_before_the_last_one_runs(settings):
    coordinator = CheckpointCoordinator(settings, [A, B])
    assert coordinator.handle(TaskFinished(A), 0) == []
    assert coordinator.handle(TaskReachedEnd(B), 0) == []
    (effect,) = coordinator.handle(AttemptStarted(), 5)
    assert effect in (StartCheckpoint(1, BARRIER_ALIGNED), NotifyCompleted(FINAL_CHECKPOINT_ID))


def test_all_tasks_finish_before_they_see_the_barrier():
    story = Story()
    story.tell(Tick(), 1000)
    story.tell(TaskFinished(A))
    reason = "all tasks had already finished"
    assert story.tell(TaskFinished(B)) == [NotifyAborted(1, reason), Discard(1)]


def test_savepoints_are_beside_the_checkpoints():
    """Not limited by max-concurrent, told to no sink, not restarted from, no failure of theirs counts."""
    story = Story(replace(EVERY_SECOND, max_concurrent=2))
    story.tell(Tick(), 1000)
    assert story.tell(SavepointRequested(7, "/s")) == [StartCheckpoint(2, BARRIER_SAVEPOINT, "/s")]
    assert story.tell(SavepointRequested(8)) == [StartCheckpoint(3, BARRIER_SAVEPOINT)]
    assert story.acknowledge(2) == Store(2, True, "/s", {A: (), B: ()}, frozenset())
    assert story.tell(Stored(2, "/s/x")) == [RequestDone(7, path="/s/x")]
    assert story.coordinator.reports.last_completed is None
    assert story.coordinator.reports.last_savepoint.path == "/s/x"
    failed = story.tell(Declined(A, 3, "no space"))
    assert failed == [NotifyAborted(3, "A: no space"), Discard(3), RequestDone(8, reason="A: no space")]
    assert story.complete(1) == [NotifyCompleted(1)]


def test_a_savepoint_waits_for_the_one_checkpoint_that_it_might_overtake():
    """Until all tasks have acknowledged it; before anybody's checkpoint, and whatever became of the one before."""
    story = Story()
    story.tell(Tick(), 1000)
    assert story.tell(CheckpointRequested(6)) == []
    assert story.tell(SavepointRequested(7, "/s")) == []
    assert (
        "a savepoint was requested; it begins when the checkpoint in progress is over" in story.coordinator.waits_for()
    )
    assert story.tell(Acknowledged(A, 1)) == []
    store, *others = story.tell(Acknowledged(B, 1))
    assert isinstance(store, Store)
    assert others == [StartCheckpoint(2, BARRIER_SAVEPOINT, "/s")]
    assert story.tell(Stored(1, "chk-1")) == [NotifyCompleted(1)]
    story.acknowledge(2)
    assert story.tell(Stored(2, "/s/x")) == [RequestDone(7, path="/s/x"), StartCheckpoint(3, BARRIER_ALIGNED)]
    assert story.tell(SavepointRequested(8, "/s")) == []
    assert story.tell(Declined(A, 3, "overtaken", counts=False))[-1] == StartCheckpoint(4, BARRIER_SAVEPOINT, "/s")


def test_no_checkpoint_begins_while_a_savepoint_is_under_way():
    story = Story()
    assert story.tell(SavepointRequested(1, "/s"), 900) == [StartCheckpoint(1, BARRIER_SAVEPOINT, "/s")]
    assert story.tell(Tick(), 1000) == []
    story.acknowledge(1, 1500)
    assert story.tell(Stored(1, "/s/x")) == [RequestDone(1, path="/s/x"), StartCheckpoint(2, BARRIER_ALIGNED)]


def test_a_stop_that_waits_for_a_checkpoint_ends_with_whatever_ends_the_attempt():
    """A savepoint that was asked for before is taken before; each request is answered once."""
    story = Story()
    story.tell(Tick(), 1000)
    assert story.tell(SavepointRequested(1, "/s")) == []
    assert story.tell(SavepointRequested(2, "/s", stops=True)) == []
    _, *begun = (*story.tell(Acknowledged(A, 1)), *story.tell(Acknowledged(B, 1)))
    assert begun == [StartCheckpoint(2, BARRIER_SAVEPOINT, "/s"), StartCheckpoint(3, BARRIER_SAVEPOINT, "/s", True)]

    story = Story()
    story.tell(Tick(), 1000)
    story.tell(SavepointRequested(2, "/s", stops=True))
    _, _, failed, answered = story.tell(Declined(A, 1, "no space"))
    assert isinstance(failed, FailJob)
    assert answered == RequestDone(2, reason="the job is not running")

    story = Story()
    story.tell(Tick(), 1000)
    story.tell(SavepointRequested(2, "/s", stops=True))
    assert story.tell(AttemptEnded("a task failed")) == [Discard(1), RequestDone(2, reason="a task failed")]


def test_a_checkpoint_that_a_newer_one_overtook_has_not_failed():
    story = Story(replace(EVERY_SECOND, max_concurrent=2))
    story.tell(Tick(), 1000)
    story.tell(Tick(), 2000)
    assert story.tell(Declined(A, 1, "a newer checkpoint overtook it", counts=False)) == [
        NotifyAborted(1, "A: a newer checkpoint overtook it"),
        Discard(1),
    ]


def test_a_savepoint_that_fails_when_a_newer_checkpoint_is_complete_fails_nothing():
    """What is older than the last success counts for nothing."""
    story = Story(replace(EVERY_SECOND, max_concurrent=2))
    story.tell(Tick(), 1000)
    story.tell(Tick(), 2000)
    story.acknowledge(1)
    story.complete(2)
    assert not any(isinstance(effect, FailJob) for effect in story.tell(StoreFailed(1, "no space")))


def test_a_checkpoint_on_request_waits_for_room_and_serves_all_who_asked():
    story = Story()
    assert story.tell(CheckpointRequested(1), 100) == [StartCheckpoint(1, BARRIER_ALIGNED)]
    assert story.tell(CheckpointRequested(2), 200) == []
    assert story.tell(CheckpointRequested(3), 300) == []
    assert story.complete(1) == [NotifyCompleted(1), RequestDone(1, path="chk-1"), StartCheckpoint(2, BARRIER_ALIGNED)]
    assert story.complete(2) == [NotifyCompleted(2), RequestDone(2, path="chk-2"), RequestDone(3, path="chk-2")]


def test_stop_with_a_savepoint():
    """Nothing else is triggered; the sources end when it is durable, and the job could restart from it."""
    story = Story()
    assert story.tell(SavepointRequested(1, "/s", stops=True)) == [StartCheckpoint(1, BARRIER_SAVEPOINT, "/s", True)]
    assert story.coordinator.next_deadline_ms() == 5000
    (refused,) = story.tell(SavepointRequested(2))
    assert refused.reason == "the job is being stopped"
    assert story.complete(1, 2000) == [NotifyCompleted(1, stops=True), RequestDone(1, path="chk-1")]
    assert story.coordinator.reports.last_completed.is_savepoint
    assert story.tell(Tick(), 9000) == []


def test_a_stop_that_fails_lets_the_job_go_on():
    story = Story()
    story.tell(SavepointRequested(1, stops=True), 500)
    effects = story.tell(Declined(A, 1, "no space"))
    assert effects == [NotifyAborted(1, "A: no space"), Discard(1), RequestDone(1, reason="A: no space")]
    assert story.tell(Tick(), 1500) == [StartCheckpoint(2, BARRIER_ALIGNED)]


def test_stop_with_drain_waits_for_the_ends_of_all_tasks():
    story = Story()
    assert story.tell(SavepointRequested(1, "/s", stops=True, drains=True)) == [Drain()]
    assert story.tell(Tick(), 1000) == []
    assert story.tell(TaskReachedEnd(A)) == []
    assert story.tell(TaskReachedEnd(B)) == [StartCheckpoint(1, BARRIER_SAVEPOINT, "/s", True)]
    assert story.complete(1) == [NotifyCompleted(1, stops=True), RequestDone(1, path="chk-1")]
    assert story.tell(TaskFinished(A)) == []
    assert story.tell(TaskFinished(B)) == []


def test_the_savepoint_of_a_drain_waits_for_a_checkpoint_that_it_might_overtake():
    story = Story(replace(EVERY_SECOND, interval_ms=None))
    story.tell(CheckpointRequested(1))
    story.tell(SavepointRequested(2, "/s", drains=True))
    assert story.tell(TaskFinished(A)) == []
    assert story.tell(TaskReachedEnd(B)) == []
    (store, *rest) = story.tell(Acknowledged(B, 1))
    assert isinstance(store, Store)
    assert rest == [StartCheckpoint(2, BARRIER_SAVEPOINT, "/s", True)]


def test_tasks_that_finish_behind_the_savepoint_of_a_drain_do_not_answer_it_a_second_time():
    story = Story()
    story.tell(SavepointRequested(1, "/s", stops=True, drains=True))
    story.tell(TaskReachedEnd(A))
    story.tell(TaskReachedEnd(B))
    for task in (A, B):
        story.tell(Acknowledged(task, 1))
    assert story.tell(TaskFinished(A)) == []
    assert story.tell(TaskFinished(B)) == []
    assert story.tell(Stored(1, "chk-1")) == [NotifyCompleted(1, stops=True), RequestDone(1, path="chk-1")]


def test_a_drain_cannot_be_taken_back_so_the_attempt_fails_with_its_savepoint():
    story = Story()
    story.tell(SavepointRequested(1, stops=True, drains=True))
    story.tell(TaskReachedEnd(A))
    story.tell(TaskReachedEnd(B))
    assert story.tell(StoreFailed(1, "no space")) == [], "it is not being stored"
    effects = story.tell(Declined(A, 1, "no space"))
    assert isinstance(effects[-1], FailJob)
    assert isinstance(effects[-2], RequestDone)
    assert story.tell(AttemptEnded()) == []


def test_requests_end_with_the_attempt():
    story = Story()
    story.tell(Tick(), 1000)
    story.tell(SavepointRequested(2, stops=True, drains=True))
    effects = story.tell(AttemptEnded("a task failed"))
    assert effects == [Discard(1), RequestDone(2, reason="a task failed")]
    (answer,) = story.tell(SavepointRequested(3))
    assert answer == RequestDone(3, reason="the job is not running")


def test_a_checkpoint_on_request_that_found_no_room_ends_with_the_attempt():
    story = Story()
    story.tell(Tick(), 1000)
    story.tell(CheckpointRequested(1))
    assert story.tell(AttemptEnded("a task failed")) == [Discard(1), RequestDone(1, reason="a task failed")]


def test_a_request_while_the_job_is_stopped_is_answered():
    story = Story()
    story.tell(Tick(), 1000)
    story.tell(CheckpointRequested(1))
    effects = story.tell(SavepointRequested(2, stops=True))
    assert RequestDone(1, reason="the job is being stopped") in effects


def test_the_history_is_bounded():
    story = Story(replace(EVERY_SECOND, history=3))
    for number in range(1, 8):
        story.tell(Tick(), number * 1000)
        story.complete(number)
    story.tell(Tick(), 8000)
    assert [record.checkpoint_id for record in story.coordinator.history] == [8, 7, 6, 5]
    assert story.coordinator.reports.counts == CheckpointCounts(triggered=8, in_progress=1, completed=7)


def test_who_waits_is_told_which_tasks_have_not_acknowledged():
    story = Story(replace(EVERY_SECOND, max_concurrent=2))
    assert story.coordinator.waits_for() == ()
    story.tell(CheckpointRequested(1))
    assert story.coordinator.waits_for() == ("2 of 2 tasks have not acknowledged checkpoint 1: A, B",)
    story.tell(SavepointRequested(2, "/s"))
    story.tell(Acknowledged(A, 2))
    assert story.coordinator.waits_for()[1:] == ("1 of 2 tasks has not acknowledged savepoint 2: B",)
    story.tell(Acknowledged(B, 2))
    assert story.coordinator.waits_for()[1:] == (
        "all tasks have acknowledged savepoint 2; its metadata file is being written",
    )
    story.tell(Stored(2, "/s/1"))
    assert len(story.coordinator.waits_for()) == 1
    story.tell(AttemptEnded("the job is FAILING"))
    assert story.coordinator.waits_for() == ()


def test_who_stops_a_job_is_told_of_the_drain_and_of_the_end_behind_the_savepoint():
    story = Story()
    story.tell(SavepointRequested(1, "/s", drains=True))
    assert story.coordinator.waits_for() == (
        "the job drains before the savepoint; tasks not yet at the end of their input: A, B",
    )
    story.tell(TaskReachedEnd(A))
    assert story.coordinator.waits_for() == (
        "the job drains before the savepoint; tasks not yet at the end of their input: B",
    )
    story.tell(TaskReachedEnd(B))
    assert story.coordinator.waits_for() == ("2 of 2 tasks have not acknowledged savepoint 1: A, B",)
    story.acknowledge(1)
    story.tell(Stored(1, "/s/1"))
    assert story.coordinator.waits_for() == ("the savepoint is complete; tasks that have yet to end: A, B",)
    story.tell(TaskFinished(A))
    assert story.coordinator.waits_for() == ("the savepoint is complete; tasks that have yet to end: B",)


def test_of_many_tasks_the_first_are_named():
    tasks = [SubtaskId(0, number) for number in range(8)]
    coordinator = CheckpointCoordinator(EVERY_SECOND, tasks, name_of=lambda task: str(task.subtask))
    coordinator.handle(AttemptStarted(), 0)
    coordinator.handle(CheckpointRequested(1), 0)
    assert coordinator.waits_for() == ("8 of 8 tasks have not acknowledged checkpoint 1: 0, 1, 2, 3, 4 and 3 more",)
