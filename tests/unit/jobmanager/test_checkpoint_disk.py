"""What a job finds on disk to restart from, and what it may delete."""

from __future__ import annotations

import os
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shmflink.checkpoint import trust
from shmflink.checkpoint.events import Store
from shmflink.checkpoint.handles import OperatorSubtaskState, StateFile
from shmflink.checkpoint.manifest import SAVEPOINT, Manifest, OperatorState
from shmflink.checkpoint.settings import CheckpointSettings
from shmflink.checkpoint.storage import CheckpointStorage, write_manifest
from shmflink.core.ids import JobId
from shmflink.core.serialization.codec import dumps_state
from shmflink.errors import CheckpointError, StateMismatchError
from shmflink.graph.job_graph import ChainedOperator, JobGraph, JobVertex, NodeKind
from shmflink.jobmachine.effects import DiscardClaimed, Effect, StoreCheckpoint
from shmflink.jobmachine.events import KnownCheckpoint
from shmflink.jobmachine.restore_points import RestorePoints
from shmflink.jobmanager.checkpoint_disk import CheckpointDisk

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


class OnDisk:
    """A job's restore points and the disk that they lie on, without the machine between them."""

    def __init__(self, graph: JobGraph, settings: CheckpointSettings, pointers: Any = (), owner: str = "") -> None:
        self.disk = CheckpointDisk(graph, settings, pointers, owner)
        opened = self.disk.open()
        self.next_id = opened.next_id
        self.points = RestorePoints(settings.num_retained, opened)

    @property
    def directories(self) -> tuple[str, ...]:
        return self.points.directories

    def complete(self, checkpoint_id: int, target: str | None = None) -> str:
        """A checkpoint, or in `target` the savepoint that stops the job."""
        location = self.disk.make_folder(checkpoint_id, target)
        store = Store(checkpoint_id, target is not None, target, {}, frozenset())
        stored = self.disk.store(StoreCheckpoint(store, {}, location, 0, 1))
        known = KnownCheckpoint(location.directory, checkpoint_id, is_in_folder=target is None)
        self.effects = self.points.add(known, stored.manifest, stored.shared_files)
        self.perform(self.effects)
        return location.directory

    def perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            if not isinstance(effect, DiscardClaimed):
                self.disk.remove(effect)

    def newest(self) -> str:
        prepared = self.disk.restore(self.directories, is_whole=True)
        for directory, why in prepared.damaged:
            self.points.damaged(directory, why)
        assert prepared.restore is not None
        return prepared.restore.directory

    def begin_attempt(self) -> None:
        leftovers = self.disk.restore(self.directories, is_whole=True).leftovers
        assert leftovers is not None
        self.perform(self.points.begin_attempt(leftovers))

    def close(self, *, keeps: bool) -> None:
        self.disk.close(keeps=keeps)


def test_a_job_whose_end_fails_goes_on_from_the_savepoint_that_stopped_it(folder: str) -> None:
    """Its sinks may have committed what is in it."""
    points = OnDisk(GRAPH, settings(folder))
    checkpoint, savepoint = points.complete(1), points.complete(2, folder)
    assert points.directories == (savepoint, checkpoint)
    assert points.newest() == savepoint
    points.close(keeps=True)
    again = OnDisk(GRAPH, settings(folder), points.directories)
    assert again.newest() == savepoint
    assert again.next_id == 3
    later = again.complete(3)
    assert again.directories == (later,)
    again.close(keeps=False)


@pytest.mark.parametrize("is_recovered", [False, True])
def test_a_start_is_left_when_there_are_checkpoints_enough(folder: str, is_recovered: bool) -> None:
    """Else what splits were handed out since would be remembered for ever."""
    start = foreign_savepoint(folder, 30)
    points = OnDisk(GRAPH, settings(folder, start, 2), (start,) if is_recovered else ())
    assert (points.newest(), points.next_id, points.points.oldest_id) == (start, 31, 0)
    first = points.complete(31)
    assert (points.directories, points.points.oldest_id) == ((first, start), 0)
    second = points.complete(32)
    assert (points.directories, points.points.oldest_id) == ((second, first), 31)
    third = points.complete(33)
    assert (points.directories, points.points.oldest_id) == ((third, second), 32)
    points.close(keeps=False)


def test_a_damaged_one_is_left_out(folder: str) -> None:
    points = OnDisk(GRAPH, settings(folder, retained=3))
    first, second = points.complete(1), points.complete(2)
    Path(second, "_metadata").write_text("{", encoding="ascii")
    assert points.newest() == first
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
        OnDisk(graph_of(now, kind), settings(folder, None if is_recovered else path), pointers)
    assert OnDisk(graph_of("FileSource (CsvFormat)"), settings(folder, path)).newest() == path


@pytest.mark.parametrize(("version", "vertex"), [(1, 0), (2, -1)], ids=["older release", "made by a tool"])
def test_state_that_does_not_say_who_wrote_it_is_taken(folder: str, version: int, vertex: int) -> None:
    path = savepoint_of(folder, "", version=version, vertex=vertex)
    assert OnDisk(graph_of("FileSource (CsvFormat)"), settings(folder, path)).newest() == path


def test_what_an_ha_directory_points_to_fits_the_program(folder: str) -> None:
    """Its source was edited since: state that nobody takes is an error there, too."""
    path = savepoint_of(folder, "FileSource (CsvFormat)")
    with pytest.raises(StateMismatchError, match=r"state of operators that the job does not have: 'Source: files'"):
        OnDisk(GRAPH, settings(folder), (path,))
    lenient = replace(settings(folder), ignores_unclaimed_state=True)
    points = OnDisk(GRAPH, lenient, (path,))
    assert points.newest() == path
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
            OnDisk(graph_of("FileSource"), settings(folder, path))
        trusting = replace(settings(folder, path), trusts_pickled_state=True)
        assert OnDisk(graph_of("FileSource"), trusting).newest() == path
    else:
        assert OnDisk(graph_of("FileSource"), settings(folder, path)).newest() == path


def test_a_claimed_savepoint_goes_and_files_of_others_stay(folder: str, caplog: pytest.LogCaptureFixture) -> None:
    start = foreign_savepoint(folder, 30)
    Path(start, "README").write_text("why we made it", encoding="ascii")
    points = OnDisk(GRAPH, replace(settings(folder, start), claims_recovery_path=True))
    points.complete(31)
    (deletion,) = points.effects
    assert isinstance(deletion, DiscardClaimed)
    points.disk.remove(deletion)
    assert "files that do not belong to the checkpoint, for example README" in caplog.text
    assert os.listdir(start) == ["README"]
    points.close(keeps=False)


def test_a_job_of_a_copied_ha_directory_writes_into_a_folder_of_its_own(folder: str) -> None:
    """What the original has in the job's folder is no leftover."""
    original = OnDisk(GRAPH, settings(folder), owner="1" * 16)
    first = original.complete(1)
    original.close(keeps=True)
    copy = OnDisk(GRAPH, settings(folder), (first,), owner="2" * 16)
    copy.begin_attempt()
    second = copy.complete(2)
    copy.begin_attempt()
    assert (Path(first).parent.name, Path(second).parent.name) == (JOB.hex, f"{JOB.hex}-22222222")
    assert copy.directories == (second,)
    copy.close(keeps=False)
    again = OnDisk(GRAPH, settings(folder), (first,), owner="1" * 16)
    assert again.newest() == first
    assert Path(again.complete(2)).parent == Path(first).parent
    again.close(keeps=False)
    assert os.listdir(folder) == []
