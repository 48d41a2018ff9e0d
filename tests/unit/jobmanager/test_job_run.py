"""A job in the JobManager's process: an internal error ends only the job that was served, and lists the job's latest
events.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from shmflink.checkpoint.settings import CheckpointSettings
from shmflink.core.clock import SYSTEM_CLOCK
from shmflink.core.ids import JobId
from shmflink.errors import InternalError, ResourceError
from shmflink.graph.job_graph import ChainedOperator, JobGraph, JobVertex, NodeKind
from shmflink.jobmachine.scheduler import Scheduler
from shmflink.jobmanager.checkpoint_disk import CheckpointDisk
from shmflink.jobmanager.job_run import JobRun
from shmflink.rpc.messages import Failure, JobEnded
from shmflink.rpc.states import JobState

OPERATOR = ChainedOperator("f" * 32, "orders", "", "orders", NodeKind.SOURCE, b"")
GRAPH = JobGraph(JobId("a" * 32), "job", False, (JobVertex(0, "orders", 1, 128, "default", None, (OPERATOR,)),), ())


class Owner:
    """Notes what it is told; has no TaskManagers to grant."""

    def __init__(self) -> None:
        self.ended: asyncio.Future[tuple[str, JobEnded]] = asyncio.get_running_loop().create_future()
        self.states: list[JobState] = []

    def job_state_entered(self, run: JobRun, state: JobState, failure: Failure | None) -> None:
        self.states.append(state)

    def job_ended(self, run: JobRun, ended: JobEnded) -> None:
        self.ended.set_result(("ended", ended))

    def job_ending(self, run: JobRun, ended: JobEnded, kept: Callable[[], None]) -> None:
        self.states.append(ended.state)
        kept()

    def job_refused(self, run: JobRun, ended: JobEnded) -> None:
        self.ended.set_result(("refused", ended))

    def job_notice(self, run: JobRun, text: str) -> None:
        raise AssertionError(text)

    def job_log(self, run: JobRun, text: str, level: str) -> None:
        raise AssertionError(text)

    def taskmanagers_wanted(self, run: JobRun) -> None:
        return

    def epochs(self, count: int, granted: Callable[[tuple[int, ...]], None]) -> None:
        granted(tuple(range(1, count + 1)))

    def restore_points_changed(self, run: JobRun, directories: Sequence[str], kept: Callable[[], None]) -> None:
        raise AssertionError("without checkpoints")


def ended(configuration: dict[str, str], act: Callable[[JobRun], object]) -> tuple[str, JobEnded]:
    """How a job ends that is started and then acted on."""

    async def run() -> tuple[str, JobEnded]:
        owner = Owner()
        settings = CheckpointSettings.of(configuration)
        disk = CheckpointDisk(GRAPH, settings)
        job = JobRun(GRAPH, configuration, settings, asyncio.get_running_loop(), SYSTEM_CLOCK, owner, disk)
        job.start()
        act(job)
        return await owner.ended

    return asyncio.run(run())


def raising(error: Exception) -> Callable[..., Any]:
    def fail(*_: Any) -> None:
        raise error

    return fail


def test_an_error_of_the_machine_is_the_jobs_end_and_tells_the_latest_transitions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Scheduler, "granted", raising(KeyError(7)))
    how, end = ended({}, lambda job: job.granted([], 1))
    assert (how, end.state) == ("ended", JobState.FAILED)
    assert end.failure is not None
    assert (end.failure.kind, end.failure.message) == (
        "InternalError",
        "the JobManager cannot continue the job: KeyError: 7",
    )
    told = end.failure.traceback_text
    assert "The latest transitions of the job, oldest first:" in told
    assert "Submitted() -> OpenStorage, WantSlots" in told
    assert "SlotsGranted(taskmanagers=(), per=1)" in told


@pytest.mark.parametrize(
    ("error", "kind"), [(InternalError("impossible"), "InternalError"), (ResourceError("no memory"), "ResourceError")]
)
def test_what_its_owner_asks_of_it_may_fail(error: Exception, kind: str) -> None:
    _, end = ended({}, lambda job: job.guarded(raising(error)))
    assert end.failure is not None
    assert (end.failure.kind, str(error) in end.failure.message) == (kind, True)
    assert ("latest transitions" in end.failure.traceback_text) == (kind == "InternalError")


def test_a_job_that_cannot_write_its_checkpoints_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    options = {
        "execution.checkpointing.interval": "1 s",
        "execution.checkpointing.dir": str(tmp_path / "file"),
    }
    how, end = ended(options, lambda job: None)
    assert how == "refused"
    assert end.failure is not None
    assert "which cannot be written to" in end.failure.message


def test_a_job_that_is_cancelled_before_it_has_slots_is_over(tmp_path: Path) -> None:
    how, end = ended({}, lambda job: job.cancel(force=False))
    assert (how, end.state, end.failure) == ("ended", JobState.CANCELED, None)


def test_whoever_keeps_the_end_of_a_job_learns_which_folder_goes_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(Owner, "job_ending", lambda _, run, ended, kept: (told.append(run.folder_going), kept()))
    checkpointed = {"execution.checkpointing.interval": "1 s", "execution.checkpointing.dir": str(tmp_path)}
    ended(checkpointed, lambda job: job.cancel(force=False))
    ended({}, lambda job: job.cancel(force=False))
    assert told == [str(tmp_path / GRAPH.job_id.hex), ""]
    assert os.listdir(tmp_path) == []
