"""The JobManager's news about jobs reaches the program that submitted them: messages, and what the program sees."""

from __future__ import annotations

import threading

import pytest

from shmflink.client.followed_jobs import FollowedJob, FollowedJobs
from shmflink.client.job_client import JobClient
from shmflink.client.job_status import JobStatus
from shmflink.client.respawn import RespawnPolicy
from shmflink.core.ids import JobId
from shmflink.errors import JobManagerLostError, RpcError
from shmflink.graph.job_graph import JobGraph
from shmflink.rpc.messages import (
    CancelJob,
    Failure,
    JobAdmitted,
    JobEnded,
    JobNotice,
    JobProgress,
    JobStatusChanged,
)
from shmflink.rpc.states import JobState

A, B = JobId("a" * 32), JobId("b" * 32)


class Notes:
    """An observer that notes what it hears."""

    wants_progress = True

    def __init__(self) -> None:
        self.heard: list[object] = []

    def job_submitted(self, graph: JobGraph) -> None:
        self.heard.append(("submitted", graph.job_id))

    def job_progressed(self, progress: JobProgress) -> None:
        self.heard.append(("progress", progress.restarts))

    def job_ended(self, ended: JobEnded) -> None:
        self.heard.append(("ended", ended.state, ended.restarts))

    def cluster_says(self, text: str) -> None:
        self.heard.append(text)


class Program:
    """With a cluster's JobManager at the other end."""

    def __init__(self) -> None:
        self.notes = Notes()
        self.jobs = FollowedJobs(self.notes, threading.Lock(), RespawnPolicy(), lambda: None)

    def add(self, job_id: JobId, *, admits: bool = False) -> FollowedJob:
        graph = JobGraph(job_id, f"job {job_id.hex[0]}", False, (), ())
        client = JobClient(job_id, lambda _: None)
        return self.jobs.add_locked(graph, {}, client, ("--fast",), progress=True, admits=admits)


def end(job_id: JobId, state: JobState = JobState.FINISHED) -> JobEnded:
    return JobEnded(job_id, state, 12, None, ())


def test_a_job_from_its_submission_to_its_result():
    program = Program()
    job = program.add(A)
    assert (job.submission.place, job.submission.arguments, job.admitted) == (0, ("--fast",), None)
    assert program.add(B).submission.place == 1
    program.jobs.handle(JobStatusChanged(A, JobState.RUNNING))
    assert job.client.get_job_status().result() is JobStatus.RUNNING
    program.jobs.handle(JobStatusChanged(A, JobState.RESTARTING, Failure("ValueError", "bad\nrow 7")))
    program.jobs.handle(JobNotice(A, "job 'job a': waits"))
    program.jobs.handle(end(A))
    assert job.client.get_job_execution_result().result().get_job_id() == A
    assert program.notes.heard == [
        f"Job 'job a' ({A}) restarts: ValueError: bad",
        "job 'job a': waits",
        ("ended", JobState.FINISHED, 0),
    ]
    assert program.jobs.ids() == [B]


def test_a_job_that_the_cluster_knows_goes_by_its_former_id():
    program = Program()
    job = program.add(B, admits=True)
    program.jobs.canceled.add(B)
    program.jobs.handle(JobAdmitted(B, A))
    assert (job.client.get_job_id(), program.jobs.ids()) == (A, [A])
    assert A in program.jobs.canceled
    assert job.admitted is not None
    assert job.admitted.is_set()
    assert program.notes.heard == [("submitted", A)]
    program.jobs.handle(end(A))
    assert not program.jobs


def test_a_job_that_is_refused_ends_the_wait_for_its_id():
    program = Program()
    job = program.add(A, admits=True)
    program.jobs.handle(end(A, JobState.CANCELED))
    assert job.admitted is not None
    assert job.admitted.is_set()
    assert program.notes.heard == [("submitted", A), ("ended", JobState.CANCELED, 0)]
    assert not program.jobs.leave(job), "it has ended"


def test_another_jobmanager_gets_what_the_dead_one_had_not_stored():
    program = Program()
    program.add(A)
    missing = program.add(B)
    program.jobs.canceled.add(A)
    sent: list[object] = []
    program.jobs.restarted_locked()
    program.jobs.submit_again((A,), sent.append)
    assert sent == [missing.submission, CancelJob(A)]
    program.jobs.handle(end(A))
    assert program.notes.heard == [("ended", JobState.FINISHED, 1)]

    def dead(_message: object) -> None:
        raise RpcError("it died as well")

    program.jobs.submit_again((), dead)


def test_without_a_jobmanager_every_job_has_failed():
    program = Program()
    job, other = program.add(A, admits=True), program.add(B)
    program.jobs.end_all(JobManagerLostError("gone"))
    assert job.admitted is not None
    assert job.admitted.is_set()
    for one in (job, other):
        with pytest.raises(JobManagerLostError, match="gone"):
            one.client.get_job_execution_result().result()
    program.jobs.handle(end(A))
    assert program.notes.heard == [], "late news of a job that nobody follows"
