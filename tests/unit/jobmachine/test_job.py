"""The life of a job: what happens to it, and what it asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from shmflink.checkpoint.events import TaskReachedEnd
from shmflink.core.ids import LOCAL_HOST, SubtaskId, TaskManagerId
from shmflink.jobmachine import effects as ask
from shmflink.jobmachine import events
from shmflink.rpc.messages import Failure
from shmflink.rpc.states import JobState, TaskState
from tests.unit.jobmachine.conftest import Stage

BOOM = Failure("ValueError", "boom")
LOST = Failure("TaskManagerLostError", "gone")
RUNNING, FINISHED, FAILED = TaskState.RUNNING, TaskState.FINISHED, TaskState.FAILED


def kinds(effects: Sequence[ask.Effect]) -> list[str]:
    return [type(effect).__name__ for effect in effects]


def test_a_job_runs_and_finishes(stage: Callable[..., Stage]) -> None:
    job = stage(2, interval_ms=None).start()
    assert job.states == [JobState.RUNNING]
    job.report(0, FINISHED)
    assert job.states == [JobState.RUNNING]
    job.report(1, FINISHED)
    assert job.states == [JobState.RUNNING, JobState.FINISHED]
    assert (job.over.failure, job.over.is_kept) == (None, False)
    assert kinds(job.asked)[-4:] == ["CloseEnumerators", "KeepEnd", "CloseStorage", "Over"]


def test_after_a_failure_it_waits_its_delay_and_resumes_from_the_newest_checkpoint(stage: Callable[..., Stage]) -> None:
    job = stage().start()
    job.pass_time(10)
    job.acknowledge(1, 0)
    job.report(0, FAILED, BOOM)
    assert job.states == [JobState.RUNNING, JobState.FAILING, JobState.RESTARTING]
    assert len(job.all(ask.BeginAttempt)) == 1
    job.pass_time(100)
    first, second = job.all(ask.BeginAttempt)
    assert (first.restore_path, second.restore_path) == ("", "/chk-1")
    assert second.execution.epoch > first.execution.epoch
    assert job.states[-1] is JobState.RUNNING
    assert job.machine.restarts == 1


def test_one_failure_too_many_ends_it_with_the_first_cause(stage: Callable[..., Stage]) -> None:
    job = stage().start()
    for text in ("boom", "other", "other"):
        job.report(0, FAILED, Failure("ValueError", text))
        job.pass_time(100)
    assert job.states[-1] is JobState.FAILED
    assert job.over.failure.message.startswith("boom\nThe job has failed 3 times")
    assert "at last: ValueError: other" in job.over.failure.message


def test_a_region_restarts_alone(stage: Callable[..., Stage]) -> None:
    job = stage(2).start()
    job.report(0, FAILED, BOOM)
    job.pass_time(100)
    begun = job.all(ask.BeginAttempt)
    assert [[task.subtask.subtask for task in one.execution.tasks] for one in begun] == [[0], [1], [0]]
    assert job.all(ask.ResetReaders) == [ask.ResetReaders((SubtaskId(0, 0),), None)]
    assert len(job.all(ask.OpenEnumerators)) == 1


def test_regions_that_fail_for_the_same_reason_restart_together(stage: Callable[..., Stage]) -> None:
    job = stage(2).start()
    for subtask in (0, 1):
        job.report(subtask, FAILED, LOST)
    job.pass_time(100)
    assert job.machine.restarts == 1
    assert len(job.all(ask.BeginAttempt)) == 4
    assert [(one.is_whole, one.attempts) for one in job.all(ask.PrepareRestore)] == [(True, 2), (True, 2)]


@pytest.mark.parametrize("end", [JobState.CANCELED, JobState.FAILED])
def test_the_end_waits_for_a_checkpoint_that_is_being_stored(stage: Callable[..., Stage], end: JobState) -> None:
    """Its files would be left behind."""
    job = stage().start()
    job.held = {ask.StoreCheckpoint}
    job.pass_time(10)
    job.acknowledge(1, 0)
    if end is JobState.CANCELED:
        job.feed(events.CancelRequested())
    else:
        job.report(0, FAILED, Failure("ConfigurationError", "in vain"))
    assert not job.all(ask.CloseStorage)
    job.release()
    assert job.over.state is end
    assert not job.all(ask.TellCompleted)


def test_a_restart_waits_for_a_checkpoint_that_is_being_stored(stage: Callable[..., Stage]) -> None:
    job = stage().start()
    job.held = {ask.StoreCheckpoint}
    job.pass_time(10)
    job.acknowledge(1, 0)
    job.report(0, FAILED, BOOM)
    job.pass_time(1000)
    assert job.states[-1] is JobState.FAILING
    job.release()
    job.pass_time(100)
    assert job.all(ask.BeginAttempt)[-1].restore_path == "/chk-1"


def test_a_region_that_finishes_while_anothers_restart_waits_does_not_end_the_job(stage: Callable[..., Stage]) -> None:
    job = stage(2).start()
    job.held = {ask.StoreCheckpoint}
    job.pass_time(10)
    job.acknowledge(1, 0, 1)
    job.report(0, FAILED, BOOM)
    job.report(1, FINISHED)
    assert not job.all(ask.CloseStorage)
    job.release()
    job.pass_time(100)
    assert [task.subtask.subtask for task in job.all(ask.BeginAttempt)[-1].execution.tasks] == [0]
    job.report(0, FINISHED)
    assert job.over.state is JobState.FINISHED


def test_our_own_error_fails_the_job_and_stops_its_tasks(stage: Callable[..., Stage]) -> None:
    job = stage().start()
    bug = Failure("InternalError", "KeyError: 7")
    job.feed(events.Crashed(bug))
    assert len(job.all(ask.CancelTasks)) == 1
    assert (job.over.state, job.over.failure) == (JobState.FAILED, bug)


@pytest.mark.parametrize(
    ("held", "end"),
    [
        (ask.CancelTasks, JobState.FAILED),
        (ask.ReleaseMemory, JobState.FAILED),
        (ask.StoreCheckpoint, JobState.CANCELED),
        (ask.CloseStorage, JobState.CANCELED),
    ],
)
def test_an_error_of_ours_at_the_end_of_a_job_does_not_hold_the_end_up(
    stage: Callable[..., Stage], held: type[ask.Effect], end: JobState
) -> None:
    """It is the end's cause where tasks were still there."""
    job = stage().start()
    job.held = {held}
    job.pass_time(10)
    job.acknowledge(1, 0)
    job.feed(events.CancelRequested())
    job.feed(events.Crashed(Failure("InternalError", "a bug")))
    if held is not ask.CloseStorage:  # nobody answers this one
        job.release()
    assert job.over.state is end


def test_a_damaged_checkpoint_is_left_out_without_a_delay(stage: Callable[..., Stage]) -> None:
    job = stage(num_retained=2).start()
    for number in (1, 2):
        job.pass_time(10)
        job.acknowledge(number, 0)
    job.report(0, FAILED, BOOM)
    job.pass_time(100)
    job.report(0, FAILED, Failure("CheckpointCorruptedError", "a bit"))
    job.pass_time(0)
    assert [one.restore_path for one in job.all(ask.BeginAttempt)] == ["", "/chk-2", "/chk-1"]
    assert job.all(ask.KeepPointers)[-1] == ask.KeepPointers(("/chk-1",))
    job.report(0, FAILED, Failure("CheckpointCorruptedError", "another bit"))
    assert (job.over.state, job.over.failure.message) == (JobState.FAILED, "another bit")


def test_checkpoints_that_cannot_be_read_are_passed_over_until_none_is_left(stage: Callable[..., Stage]) -> None:
    job = stage().start()
    job.pass_time(10)
    job.acknowledge(1, 0)
    job.held = {ask.PrepareRestore}
    job.report(0, FAILED, BOOM)
    job.pass_time(100)
    job.feed(events.RestorePrepared(None, (2,), damaged=(("/chk-1", "no such file"),)))
    assert job.over.failure.message == "no checkpoint is left to resume from: no such file"


def test_a_job_that_is_cancelled_before_its_storage_is_open_closes_it_then(stage: Callable[..., Stage]) -> None:
    job = stage()
    job.held = {ask.OpenStorage}
    job.start()
    job.feed(events.CancelRequested())
    assert not job.all(ask.CloseStorage)
    job.release()
    assert job.over.state is JobState.CANCELED
    assert not job.all(ask.BeginAttempt)


def test_a_job_whose_checkpoints_cannot_be_written_does_not_begin(stage: Callable[..., Stage]) -> None:
    job = stage()
    job.held = {ask.OpenStorage}
    job.start()
    job.feed(events.StorageRefused(Failure("ConfigurationError", "read-only")))
    assert job.over == ask.Over(JobState.FAILED, Failure("ConfigurationError", "read-only"), False, is_refused=True)


def test_a_taskmanager_that_is_lost_before_the_attempt_begins_is_asked_for_again(stage: Callable[..., Stage]) -> None:
    job = stage(2)
    job.held = {ask.OpenEnumerators}
    job.start()
    job.feed(events.TaskManagerLost(TaskManagerId(LOCAL_HOST, 1, 2), LOST))
    job.release()
    assert len(job.all(ask.WantSlots)) == 2
    job.release()
    (first, second) = job.all(ask.BeginAttempt)
    assert first.taskmanagers == second.taskmanagers
    assert len(set(first.taskmanagers)) == 2
    assert job.machine.restarts == 0


def test_sinks_commit_when_the_pointer_to_the_checkpoint_is_durable(stage: Callable[..., Stage]) -> None:
    job = stage().start()
    job.held = {ask.KeepPointers}
    job.pass_time(10)
    job.acknowledge(1, 0)
    assert not job.all(ask.TellCompleted)
    job.release()
    assert [(one.checkpoint_id, one.stops) for one in job.all(ask.TellCompleted)] == [(1, False)]


def test_files_go_when_the_pointer_to_what_follows_them_is_durable(stage: Callable[..., Stage]) -> None:
    job = stage().start()
    job.pass_time(10)
    job.acknowledge(1, 0)
    job.held = {ask.KeepPointers}
    job.pass_time(10)
    job.acknowledge(2, 0)
    assert not job.all(ask.DeleteFiles)
    job.release()
    assert [one.deletions.checkpoints for one in job.all(ask.DeleteFiles)] == [(1,)]


def test_barriers_come_in_the_order_of_their_numbers_whichever_folder_is_made_first(
    stage: Callable[..., Stage],
) -> None:
    job = stage(max_concurrent=2).start()
    job.held = {ask.MakeFolder}
    job.pass_time(10)
    job.pass_time(10)
    second = job.waiting.pop()
    job.answer(second)
    assert not job.all(ask.TriggerCheckpoint)
    job.release()
    assert [one.barrier.checkpoint_id for one in job.all(ask.TriggerCheckpoint)] == [1, 2]


def test_a_folder_that_is_made_too_late_is_removed(stage: Callable[..., Stage]) -> None:
    job = stage().start()
    job.held = {ask.MakeFolder}
    job.pass_time(10)
    job.feed(events.CancelRequested())
    assert not job.all(ask.CloseStorage)
    job.release()
    assert job.all(ask.DiscardFolder) == [ask.DiscardFolder("/chk-1")]
    assert job.over.state is JobState.CANCELED


def test_a_job_is_suspended_behind_one_more_checkpoint(stage: Callable[..., Stage]) -> None:
    job = stage().start()
    job.feed(events.SuspendRequested())
    assert not job.all(ask.CancelTasks)
    job.acknowledge(1, 0)
    assert job.over == ask.Over(JobState.SUSPENDED, None, is_kept=True)
    assert job.all(ask.CloseStorage) == [ask.CloseStorage(keeps=True)]


def test_a_checkpoint_that_does_not_come_does_not_hold_a_suspension_up_for_ever(stage: Callable[..., Stage]) -> None:
    job = stage().start()
    job.feed(events.SuspendRequested())
    job.pass_time(10_000)
    assert job.over.state is JobState.SUSPENDED


def test_a_savepoint_of_a_job_that_restarts_is_refused(stage: Callable[..., Stage]) -> None:
    job = stage().start()
    job.report(0, FAILED, BOOM)
    job.feed(events.SavepointWanted(1, "/savepoints"))
    assert job.all(ask.Answer) == [ask.Answer(1, None, Failure("CheckpointError", "the job is not running"))]


def test_a_stop_with_savepoint_is_answered_and_resumed_from_where_the_end_fails(stage: Callable[..., Stage]) -> None:
    job = stage().start()
    job.feed(events.SavepointWanted(1, "/savepoints", stops=True))
    job.acknowledge(1, 0)
    assert job.all(ask.Answer) == [ask.Answer(1, "/savepoints/savepoint")]
    job.report(0, FAILED, BOOM)
    job.pass_time(100)
    assert job.all(ask.BeginAttempt)[-1].restore_path == "/savepoints/savepoint"


def test_too_many_failed_checkpoints_fail_the_attempt(stage: Callable[..., Stage]) -> None:
    job = stage(timeout_ms=5).start()
    job.pass_time(10)
    job.pass_time(5)
    assert job.states == [JobState.RUNNING, JobState.FAILING, JobState.RESTARTING]
    assert job.all(ask.StateEntered)[-1].failure.message.startswith("checkpoint 1 failed: not complete after 5 ms")


def test_tasks_at_their_end_wait_for_one_more_checkpoint(stage: Callable[..., Stage]) -> None:
    job = stage(2).start()
    for subtask in (0, 1):
        job.feed(events.TaskSaid(job.epoch_of(subtask), TaskReachedEnd(SubtaskId(0, subtask))))
    job.acknowledge(1, 0, 1)
    assert [one.checkpoint_id for one in job.all(ask.TellCompleted)] == [1]


def test_a_job_that_does_not_stop_is_asked_again_and_its_taskmanagers_are_killed(stage: Callable[..., Stage]) -> None:
    job = stage().start()
    job.held = {ask.CancelTasks}
    job.feed(events.CancelRequested())
    job.pass_time(30_000)
    assert len(job.all(ask.CancelTasks)) >= 2
    job.pass_time(150_000)
    (kill,) = job.all(ask.KillTaskManagers)
    assert kill.why == "did not stop its tasks in time, so it was killed"
    job.feed(events.TaskManagerLost(TaskManagerId(LOCAL_HOST, 0, 1), LOST))
    assert job.over.state is JobState.CANCELED


def test_it_can_say_how_it_came_to_its_state(stage: Callable[..., Stage]) -> None:
    job = stage().start()
    job.report(0, FAILED, BOOM)
    story = "\n".join(job.machine.story.lines())
    assert "0 ms: Submitted() -> OpenStorage, WantSlots" in story
    assert "boom" in story


def test_a_part_that_fails_behind_the_savepoint_of_a_stop_takes_the_others_along(stage: Callable[..., Stage]) -> None:
    """Those that have ended there would never read the rest of their input, and the job would look finished."""
    job = stage(3).start()
    job.feed(events.SavepointWanted(1, "/savepoints", stops=True))
    job.acknowledge(1, 0, 1, 2)
    job.report(0, FINISHED)
    job.report(1, FAILED, BOOM)
    job.pass_time(100)
    begun = job.all(ask.BeginAttempt)[3:]
    assert [one.execution.tasks[0].subtask.subtask for one in begun] == [0, 1, 2]
    assert {one.restore_path for one in begun} == {"/savepoints/savepoint"}
    assert job.machine.restarts == 1


def test_a_part_that_fails_while_the_job_drains_takes_the_others_along(stage: Callable[..., Stage]) -> None:
    job = stage(2).start()
    job.feed(events.SavepointWanted(1, "/savepoints", stops=True, drains=True))
    job.report(0, FINISHED)
    job.report(1, FAILED, BOOM)
    job.pass_time(100)
    assert len(job.all(ask.BeginAttempt)) == 4


def test_the_other_parts_do_not_wait_for_a_savepoint_that_is_given_up(stage: Callable[..., Stage]) -> None:
    """Their sources read nothing behind its barrier."""
    job = stage(2).start()
    job.feed(events.SavepointWanted(1, "/savepoints", stops=True))
    job.acknowledge(1, 0)
    job.report(1, FAILED, BOOM)
    assert [one.checkpoint_id for one in job.all(ask.TellAborted)] == [1]
    assert job.all(ask.Answer)[0].failure is not None
    job.pass_time(100)
    assert len(job.all(ask.BeginAttempt)) == 3


def test_the_end_is_durable_before_its_checkpoints_go(stage: Callable[..., Stage]) -> None:
    """Another JobManager would find pointers to nothing, and fail a job that had finished."""
    job = stage().start()
    job.held = {ask.KeepEnd}
    job.report(0, FINISHED)
    assert not job.all(ask.CloseStorage)
    job.release()
    assert job.over.state is JobState.FINISHED


@pytest.mark.parametrize("keeps", [True, False])
def test_whether_checkpoints_stay_is_said_with_the_end(stage: Callable[..., Stage], keeps: bool) -> None:
    job = stage(retain_on_cancellation=keeps).start()
    job.pass_time(10)
    job.acknowledge(1, 0)
    job.feed(events.CancelRequested())
    assert job.all(ask.KeepEnd) == [ask.KeepEnd(JobState.CANCELED, None, keeps)]
    assert job.all(ask.CloseStorage) == [ask.CloseStorage(keeps)]
