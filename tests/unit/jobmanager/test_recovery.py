"""What a JobManager asks the HA directory: which jobs, from where, and which not again."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from shmflink.core.ids import JobId
from shmflink.errors import ConfigurationError, DirectoryInUseError, JobExecutionError, UsageError
from shmflink.graph.job_graph import JobGraph
from shmflink.jobmanager.ha_store import Owner
from shmflink.jobmanager.recovery import Recovery
from shmflink.rpc.messages import Failure, JobEnded, SubmitJob
from shmflink.rpc.states import JobState

OWNER = Owner(1, "here", "now")
JOB = JobId("a" * 32)
GRAPH = JobGraph(JOB, "counts", False, (), (), main_file="/jobs/counts.py")
SUBMISSION = SubmitJob(GRAPH, {}, True)
ENDED = JobEnded(JOB, JobState.FINISHED, 12, None, ())


@pytest.fixture
def configuration(tmp_path):
    return {"high-availability.type": "filesystem", "high-availability.storageDir": f"file://{tmp_path}/ha"}


def opened(configuration) -> Recovery:
    return Recovery.open(configuration, {}, OWNER)


def test_without_a_directory_nothing_is_kept_and_epochs_differ():
    recovery = Recovery.open({}, {}, OWNER)
    assert not recovery.is_on
    assert recovery.admit(SUBMISSION) == ()
    recovery.checkpoints_changed(JOB, ["/c/chk-1"])
    recovery.ended(ENDED)
    assert recovery.jobs() == []
    assert recovery.result(JOB) is None
    assert recovery.next_epoch() != recovery.next_epoch()
    recovery.close(is_finished=True)


def test_a_job_goes_on_from_its_checkpoints_until_it_has_ended(configuration):
    recovery = opened(configuration)
    assert recovery.admit(SUBMISSION) == []
    recovery.checkpoints_changed(JOB, ["/c/chk-2", "/c/chk-1"])
    first = recovery.next_epoch()
    recovery.close(is_finished=False)
    recovery = opened(configuration)
    assert recovery.jobs() == [SUBMISSION]
    assert recovery.admit(SUBMISSION) == ["/c/chk-2", "/c/chk-1"]
    assert recovery.next_epoch() > first
    recovery.ended(replace(ENDED, state=JobState.SUSPENDED))
    assert recovery.jobs() == [SUBMISSION], "suspended is not over"
    recovery.ended(ENDED)
    recovery.close(is_finished=False)
    recovery = opened(configuration)
    assert recovery.jobs() == []
    assert recovery.result(JOB) == ENDED, "the program is told, and the job does not run twice"
    recovery.close(is_finished=True)
    recovery = opened(configuration)
    assert recovery.result(JOB) is None, "a program that has ended runs anew"
    recovery.close(is_finished=True)


def test_the_failure_of_a_job_that_is_over_is_told_again(configuration):
    recovery = opened(configuration)
    recovery.admit(SUBMISSION)
    recovery.ended(replace(ENDED, state=JobState.FAILED, failure=Failure("ValueError", "bad row")))
    result = recovery.result(JOB)
    assert result.failure.kind == JobExecutionError.__name__
    assert result.failure.message.endswith("ValueError: bad row")
    recovery.close(is_finished=True)


def test_another_program_does_not_take_over_the_state_of_one_that_has_not_ended(configuration):
    """[C20] Without uids its operators might fit by accident."""
    recovery = opened(configuration)
    recovery.admit(SUBMISSION)
    recovery.checkpoints_changed(JOB, ["/c/chk-1"])
    other = replace(SUBMISSION, graph=replace(GRAPH, name="clicks", main_file="/jobs/clicks.py"))
    with pytest.raises(UsageError, match=r"holds job 'counts' \(/jobs/counts.py\).*cluster-id=NAME"):
        recovery.admit(other)
    for changed in (replace(GRAPH, name="counts 2"), replace(GRAPH, main_file="/releases/2/counts.py")):
        assert recovery.admit(replace(SUBMISSION, graph=changed)) == ["/c/chk-1"]
        recovery.admit(SUBMISSION)
    recovery.close(is_finished=True)


def test_a_job_that_cannot_begin_is_forgotten_unless_it_has_checkpoints(configuration):
    recovery = opened(configuration)
    recovery.admit(SUBMISSION)
    recovery.refused(JOB)
    assert recovery.jobs() == []
    recovery.admit(SUBMISSION)
    recovery.checkpoints_changed(JOB, ["/c/chk-1"])
    recovery.refused(JOB)
    assert recovery.jobs() == [SUBMISSION]
    recovery.close(is_finished=True)


def test_two_clusters_share_a_directory_by_their_ids(configuration):
    """[P8]"""
    first = opened(configuration)
    with pytest.raises(DirectoryInUseError):
        opened(configuration)
    second = opened({**configuration, "high-availability.cluster-id": "other"})
    first.close(is_finished=True)
    second.close(is_finished=True)


def test_the_default_directory_is_in_the_users_state_folder(tmp_path):
    recovery = Recovery.open({"high-availability.type": "FILESYSTEM"}, {"XDG_STATE_HOME": str(tmp_path)}, OWNER)
    recovery.close(is_finished=True)
    assert os.listdir(tmp_path / "shmflink" / "ha") == ["default"]
    with pytest.raises(ConfigurationError, match="not an absolute path"):
        opened({"high-availability.type": "FILESYSTEM", "high-availability.storageDir": "ha"})
