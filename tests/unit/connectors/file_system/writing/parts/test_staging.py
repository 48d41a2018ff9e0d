"""Files through checkpoints, crashes and restarts."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from oracle.two_phases import JOB_ID, Attempt, Poller
from pyarrow import fs as arrow_fs

from shmflink.connectors.file_system import file_systems
from shmflink.connectors.file_system.file_systems import FileSystem
from shmflink.connectors.file_system.writing.parts import staging
from shmflink.connectors.file_system.writing.parts.staging import FileCommitter, StagedFile, leftovers
from shmflink.connectors.file_system.writing.rolling import RollingPolicy
from shmflink.connectors.file_system.writing.sink import FileSink
from shmflink.connectors.print_sink import PrintSink
from shmflink.core.batch import Batch
from shmflink.errors import ResourceError, StagedDataLostError
from shmflink.taskmanager.sink import COMMITTABLES_STATE, WRITER_STATE

BY_SIZE = RollingPolicy.limits(part_bytes=1 << 20)


def rows(*numbers: int) -> Batch:
    return Batch.of_columns(pa.record_batch({"k": pa.array([n % 2 for n in numbers]), "n": pa.array(numbers)}))


def csv(folder: Path, **layout: Any) -> FileSink:
    return FileSink.csv(str(folder), header=False, **layout)


def visible(folder: Path) -> list[int]:
    paths = [path for path in folder.rglob("*.csv") if not path.name.startswith(".")]
    return sorted(int(line.split(",")[-1]) for path in paths for line in path.read_text().splitlines())


def hidden(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob(".*") if path.is_file())


def test_files_appear_when_their_checkpoint_is_complete(tmp_path: Path) -> None:
    """[E1] [E9]"""
    attempt = Attempt(csv(tmp_path, partition_by="k"))
    attempt.write(rows(1, 2, 3))
    attempt.checkpoint(1)
    attempt.write(rows(4))
    assert visible(tmp_path) == []
    attempt.complete(1)
    assert visible(tmp_path) == [1, 2, 3]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["k=0", "k=1"]
    for checkpoint_id in (2, 3, 4):
        attempt.checkpoint(checkpoint_id)
        attempt.complete(checkpoint_id)
    assert visible(tmp_path) == [1, 2, 3, 4]
    assert len(list(tmp_path.rglob("*.csv"))) == 3
    attempt.close()
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("crash", ["before the checkpoint", "before the commit", "in the commit", "after the commit"])
@pytest.mark.parametrize("rolling", [RollingPolicy.on_checkpoint_rolling_policy(), BY_SIZE])
def test_a_crash_at_each_step(
    tmp_path: Path, crash: str, rolling: RollingPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[E1] [E2] [E3] [E4] A crashed attempt is one that is never closed: its hidden files stay."""
    sink = csv(tmp_path, partition_by="k", rolling=rolling)
    first = Attempt(sink)
    first.write(rows(1, 2))
    checkpoint = first.checkpoint(1)
    first.complete(1)
    first.write(rows(3, 4))
    replayed = [5, 6]
    if crash == "before the checkpoint":
        first.checkpoint(2)  # staged, and never complete
        replayed = [3, 4, 5, 6]
    else:
        checkpoint = first.checkpoint(2)
        first.write(rows(5, 6))  # in the files that are in progress, but not in the checkpoint
        first.checkpoint(3)
    if crash == "in the commit":
        die_between_link_and_unlink(monkeypatch)
        if rolling is not BY_SIZE:
            with pytest.raises(KeyboardInterrupt):
                first.complete(2)
        monkeypatch.undo()
    elif crash == "after the commit":
        first.complete(2)

    second = Attempt(sink, epoch=2, restored=checkpoint)
    second.settle()
    second.write(rows(*replayed))
    second.finish()
    second.checkpoint(4)
    second.complete(4)
    assert visible(tmp_path) == [1, 2, 3, 4, 5, 6]
    assert hidden(tmp_path) == []
    second.close()
    for operator in first.operators:  # the zombie wakes up: it can free its threads, and do no harm
        operator._commits._outbox.close()
        operator._writer._outbox.close()
    assert visible(tmp_path) == [1, 2, 3, 4, 5, 6]


def die_between_link_and_unlink(monkeypatch: pytest.MonkeyPatch) -> None:
    def die(path: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(staging.os, "unlink", die)


def test_text_stays_in_progress_over_checkpoints_until_it_is_full(tmp_path: Path) -> None:
    sink = csv(tmp_path, rolling=RollingPolicy.limits(part_bytes=8))
    attempt = Attempt(sink)
    attempt.write(rows(1))
    first = attempt.checkpoint(1)
    assert first.elements(COMMITTABLES_STATE) == []
    assert [state.length for state in first.elements(WRITER_STATE)] == [4]
    attempt.complete(1)
    assert visible(tmp_path) == []
    attempt.write(rows(2))
    second = attempt.checkpoint(2)
    assert [(n, staged.length) for n, staged in second.elements(COMMITTABLES_STATE)] == [(2, 8)]
    attempt.complete(2)
    assert visible(tmp_path) == [1, 2]
    attempt.close()


def test_a_cancelled_job_keeps_what_its_checkpoints_refer_to(tmp_path: Path) -> None:
    sink = csv(tmp_path / "out", rolling=BY_SIZE)
    first = Attempt(sink)
    first.write(rows(1))
    checkpoint = first.checkpoint(1)
    first.write(rows(2))
    first.close()
    assert len(hidden(tmp_path)) == 1
    second = Attempt(sink, epoch=2, restored=checkpoint)
    second.checkpoint(2, is_savepoint=True)
    second.complete(2)
    assert visible(tmp_path) == [1]
    second.close()


@pytest.mark.parametrize("make", [csv, lambda folder, **layout: PrintSink()], ids=["files", "print"])
def test_a_job_that_stops_without_draining_has_nothing_left_to_do(tmp_path: Path, make: Any) -> None:
    """`finish` is left out; everything is in the savepoint."""
    attempt = Attempt(make(tmp_path, rolling=BY_SIZE))
    attempt.write(rows(1))
    attempt.checkpoint(1)
    attempt.write(rows(2))
    attempt.checkpoint(2, is_savepoint=True)
    attempt.complete(2)
    (operator,) = attempt.operators
    assert operator.is_finished
    assert not operator.needs_commit
    assert visible(tmp_path) == ([1, 2] if make is csv else [])
    attempt.close()


def test_two_jobs_start_from_one_savepoint(tmp_path: Path) -> None:
    sink = csv(tmp_path, rolling=BY_SIZE)
    first = Attempt(sink)
    first.write(rows(1))
    savepoint = first.checkpoint(1, is_savepoint=True)
    first.write(rows(2))
    first.checkpoint(2, is_savepoint=True)
    second = Attempt(sink, restored=savepoint, job_id="c" * 32)
    second.settle()
    first.complete(2)
    assert visible(tmp_path) == [1, 2]
    first.close()
    second.close()


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 1), (3, 2)])
@pytest.mark.parametrize("rolling", [RollingPolicy.on_checkpoint_rolling_policy(), BY_SIZE])
def test_rescaling_with_staged_files(tmp_path: Path, before: int, after: int, rolling: RollingPolicy) -> None:
    """[E12] Staged and in-progress files go to whoever is there."""
    sink = csv(tmp_path, rolling=rolling)
    first = Attempt(sink, before)
    for subtask in range(before):
        first.write(rows(subtask), subtask=subtask)
    checkpoint = first.checkpoint(1)
    first.close()
    second = Attempt(sink, after, epoch=2, restored=checkpoint)
    for subtask in range(after):
        second.write(rows(100 + subtask), subtask=subtask)
    second.finish()
    second.checkpoint(2)
    second.complete(2)
    assert visible(tmp_path) == [*range(before), *range(100, 100 + after)]
    second.close()
    assert hidden(tmp_path) == []


def test_leftovers_of_this_job_go_and_those_of_others_stay(tmp_path: Path) -> None:
    """[E4] [E13]"""
    other = Attempt(csv(tmp_path), job_id="c" * 32)
    other.write(rows(7))
    other.checkpoint(1)
    for epoch in range(1, 6):
        killed = Attempt(csv(tmp_path), epoch=epoch)
        killed.settle()
        killed.write(rows(epoch))
        killed.checkpoint(1)
    (tmp_path / ".mine.inprogress.txt").write_text("somebody's")
    found = [leftover for leftover in leftovers(str(tmp_path)) if leftover.job_id == JOB_ID]
    assert [(leftover.epoch, leftover.size) for leftover in found] == [(5, 4)]
    last = Attempt(csv(tmp_path), epoch=6)
    last.settle()
    assert [leftover.job_id for leftover in leftovers(str(tmp_path))] == ["c" * 32]
    last.close()
    other.complete(1)
    assert visible(tmp_path) == [7]
    other.close()
    assert hidden(tmp_path) == [".mine.inprogress.txt"]


@pytest.mark.parametrize("rolling", [RollingPolicy.on_checkpoint_rolling_policy(), BY_SIZE])
def test_a_subtask_that_is_restarted_alone_leaves_the_others_files(tmp_path: Path, rolling: RollingPolicy) -> None:
    """[E4] Subtasks 1 and 2 run on, with files that are staged and in progress."""
    sink = csv(tmp_path, rolling=rolling)
    first = Attempt(sink, 3)
    for subtask in range(3):
        first.write(rows(subtask), subtask=subtask)
    complete = first.checkpoint(1)
    first.write(rows(10), subtask=0)  # lost with the subtask, and read again
    first.write(rows(11), subtask=1)
    first.checkpoint(2)  # not complete when subtask 0 goes
    again = Attempt(sink, 3, epoch=2, restored=complete, subtasks=[0])
    again.write(rows(10))
    for attempt in (first, again):
        attempt.operators = attempt.operators[1:] if attempt is first else attempt.operators
        attempt.finish()
        attempt.checkpoint(3)
        attempt.complete(3)
        attempt.close()
    assert visible(tmp_path) == [0, 1, 2, 10, 11]
    assert hidden(tmp_path) == []


def test_two_sinks_of_a_job_share_a_folder(tmp_path: Path) -> None:
    """[E4] What one goes on from is no leftover to the other."""
    operators = {"d" * 32: 1, "e" * 32: 2}
    checkpoints = []
    for operator_id, number in operators.items():
        attempt = Attempt(csv(tmp_path, rolling=BY_SIZE), operator_id=operator_id)
        attempt.write(rows(number))
        checkpoints.append(attempt.checkpoint(1))
    for operator_id, checkpoint in zip(operators, checkpoints, strict=True):
        attempt = Attempt(csv(tmp_path, rolling=BY_SIZE), epoch=2, restored=checkpoint, operator_id=operator_id)
        attempt.settle()
    for operator_id, checkpoint in zip(operators, checkpoints, strict=True):
        attempt = Attempt(csv(tmp_path, rolling=BY_SIZE), epoch=3, restored=checkpoint, operator_id=operator_id)
        attempt.checkpoint(2, is_savepoint=True)
        attempt.complete(2)
        attempt.close()
    assert visible(tmp_path) == [1, 2]


def test_a_reader_never_sees_a_partial_or_a_repeated_file(tmp_path: Path) -> None:
    """[E5] It looks all the time, by the rule that every reader has: hidden names are skipped."""
    seen: dict[str, int] = {}

    def look() -> None:
        numbers: list[int] = []
        for path in sorted(tmp_path.glob("*.parquet")):
            if not path.name.startswith("."):
                size = path.stat().st_size
                assert seen.setdefault(path.name, size) == size
                numbers += pq.read_table(path)["n"].to_pylist()
        assert len(set(numbers)) == len(numbers)
        assert sorted(numbers) == list(range(len(numbers)))

    poller = Poller(look)
    sink = FileSink.parquet(str(tmp_path))
    attempt = Attempt(sink)
    for checkpoint_id in range(1, 31):
        attempt.write(rows(*range(100 * checkpoint_id - 100, 100 * checkpoint_id)))
        checkpoint = attempt.checkpoint(checkpoint_id)
        if checkpoint_id % 5 == 0:
            attempt = Attempt(sink, epoch=1 + checkpoint_id, restored=checkpoint)
        else:
            attempt.complete(checkpoint_id)
    attempt.settle()
    attempt.close()
    poller.stop()
    assert sum(pq.read_metadata(path).num_rows for path in tmp_path.glob("*.parquet")) == 3000


def test_another_file_in_the_way_fails_the_commit_and_keeps_the_staged_one(tmp_path: Path) -> None:
    """[E11]"""
    attempt = Attempt(csv(tmp_path))
    attempt.write(rows(1))
    ((_, staged),) = attempt.checkpoint(1).elements(COMMITTABLES_STATE)
    Path(staged.path).write_text("somebody's")
    with pytest.raises(ResourceError, match="File exists"):
        attempt.complete(1)
    attempt.close()
    assert Path(staged.path).read_text() == "somebody's"
    os.unlink(staged.path)
    FileCommitter(FileSystem()).commit([staged])
    assert visible(tmp_path) == [1]
    Path(staged.path).write_text("longer")
    with pytest.raises(StagedDataLostError, match="has 6 bytes, but 4 were staged"):
        FileCommitter(FileSystem()).commit([staged])


def test_a_file_on_another_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """[E5] Publishing is one step of one file system, or it is not done."""

    def link(source: str, path: str) -> None:
        raise OSError(18, os.strerror(18))

    (tmp_path / ".hidden").write_text("1")
    monkeypatch.setattr(staging.os, "link", link)
    with pytest.raises(ResourceError, match="cross-device"):
        FileCommitter(FileSystem()).commit([StagedFile(str(tmp_path / ".hidden"), str(tmp_path / "a"), 1)])


@pytest.mark.parametrize("before", [1, 2])
def test_a_staged_file_that_is_missing_is_an_error(tmp_path: Path, before: int) -> None:
    """Never taken as committed: its rows are nowhere."""
    first = Attempt(csv(tmp_path), before)
    first.write(rows(1))
    checkpoint = first.checkpoint(1)
    for name in hidden(tmp_path):
        (tmp_path / name).unlink()
    second = Attempt(csv(tmp_path), epoch=2, restored=checkpoint)
    with pytest.raises(StagedDataLostError, match=r"the 4 bytes staged for it in .* are missing.*rows are lost"):
        second.settle()
    first.close()
    second.close()


def test_a_committed_file_that_was_taken_away_since_is_not_missed(tmp_path: Path) -> None:
    """The note beside the checkpoint tells it from one that was lost."""
    out, notes = tmp_path / "out", tmp_path / "job"
    for number in (1, 2, 3):
        (notes / f"chk-{number}").mkdir(parents=True)
    first = Attempt(csv(out), 2, notes=str(notes))
    first.write(rows(1), subtask=0)
    first.write(rows(2), subtask=1)
    checkpoint = first.checkpoint(1)
    first.complete(1)
    assert sorted(path.name for path in (notes / "chk-1").iterdir()) == [f"{'b' * 32}-{n}.committed" for n in (0, 1)]
    for path in out.glob("*.csv"):
        path.unlink()
    for parallelism in (2, 1, 3):
        again = Attempt(csv(out), parallelism, epoch=1 + parallelism, restored=checkpoint, notes=str(notes))
        again.settle()
        assert visible(out) == []
        again.close()
    with pytest.raises(ResourceError, match="rows are lost"):
        Attempt(csv(out), 2, epoch=9, restored=checkpoint).settle()
    first.close()


def test_a_commit_after_a_restore_is_noted_where_each_subtask_had_its_own(tmp_path: Path) -> None:
    out, notes = tmp_path / "out", tmp_path / "job"
    (notes / "chk-1").mkdir(parents=True)
    first = Attempt(csv(out), 2)
    first.write(rows(1), subtask=1)
    checkpoint = first.checkpoint(1)
    rescaled = Attempt(csv(out), 1, epoch=2, restored=checkpoint, notes=str(notes))
    rescaled.settle()
    assert list((notes / "chk-1").iterdir()) == []
    same = Attempt(csv(out), 2, epoch=3, restored=checkpoint, notes=str(notes))
    same.settle()
    assert [path.name for path in (notes / "chk-1").iterdir()] == [f"{'b' * 32}-1.committed"]
    for attempt in (first, rescaled, same):
        attempt.close()


def test_a_copy_of_an_ha_directory_leaves_the_originals_files_alone(tmp_path: Path) -> None:
    """Same job id, same operator, a later epoch: another identity."""
    first = Attempt(csv(tmp_path), ha_identity="1" * 16)
    first.write(rows(1))
    first.checkpoint(1)
    copy = Attempt(csv(tmp_path), epoch=1001, ha_identity="2" * 16)
    copy.settle()
    (left,) = leftovers(str(tmp_path))
    assert (left.job_id, left.ha_identity) == (JOB_ID, "1" * 16)
    again = Attempt(csv(tmp_path), epoch=1001, ha_identity="1" * 16)
    again.settle()
    assert hidden(tmp_path) == []
    for attempt in (first, copy, again):
        attempt.close()


@pytest.mark.parametrize("damage", ["gone", "short"])
def test_a_damaged_file_in_progress_fails_the_job(tmp_path: Path, damage: str) -> None:
    sink = csv(tmp_path, rolling=BY_SIZE)
    first = Attempt(sink)
    first.write(rows(1))
    checkpoint = first.checkpoint(1)
    first.close()
    (state,) = checkpoint.elements(WRITER_STATE)
    os.unlink(state.hidden) if damage == "gone" else os.truncate(state.hidden, 1)
    second = Attempt(sink, epoch=2, restored=checkpoint)
    with pytest.raises(ResourceError, match="later checkpoint" if damage == "gone" else "rows are lost"):
        second.checkpoint(2)
    second.close()


def test_file_systems_elsewhere_commit_by_moving(tmp_path: Path) -> None:
    (tmp_path / "remote").mkdir()
    remote = arrow_fs.SubTreeFileSystem(str(tmp_path / "remote"), arrow_fs.LocalFileSystem())
    sink = FileSink.csv("out", header=False, partition_by="k", file_system=remote)
    first = Attempt(sink)
    first.write(rows(1, 2))
    checkpoint = first.checkpoint(1)
    assert visible(tmp_path) == []
    assert len(hidden(tmp_path)) == 2
    first.write(rows(3))
    first.checkpoint(2)
    second = Attempt(sink, epoch=2, restored=checkpoint)
    second.settle()
    assert visible(tmp_path) == [1, 2]
    assert hidden(tmp_path) == []
    third = Attempt(sink, epoch=3, restored=checkpoint)
    third.settle()
    assert visible(tmp_path) == [1, 2]
    for attempt in (first, second, third):
        attempt.close()


def test_an_object_store_commits_by_copying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """[E2] [E3] [E4] A move there is a copy and a removal: it may die in between."""
    monkeypatch.setattr(file_systems, "_OBJECT_STORES", ("memory",))
    path = f"memory://{uuid.uuid4().hex}"
    sink = FileSink.csv(path, header=False)
    files = FileSystem()
    first = Attempt(sink)
    first.write(rows(1))
    checkpoint = first.checkpoint(1)
    ((_, staged),) = checkpoint.elements(COMMITTABLES_STATE)
    files.put(copied(files, staged.hidden, tmp_path), staged.path)  # it died after the copy
    first.write(rows(2))
    first.checkpoint(2)  # never complete
    assert len(list(leftovers(path))) == 2
    second = Attempt(sink, epoch=2, restored=checkpoint)
    second.settle()
    assert [info.path for info in files.list_folder(path)] == [staged.path]
    with files.open(staged.path) as file:
        assert file.read() == b"1,1\n"
    first.close()
    second.close()


def copied(files: FileSystem, path: str, folder: Path) -> str:
    """A file of this host with the same content."""
    with files.open(path) as file:
        (folder / "copy").write_bytes(file.read())
    return str(folder / "copy")
