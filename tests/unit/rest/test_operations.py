"""Savepoints, stops, checkpoints, disposals: what the JobManager is asked, what clients find when they come back."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest

from shmflink.checkpoint.manifest import CHECKPOINT, SAVEPOINT, Manifest
from shmflink.checkpoint.storage import write_manifest
from shmflink.errors import RequestFailedError
from shmflink.rest.operations import Operations
from shmflink.rpc.control_messages import (
    CancelRunningJob,
    CheckpointTaken,
    JobCancelled,
    SavepointCompleted,
    StopJob,
    TakeCheckpoint,
    TriggerSavepoint,
)
from shmflink.rpc.states import JobState
from shmflink.testing.manual_clock import ManualClock
from tests.unit.rest.cluster import FINISHED, RUNNING, Server
from tests.unit.rest.recorded import differences, recorded

SAVED = SavepointCompleted(RUNNING, "/s/savepoint-111111-aaaaaaaaaaaa", JobState.RUNNING)
UNKNOWN = "0" * 32
OWN = "AB" * 16


def actions(server: Server) -> list[object]:
    """What the JobManager was asked to do."""
    kinds = (TriggerSavepoint, StopJob, TakeCheckpoint, CancelRunningJob)
    return [one for one in server.jobmanager.asked if isinstance(one, kinds)]


def test_a_savepoint_is_triggered_and_found(server: Server) -> None:
    server.jobmanager.answers[TriggerSavepoint] = lambda _: SAVED
    status, answer, _ = server.ask("POST", f"/jobs/{RUNNING}/savepoints", {"target-directory": "file:///s"})
    assert status == 202
    first = server.get(f"/jobs/{RUNNING}/savepoints/{answer['request-id']}")
    assert first == {"status": {"id": "IN_PROGRESS"}, "operation": None}
    assert server.poll(f"/jobs/{RUNNING}/savepoints/{answer['request-id']}") == {"location": f"file:{SAVED.path}"}
    assert actions(server) == [TriggerSavepoint(RUNNING, "/s")]


def test_a_savepoint_may_cancel_the_job_when_it_is_complete(server: Server) -> None:
    server.jobmanager.answers[TriggerSavepoint] = lambda _: SAVED
    server.jobmanager.answers[CancelRunningJob] = lambda _: JobCancelled(RUNNING, JobState.CANCELED)
    _, answer, _ = server.ask("POST", f"/jobs/{RUNNING}/savepoints", {"cancel-job": True})
    server.poll(f"/jobs/{RUNNING}/savepoints/{answer['request-id']}")
    assert actions(server) == [TriggerSavepoint(RUNNING), CancelRunningJob(RUNNING)]


def test_a_trigger_id_of_the_client_starts_one_savepoint_however_often_it_comes(server: Server) -> None:
    server.jobmanager.answers[TriggerSavepoint] = lambda _: SAVED
    for _ in range(3):
        _, answer, _ = server.ask("POST", f"/jobs/{RUNNING}/savepoints", {"triggerId": OWN})
        assert answer == {"request-id": OWN.lower()}
    server.poll(f"/jobs/{RUNNING}/savepoints/{OWN}")
    assert actions(server) == [TriggerSavepoint(RUNNING)]


def test_a_stop_is_polled_as_a_savepoint(server: Server) -> None:
    server.jobmanager.answers[StopJob] = lambda _: SAVED
    _, answer, _ = server.ask("POST", f"/jobs/{RUNNING}/stop", {"targetDirectory": "/s", "drain": True})
    assert server.poll(f"/jobs/{RUNNING}/savepoints/{answer['request-id']}") == {"location": f"file:{SAVED.path}"}
    assert actions(server) == [StopJob(RUNNING, "/s", True)]


def test_a_checkpoint_is_triggered_and_found(server: Server) -> None:
    server.jobmanager.answers[TakeCheckpoint] = lambda _: CheckpointTaken(RUNNING, 39, "/c/chk-39")
    _, answer, _ = server.ask("POST", f"/jobs/{RUNNING}/checkpoints", {"checkpointType": "CONFIGURED"})
    assert server.poll(f"/jobs/{RUNNING}/checkpoints/{answer['request-id']}") == {"checkpointId": 39}


def test_a_full_checkpoint_is_not_pretended(server: Server) -> None:
    _, answer, _ = server.ask("POST", f"/jobs/{RUNNING}/checkpoints", {"checkpointType": "FULL"})
    cause = server.poll(f"/jobs/{RUNNING}/checkpoints/{answer['request-id']}")["failureCause"]
    assert "refer to files of earlier ones: take a savepoint" in cause["stack-trace"]
    assert actions(server) == []


@pytest.mark.parametrize("job", [str(FINISHED), UNKNOWN])
@pytest.mark.parametrize(("path", "poll"), [("savepoints", "savepoints"), ("stop", "savepoints"), ("checkpoints",) * 2])
def test_jobs_that_do_not_run_fail_in_the_poll(job: str, path: str, poll: str, server: Server) -> None:
    status, answer, _ = server.ask("POST", f"/jobs/{job}/{path}", {})
    assert status == 202
    operation = server.poll(f"/jobs/{job}/{poll}/{answer['request-id']}")
    if poll == "checkpoints":
        shape = recorded("GET", "/jobs/:jobid/checkpoints/:triggerid", 200, "finished job")
    else:
        shape = recorded("GET", "/jobs/:jobid/savepoints/:triggerid", 200, "directory that cannot be written")
    assert not list(differences(operation, shape["operation"]))
    assert actions(server) == []


def test_a_refusal_of_the_jobmanager_is_the_cause_that_clients_deserialize(server: Server) -> None:
    server.jobmanager.answers[TriggerSavepoint] = lambda _: RequestFailedError("No space left on device: /full")
    _, answer, _ = server.ask("POST", f"/jobs/{RUNNING}/savepoints", {})
    cause = server.poll(f"/jobs/{RUNNING}/savepoints/{answer['request-id']}")["failure-cause"]
    assert cause["class"] == "java.util.concurrent.CompletionException"
    assert "No space left on device: /full" in cause["stack-trace"]
    assert b"No space left on device: /full" in base64.b64decode(cause["serialized-throwable"])


@pytest.mark.parametrize("folder", ["relative/folder", "s3://bucket/savepoints"])
def test_a_folder_that_cannot_be_meant_fails_in_the_poll(folder: str, server: Server) -> None:
    _, answer, _ = server.ask("POST", f"/jobs/{RUNNING}/savepoints", {"target-directory": folder})
    assert folder in server.poll(f"/jobs/{RUNNING}/savepoints/{answer['request-id']}")["failure-cause"]["stack-trace"]
    assert actions(server) == []


def test_what_is_over_is_forgotten_after_a_while(server: Server) -> None:
    server.jobmanager.answers[TriggerSavepoint] = lambda _: SAVED
    server.ask("POST", f"/jobs/{RUNNING}/savepoints", {"triggerId": OWN})
    server.poll(f"/jobs/{RUNNING}/savepoints/{OWN}")
    server.clock.ms += server.settings.store_ms
    server.get(f"/jobs/{RUNNING}/savepoints/{OWN}")
    server.clock.ms += 1
    status, answer, _ = server.ask("GET", f"/jobs/{RUNNING}/savepoints/{OWN}")
    assert (status, f"triggerId={OWN.lower()} for job {RUNNING}" in answer["errors"][0]) == (404, True)


# --- disposals ---


def savepoint(folder: Path, kind: str = SAVEPOINT) -> Path:
    found = folder / "savepoint-111111-aaaaaaaaaaaa"
    found.mkdir(mode=0o700)
    write_manifest(str(found), Manifest(7, RUNNING.hex, "job", 1000, kind))
    return found


def disposed(server: Server, path: object) -> Any:
    status, answer, _ = server.ask("POST", "/savepoint-disposal", {"savepoint-path": path})
    assert status == 200
    return server.poll(f"/savepoint-disposal/{answer['request-id']}")


def test_a_savepoint_is_deleted(server: Server, tmp_path: Path) -> None:
    path = savepoint(tmp_path)
    assert disposed(server, f"file:{path}") == {}
    assert not path.exists()


def test_only_savepoints_are_deleted_and_only_what_they_consist_of(server: Server, tmp_path: Path) -> None:
    path = savepoint(tmp_path)
    (path / "mine.txt").write_text("not the savepoint's")
    assert disposed(server, str(path)) == {}
    assert [one.name for one in path.iterdir()] == ["mine.txt"]
    (tmp_path / "other").mkdir()
    checkpoint = savepoint(tmp_path / "other", CHECKPOINT)
    assert (
        "is a checkpoint: the job that wrote it removes it"
        in disposed(server, str(checkpoint))["failure-cause"]["stack-trace"]
    )
    assert (checkpoint / "_metadata").exists()
    assert "is not a checkpoint or savepoint" in disposed(server, str(tmp_path))["failure-cause"]["stack-trace"]


def test_a_disposal_needs_a_path(server: Server) -> None:
    status, answer, _ = server.ask("POST", "/savepoint-disposal", {})
    assert (status, "Field savepoint-path must not be omitted or be null." in answer["errors"][0]) == (400, True)


def test_an_operation_that_fails_by_a_bug_has_a_result() -> None:
    """Otherwise its client asks for ever."""

    async def broken() -> dict[str, object]:
        raise KeyError("absent")

    async def story() -> dict[str, object]:
        operations = Operations(ManualClock(), 1000)
        operations.start(("key",), broken)
        await asyncio.gather(*operations._tasks)
        return operations.status(("key",), "unknown")

    answer: Any = asyncio.run(story())
    assert answer["status"] == {"id": "COMPLETED"}
    assert "KeyError: 'absent'" in str(answer["operation"]["failure-cause"])
