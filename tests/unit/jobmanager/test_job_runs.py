"""The jobs of one JobManager: which messages people get about them, and when."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from shmflink.core.clock import SYSTEM_CLOCK
from shmflink.core.ids import JobId, TaskManagerId
from shmflink.graph.job_graph import ChainedOperator, JobGraph, JobVertex, NodeKind
from shmflink.jobmanager.admission import Admission
from shmflink.jobmanager.job_runs import JobRuns
from shmflink.jobmanager.slot_pool import SlotPool
from shmflink.rpc.messages import Failure, JobEnded, SubmitJob
from shmflink.rpc.states import JobState

OPERATOR = ChainedOperator("f" * 32, "orders", "", "orders", NodeKind.SOURCE, b"")
GRAPH = JobGraph(JobId("a" * 32), "counts", False, (JobVertex(0, "orders", 1, 128, "default", None, (OPERATOR,)),), ())
RESUMES = "job 'counts': resumes from checkpoint 7"


class Store:
    """Keeps nothing."""

    identity = ""

    def keep_end(self, ended: JobEnded, folder_going: str, kept: Callable[[], None]) -> None:
        kept()

    def withdraw(self, job_id: JobId) -> None:
        return


class Listener:
    def __init__(self) -> None:
        self.told: list[str] = []
        self.over, self.ended = asyncio.Event(), asyncio.Event()

    def job_entered(self, job_id: JobId, state: JobState, failure: Failure | None) -> None:
        self.told.append(state.value)

    def job_notice(self, job_id: JobId, text: str) -> None:
        self.told.append(text)
        self.over.set()

    def job_ended(self, ended: JobEnded, run: Any, released: Sequence[TaskManagerId]) -> None:
        self.told.append(ended.state.value if ended.failure is None else ended.failure.kind)
        self.over.set()
        self.ended.set()

    def wants_progress(self, job_id: JobId) -> bool:
        return False


@pytest.mark.parametrize(("is_refused", "told"), [(False, [RESUMES]), (True, ["ConfigurationError"])])
def test_from_where_a_job_resumes_is_told_once_its_checkpoints_can_be_used(
    tmp_path: Path, is_refused: bool, told: list[str]
) -> None:
    if is_refused:
        (tmp_path / "checkpoints").touch()  # a file, no folder
    options = {
        "execution.checkpointing.interval": "1 s",
        "execution.checkpointing.dir": str(tmp_path / "checkpoints"),
    }

    async def run() -> list[str]:
        listener = Listener()
        slots: SlotPool[TaskManagerId] = SlotPool(1)
        store: Any = Store()
        runs = JobRuns(asyncio.get_running_loop(), SYSTEM_CLOCK, store, 1, slots, listener)  # type: ignore[arg-type]  it hears of no progress
        runs.begin(Admission(SubmitJob(GRAPH, options, True), is_kept=True), "resumes from checkpoint 7")
        await listener.over.wait()
        told = list(listener.told)
        runs.cancel(GRAPH.job_id, force=False)
        await listener.ended.wait()
        return told

    assert asyncio.run(run()) == told


def test_jobs_that_are_over_are_garbage_that_is_collected() -> None:
    async def run() -> list[object]:
        slots: SlotPool[TaskManagerId] = SlotPool(1)
        store: Any = Store()
        left = []
        gc.disable()  # as good as: it counts objects, and a job has few of them
        for number in range(10):
            listener: Any = Listener()
            if number == 0:
                runs = JobRuns(asyncio.get_running_loop(), SYSTEM_CLOCK, store, 1, slots, listener)
            runs._listener = listener
            job_id = JobId(f"{number:032x}")
            runs.begin(Admission(SubmitJob(JobGraph(job_id, "short", False, GRAPH.vertices, ()), {}, False)))
            left.append(weakref.ref(runs.runs[job_id]))
            runs.cancel(job_id, force=False)
            await listener.ended.wait()
        listener = None
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return [one() for one in left if one() is not None]

    try:
        assert asyncio.run(run()) == []
    finally:
        gc.enable()
