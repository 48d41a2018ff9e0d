"""Requests for savepoints and checkpoints, and their answers."""

from __future__ import annotations

import pytest

from shmflink.checkpoint.events import CheckpointRequested, SavepointRequested
from shmflink.jobmachine.checkpoint_requests import CheckpointRequests
from shmflink.jobmachine.effects import Answer
from shmflink.jobmachine.events import SavepointWanted
from shmflink.jobmachine.outlet import Outlet
from shmflink.jobmachine.suspension import SUSPENSION, Suspension


def requests_of(directory: str | None, *, is_batch: bool = False) -> tuple[CheckpointRequests, Suspension, Outlet]:
    outlet = Outlet()
    suspension = Suspension(outlet)
    return CheckpointRequests(directory, suspension, outlet, is_batch=is_batch), suspension, outlet


def refusals(outlet: Outlet) -> list[tuple[int, str]]:
    answers = [effect for effect in outlet.take() if isinstance(effect, Answer)]
    return [(answer.request_id, answer.failure.message) for answer in answers if answer.failure is not None]


@pytest.mark.parametrize(("named", "folder"), [("/named", "/named"), ("", "/configured")])
def test_a_savepoint_goes_to_the_named_folder_else_to_the_configured_one(named: str, folder: str) -> None:
    requests, _, outlet = requests_of("/configured")
    wanted = SavepointWanted(1, named, stops=True, drains=True)
    assert requests.savepoint(wanted) == SavepointRequested(1, folder, stops=True, drains=True)
    assert outlet.take() == []


def test_a_savepoint_without_a_folder_is_refused() -> None:
    requests, _, outlet = requests_of(None)
    assert requests.savepoint(SavepointWanted(1, "")) is None
    assert refusals(outlet) == [(1, "name a folder for the savepoint, or set execution.checkpointing.savepoint-dir")]


def test_a_batch_job_has_no_savepoints() -> None:
    requests, _, outlet = requests_of(None, is_batch=True)
    assert requests.savepoint(SavepointWanted(1, "/named")) is None
    assert refusals(outlet) == [(1, "a job in BATCH mode has no checkpoints and no savepoints")]


def test_after_the_end_of_the_job_every_request_is_refused() -> None:
    requests, _, outlet = requests_of("/configured")
    assert requests.checkpoint(1) == CheckpointRequested(1)
    requests.close()
    assert requests.checkpoint(2) is None
    assert requests.savepoint(SavepointWanted(3, "")) is None
    assert refusals(outlet) == [(2, "the job is over"), (3, "the job is over")]


def test_an_answer_has_a_path_or_a_failure() -> None:
    requests, _, outlet = requests_of(None)
    requests.answer(1, "/sp", None)
    assert outlet.take() == [Answer(1, "/sp")]
    requests.answer(2, None, "the disk is full")
    assert refusals(outlet) == [(2, "the disk is full")]


def test_the_answer_to_the_request_of_a_suspension_ends_its_wait() -> None:
    requests, suspension, outlet = requests_of(None)
    suspension.request(waits=True)
    outlet.take()
    requests.answer(SUSPENSION, None, "a task declined")
    assert suspension.is_due
    assert outlet.take() == []
