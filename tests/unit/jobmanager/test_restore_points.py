"""What a job restarts from, and what it need not keep for that."""

from __future__ import annotations

import os
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shmflink.checkpoint import trust
from shmflink.checkpoint.handles import OperatorSubtaskState, StateFile
from shmflink.checkpoint.manifest import CHECKPOINT, SAVEPOINT, Manifest, OperatorState
from shmflink.checkpoint.settings import CheckpointSettings
from shmflink.checkpoint.storage import CheckpointStorage, write_manifest
from shmflink.core.ids import JobId
from shmflink.core.serialization.codec import dumps_state
from shmflink.errors import CheckpointError, StateMismatchError
from shmflink.graph.job_graph import ChainedOperator, JobGraph, JobVertex, NodeKind
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


def graph_of(connector: str, kind: NodeKind = NodeKind.SOURCE) -> JobGraph:
    operator = ChainedOperator("f" * 32, "Source: orders", "", "orders", kind, b"", connector=connector)
    return JobGraph(JOB, "job", False, (JobVertex(0, "orders", 1, 128, "default", None, (operator,)),), ())


def savepoint_of(folder: str, connector: str, *, version: int = 2, value: Any = 1, vertex: int = 0) -> str:
    """Of one source with some state."""
    data = dumps_state(value)
    file = StateFile("value", len(data), zlib.crc32(data), 0, data)
    states = (OperatorSubtaskState("f" * 32, 0, operator_state=file),)
    operator = OperatorState("f" * 32, "orders", "Source: files", vertex, 1, 128, states, None, connector)
    os.mkdir(f"{folder}/savepoint", 0o700)
    return write_manifest(
        f"{folder}/savepoint", Manifest(7, OTHER_JOB.hex, "other", 0, SAVEPOINT, (operator,), version=version)
    )


@pytest.mark.parametrize("is_recovered", [False, True], ids=["run -s", "found in the HA directory"])
@pytest.mark.parametrize("now", ["SocketTextSource", ""])
def test_state_of_another_kind_of_source_is_refused(folder: str, now: str, is_recovered: bool) -> None:
    path = savepoint_of(folder, "FileSource (CsvFormat)")
    pointers = (path,) if is_recovered else ()
    kind = NodeKind.SOURCE if now else NodeKind.OPERATOR
    is_now = f"a {now}" if now else "neither source nor sink"
    says = (
        rf"operator 'Source: orders' \(orders\) is {is_now}, but its state in .* is that of 'Source: files', "
        r"a FileSource \(CsvFormat\): .*--allow-non-restored-state"
    )
    with pytest.raises(StateMismatchError, match=says):
        RestorePoints(graph_of(now, kind), settings(folder, None if is_recovered else path), pointers)
    assert newest(RestorePoints(graph_of("FileSource (CsvFormat)"), settings(folder, path))) == path


@pytest.mark.parametrize(("version", "vertex"), [(1, 0), (2, -1)], ids=["older release", "made by a tool"])
def test_state_that_does_not_say_who_wrote_it_is_taken(folder: str, version: int, vertex: int) -> None:
    path = savepoint_of(folder, "", version=version, vertex=vertex)
    assert newest(RestorePoints(graph_of("FileSource (CsvFormat)"), settings(folder, path))) == path


def test_what_an_ha_directory_points_to_fits_the_program(folder: str) -> None:
    """Its source was edited since: state that nobody takes is an error there, too."""
    path = savepoint_of(folder, "FileSource (CsvFormat)")
    with pytest.raises(StateMismatchError, match=r"state of operators that the job does not have: 'Source: files'"):
        RestorePoints(GRAPH, settings(folder), (path,))
    lenient = replace(settings(folder), ignores_unclaimed_state=True)
    points = RestorePoints(GRAPH, lenient, (path,))
    assert newest(points) == path
    points.close(keeps=False)


class Mine:
    """A class of the user's: its objects are pickled."""


@pytest.mark.parametrize("value", [{"plain": 1}, Mine()], ids=["plain", "pickled"])
def test_pickled_state_of_somebody_else_has_to_be_asked_for(
    folder: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = savepoint_of(folder, "FileSource", value={"s": value} if isinstance(value, Mine) else {})
    monkeypatch.setattr(trust.os, "geteuid", lambda: os.getuid() + 4711)
    if isinstance(value, Mine):
        with pytest.raises(CheckpointError, match=r"'Source: files' is pickled: .* --trust-pickled-state"):
            RestorePoints(graph_of("FileSource"), settings(folder, path))
        trusting = replace(settings(folder, path), trusts_pickled_state=True)
        assert newest(RestorePoints(graph_of("FileSource"), trusting)) == path
    else:
        assert newest(RestorePoints(graph_of("FileSource"), settings(folder, path))) == path


def test_a_claimed_savepoint_goes_and_files_of_others_stay(folder: str) -> None:
    start = foreign_savepoint(folder, 30)
    Path(start, "README").write_text("why we made it", encoding="ascii")
    points = RestorePoints(GRAPH, replace(settings(folder, start), claims_recovery_path=True))
    complete(points, 31)
    (deletion,) = points.take_deletions()
    with pytest.raises(CheckpointError, match="files that are not the checkpoint's, such as README"):
        deletion()
    assert os.listdir(start) == ["README"]
    points.close(keeps=False)


def test_a_job_of_a_copied_ha_directory_writes_into_a_folder_of_its_own(folder: str) -> None:
    """What the original has in the job's folder is no leftover."""
    original = RestorePoints(GRAPH, settings(folder), owner="1" * 16)
    first = complete(original, 1)
    original.close(keeps=True)
    copy = RestorePoints(GRAPH, settings(folder), (first,), owner="2" * 16)
    copy.begin_attempt()
    second = complete(copy, 2)
    copy.begin_attempt()
    assert (Path(first).parent.name, Path(second).parent.name) == (JOB.hex, f"{JOB.hex}-22222222")
    assert copy.directories == (second,)
    copy.close(keeps=False)
    again = RestorePoints(GRAPH, settings(folder), (first,), owner="1" * 16)
    assert newest(again) == first
    assert Path(complete(again, 2)).parent == Path(first).parent
    again.close(keeps=False)
    assert os.listdir(folder) == []
