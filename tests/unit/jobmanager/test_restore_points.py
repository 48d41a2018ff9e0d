"""What a job restarts from, and what it need not keep for that."""

from __future__ import annotations

from pathlib import Path

import pytest

from shmflink.checkpoint.manifest import CHECKPOINT, SAVEPOINT, Manifest
from shmflink.checkpoint.settings import CheckpointSettings
from shmflink.checkpoint.storage import CheckpointStorage
from shmflink.core.ids import JobId
from shmflink.graph.job_graph import JobGraph
from shmflink.jobmanager.restore_points import RestorePoints

JOB, OTHER_JOB = JobId("a" * 32), JobId("b" * 32)
GRAPH = JobGraph(JOB, "job", False, (), ())


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path)


def settings(folder: str, start: str | None = None, retained: int = 1) -> CheckpointSettings:
    return CheckpointSettings(interval_ms=10, directory=folder, recovery_path=start, num_retained=retained)


def foreign_savepoint(folder: str, checkpoint_id: int) -> str:
    storage = CheckpointStorage(folder, OTHER_JOB.hex)
    location = storage.prepare_savepoint(folder, "x")
    directory = storage.complete(location, Manifest(checkpoint_id, OTHER_JOB.hex, "other", 0, SAVEPOINT))
    storage.close()
    return directory


def complete(points: RestorePoints, checkpoint_id: int, target: str | None = None) -> str:
    """A checkpoint, or in `target` the savepoint that stops the job."""
    location = points.prepare(checkpoint_id) if target is None else points.prepare_savepoint(target, "stop")
    manifest = Manifest(checkpoint_id, JOB.hex, "job", 0, CHECKPOINT if target is None else SAVEPOINT)
    directory = points.complete(location, manifest)
    points.add(directory, manifest)
    return directory


def newest(points: RestorePoints) -> str:
    found = points.newest()
    assert found is not None
    return found.directory


def test_a_job_whose_end_fails_goes_on_from_the_savepoint_that_stopped_it(folder: str) -> None:
    """Its sinks may have committed what is in it."""
    points = RestorePoints(GRAPH, settings(folder))
    checkpoint, savepoint = complete(points, 1), complete(points, 2, folder)
    assert points.directories == (savepoint, checkpoint)
    assert newest(points) == savepoint
    points.close(keeps=True)
    again = RestorePoints(GRAPH, settings(folder), points.directories)
    assert newest(again) == savepoint
    assert again.next_id == 3
    later = complete(again, 3)
    assert again.directories == (later,)
    again.close(keeps=False)


@pytest.mark.parametrize("is_recovered", [False, True])
def test_a_start_is_left_when_there_are_checkpoints_enough(folder: str, is_recovered: bool) -> None:
    """Else what splits were handed out since would be remembered for ever."""
    start = foreign_savepoint(folder, 30)
    points = RestorePoints(GRAPH, settings(folder, start, 2), (start,) if is_recovered else ())
    assert (newest(points), points.next_id, points.oldest_id) == (start, 31, 0)
    first = complete(points, 31)
    assert (points.directories, points.oldest_id) == ((first, start), 0)
    second = complete(points, 32)
    assert (points.directories, points.oldest_id) == ((second, first), 31)
    third = complete(points, 33)
    assert (points.directories, points.oldest_id) == ((third, second), 32)
    points.close(keeps=False)


def test_a_damaged_one_is_left_out(folder: str) -> None:
    points = RestorePoints(GRAPH, settings(folder, retained=3))
    first, second = complete(points, 1), complete(points, 2)
    Path(second, "_metadata").write_text("{", encoding="ascii")
    assert newest(points) == first
    assert points.directories == (first,)
    points.close(keeps=False)
