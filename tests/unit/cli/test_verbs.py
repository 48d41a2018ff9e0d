"""`list`, `savepoint`, `stop`, `cancel`, `checkpoint` against a JobManager whose answers the test determines."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
from rich.console import Console
from typer.testing import CliRunner

from shmflink.cli import listing, verbs
from shmflink.cli.listing import as_table
from shmflink.cli.main import app
from shmflink.client.control_client import RunningJob
from shmflink.core.ids import JobId
from shmflink.rpc.connection import BlockingConnection
from shmflink.rpc.control_messages import (
    CancelRunningJob,
    CheckpointTaken,
    JobCancelled,
    JobList,
    JobOverview,
    ListJobs,
    RequestFailed,
    SavepointCompleted,
    StopJob,
    TakeCheckpoint,
    TriggerSavepoint,
)
from shmflink.rpc.messages import CheckpointSummary
from shmflink.rpc.runtime_folder import listen
from shmflink.rpc.states import JobState

ID = JobId("5f0c" * 8)
LAST = CheckpointSummary(7, 2, 1, 7, "/c/chk-7", 3200, 50, 1_258_291)
COUNTS = JobOverview(ID, "counts", JobState.RUNNING, 1_763_719_200_000, 61_000, 4, 4, 2, LAST)
WAITS = JobOverview(JobId("a" * 32), "waits", JobState.CREATED, 1_763_719_300_000, 0, 4, 4)
OVER = JobOverview(JobId("b" * 32), "over", JobState.FINISHED, 1_763_719_100_000, 1_000, 1, 1)

RESUME = "You can resume your program from this savepoint with the run command: shmflink run -s {} JOB.PY"


class Peer:
    """A JobManager at a real socket: answers each request by its type and notes it."""

    def __init__(self, folder: str) -> None:
        self.jobs: tuple[JobOverview, ...] = (COUNTS,)
        self.answers: dict[type, Any] = {}
        self.asked: list[Any] = []
        self._listener, self.path = listen([folder], 4711)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                end, _ = self._listener.accept()
            except OSError:
                return
            connection = BlockingConnection(end)
            received = connection.receive()
            if received is not None:
                self._answer(connection, received.message)
            connection.close()

    def _answer(self, connection: BlockingConnection, message: Any) -> None:
        if isinstance(message, ListJobs):
            connection.send(JobList(4711, self.jobs))
            return
        self.asked.append(message)
        if type(message) in self.answers:
            connection.send(self.answers[type(message)])

    def close(self) -> None:
        self._listener.shutdown(2)
        self._thread.join()
        self._listener.close()


@pytest.fixture
def peer(tmp_path, monkeypatch) -> Iterator[Peer]:
    folder = f"{tmp_path}/shmflink"
    for module in (listing, verbs):  # jobs that really run here are not to be seen
        monkeypatch.setattr(module, "runtime_folders", lambda _environment, _uid: (folder,))
    peer = Peer(folder)
    yield peer
    peer.close()


@pytest.fixture
def run(peer) -> Callable[..., tuple[int, str, str]]:
    def call(*words: str) -> tuple[int, str, str]:
        done = CliRunner().invoke(app, list(words))
        return done.exit_code, done.stdout, done.stderr

    return call


def test_jobs_are_listed_as_flink_does(run, peer):
    peer.jobs = (COUNTS, WAITS, OVER)
    code, out, _ = run("list")
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "------------------ Running/Restarting Jobs -------------------"
    assert lines[1].endswith(f" : {ID} : counts (RUNNING)")
    assert lines[2] == "-" * 62
    assert lines[4].endswith(" : waits (CREATED)")
    assert "over" not in out
    assert "over (FINISHED)" in run("list", "-a")[1]
    assert "counts" not in run("list", "--scheduled")[1]
    peer.jobs = ()
    assert run("list")[1] == "No running jobs.\nNo scheduled jobs.\n"


def test_the_list_as_json_holds_everything(run):
    (job,) = orjson.loads(run("list", "--json")[1])
    assert job["job_id"] == ID.hex
    assert job["restarts"] == 2
    assert job["jobmanager_pid"] == 4711
    assert job["checkpoints"]["last_path"] == "/c/chk-7"


def test_the_table_tells_of_the_last_checkpoint_and_shortens_ids_where_there_is_no_room():
    def shown(width: int) -> str:
        console = Console(width=width, record=True, quiet=False, file=io.StringIO())
        console.print(as_table([RunningJob(COUNTS, "/s", 1)], width))
        return console.export_text()

    assert ID.hex in shown(180)
    narrow = shown(130)
    assert ID.hex not in narrow
    assert ID.hex[:12] in narrow
    assert "#7 3.20 s ago, took 0.05 s, 1.2 MiB; 2 failed" in narrow


def test_savepoint(run, peer, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    peer.answers[TriggerSavepoint] = SavepointCompleted(ID, "/s/savepoint-5f0c5f-1", JobState.RUNNING)
    code, out, _ = run("savepoint", "5f0c", "backups")
    assert code == 0
    assert out.splitlines() == [
        f"Triggering savepoint for job {ID}.",
        "Waiting for response...",
        "Savepoint completed. Path: file:/s/savepoint-5f0c5f-1",
        RESUME.format("/s/savepoint-5f0c5f-1"),
    ]
    assert peer.asked == [TriggerSavepoint(ID, f"{tmp_path}/backups")], "the JobManager works in another folder"
    run("savepoint", "counts")
    assert peer.asked[-1] == TriggerSavepoint(ID, ""), "the configured one"


@pytest.mark.parametrize(
    ("words", "drains", "target"),
    [
        (["--savepointPath", "/s"], False, "/s"),
        (["-p", "file:/s", "--drain"], True, "file:/s"),
        (["--savepoint", "", "-d"], True, ""),
        ([], False, ""),
    ],
)
def test_stop(run, peer, words, drains, target):
    peer.answers[StopJob] = SavepointCompleted(ID, "/s/1", JobState.FINISHED)
    code, out, _ = run("stop", "counts", *words)
    assert code == 0
    assert "Savepoint completed. Path: file:/s/1" in out
    assert peer.asked == [StopJob(ID, target, drains)]


def test_cancel(run, peer):
    peer.answers[CancelRunningJob] = JobCancelled(ID, JobState.CANCELED)
    code, out, _ = run("cancel", ID.hex)
    assert (code, out.splitlines()[-1]) == (0, f"Cancelled job {ID}.")
    peer.answers[CancelRunningJob] = JobCancelled(ID, JobState.FINISHED)
    code, _, error = run("cancel", ID.hex)
    assert (code, error) == (1, f"job {ID} was not canceled: it is FINISHED\n")


def test_cancel_with_a_savepoint_cancels_only_behind_it(run, peer):
    peer.answers[TriggerSavepoint] = SavepointCompleted(ID, "/s/1", JobState.RUNNING)
    peer.answers[CancelRunningJob] = JobCancelled(ID, JobState.CANCELED)
    code, out, _ = run("cancel", "counts", "-s", "/s")
    assert code == 0
    assert out.splitlines()[-1] == f"Cancelled job {ID}. Savepoint stored in /s/1."
    peer.answers[TriggerSavepoint] = RequestFailed(ID, "CheckpointError", "disk full")
    peer.asked.clear()
    assert run("cancel", "counts", "-s", "/s")[0] == 1
    assert peer.asked == [TriggerSavepoint(ID, "/s")]


def test_checkpoint(run, peer):
    peer.answers[TakeCheckpoint] = CheckpointTaken(ID, 8, "/c/chk-8")
    code, out, _ = run("checkpoint", "5f0c")
    assert code == 0
    assert f"Checkpoint(CONFIGURED) 8 for job {ID} completed." in out


def test_a_refusal_is_said_and_is_an_error(run, peer):
    peer.answers[TriggerSavepoint] = RequestFailed(ID, "UsageError", "there is no target folder: give one")
    code, _, error = run("savepoint", "counts")
    assert (code, error) == (1, "there is no target folder: give one\n")


def test_a_jobmanager_that_dies_meanwhile_is_said(run):
    code, _, error = run("savepoint", "counts")
    assert code == 1
    assert "the JobManager closed the connection before it answered" in error


@pytest.mark.parametrize("verb", ["savepoint", "stop", "cancel", "checkpoint"])
def test_an_unknown_job_or_none_is_answered_with_those_that_run(run, peer, verb):
    code, _, error = run(verb, "count")
    assert code == 1
    assert error == f"there is no job 'count'; did you mean 'counts'?\nRunning:\n  {ID}  RUNNING  counts\n"
    code, _, error = run(verb)
    assert code == 2
    assert error == f"which job? Give its id or its name.\nRunning:\n  {ID}  RUNNING  counts\n"
    assert run(verb, "") == (2, "", error), "a script's variable that is not set"
    code, _, error = run(verb, "5f0")
    assert code == 1
    assert error.startswith("'5f0' is too short: the beginning of an id needs at least 4 digits:\n")
    assert peer.asked == []
