"""The folder of a job's checkpoints: who may write to it, where it may be, what it contains."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from shmflink.checkpoint.reading import load_manifest
from shmflink.checkpoint.retention import Deletions
from shmflink.checkpoint.storage import CheckpointStorage, check_writable, durability_warning
from shmflink.errors import CheckpointError, ConfigurationError

from .conftest import JOB_ID, FailingFileOps, SmallJob, everything_in, expected_of

_HOLD = """
import sys
from shmflink.checkpoint.storage import CheckpointStorage
storage = CheckpointStorage(sys.argv[1], sys.argv[2])
print("held", flush=True)
sys.stdin.read()
"""


def test_two_job_managers_cannot_write_one_folder(directory: str) -> None:
    """[C9] The second one is refused, by the first one's process id; the lock dies with its holder."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, directory, JOB_ID], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(CheckpointError, match=f"process {holder.pid}"):
            CheckpointStorage(directory, JOB_ID)
        CheckpointStorage(directory, "ef" * 16).close()  # another job's folder is its own
        holder.kill()
        holder.wait()
    CheckpointStorage(directory, JOB_ID).close()


def test_folders_are_for_their_owner_alone(directory: str) -> None:
    """[M7] State may hold anything: nobody else reads it."""
    with CheckpointStorage(directory, JOB_ID) as storage:
        path = SmallJob(storage).checkpoint(1)
        for folder, _, files in os.walk(storage.directory):
            assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
            assert {stat.S_IMODE(os.stat(os.path.join(folder, name)).st_mode) for name in files} <= {0o600}
        assert path == os.path.join(directory, JOB_ID, "chk-1")


def test_a_folder_that_cannot_be_written_is_found_at_submit(tmp_path: Path) -> None:
    """[C17] A file in the way, and one that the system protects even from root."""
    check_writable(str(tmp_path / "new" / "folder"))
    assert list((tmp_path / "new" / "folder").iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"execution\.checkpointing\.dir is .*file/below"):
        check_writable(str(tmp_path / "file" / "below"))
    with pytest.raises(ConfigurationError, match=r"execution\.checkpointing\.savepoint-dir"):
        check_writable("/proc/self", "execution.checkpointing.savepoint-dir")


def test_a_folder_without_permission_is_found_at_submit(tmp_path: Path) -> None:
    """[C17] Read-only for this user; root may write everywhere, so another one is asked for."""
    folder = tmp_path / "read-only"
    folder.mkdir(mode=0o500)
    code = (
        "import os, sys\n"
        "from shmflink.checkpoint.storage import check_writable\n"
        "os.geteuid() or os.setuid(65534)\n"
        "check_writable(sys.argv[1])"
    )
    for parent in (tmp_path, *tmp_path.parents[:3]):
        if parent.owner() == folder.owner() and parent != Path("/tmp"):
            parent.chmod(0o755)
    run = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False)
    assert "ConfigurationError" in run.stderr, run.stderr
    assert "Permission denied" in run.stderr


_MOUNTS = r"""overlay / overlay rw 0 0
/dev/sda1 /data ext4 rw 0 0
tmpfs /data/fast\040disk tmpfs rw 0 0
server:/x /home nfs4 rw 0 0
s3 /bucket fuse.s3fs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/var/checkpoints", "container"),
        ("/data/checkpoints", ""),
        ("/data/fast disk/x", "in memory"),
        ("/data/fast", ""),
        ("/home/me", "NFS"),
        ("/bucket/a", "fuse.s3fs"),
    ],
)
def test_what_a_user_should_know_of_a_file_system(path: str, says: str) -> None:
    """[C16] Memory, networks and container layers are named; the longest mount point counts."""
    warning = durability_warning(path, _MOUNTS)
    assert bool(warning) == bool(says)
    assert says in warning
    assert not warning or path in warning


def test_checkpoints_are_found_again_newest_first(directory: str) -> None:
    with CheckpointStorage(directory, JOB_ID) as storage:
        job = SmallJob(storage)
        for checkpoint_id in (1, 2, 10):
            job.checkpoint(checkpoint_id)
        storage.prepare(11)  # never completed
    with CheckpointStorage(directory, JOB_ID) as again:
        assert [found.manifest.checkpoint_id for found in again.completed()] == [10, 2, 1]
        assert sorted(again.checkpoint_ids()) == [1, 2, 10, 11]
        with pytest.raises(CheckpointError, match="already a complete checkpoint"):
            again.prepare(10)
        again.prepare(11)  # leftovers are no obstacle


def test_deletions_are_made_and_what_cannot_be_deleted_is_reported(directory: str) -> None:
    with CheckpointStorage(directory, JOB_ID) as storage:
        job = SmallJob(storage)
        for checkpoint_id in (1, 2, 3):
            job.checkpoint(checkpoint_id)
        problems: list[str] = []
        storage.delete(Deletions((1, 77), ("../shared/never-was.arrow",)), problems.append)
        assert problems == []
        assert sorted(storage.checkpoint_ids()) == [2, 3]
        storage._ops = FailingFileOps(1)
        storage.delete(Deletions((2,)), problems.append)
        assert "chk-2 cannot be removed" in problems[0]
        storage._ops = FailingFileOps(1)
        storage.delete(Deletions((), ("../shared/file.arrow",)), problems.append)
        assert "file.arrow" in problems[1]
        assert everything_in(storage.path_of(3)) == expected_of(3, 1)


def test_a_savepoint_stands_alone(directory: str, tmp_path: Path) -> None:
    with CheckpointStorage(directory, JOB_ID) as storage:
        location = storage.prepare_savepoint(str(tmp_path / "savepoints"), "0123456789ab")
        assert os.path.basename(location.directory) == f"savepoint-{JOB_ID[:6]}-0123456789ab"
        assert location.shared_directory == ""
        with pytest.raises(CheckpointError, match="savepoint"):
            storage.prepare_savepoint(str(tmp_path / "savepoints"), "0123456789ab")
        storage.discard_folder(location.directory)
        assert os.listdir(tmp_path / "savepoints") == []


def test_nothing_is_left_of_a_disposed_job(directory: str) -> None:
    storage = CheckpointStorage(directory, JOB_ID)
    job = SmallJob(storage)
    job.checkpoint(1)
    job.checkpoint(2)
    storage.prepare(3)
    storage.dispose()
    assert os.listdir(directory) == []
    storage.close()


def test_the_lock_holds_on_a_full_disk(tmp_path, monkeypatch):
    """[C1] The next JobManager of a job that survives a full disk must not fail for the name in its lock."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with CheckpointStorage(str(tmp_path), "job"), pytest.raises(CheckpointError, match="another JobManager"):
        CheckpointStorage(str(tmp_path), "job")


def test_one_that_was_taken_over_while_it_runs_changes_nothing(directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """[C9] A shared file system may give the lock to another host while the first holder still runs."""
    deposed = CheckpointStorage(directory, JOB_ID)
    job = SmallJob(deposed)
    path = job.checkpoint(1)
    location = deposed.prepare(2)
    manifest = load_manifest(path)
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    with CheckpointStorage(directory, JOB_ID) as leader:
        folders = sorted(os.listdir(leader.directory))
        for change in (
            lambda: deposed.prepare(3),
            lambda: deposed.prepare_savepoint(directory, "ab"),
            lambda: deposed.complete(location, manifest),
            lambda: deposed.discard(1),
            lambda: deposed.delete(Deletions((1,), ())),
            lambda: deposed.discard_claimed(path, manifest),
            deposed.dispose,
        ):
            with pytest.raises(CheckpointError, match=f"another JobManager has taken over {leader.directory}"):
                change()
        deposed.close()
        assert sorted(os.listdir(leader.directory)) == folders
        assert load_manifest(path) == manifest
        leader.discard(1)


def test_what_is_removed_twice_at_a_time_is_removed(directory: str) -> None:
    """An ended attempt discards a checkpoint while the next attempt removes what it finds left over."""

    class RemovedBetween(FailingFileOps):
        def rmdir(self, path: str) -> None:
            os.rmdir(path)
            super().rmdir(path)

    with CheckpointStorage(directory, JOB_ID) as storage:
        location = storage.prepare(12)
        storage._ops = RemovedBetween()
        problems: list[str] = []
        storage.delete(Deletions((12,)), problems.append)
        storage.discard_folder(location.directory)
        assert problems == []
        assert storage.checkpoint_ids() == []
