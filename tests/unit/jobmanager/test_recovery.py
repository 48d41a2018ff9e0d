"""What a JobManager finds in the HA directory: which jobs to run, from where, and which have ended."""

from __future__ import annotations

import os
import shutil
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from shmflink.checkpoint.directory_lock import DirectoryLock
from shmflink.checkpoint.storage import CheckpointStorage
from shmflink.core.ids import JobId
from shmflink.errors import ConfigurationError, DirectoryInUseError, JobExecutionError, UsageError
from shmflink.graph.job_graph import JobGraph
from shmflink.jobmanager.admission import Admission
from shmflink.jobmanager.ha_folder import Owner
from shmflink.jobmanager.recovery import Recovery
from shmflink.rpc.messages import Failure, JobEnded, SubmitJob
from shmflink.rpc.states import JobState

OWNER = Owner(1, "here", "now")
JOB = JobId("a" * 32)
GRAPH = JobGraph(JOB, "counts", False, (), (), main_file="/jobs/counts.py")
SUBMISSION = SubmitJob(GRAPH, {}, True)
ENDED = JobEnded(JOB, JobState.FINISHED, 12, None, ())


@pytest.fixture
def configuration(tmp_path: Path) -> dict[str, str]:
    return {"high-availability.type": "filesystem", "high-availability.storageDir": f"file://{tmp_path}/ha"}


def opened(configuration) -> Recovery:
    return Recovery.open(configuration, {}, OWNER)


def run(name: str, main_file: str, number: int = 0) -> SubmitJob:
    """As another start of a program submits it: under an id that it has just made up."""
    return SubmitJob(JobGraph(JobId.random(), name, False, (), (), main_file=main_file), {}, True, number)


def test_without_a_directory_nothing_is_kept_and_epochs_differ() -> None:
    recovery = Recovery.open({}, {}, OWNER)
    assert not recovery.is_on
    assert recovery.admit(SUBMISSION) == Admission(SUBMISSION)
    recovery.checkpoints_changed(JOB, ["/c/chk-1"])
    recovery.ended(ENDED)
    assert recovery.jobs() == []
    assert recovery.admit(SUBMISSION).ended is None
    assert recovery.next_epoch() != recovery.next_epoch()
    assert recovery.identity == ""
    recovery.close(is_finished=True)


def test_a_job_goes_on_from_its_checkpoints_under_its_id_until_it_has_ended(configuration: dict[str, str]) -> None:
    recovery = opened(configuration)
    assert recovery.admit(SUBMISSION) == Admission(SUBMISSION, [])
    recovery.checkpoints_changed(JOB, ["/c/chk-2", "/c/chk-1"])
    first = recovery.next_epoch()
    recovery.close(is_finished=False)
    recovery = opened(configuration)
    assert recovery.jobs() == [SUBMISSION]
    again = run("counts", "/jobs/counts.py")
    assert recovery.admit(again) == Admission(SUBMISSION, ["/c/chk-2", "/c/chk-1"], is_kept=True)
    assert recovery.next_epoch() > first
    recovery.ended(replace(ENDED, state=JobState.SUSPENDED))
    assert recovery.jobs() == [SUBMISSION], "suspended is not over"
    recovery.ended(ENDED)
    recovery.close(is_finished=False)
    recovery = opened(configuration)
    assert recovery.jobs() == []
    assert recovery.admit(again).ended == ENDED, "the program is told, and the job does not run twice"
    recovery.close(is_finished=True)
    recovery = opened(configuration)
    assert recovery.admit(again) == Admission(again, []), "a program that has ended runs anew, as another job"
    recovery.close(is_finished=True)


def test_the_arguments_with_which_a_program_submitted_its_job_last_are_known(configuration: dict[str, str]) -> None:
    recovery = opened(configuration)
    assert recovery.admit(replace(SUBMISSION, arguments=("--day", "1"))).arguments_before is None
    for arguments, before in [(("--day", "2"), ("--day", "1")), ((), ("--day", "2")), (None, ()), (("x",), None)]:
        again = replace(run("counts", "/jobs/counts.py"), arguments=arguments)
        admission = recovery.admit(again)
        assert (admission.is_kept, admission.arguments_before) == (True, before)
    recovery.close(is_finished=True)


def test_the_failure_of_a_job_that_is_over_is_told_again(configuration: dict[str, str]) -> None:
    recovery = opened(configuration)
    recovery.admit(SUBMISSION)
    recovery.ended(replace(ENDED, state=JobState.FAILED, failure=Failure("ValueError", "bad row")))
    ended = recovery.admit(SUBMISSION).ended
    assert ended.failure.kind == JobExecutionError.__name__
    assert ended.failure.message.endswith("ValueError: bad row")
    recovery.close(is_finished=True)


@pytest.mark.parametrize("has_checkpoints", [True, False])
def test_another_program_does_not_take_the_place_of_one_that_has_not_ended(
    configuration: dict[str, str], has_checkpoints: bool
) -> None:
    """[C20] Its positions, its state and the end of its first job are its own."""
    recovery = opened(configuration)
    recovery.admit(SUBMISSION)
    if has_checkpoints:
        recovery.checkpoints_changed(JOB, ["/c/chk-1"])
    says = r"holds job 'counts' \(/jobs/counts.py\), which has not ended.*-D high-availability.cluster-id=NAME"
    for name, file in [("clicks", "/jobs/clicks.py"), ("counts 2", "/jobs/counts.py"), ("counts", "/jobs/clicks.py")]:
        with pytest.raises(UsageError, match=says) as refusal:
            recovery.admit(run(name, file))
        assert ("run -s /c/chk-1" in str(refusal.value)) is has_checkpoints
    assert recovery.admit(run("counts", "/jobs/counts.py")).submission == SUBMISSION
    recovery.close(is_finished=True)


def test_another_program_is_not_told_of_the_end_of_a_job_that_is_not_its_own(configuration: dict[str, str]) -> None:
    recovery = opened(configuration)
    recovery.admit(SUBMISSION)
    recovery.ended(ENDED)
    second = recovery.admit(run("sums", "/jobs/counts.py", number=1))
    with pytest.raises(UsageError, match="holds job 'sums'"):
        recovery.admit(run("clicks", "/jobs/clicks.py"))
    assert recovery.admit(run("counts", "/jobs/counts.py")).ended == ENDED
    recovery.ended(replace(ENDED, job_id=second.job_id))
    clicks = run("clicks", "/jobs/clicks.py")
    assert recovery.admit(clicks) == Admission(clicks, []), "of the first program nothing is left to run"
    recovery.close(is_finished=True)


def test_a_job_that_cannot_begin_is_forgotten_unless_it_has_checkpoints(configuration: dict[str, str]) -> None:
    recovery = opened(configuration)
    recovery.admit(SUBMISSION)
    recovery.refused(JOB)
    assert recovery.jobs() == []
    assert recovery.admit(run("clicks", "/jobs/clicks.py")).ended is None
    recovery.close(is_finished=False)
    recovery = opened({**configuration, "high-availability.cluster-id": "other"})
    recovery.admit(SUBMISSION)
    recovery.checkpoints_changed(JOB, ["/c/chk-1"])
    recovery.refused(JOB)
    assert recovery.jobs() == [SUBMISSION]
    recovery.close(is_finished=True)


def older_folder(configuration, *, is_readable: bool) -> JobId:
    """As the release before left it: ids made of the cluster's id and a number, no places, no identity."""
    older = JobId.of("default/0")
    recovery = opened(configuration)
    store = recovery._store
    store.put_job(replace(SUBMISSION, graph=replace(GRAPH, job_id=older)))
    store.set_checkpoints(older, ["/c/chk-7"])
    recovery.close(is_finished=False)
    folder = Path(store.folder)
    shutil.rmtree(folder / "places")
    (folder / "identity").unlink()
    if not is_readable:
        content = (folder / "jobs" / older.hex).read_bytes().partition(b"\n")[2].replace(b"SubmitJob", b"SubmitJab")
        head = b"shmflink job version 1 length %d crc32 %08x\n" % (len(content), zlib.crc32(content))
        (folder / "jobs" / older.hex).write_bytes(head + content)
    return older


@pytest.mark.parametrize("is_readable", [True, False])
def test_a_job_that_an_older_release_kept_resumes_under_an_id_of_its_own(
    configuration: dict[str, str], caplog: pytest.LogCaptureFixture, is_readable: bool
) -> None:
    older = older_folder(configuration, is_readable=is_readable)
    recovery = opened(configuration)
    again = run("counts", "/jobs/counts.py")
    assert recovery.admit(again) == Admission(again, ["/c/chk-7"], is_kept=True)
    assert f"resumes from /c/chk-7 with the id {again.graph.job_id}" in caplog.text
    assert recovery.jobs() == [again]
    assert recovery._store.checkpoints(older) == []
    assert recovery.admit(run("counts", "/jobs/counts.py")).submission == again
    with pytest.raises(UsageError, match="holds job 'counts'"):
        recovery.admit(run("counts", "/jobs/clicks.py"))
    recovery.close(is_finished=True)


def test_an_older_releases_job_is_refused_to_another_program(configuration: dict[str, str]) -> None:
    older_folder(configuration, is_readable=True)
    recovery = opened(configuration)
    with pytest.raises(UsageError, match=r"holds job 'counts' \(/jobs/counts.py\)"):
        recovery.admit(run("counts", "/jobs/clicks.py"))
    assert recovery.admit(run("counts", "/jobs/counts.py")).pointers == ["/c/chk-7"]
    recovery.close(is_finished=True)


def test_two_clusters_share_a_directory_by_their_ids(configuration: dict[str, str]) -> None:
    """[P8]"""
    first = opened(configuration)
    with pytest.raises(DirectoryInUseError):
        opened(configuration)
    second = opened({**configuration, "high-availability.cluster-id": "other"})
    first.close(is_finished=True)
    second.close(is_finished=True)


def test_the_default_directory_is_in_the_users_state_folder(tmp_path: Path) -> None:
    recovery = Recovery.open({"high-availability.type": "FILESYSTEM"}, {"XDG_STATE_HOME": str(tmp_path)}, OWNER)
    recovery.close(is_finished=True)
    assert os.listdir(tmp_path / "shmflink" / "ha") == ["default"]
    with pytest.raises(ConfigurationError, match="not an absolute path"):
        opened({"high-availability.type": "FILESYSTEM", "high-availability.storageDir": "ha"})


def test_who_waited_for_the_directory_gets_the_results_of_the_same_command(configuration: dict[str, str]) -> None:
    """Flink's job result store. Another start, other arguments or the program's next job are new runs."""
    first = Recovery.open(configuration, {}, Owner(11, "here", "before"))
    with pytest.raises(DirectoryInUseError) as waits:
        opened(configuration)
    submission = replace(run("counts", "/jobs/counts.py"), arguments=("a", "b"))
    first.admit(submission)
    assert Recovery.jobs_of_other(configuration, {}) == ["counts"]
    ended = JobEnded(submission.graph.job_id, JobState.FAILED, 12, Failure("ValueError", "no"), ())
    first.ended(ended)
    first.close(is_finished=True)

    second = Recovery.open(configuration, {}, OWNER, waits.value.holder)
    again = replace(run("counts", "/jobs/counts.py"), arguments=("a", "b"))
    admission = second.admit(again)
    assert (admission.ended, admission.ended_under) == (ended, 11)
    assert admission.job_id == submission.graph.job_id
    assert second.admit(replace(again, place=1)).ended is None
    assert second.admit(replace(again, arguments=("a",))).ended is None
    second.close(is_finished=True)


@pytest.mark.parametrize("is_finished", [True, False])
def test_who_did_not_wait_for_it_runs_anew(configuration: dict[str, str], is_finished: bool) -> None:
    first = Recovery.open(configuration, {}, Owner(11, "here", "before"))
    first.admit(SUBMISSION)
    first.ended(ENDED)
    first.close(is_finished=True)
    opened(configuration).close(is_finished=is_finished)
    late = Recovery.open(configuration, {}, OWNER, (11, "before"))
    assert late.admit(SUBMISSION).ended is None
    late.close(is_finished=False)


def checkpoints_of(tmp_path, owner: str) -> CheckpointStorage:
    storage = CheckpointStorage(str(tmp_path / "checkpoints"), JOB.hex, owner=owner)
    storage.prepare(1)
    storage.close()
    return storage


def test_checkpoints_that_a_killed_jobmanager_was_about_to_remove_go_with_the_next_one(
    configuration: dict[str, str], tmp_path: Path
) -> None:
    recovery = opened(configuration)
    recovery.admit(SUBMISSION)
    storage = checkpoints_of(tmp_path, recovery.identity)
    recovery.ended(ENDED, storage.directory)
    recovery.close(is_finished=False)  # killed: neither the removal nor the end of the program came
    recovery = opened(configuration)
    assert os.listdir(tmp_path / "checkpoints") == []
    assert recovery.admit(SUBMISSION).ended == ENDED
    recovery.close(is_finished=True)


@pytest.mark.parametrize("whose", ["kept", "another's", "in use"])
def test_other_checkpoints_stay(
    configuration: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture, whose: str
) -> None:
    recovery = opened(configuration)
    recovery.admit(SUBMISSION)
    owner = "of another HA directory" if whose == "another's" else recovery.identity
    storage = checkpoints_of(tmp_path, owner)
    recovery.ended(ENDED, "" if whose == "kept" else storage.directory)
    recovery.close(is_finished=False)
    lock = DirectoryLock(storage.directory) if whose == "in use" else None
    opened(configuration).close(is_finished=True)
    assert storage.checkpoint_ids() == [1]
    assert ("cannot be removed: another JobManager" in caplog.text) is (whose == "in use")
    if lock is not None:
        lock.release()
