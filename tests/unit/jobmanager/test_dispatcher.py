"""The jobs of a JobManager and the clients that follow them: events in, effects out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shmflink.core.ids import JobId
from shmflink.graph.job_graph import JobGraph
from shmflink.jobmanager.admission import Admission
from shmflink.jobmanager.dispatcher import Dispatcher, Lifetime
from shmflink.jobmanager.dispatcher_effects import (
    Admit,
    Cancel,
    ClientId,
    Effect,
    ReportProgress,
    Run,
    Stop,
    Suspend,
    Tell,
    Withdraw,
)
from shmflink.rpc.control_messages import RequestFailed
from shmflink.rpc.messages import (
    ClusterFailed,
    Failure,
    JobAdmitted,
    JobEnded,
    JobNotice,
    JobProgress,
    JobsRecovered,
    JobStatusChanged,
    SubmitJob,
)
from shmflink.rpc.states import JobState

ANN, BOB = ClientId(1), ClientId(2)
A, B = JobId("a" * 32), JobId("b" * 32)
FAILURE = Failure("ResourceError", "no slots")


def job(job_id: JobId, *, progress: bool = False, detached: bool = False) -> SubmitJob:
    return SubmitJob(JobGraph(job_id, f"job {job_id.hex[0]}", False, (), ()), {}, progress, detached=detached)


def end(job_id: JobId, state: JobState = JobState.FINISHED) -> JobEnded:
    return JobEnded(job_id, state, 12, None, ())


def cluster(lifetime: Lifetime = Lifetime.CLIENT, *, keeps_jobs: bool = False) -> Dispatcher:
    """Started by Ann, ready for jobs."""
    made = Dispatcher()
    made.connected(ANN)
    made.started(ANN, lifetime)
    assert made.opened(keeps_jobs=keeps_jobs, recovered=None) == []
    return made


def run(dispatcher: Dispatcher, client: ClientId, submission: SubmitJob) -> list[Effect]:
    assert dispatcher.submit(client, submission) == [Admit(submission)]
    return dispatcher.admitted(submission.graph.job_id, Admission(submission), "")


def test_a_job_from_its_submission_to_its_end() -> None:
    dispatcher = cluster()
    submission = job(A, progress=True)
    assert run(dispatcher, ANN, submission) == [
        Tell(ANN, JobStatusChanged(A, JobState.CREATED)),
        Run(Admission(submission)),
        ReportProgress(A),
    ]
    assert dispatcher.submit(ANN, submission) == [], "known"
    assert dispatcher.wants_progress(A)
    assert dispatcher.entered(A, JobState.RUNNING, None) == [Tell(ANN, JobStatusChanged(A, JobState.RUNNING))]
    assert dispatcher.notice(A, "waits") == [Tell(ANN, JobNotice(A, "waits"))]
    assert dispatcher.progressed(JobProgress(A, ())) == [Tell(ANN, JobProgress(A, ()))]
    assert dispatcher.cancel(ANN, A, force=True) == [Cancel(A, force=True)]
    assert dispatcher.ended(end(A)) == [Tell(ANN, end(A))]
    assert not dispatcher.wants_progress(A)
    assert dispatcher.cancel(ANN, A, force=False) == [], "it is over"


def test_a_job_that_cannot_run_is_its_clients_news() -> None:
    dispatcher = cluster()
    dispatcher.submit(ANN, job(A))
    assert dispatcher.refused(A, FAILURE) == [Tell(ANN, JobEnded(A, JobState.FAILED, 0, FAILURE, ()))]


def test_clients_attach_to_jobs_of_others_and_hear_of_their_end() -> None:
    dispatcher = cluster(Lifetime.SERVICE)
    run(dispatcher, ANN, job(A))
    dispatcher.connected(BOB)
    assert dispatcher.attach(BOB, A, progress=True) == [
        Tell(BOB, JobStatusChanged(A, JobState.CREATED)),
        ReportProgress(A),
    ]
    assert dispatcher.progressed(JobProgress(A, ())) == [Tell(BOB, JobProgress(A, ()))], "Ann wants none"
    dispatcher.detach(ANN, A)
    assert dispatcher.ended(end(A)) == [Tell(BOB, end(A))]
    assert dispatcher.attach(ANN, A, progress=False) == [Tell(ANN, end(A))], "the result is remembered"
    unknown = RequestFailed(B, "UsageError", f"the JobManager has no job {B}")
    assert dispatcher.attach(ANN, B, progress=False) == [Tell(ANN, unknown)]


def test_what_clients_want_before_the_directory_is_open_waits_for_it() -> None:
    dispatcher = Dispatcher()
    dispatcher.connected(ANN)
    dispatcher.started(ANN, Lifetime.CLIENT)
    assert dispatcher.submit(ANN, job(A)) == []
    assert dispatcher.cancel(ANN, A, force=False) == []
    assert dispatcher.opened(keeps_jobs=True, recovered=[job(B)]) == [
        Admit(job(B)),
        Tell(ANN, JobsRecovered((B,))),
        Admit(job(A)),
    ]
    assert dispatcher.admitted(B, Admission(job(B), is_kept=True), "resumes from checkpoint 7") == [
        Tell(ANN, JobAdmitted(B, B)),
        Tell(ANN, JobStatusChanged(B, JobState.CREATED)),
        Run(Admission(job(B), is_kept=True), "resumes from checkpoint 7"),
    ]
    assert dispatcher.admitted(A, Admission(job(A)), "")[-1] == Cancel(A, force=False), "it was canceled meanwhile"


def test_a_job_that_the_directory_knows_runs_once_under_its_former_id() -> None:
    dispatcher = cluster(keeps_jobs=True)
    run(dispatcher, ANN, job(A))
    dispatcher.submit(ANN, job(B))
    assert dispatcher.admitted(B, Admission(job(A), is_kept=True), "") == [
        Tell(ANN, JobAdmitted(B, A)),
        Tell(ANN, JobStatusChanged(A, JobState.CREATED)),
    ]


def test_a_job_that_is_over_is_not_run_again() -> None:
    dispatcher = cluster(keeps_jobs=True)
    dispatcher.submit(ANN, job(B))
    assert dispatcher.admitted(B, Admission(job(A), ended=end(A), ended_under=77), "") == [
        Tell(ANN, JobAdmitted(B, A)),
        Tell(ANN, JobStatusChanged(A, JobState.CREATED)),
        Tell(ANN, JobNotice(A, "job 'job a' has finished under JobManager pid 77: nothing is run again")),
        Tell(ANN, end(A)),
    ]


@pytest.mark.parametrize("keeps_jobs", [False, True])
def test_an_embedded_cluster_ends_with_the_client_that_started_it(keeps_jobs: bool) -> None:
    dispatcher = cluster(keeps_jobs=keeps_jobs)
    run(dispatcher, ANN, job(A))
    dispatcher.connected(BOB)
    dispatcher.attach(BOB, A, progress=False)
    assert dispatcher.disconnected(BOB) == [], "somebody else's going changes nothing"
    expected = Suspend(A) if keeps_jobs else Cancel(A, force=False)
    assert dispatcher.disconnected(ANN) == [expected]
    assert dispatcher.ended(end(A, JobState.CANCELED)) == [Stop()]
    assert (dispatcher.is_ending, dispatcher.is_suspending) == (True, keeps_jobs)
    assert dispatcher.shut_down(suspends=False) == [], "once"


def test_an_embedded_cluster_that_its_client_left_ends_with_the_last_detached_job() -> None:
    dispatcher = cluster()
    run(dispatcher, ANN, job(A, detached=True))
    run(dispatcher, ANN, job(B))
    assert dispatcher.disconnected(ANN) == [Cancel(B, force=False)]
    assert dispatcher.ended(end(B, JobState.CANCELED)) == []
    assert dispatcher.ended(end(A)) == [Stop()]


def test_a_session_cluster_and_its_jobs_outlive_all_clients() -> None:
    dispatcher = cluster(Lifetime.SERVICE)
    assert run(dispatcher, ANN, job(A))[0] == Tell(ANN, JobAdmitted(A, A)), "so that a program may leave"
    assert dispatcher.disconnected(ANN) == []
    assert dispatcher.entered(A, JobState.RUNNING, None) == [], "nobody listens"
    dispatcher.connected(BOB)
    assert dispatcher.attach(BOB, A, progress=False) == [Tell(BOB, JobStatusChanged(A, JobState.RUNNING))]
    assert dispatcher.ended(end(A)) == [Tell(BOB, end(A))]
    assert dispatcher.shut_down(suspends=False) == [Stop()]


def test_a_job_that_is_bound_to_its_client_is_canceled_when_that_one_dies() -> None:
    bound = {"execution.shutdown-on-attached-exit": "true"}
    dispatcher = cluster(Lifetime.SERVICE)
    dispatcher.connected(BOB)
    run(dispatcher, BOB, replace(job(A), configuration=bound))
    run(dispatcher, BOB, replace(job(B, detached=True), configuration=bound))
    run(dispatcher, BOB, job(JobId("c" * 32)))
    late = replace(job(JobId("d" * 32)), configuration=bound)
    dispatcher.submit(BOB, late)
    assert dispatcher.disconnected(BOB) == [Cancel(A, force=False)]
    assert Cancel(late.graph.job_id, force=False) in dispatcher.admitted(late.graph.job_id, Admission(late), "")


def test_a_cluster_that_ends_while_a_job_is_admitted_waits_for_that_and_does_not_run_it() -> None:
    dispatcher = cluster()
    dispatcher.submit(ANN, job(A))
    assert dispatcher.shut_down(suspends=False) == []
    assert dispatcher.submit(ANN, job(B)) == []
    assert dispatcher.admitted(A, Admission(job(A)), "") == [
        Tell(ANN, JobStatusChanged(A, JobState.CREATED)),
        Withdraw(A),
        Tell(ANN, JobEnded(A, JobState.CANCELED, 0, None, ())),
        Stop(),
    ]


def test_a_job_that_is_admitted_while_the_cluster_suspends_is_kept() -> None:
    dispatcher = cluster(keeps_jobs=True)
    dispatcher.submit(ANN, job(A))
    assert dispatcher.shut_down(suspends=True) == []
    told = JobEnded(A, JobState.SUSPENDED, 0, None, ())
    assert dispatcher.admitted(A, Admission(job(A)), "")[-2:] == [Tell(ANN, told), Stop()]


def test_a_cluster_that_cannot_continue_tells_every_client() -> None:
    dispatcher = cluster()
    run(dispatcher, ANN, job(A))
    dispatcher.connected(BOB)
    ended = JobEnded(A, JobState.FAILED, 0, FAILURE, ())
    assert dispatcher.failed(FAILURE, [ended]) == [
        Tell(ANN, ended),
        Tell(ANN, ClusterFailed(FAILURE)),
        Tell(BOB, ClusterFailed(FAILURE)),
    ]


def test_only_the_latest_ends_are_remembered() -> None:
    dispatcher = cluster()
    for number in range(60):
        one = JobId(f"{number:032x}")
        run(dispatcher, ANN, job(one))
        dispatcher.ended(end(one))
    first, last = (dispatcher.attach(ANN, JobId(f"{number:032x}"), progress=False) for number in (0, 59))
    assert [type(told.message) for told in (*first, *last) if isinstance(told, Tell)] == [RequestFailed, JobEnded]
