"""What happens to checkpoints when the disk fails, the process dies, the power fails, or files rot."""

from __future__ import annotations

import errno
import os
import random
from pathlib import Path
from typing import Any

import pytest

from shmflink.checkpoint.file_ops import FILE_OPS
from shmflink.checkpoint.handles import CheckpointLocation
from shmflink.checkpoint.reading import open_checkpoint, verify_checkpoint
from shmflink.checkpoint.state_files import StateFileWriter
from shmflink.checkpoint.storage import CheckpointStorage
from shmflink.errors import CheckpointCorruptedError, CheckpointError

from .conftest import JOB_ID, OPERATOR, Died, FailingFileOps, Keyed, SmallJob, everything_in, expected_of


def storage_in(directory: str, ops: Any = FILE_OPS, **options: Any) -> CheckpointStorage:
    return CheckpointStorage(directory, JOB_ID, file_ops=ops, **options)


def files_below(directory: str) -> set[str]:
    return {str(path.relative_to(directory)) for path in Path(directory).rglob("*") if path.is_file()}


def calls_of_a_second_checkpoint(directory: str, only: str = "") -> int:
    with storage_in(directory) as storage:
        job = SmallJob(storage)
        job.checkpoint(1)
        storage._ops = ops = FailingFileOps(only=only)
        job.checkpoint(2)
    return ops.counted


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_any_failing_call_leaves_the_last_checkpoint_and_a_named_error(directory: str, error: int) -> None:
    """[C1] [C2] [C3] Disk full and I/O errors, fsync among them: the checkpoint is given up, the next one works."""
    calls = calls_of_a_second_checkpoint(f"{directory}-count")
    assert calls > 40
    for n in range(1, calls + 1):
        here = f"{directory}-{n}"
        with storage_in(here) as storage:
            job = SmallJob(storage)
            job.checkpoint(1)
            chains = dict(job.chains)
            storage._ops = FailingFileOps(n, error)
            with pytest.raises(CheckpointError, match=os.strerror(error)) as failure:
                job.checkpoint(2)
            assert here in str(failure.value)
            storage._ops = FILE_OPS
            storage.discard(2)
            assert [found.manifest.checkpoint_id for found in storage.completed()] == [1]
            assert everything_in(storage.path_of(1)) == expected_of(1, 1)
            job.chains = chains
            assert everything_in(job.checkpoint(3)) == expected_of(3, 1)


def test_fsync_is_never_repeated_on_a_descriptor(directory: str) -> None:
    """[C3] After an error the kernel calls the lost pages clean: the file is thrown away."""
    for n in range(1, calls_of_a_second_checkpoint(f"{directory}-count", "fsync") + 1):
        with storage_in(f"{directory}-{n}") as storage:
            storage._ops = ops = FailingFileOps(n, errno.EIO, only="fsync")
            with pytest.raises(CheckpointError):
                SmallJob(storage).checkpoint(1)
        at = next(i for i, (name, _) in enumerate(ops.calls) if name == "fsync" and i == len(ops.calls) - 3)
        assert [name for name, _ in ops.calls[at:]] == ["fsync", "close", "unlink"]


def test_death_at_any_call_leaves_the_old_or_the_new_checkpoint(directory: str) -> None:
    """[C5] [C4] Whichever system call is the process's last one, a restart finds a whole checkpoint."""
    calls = calls_of_a_second_checkpoint(f"{directory}-count")
    found = []
    for n in range(1, calls + 1):
        here = f"{directory}-{n}"
        with storage_in(here) as storage:
            job = SmallJob(storage)
            job.checkpoint(1)
            storage._ops = FailingFileOps(n, error=None)
            with pytest.raises(Died):
                job.checkpoint(2)
        with storage_in(here) as again:
            latest = again.latest()
            assert latest is not None, n
            number = latest.manifest.checkpoint_id
            found.append(number)
            assert everything_in(latest.path) == expected_of(number, 1)
    assert found == sorted(found)
    assert found[0] == 1
    assert found[-1] == 2  # the very last call syncs a folder: the name is there


class PowerCut(FailingFileOps):
    """Dies at the n-th call; then `lose` undoes what was not synced: content of files, and new names."""

    def __init__(self, fails_at: int) -> None:
        super().__init__(fails_at, error=None)
        self._paths: dict[int, str] = {}
        self._unsynced: set[str] = set()
        self._new_names: dict[str, str] = {}

    def create(self, path: str) -> int:
        fd = super().create(path)
        self._paths[fd] = path
        self._unsynced.add(path)
        self._new_names[path] = ""
        return fd

    def fsync(self, fd: int) -> None:
        super().fsync(fd)
        self._unsynced.discard(self._paths[fd])

    def rename(self, source: str, target: str) -> None:
        super().rename(source, target)
        self._new_names[target] = source
        if source in self._unsynced:
            self._unsynced.add(target)

    def mkdir(self, path: str) -> None:
        super().mkdir(path)
        self._new_names[path] = ""

    def fsync_dir(self, path: str) -> None:
        super().fsync_dir(path)
        for name in [name for name in self._new_names if os.path.dirname(name) == path]:
            del self._new_names[name]

    def lose(self, names_too: bool) -> None:
        for path in self._unsynced:
            if os.path.exists(path):
                os.truncate(path, 0)
        for name, before in reversed(self._new_names.items()) if names_too else ():
            if before and os.path.exists(name):
                os.rename(name, before)
            elif os.path.isfile(name):
                os.unlink(name)


@pytest.mark.parametrize("names_too", [False, True])
def test_a_power_cut_at_any_call_loses_no_completed_checkpoint(directory: str, names_too: bool) -> None:
    """[C4] [C6] What was not synced is lost, and names that no folder sync made durable: the manifest never lies."""
    calls = calls_of_a_second_checkpoint(f"{directory}-count")
    completed = 0
    for n in range(1, calls + 2):
        here = f"{directory}-{n}"
        ops = PowerCut(n)
        with storage_in(here) as storage:
            job = SmallJob(storage)
            job.checkpoint(1)
            storage._ops = ops
            try:
                job.checkpoint(2)
                completed += 1
                least = 2  # it was reported as complete
            except Died:
                least = 1
        ops.lose(names_too)
        with storage_in(here) as again:
            latest = again.latest()
            assert latest is not None
            assert latest.manifest.checkpoint_id >= least
            assert everything_in(latest.path) == expected_of(latest.manifest.checkpoint_id, 1)
    assert completed == 1


def test_the_manifest_is_written_last(directory: str) -> None:
    """[C4] Data, its folder, then the manifest: temporary name, sync, rename, folder."""
    ops = FailingFileOps()
    with storage_in(directory) as storage:
        storage._ops = ops
        path = SmallJob(storage).checkpoint(1)
    names = [(name, os.path.basename(what) if isinstance(what, str) else "") for name, what in ops.calls]
    manifest = names.index(("create", "_metadata.part"))
    assert [name for name in names[manifest + 1 :] if name[0] != "write"] == [
        ("fsync", ""),
        ("close", ""),
        ("rename", "_metadata"),
        ("fsync_dir", "chk-1"),
    ]
    before = names[:manifest]
    last_rename = max(i for i, (name, _) in enumerate(before) if name == "rename")
    assert {("fsync_dir", "chk-1"), ("fsync_dir", "shared")} <= set(before[last_rename:])
    assert sum(name == "fsync" for name, _ in before) == sum(name == "rename" for name, _ in before)
    assert not [name for name in files_below(path) if name.endswith(".part")]


def checkpoints_with_files(directory: str) -> tuple[CheckpointStorage, list[str]]:
    """Two checkpoints, and the files that only the second one needs."""
    storage = storage_in(directory)
    job = SmallJob(storage)
    job.checkpoint(1)
    before = files_below(directory)
    job.checkpoint(2)
    return storage, sorted(files_below(directory) - before)


def outcome(storage: CheckpointStorage) -> tuple[int | None, str]:
    problems: list[str] = []
    latest = storage.latest(problems.append)
    return (latest.manifest.checkpoint_id if latest else None), "\n".join(problems)


def test_a_missing_file_is_named_and_the_checkpoint_before_is_used(directory: str) -> None:
    """[C8] [C6] Each file is taken away in turn."""
    storage, files = checkpoints_with_files(directory)
    with storage:
        for name in files:
            path = os.path.join(directory, name)
            content = Path(path).read_bytes()
            os.unlink(path)
            number, problems = outcome(storage)
            assert number == 1
            if os.path.basename(name) != "_metadata":  # without its manifest it was never completed
                assert os.path.basename(name) in problems
                assert "is missing" in problems
                with pytest.raises(CheckpointCorruptedError, match=os.path.basename(name)):
                    everything_in(storage.path_of(2))
            Path(path).write_bytes(content)
        assert outcome(storage) == (2, "")


@pytest.mark.parametrize("how", ["truncated", "zeroed tail", "empty"])
def test_torn_files_are_named_and_the_checkpoint_before_is_used(directory: str, how: str) -> None:
    """[C6] Each file loses its tail, or the tail is zeros."""
    storage, files = checkpoints_with_files(directory)
    with storage:
        for name in files:
            path = Path(directory, name)
            content = path.read_bytes()
            cut = 0 if how == "empty" else len(content) * 2 // 3
            path.write_bytes(content[:cut] + (b"\0" * (len(content) - cut) if how == "zeroed tail" else b""))
            number, problems = outcome(storage)
            assert number == 1, name
            assert path.name in problems
            path.write_bytes(content)
        assert outcome(storage) == (2, "")


def test_a_flipped_bit_anywhere_is_found(directory: str) -> None:
    """[C7] 1000 bits, in every file in turn: the older one is used, or nothing has changed; never other state."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    storage, files = checkpoints_with_files(directory)
    with storage:
        found = 0
        for turn in range(1000):
            path = Path(directory, files[turn % len(files)])
            content = path.read_bytes()
            bit = rng.randrange(8 * len(content))
            changed = bytearray(content)
            changed[bit // 8] ^= 1 << (bit % 8)
            path.write_bytes(changed)
            number, problems = outcome(storage)
            if number == 2:  # white space or the like in the manifest
                assert path.name == "_metadata"
                assert everything_in(storage.path_of(2)) == expected_of(2, 1)
            else:
                found += 1
                assert number == 1
                assert path.name in problems
            path.write_bytes(content)
        assert found > 900


def test_all_checkpoints_damaged_is_said(directory: str) -> None:
    """[C7] A file that both need: neither is used, both are named."""
    storage, _ = checkpoints_with_files(directory)
    with storage:
        first = open_checkpoint(storage.path_of(1)).operators[0].subtasks[0].keyed[0].files[0]
        os.unlink(os.path.join(storage.path_of(1), first.path))
        number, problems = outcome(storage)
        assert number is None
        assert "chk-1 is damaged" in problems
        assert "chk-2 is damaged" in problems
        for checkpoint_id in (1, 2):
            path = storage.path_of(checkpoint_id)
            with pytest.raises(CheckpointCorruptedError, match=os.path.basename(first.path)):
                verify_checkpoint(path, open_checkpoint(path), contents=False)


def test_a_subtask_that_comes_late_writes_into_nothing(directory: str) -> None:
    """[C14] [C1] After an abort the folder is gone: the file fails, nothing is left, and nothing is acknowledged."""
    with storage_in(directory) as storage:
        location = storage.prepare(1)
        storage.discard(1)
        writer = StateFileWriter(location, 1, 1)
        with pytest.raises(CheckpointError, match="chk-1"):
            writer.write_value(OPERATOR, 0, "operator", {"x": 1})
        shared = writer.write_keyed(OPERATOR, 0, Keyed(range(4), 1), True)
        assert storage.shared_files() == [shared.path]
        writer.abandon()
        assert storage.shared_files() == []


def test_an_error_of_the_snapshot_goes_through_and_leaves_nothing(directory: str) -> None:
    class Broken(Keyed):
        def batches(self) -> Any:
            yield from super().batches()
            raise ValueError("cannot be turned into Arrow")

    os.makedirs(directory)
    writer = StateFileWriter(CheckpointLocation(directory, "", 0), 1, 1)
    with pytest.raises(ValueError, match="turned into Arrow"):
        writer.write_keyed(OPERATOR, 0, Broken(range(4), 1), False)
    assert files_below(directory) == set()
