"""The notice about a job that resumes from the HA directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from shmflink.checkpoint.manifest import CHECKPOINT, Manifest
from shmflink.checkpoint.storage import CheckpointStorage
from shmflink.core.ids import JobId
from shmflink.graph.job_graph import JobGraph
from shmflink.jobmanager.admission import Admission
from shmflink.jobmanager.resumption import resumption_text
from shmflink.rpc.messages import SubmitJob

JOB = JobId("a" * 32)
GRAPH = JobGraph(JOB, "counts", False, (), (), main_file="/jobs/counts.py")


def kept(*pointers: str, before: tuple[str, ...] | None = None, now: tuple[str, ...] | None = None) -> Admission:
    submission = SubmitJob(GRAPH, {}, True, 0, now)
    return Admission(submission, pointers, is_kept=True, arguments_before=before)


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    """Number 7, taken at 1000 s."""
    storage = CheckpointStorage(str(tmp_path), JOB.hex)
    location = storage.prepare(7)
    storage.complete(location, Manifest(7, JOB.hex, "counts", 1_000_000, CHECKPOINT))
    storage.close()
    return location.directory


def test_a_new_job_is_not_news() -> None:
    assert resumption_text(Admission(SubmitJob(GRAPH, {}, True)), 0) == ""


@pytest.mark.parametrize(
    ("seconds", "age"),
    [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"), (172_800, "2 days"), (-60, "0 s")],
)
def test_the_checkpoint_is_named_with_its_age(checkpoint: str, seconds: int, age: str) -> None:
    now_ms = 1_000_000 + 1000 * seconds
    assert resumption_text(kept(checkpoint), now_ms) == f"resumes from checkpoint 7 ({checkpoint}), {age} old"


def test_a_damaged_checkpoint_is_not_what_it_resumes_from(checkpoint: str) -> None:
    assert "from checkpoint 7" in resumption_text(kept("/gone/chk-8", checkpoint), 0)
    assert resumption_text(kept("/gone/chk-8"), 0) == "resumes, but none of its checkpoints can be read"


def test_a_job_without_a_checkpoint_starts_from_the_beginning() -> None:
    assert resumption_text(kept(), 0).endswith("without a complete checkpoint: it starts from the beginning")


def test_other_arguments_of_the_program_are_shown(checkpoint: str) -> None:
    text = resumption_text(kept(checkpoint, before=("--input", "a b"), now=()), 0)
    assert ". The program's arguments were `--input 'a b'` and are now none: the job keeps its previous state" in text
    assert "high-availability.cluster-id" in text
    for before, now in [(("x",), ("x",)), (None, ("x",)), (("x",), None)]:
        assert "program's" not in resumption_text(kept(checkpoint, before=before, now=now), 0)
