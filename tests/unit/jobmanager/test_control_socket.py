"""The control socket of a fake JobManager, used by the command line's own client."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shmflink.client.control_client import RunningJob, Survey, find_job, request, survey, wait_reasons
from shmflink.core.clock import SYSTEM_CLOCK
from shmflink.core.ids import JobId
from shmflink.errors import RequestFailedError, RpcError, UsageError
from shmflink.jobmanager.control_socket import ControlSocket, bind_control_socket
from shmflink.jobmanager.dispatcher_effects import ClientId
from shmflink.rpc.control_messages import (
    AddSlots,
    CancelRunningJob,
    CheckpointTaken,
    ClusterDescription,
    DescribeCluster,
    JobCancelled,
    JobList,
    JobOverview,
    ListJobs,
    RequestFailed,
    SavepointCompleted,
    StopCluster,
    StopJob,
    TakeCheckpoint,
    TriggerSavepoint,
)
from shmflink.rpc.messages import CancelJob, CheckpointSummary, Failure, Shutdown
from shmflink.rpc.read_messages import (
    ClusterRead,
    JobsRead,
    JobSummary,
    ReadCluster,
    ReadJob,
    ReadJobs,
    ReadVertex,
    VertexRead,
)
from shmflink.rpc.runtime_folder import connect
from shmflink.rpc.states import JobState

A, B = JobId("a" * 32), JobId("b" * 32)
NO_DISK = Failure("ResourceError", "No space left on device: /full")


def overview(job_id: JobId, name: str, state: JobState = JobState.RUNNING) -> JobOverview:
    return JobOverview(job_id, name, state, 1000, 5, 2, 2, 0, CheckpointSummary(completed=3, last_id=3))


class FakeCluster:
    """A session cluster that notes what programs say, and can have eight slots."""

    def __init__(self) -> None:
        self.slots = 4
        self.is_open = True
        self.said_by: list[tuple[ClientId, object]] = []
        self.gone_for: list[ClientId] = []

    def describe(self) -> ClusterDescription:
        return ClusterDescription(77, "team", self.slots, 1, True)

    def add_slots(self, slots: int) -> str:
        if self.slots + slots > 8:
            return "8 is the most"
        self.slots += slots
        return ""

    def read(self) -> ClusterRead:
        return ClusterRead(77, "team", self.slots, 1, {"cluster.name": "team"}, ())

    def stop(self) -> str:
        return ""

    def opened(self, connection: Any) -> ClientId | None:
        return ClientId(1) if self.is_open else None

    def said(self, client: ClientId, received: Any) -> None:
        self.said_by.append((client, received.message))

    def gone(self, client: ClientId, reason: str) -> None:
        self.gone_for.append(client)


class FakeControl:
    """Jobs A and B; notes what it is asked, answers what the test has set."""

    def __init__(self) -> None:
        self.all = {A: overview(A, "alpha"), B: overview(B, "beta")}
        self.asked: list[tuple[Any, ...]] = []
        self.result: Any = "/savepoints/savepoint-1"
        self.ends: tuple[JobState, Failure | None] | None = None
        self.socket: ControlSocket | None = None

    def jobs(self) -> list[JobOverview]:
        return list(self.all.values())

    def savepoint(self, job_id: JobId, target: str, stops: bool, drains: bool, callback: Callable[[Any], None]) -> None:
        self.asked.append((job_id, target, stops, drains))
        if self.result is not None:
            callback(self.result)
        self._end(job_id)

    def checkpoint(self, job_id: JobId, callback: Callable[[Any], None]) -> None:
        self.asked.append((job_id,))
        callback(self.result)

    def cancel(self, job_id: JobId) -> None:
        self.asked.append((job_id, "cancel"))
        self._end(job_id)

    def waits_for(self, job_id: JobId) -> list[str]:
        return [f"'{self.all[job_id].name}' waits"] if job_id in self.all else []

    def read(self, request: Any) -> JobsRead | VertexRead | RequestFailed:
        if isinstance(request, ReadJobs):
            return JobsRead(tuple(JobSummary(one, False, {}, {"RUNNING": 2}) for one in self.all.values()))
        if request.job_id in self.all and isinstance(request, ReadVertex):
            return VertexRead(request.job_id, request.vertex, JobState.RUNNING, ())
        return RequestFailed(request.job_id, "UsageError", f"the JobManager has no job {request.job_id}")

    def jobs_that_fail(self, *_: Any) -> None:
        raise ZeroDivisionError("a bug")

    def _end(self, job_id: JobId) -> None:
        if self.ends is not None:
            state, failure = self.ends
            self.all[job_id] = replace(self.all[job_id], state=state)
            assert self.socket is not None
            self.socket.job_ended(job_id, state, failure)


class Served:
    """A control socket on a loop of its own; `do` runs a blocking function in a thread while the loop serves."""

    def __init__(self, folder: Path) -> None:
        self.folders = [str(folder)]
        self.loop = asyncio.new_event_loop()
        self.control = FakeControl()
        self.cluster = FakeCluster()
        self.socket = ControlSocket(self.loop, self.control, self.cluster, bind_control_socket(self.folders, 77))
        self.control.socket = self.socket

    def do(self, function: Callable[..., Any], *arguments: Any) -> Any:
        async def awaited() -> Any:
            return await asyncio.to_thread(function, *arguments)

        return self.loop.run_until_complete(asyncio.wait_for(awaited(), 60))

    def ask(self, message: object) -> Any:
        return self.do(request, self.socket.path, message, object, SYSTEM_CLOCK)

    def survey(self) -> Survey:
        found = self.do(survey, self.folders, SYSTEM_CLOCK)
        assert isinstance(found, Survey)
        return found


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path / "shmflink")
    yield served
    served.socket.close()
    served.socket.remove()
    served.loop.run_until_complete(served.loop.shutdown_default_executor())
    served.loop.close()


def test_jobs_are_listed_with_their_jobmanager(served: Served) -> None:
    found = served.survey()
    assert [(job.overview.name, job.pid, job.socket) for job in found.jobs] == [
        ("alpha", 77, served.socket.path),
        ("beta", 77, served.socket.path),
    ]
    assert found.jobs[0].overview == served.control.all[A]


def test_who_looks_at_the_cluster_is_answered(served: Served) -> None:
    assert served.ask(ReadCluster()) == ClusterRead(77, "team", 4, 1, {"cluster.name": "team"}, ())
    assert [one.overview.name for one in served.ask(ReadJobs()).jobs] == ["alpha", "beta"]
    assert served.ask(ReadVertex(A, 1)) == VertexRead(A, 1, JobState.RUNNING, ())
    with pytest.raises(RequestFailedError, match="has no job c"):
        served.ask(ReadJob(JobId("c" * 32)))
    assert served.control.asked == []


def test_a_savepoint_is_answered_with_its_path(served: Served) -> None:
    assert served.ask(TriggerSavepoint(A, "/savepoints")) == SavepointCompleted(
        A, "/savepoints/savepoint-1", JobState.RUNNING
    )
    assert served.control.asked == [(A, "/savepoints", False, False)]


def test_what_a_request_waits_for_is_told_while_it_waits(served: Served) -> None:
    served.control.result = None
    connection = connect(served.socket.path)
    connection.send(TriggerSavepoint(A))
    assert served.do(wait_reasons, served.socket.path, A, SYSTEM_CLOCK) == ("'alpha' waits",)
    assert served.do(wait_reasons, served.socket.path, JobId("c" * 32), SYSTEM_CLOCK) == ()
    assert served.control.asked == [(A, "", False, False)]
    connection.close()


def test_a_jobmanager_that_does_not_know_the_question_has_no_reasons(served: Served) -> None:
    """An older release closes the connection at a message that it does not know."""
    served.socket._asked = lambda client, _received: served.socket._drop(client)
    assert served.do(wait_reasons, served.socket.path, A, SYSTEM_CLOCK) == ()


def test_what_the_jobmanager_cannot_do_is_told_with_its_reason(served: Served) -> None:
    served.control.result = NO_DISK
    for message in (TriggerSavepoint(A), StopJob(A), TakeCheckpoint(A)):
        with pytest.raises(RequestFailedError, match="No space left on device: /full"):
            served.ask(message)


def test_stop_is_answered_when_the_job_is_over_with_its_savepoint(served: Served) -> None:
    served.control.ends = (JobState.FINISHED, None)
    assert served.ask(StopJob(B, "/s", drains=True)) == SavepointCompleted(
        B, "/savepoints/savepoint-1", JobState.FINISHED
    )
    assert served.control.asked == [(B, "/s", True, True)]


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ("/s/1", r"the savepoint /s/1 is complete, but the job did not finish afterwards; it is FAILED: No space"),
        (None, r"the job was FAILED before its savepoint was complete: No space"),
    ],
)
def test_stop_of_a_job_that_fails_says_what_became_of_both(served, result, message):
    served.control.result = result
    served.control.ends = (JobState.FAILED, NO_DISK)
    with pytest.raises(RequestFailedError, match=message):
        served.ask(StopJob(B))


def test_cancel_is_answered_when_the_job_is_over(served: Served) -> None:
    served.control.ends = (JobState.CANCELED, None)
    assert served.ask(CancelRunningJob(A)) == JobCancelled(A, JobState.CANCELED)


def test_a_checkpoint_is_answered_with_its_number(served: Served) -> None:
    served.control.result = CheckpointTaken(A, 9, "/c/chk-9")
    assert served.ask(TakeCheckpoint(A)) == CheckpointTaken(A, 9, "/c/chk-9")


@pytest.mark.parametrize(
    ("job_id", "state", "message"),
    [
        (JobId("c" * 32), JobState.RUNNING, "has no job cccc"),
        (A, JobState.FAILING, r"'alpha'\) is FAILING: its state can only be saved while it is RUNNING"),
        (A, JobState.CANCELED, r"'alpha'\) has ended: CANCELED"),
    ],
)
def test_requests_that_cannot_be_served_are_refused_without_asking(served, job_id, state, message):
    """[R10] The answer names the state."""
    served.control.all[A] = overview(A, "alpha", state)
    with pytest.raises(RequestFailedError, match=message):
        served.ask(TriggerSavepoint(job_id))
    assert served.control.asked == []


def test_a_request_goes_on_when_its_client_has_left_and_others_are_served(served: Served) -> None:
    served.control.result = None

    def ask_and_leave() -> None:
        connection = connect(served.socket.path)
        connection.send(StopJob(A))
        connection.close()

    served.do(ask_and_leave)
    served.survey()
    assert served.control.asked == [(A, "", True, False)]
    served.socket.job_ended(A, JobState.FINISHED, None)
    assert len(served.survey().jobs) == 2


def test_one_who_talks_nonsense_is_shown_out(served: Served) -> None:
    """[B6] [R4]"""

    def say(data: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(served.socket.path)
            sock.sendall(data)
            return sock.recv(1)

    assert served.do(say, b"GET / HTTP/1.1\r\n\r\n    ") == b""
    with pytest.raises(RpcError, match="closed the connection"):
        served.ask(Shutdown())
    assert len(served.survey().jobs) == 2


def test_a_bug_behind_a_request_fails_that_request_alone(served: Served) -> None:
    served.control.result = None
    served.control.savepoint = served.control.checkpoint = served.control.jobs_that_fail
    for message in (TriggerSavepoint(A), TakeCheckpoint(A)):
        with pytest.raises(RequestFailedError, match="ZeroDivisionError"):
            served.ask(message)
    assert len(served.survey().jobs) == 2


def test_json_nested_too_deeply_is_nonsense(served: Served) -> None:
    """[B6]"""

    def say() -> bytes:
        text = b"[" * 5000 + b"]" * 5000
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(served.socket.path)
            sock.sendall(struct.pack("<4sIII", b"shmr", 0, len(text), 0) + text)
            return sock.recv(1)

    assert served.do(say) == b""
    assert len(served.survey().jobs) == 2


def test_idle_connections_make_room_for_others_the_oldest_first(served: Served) -> None:
    """[B12] Nobody is locked out by those who say nothing."""
    idle = [socket.socket(socket.AF_UNIX) for _ in range(70)]

    def connect_all() -> list[bytes]:
        for sock in idle:
            sock.connect(served.socket.path)
        return [sock.recv(1) for sock in idle[:6]]

    assert served.do(connect_all) == [b""] * 6
    assert len(served.survey().jobs) == 2
    for sock in idle:
        sock.close()


def test_one_who_waits_for_an_answer_keeps_its_place(served: Served) -> None:
    served.control.result = None
    waiting = served.do(connect, served.socket.path)
    served.do(waiting.send, StopJob(A))
    served.survey()
    idle = [socket.socket(socket.AF_UNIX) for _ in range(70)]
    for sock in idle:
        served.do(sock.connect, served.socket.path)
    served.socket.job_ended(A, JobState.CANCELED, None)
    assert isinstance(served.do(waiting.receive).message, RequestFailed)
    for sock in (waiting, *idle):
        sock.close()


def test_connections_beyond_the_limit_are_closed_where_all_wait(served: Served) -> None:
    """[B12]"""
    served.control.result = None
    waiting = [served.do(connect, served.socket.path) for _ in range(64)]
    for connection in waiting:
        served.do(connection.send, StopJob(A))
    served.do(waiting[-1].send, ListJobs())
    assert isinstance(served.do(waiting[-1].receive).message, JobList)
    one_more = served.do(connect, served.socket.path)
    assert served.do(one_more.receive) is None
    served.do(waiting.pop().close)
    assert len(served.survey().jobs) == 2, "and the limit counts those who are there now"
    for connection in (*waiting, one_more):
        connection.close()


def test_an_idle_connection_is_closed_after_a_while(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shmflink.jobmanager.control_socket._IDLE_S", 0.01)
    silent = served.do(connect, served.socket.path)
    assert served.do(silent.receive) is None
    silent.close()


def test_the_socket_goes_with_the_jobmanager(served: Served) -> None:
    served.socket.close()
    served.socket.remove()
    assert os.listdir(served.folders[0]) == []
    assert served.survey() == Survey((), ())
    with pytest.raises(RpcError, match="is gone"):
        served.ask(TakeCheckpoint(A))


def found(*jobs: JobOverview) -> list[RunningJob]:
    return [RunningJob(job, "/s", 1) for job in jobs]


def test_a_job_is_found_by_its_id_a_beginning_of_it_or_its_name() -> None:
    jobs = found(overview(A, "alpha"), overview(B, "beta"))
    for text in ("a" * 32, "A" * 32, "aaaa", "AAAAA", "alpha"):
        assert find_job(text, jobs).overview.job_id == A


def test_a_running_job_goes_before_one_of_its_name_that_is_over() -> None:
    jobs = found(overview(A, "job", JobState.FAILED), overview(B, "job"))
    assert find_job("job", jobs).overview.job_id == B
    assert find_job("aaaa", jobs).overview.job_id == A


def test_an_ambiguous_or_unknown_job_is_told_with_what_there_is() -> None:
    jobs = found(overview(A, "counts"), overview(JobId("aaaab" + "c" * 27), "counts"))
    with pytest.raises(UsageError, match=rf"2 jobs match 'aaaa'; give the id of one:\n  {A}  RUNNING  counts"):
        find_job("aaaa", jobs)
    with pytest.raises(UsageError, match="2 jobs match 'counts'"):
        find_job("counts", jobs)
    with pytest.raises(UsageError, match=r"there is no job 'count'; did you mean 'counts'\?\nRunning:\n"):
        find_job("count", jobs)
    with pytest.raises(UsageError, match="No job of this user runs on this host"):
        find_job("count", [])


@pytest.mark.parametrize("text", ["", " ", "\t\n"])
def test_an_empty_text_means_no_job_also_where_there_is_but_one(text: str) -> None:
    """What a script gives whose variable is not set."""
    with pytest.raises(UsageError, match=rf"the job argument is empty: give its id or its name\.\nRunning:\n  {A}"):
        find_job(text, found(overview(A, "alpha")))


@pytest.mark.parametrize("text", ["a", "aa", "AAA"])
def test_fewer_than_four_digits_are_no_beginning_of_an_id(text: str) -> None:
    with pytest.raises(UsageError, match=rf"'{text}' is too short: .* needs at least 4 digits:\n  {A}"):
        find_job(text, found(overview(A, "alpha")))
    assert find_job(text, found(overview(A, "alpha"), overview(B, text))).overview.job_id == B, "but may be a name"


def test_a_session_cluster_is_described_grows_and_stops(served: Served) -> None:
    description = ClusterDescription(77, "team", 4, 1, True)
    assert served.ask(DescribeCluster()) == description
    assert served.ask(AddSlots(4)) == replace(description, slots=8)
    with pytest.raises(RequestFailedError, match="8 is the most"):
        served.ask(AddSlots(1))
    assert served.ask(StopCluster()) == replace(description, slots=8)


def test_what_programs_say_reaches_the_cluster_and_so_does_their_end(served: Served) -> None:
    program = connect(served.socket.path)
    program.send(CancelJob(A))
    program.send(CancelJob(B, force=True))
    served.survey()
    assert served.cluster.said_by == [(ClientId(1), CancelJob(A)), (ClientId(1), CancelJob(B, force=True))]
    assert served.cluster.gone_for == []
    program.close()
    served.survey()
    assert served.cluster.gone_for == [ClientId(1)]


def test_the_cluster_of_a_program_takes_no_jobs_of_others(served: Served) -> None:
    served.cluster.is_open = False
    with pytest.raises(RequestFailedError, match="the cluster belongs to another program and accepts no jobs"):
        served.ask(CancelJob(A))
    assert served.cluster.said_by == []
