"""Which end a job takes, and what is done before it is over."""

from __future__ import annotations

import pytest

from shmflink.checkpoint.events import Stored
from shmflink.checkpoint.manifest import Manifest
from shmflink.checkpoint.settings import CheckpointSettings
from shmflink.jobmachine.effects import CloseEnumerators, CloseStorage, KeepEnd, Over
from shmflink.jobmachine.events import CheckpointStored
from shmflink.jobmachine.job_end import JobEnd, JobStatus
from shmflink.jobmachine.outlet import Outlet
from shmflink.jobmachine.pointers import Pointers
from shmflink.rpc.messages import Failure
from shmflink.rpc.states import JobState

BOOM, LATER = Failure("ValueError", "boom"), Failure("KeyError", "later")


class Ending:
    """The end of a job that has one checkpoint."""

    def __init__(self, *, retain_on_cancellation: bool = False) -> None:
        self.outlet = Outlet()
        pointers = Pointers(1, self.outlet)
        stored = CheckpointStored(1, Manifest(1, "a" * 32, "job", 0, "checkpoint"))
        pointers.add(Stored(1, "/chk-1"), stored, is_in_folder=True)
        self.status = JobStatus(self.outlet)
        settings = CheckpointSettings(retain_on_cancellation=retain_on_cancellation)
        self.end = JobEnd(settings, pointers, self.status, self.outlet)
        self.outlet.take()

    def through(self, *, are_all_finished: bool = False) -> list[object]:
        """All effects from the last attempt's end to the job's."""
        self.end.determine(are_all_finished=are_all_finished)
        assert self.end.is_due
        self.end.close()
        asked: list[object] = [*self.outlet.take()]
        if any(isinstance(effect, KeepEnd) for effect in asked):
            self.end.kept()
        self.end.over()
        return [*asked, *self.outlet.take()]


def test_a_finished_job_is_kept_before_its_checkpoints_go() -> None:
    ending = Ending()
    finished = JobState.FINISHED
    assert ending.through(are_all_finished=True) == [
        CloseEnumerators(),
        KeepEnd(finished, None),
        CloseStorage(keeps=False),
        Over(finished, None, is_kept=False),
    ]
    assert ending.status.state is finished


def test_the_first_cause_wins_over_every_other_end() -> None:
    ending = Ending()
    ending.end.cancel()
    ending.end.fail(BOOM)
    ending.end.fail(LATER)
    assert ending.through(are_all_finished=True)[-1] == Over(JobState.FAILED, BOOM, is_kept=False)


@pytest.mark.parametrize("keeps", [True, False])
def test_checkpoints_of_a_canceled_job_stay_if_that_is_configured(keeps: bool) -> None:
    ending = Ending(retain_on_cancellation=keeps)
    ending.end.cancel()
    canceled = JobState.CANCELED
    assert ending.through()[1:] == [KeepEnd(canceled, None, keeps), CloseStorage(keeps), Over(canceled, None, keeps)]


def test_another_jobmanager_may_run_a_suspended_job() -> None:
    ending = Ending()
    ending.end.is_suspended = True
    ending.end.cancel()
    assert ending.through() == [CloseEnumerators(), CloseStorage(True), Over(JobState.SUSPENDED, None, is_kept=True)]


def test_a_job_that_could_not_begin_has_no_end_to_keep() -> None:
    ending = Ending()
    ending.end.is_refused = True
    ending.end.fail(BOOM)
    over = Over(JobState.FAILED, BOOM, is_kept=False, is_refused=True)
    assert ending.through() == [CloseEnumerators(), CloseStorage(False), over]


def test_nothing_ends_while_nobody_asks_and_regions_wait_to_restart() -> None:
    ending = Ending()
    ending.end.determine(are_all_finished=False)
    assert not ending.end.is_due
    assert not ending.end.is_requested


def test_an_outcome_stays() -> None:
    """A request that comes while the disk is busy changes nothing."""
    ending = Ending()
    ending.end.determine(are_all_finished=True)
    ending.end.cancel()
    assert ending.through()[-1] == Over(JobState.FINISHED, None, is_kept=False)
