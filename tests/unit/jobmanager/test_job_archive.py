"""Jobs that are over, on disk: found again in the order of their ends, until they expire or are too many."""

from __future__ import annotations

import logging
import os

import pytest

from shmflink.core.ids import JobId
from shmflink.jobmanager.ended_jobs import EndedJobs
from shmflink.jobmanager.job_archive import ArchivedJob, ArchiveWriter, JobArchive
from shmflink.rpc.control_messages import JobOverview
from shmflink.rpc.read_messages import JobRead, JobSummary, ReadJob, VertexRead
from shmflink.rpc.states import JobState
from shmflink.testing.manual_clock import ManualClock

HOUR_MS = 3_600_000


def job(digit: str, ended_ms: int) -> ArchivedJob:
    """A job that ran for one second."""
    job_id = JobId(digit * 32)
    overview = JobOverview(job_id, digit, JobState.FINISHED, ended_ms - 1000, 1000, 1, 1)
    summary = JobSummary(overview, False, {"RUNNING": 1}, {"FINISHED": 1})
    return ArchivedJob(JobRead(summary, {"k": "v"}, (), (), (), None), (VertexRead(job_id, 0, JobState.FINISHED, ()),))


A, B, C = job("a", 5 * HOUR_MS), job("b", 6 * HOUR_MS), job("c", 7 * HOUR_MS)


@pytest.fixture
def clock():
    return ManualClock(7 * HOUR_MS)


def archive(tmp_path, clock, hours: int = 9, jobs_max: int = 9) -> JobArchive:
    return JobArchive(str(tmp_path / "jobs"), hours * HOUR_MS, jobs_max, clock)


def test_what_was_put_is_found_in_the_order_of_the_ends(tmp_path, clock):
    assert archive(tmp_path, clock).load() == []
    writer = ArchiveWriter(archive(tmp_path, clock))
    for one in (C, A, B):
        writer(one, [])
    writer.close()
    assert archive(tmp_path, clock).load() == [A, B, C]


@pytest.mark.parametrize(("limits", "found"), [({"hours": 1}, [B, C]), ({"jobs_max": 1}, [C])])
def test_expired_jobs_and_those_that_are_too_many_are_removed(tmp_path, clock, limits, found):
    for one in (A, B, C):
        archive(tmp_path, clock).put(one, [])
    assert archive(tmp_path, clock, **limits).load() == found
    assert sorted(os.listdir(tmp_path / "jobs")) == [one.job.summary.overview.job_id.hex for one in found]


def test_what_a_jobmanager_left_that_died_while_it_wrote_is_removed(tmp_path, clock):
    archive(tmp_path, clock).put(A, [])
    (tmp_path / "jobs" / f"{'b' * 32}.new").write_bytes(b"half")
    (tmp_path / "jobs" / "notes.new").write_bytes(b"somebody's")
    assert archive(tmp_path, clock).load() == [A]
    assert sorted(os.listdir(tmp_path / "jobs")) == ["a" * 32, "notes.new"]


def test_a_file_that_cannot_be_understood_is_told_and_hides_no_other(tmp_path, clock, caplog):
    for one in (A, B):
        archive(tmp_path, clock).put(one, [])
    (tmp_path / "jobs" / ("a" * 32)).write_bytes(b"\0" * 100)
    with caplog.at_level(logging.WARNING):
        assert archive(tmp_path, clock).load() == [B]
    assert f"the archived job {tmp_path}/jobs/{'a' * 32} cannot be read" in caplog.text


def test_a_folder_that_cannot_be_written_is_told_and_stops_nothing(tmp_path, clock, caplog):
    (tmp_path / "jobs").write_text("a file, not a folder")
    with caplog.at_level(logging.WARNING):
        archive(tmp_path, clock).put(A, [])
    assert f"job {'a' * 32} is not archived" in caplog.text
    assert archive(tmp_path, clock).load() == []


def test_remembered_jobs_expire_while_the_cluster_runs(clock):
    over = EndedJobs(clock, 9, 1 * HOUR_MS)
    over.restore([B, C])
    assert [one.overview.name for one in over.summaries()] == ["b", "c"]
    clock.advance_ms(1)
    assert [one.overview.name for one in over.summaries()] == ["c"]
    assert over.read(ReadJob(B.job.summary.overview.job_id)) is None
    assert over.read(ReadJob(C.job.summary.overview.job_id)) == C.job
