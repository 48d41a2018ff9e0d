"""Stories of a task's end: events in, actions out."""

from __future__ import annotations

import pytest

from shmflink.taskmanager.task_end import Duty, EndPhase, EndStep, TaskEnd


def _ended(*, restored_as_finished: bool = False, has_checkpoints: bool = True) -> TaskEnd:
    end = TaskEnd(is_restored_as_finished=restored_as_finished, has_checkpoints=has_checkpoints)
    end.inputs_ended()
    return end


def test_a_task_with_nothing_to_commit_finishes_when_its_sinks_have_written() -> None:
    end = _ended()
    assert end.next_step(has_staged=False, has_written=False) is EndStep.WAIT
    assert end.next_step(has_staged=False, has_written=True) is EndStep.FINISH


def test_a_task_with_something_to_commit_announces_its_end_once_and_waits_for_the_checkpoint() -> None:
    end = _ended()
    assert end.next_step(has_staged=True, has_written=True) is EndStep.ANNOUNCE
    end.announced()
    assert end.next_step(has_staged=True, has_written=True) is EndStep.WAIT
    assert end.next_step(has_staged=False, has_written=True) is EndStep.FINISH  # committed


def test_without_checkpoints_sinks_prepare_what_is_committed_when_all_have_ended() -> None:
    end = _ended(has_checkpoints=False)
    assert end.next_step(has_staged=True, has_written=True) is EndStep.PREPARE
    end.announced()
    assert end.next_step(has_staged=True, has_written=True) is EndStep.WAIT


@pytest.mark.parametrize("has_checkpoints", [True, False])
def test_a_drained_task_waits_for_the_savepoint_although_it_has_nothing_to_commit(has_checkpoints: bool) -> None:
    end = TaskEnd(has_checkpoints=has_checkpoints)
    assert end.drain()
    end.inputs_ended()
    assert end.next_step(has_staged=False, has_written=True) is EndStep.ANNOUNCE
    end.announced()
    assert end.next_step(has_staged=False, has_written=True) is EndStep.WAIT
    end.stop()  # the savepoint is complete
    assert end.next_step(has_staged=False, has_written=True) is EndStep.FINISH


def test_a_task_that_has_announced_its_end_is_not_drained_again() -> None:
    end = _ended()
    end.announced()
    assert not end.drain()
    assert end.next_step(has_staged=False, has_written=True) is EndStep.FINISH


def test_a_task_that_was_restored_as_finished_has_nothing_to_commit_or_to_drain() -> None:
    end = _ended(restored_as_finished=True)
    assert not end.drain()
    assert end.is_drained
    assert end.next_step(has_staged=True, has_written=True) is EndStep.FINISH


def test_what_was_written_after_a_stopping_savepoint_is_not_committed() -> None:
    end = TaskEnd()
    end.stop()
    end.inputs_ended()
    assert not end.is_drained
    assert not end.drain()
    assert end.next_step(has_staged=True, has_written=True) is EndStep.FINISH


def test_an_upstream_task_that_was_stopped_stops_its_readers() -> None:
    end = TaskEnd()
    end.input_ended(drained=True)
    assert end.is_drained
    end.input_ended(drained=False)
    assert (end.duty, end.is_drained) == (Duty.STOPPING, False)


def test_a_task_whose_input_was_stopped_commits_what_is_in_the_savepoint_before_it_finishes() -> None:
    """The end of the input came before the message that the savepoint is complete."""
    end = TaskEnd()
    end.input_ended(drained=False)
    end.inputs_ended()
    assert not end.drain()
    assert end.next_step(has_staged=True, has_written=True) is EndStep.WAIT
    assert end.next_step(has_staged=False, has_written=True) is EndStep.WAIT
    end.stop()
    assert end.next_step(has_staged=True, has_written=True) is EndStep.FINISH


def test_a_task_that_was_restored_as_finished_passes_on_that_its_input_was_stopped() -> None:
    end = TaskEnd(is_restored_as_finished=True)
    end.input_ended(drained=False)
    end.inputs_ended()
    assert not end.is_drained
    assert end.next_step(has_staged=False, has_written=True) is EndStep.FINISH


def test_a_second_end_of_inputs_takes_back_no_announcement() -> None:
    end = _ended()
    end.announced()
    end.inputs_ended()
    assert end.phase is EndPhase.ANNOUNCED


def test_an_end_is_neither_announced_nor_asked_for_while_the_task_reads() -> None:
    with pytest.raises(AssertionError, match="in the phase READING"):
        TaskEnd().announced()
    with pytest.raises(AssertionError, match="a task that reads"):
        TaskEnd().next_step(has_staged=False, has_written=True)
