"""What a session cluster asks the HA directory: each job under its own id, whoever submitted it."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from shmflink.core.ids import JobId
from shmflink.errors import UsageError
from shmflink.graph.job_graph import JobGraph
from shmflink.jobmanager.admission import Admission
from shmflink.jobmanager.ha_folder import Owner
from shmflink.jobmanager.recovery import Recovery
from shmflink.jobmanager.session_recovery import SessionRecovery
from shmflink.rpc.messages import JobEnded, SubmitJob
from shmflink.rpc.states import JobState

OWNER = Owner(1, "here", "now")


@pytest.fixture
def configuration(tmp_path):
    return {"high-availability.type": "filesystem", "high-availability.storageDir": f"file://{tmp_path}/ha"}


def opened(configuration) -> Recovery:
    return SessionRecovery.open_session(configuration, {}, OWNER)


def submission(digit: str, main_file: str) -> SubmitJob:
    """Every program's first job: all have the same place."""
    return SubmitJob(JobGraph(JobId(digit * 32), "counts", False, (), (), main_file=main_file), {}, False)


ONE, OTHER = submission("a", "/jobs/one.py"), submission("b", "/jobs/other.py")


def ended(job: SubmitJob, state: JobState) -> JobEnded:
    return JobEnded(job.graph.job_id, state, 12, None, ())


def test_jobs_of_several_programs_are_found_again_until_they_have_ended(configuration):
    recovery = opened(configuration)
    assert [recovery.admit(job) for job in (ONE, OTHER)] == [Admission(ONE, []), Admission(OTHER, [])]
    recovery.checkpoints_changed(ONE.graph.job_id, ["/c/chk-1"])
    recovery.close(is_finished=False)
    recovery = opened(configuration)
    assert recovery.jobs() == [ONE, OTHER]
    assert recovery.admit(ONE) == Admission(ONE, ["/c/chk-1"], is_kept=True)
    recovery.ended(ended(OTHER, JobState.FINISHED))
    recovery.ended(ended(ONE, JobState.SUSPENDED))
    recovery.close(is_finished=True)
    recovery = opened(configuration)
    assert recovery.jobs() == [ONE]
    recovery.close(is_finished=False)


def test_ended_jobs_leave_no_file_once_their_checkpoints_are_removed(configuration, tmp_path):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    recovery = opened(configuration)
    for job in (ONE, OTHER):
        recovery.admit(job)
    recovery.ended(ended(ONE, JobState.CANCELED), str(folder))
    results = tmp_path / "ha" / "session-default" / "results"
    assert os.listdir(results) == [ONE.graph.job_id.hex], "if we die now, another JobManager removes the checkpoints"
    folder.rmdir()
    recovery.ended(ended(OTHER, JobState.FINISHED))
    assert (os.listdir(results), os.listdir(results.parent / "jobs")) == ([], [])
    recovery.close(is_finished=True)


def test_a_job_that_cannot_begin_is_forgotten_unless_it_has_checkpoints(configuration):
    recovery = opened(configuration)
    for job in (ONE, OTHER):
        recovery.admit(job)
    recovery.checkpoints_changed(ONE.graph.job_id, ["/c/chk-1"])
    for job in (ONE, OTHER):
        recovery.refused(job.graph.job_id)
    assert recovery.jobs() == [ONE]
    recovery.close(is_finished=True)


def test_a_program_and_a_session_cluster_do_not_share_a_folder_unless_both_name_it(configuration):
    program = Recovery.open(configuration, {}, OWNER)
    program.admit(ONE)
    session = opened(configuration)
    session.close(is_finished=True)
    program.close(is_finished=False)
    with pytest.raises(UsageError, match=r"holds job 'counts' of a program: give the session cluster an id"):
        opened({**configuration, "high-availability.cluster-id": "default"})
    other = {**configuration, "cluster.name": "team"}
    both = [opened(configuration), opened(other)]
    for recovery in both:
        recovery.close(is_finished=True)
    assert opened({}).is_on is False


def test_a_job_submitted_again_keeps_its_id(configuration):
    recovery = opened(configuration)
    recovery.admit(ONE)
    changed = replace(ONE, arguments=("--x",))
    assert recovery.admit(changed).is_kept
    assert recovery.jobs() == [changed]
    recovery.close(is_finished=False)
