"""The folder of a job's checkpoints, as the JobManager uses it.

::

    <execution.checkpointing.dir>/<job id>/     0700; locked by the JobManager that runs the job
        .lock
        .owner                                  identity of the HA directory that keeps the job, if there is one
        chk-7/_metadata                         the manifest: without it the checkpoint does not exist
        chk-7/3-7-<operator>-0-1.operator       state of this checkpoint only
        chk-7/<operator>-0.committed            a sink has since committed its content: `commit_notes`
        shared/3-6-<operator>-0-2.arrow         state to which several checkpoints refer

If a job's folder has another owner (for example because its HA directory is a copy), the job gets its own folder,
`<job id>-<first digits of the identity>`: nobody removes what belongs to another owner.

Order on disk: files of the subtasks, their folders, the manifest under a temporary name, its final name, its folder.
If another JobManager takes the folder over while this one still runs (on a shared file system), everything here that
writes or removes raises CheckpointError. Everything here blocks; nothing here is thread-safe.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from shmflink.checkpoint.commit_notes import NOTE_NAME
from shmflink.checkpoint.directory_lock import DirectoryLock
from shmflink.checkpoint.file_ops import FILE_OPS, DurableFile, FileOps
from shmflink.checkpoint.handles import CheckpointLocation
from shmflink.checkpoint.manifest import Manifest, files_of, text_of
from shmflink.checkpoint.reading import METADATA, load_manifest, verify_checkpoint
from shmflink.checkpoint.retention import Deletions, is_shared
from shmflink.core.lazy_dataclass import dataclass
from shmflink.errors import CheckpointError, ConfigurationError

__all__ = [
    "CheckpointStorage",
    "StoredCheckpoint",
    "check_writable",
    "durability_warning",
    "job_folder",
    "remove_ended_job",
]

_CHECKPOINT: Final = re.compile(r"chk-(\d+)")
_OWNER: Final = ".owner"
_REMOVE_TRIES: Final = 4
"""A sink may be writing its note while the checkpoint is removed."""
_OWNER_BYTES_MAX: Final = 64
_VOLATILE: Final = {
    "tmpfs": "is in memory (tmpfs): a restart of the host deletes the checkpoints",
    "ramfs": "is in memory (ramfs): a restart of the host deletes the checkpoints",
    "overlay": "is in a container's own layer (overlay): checkpoints vanish with the container; mount a volume",
    "nfs": "is on NFS: renames and locks are only as safe as its server; prefer a local disk",
    "nfs4": "is on NFS: renames and locks are only as safe as its server; prefer a local disk",
    "cifs": "is on a Windows share (cifs): fsync and locks may not hold; prefer a local disk",
}


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A checkpoint with a complete manifest."""

    path: str
    manifest: Manifest


def _ignore(_problem: str) -> None:
    return


class CheckpointStorage:
    """Checkpoints of one job. Open it once per JobManager and job; a second one is refused (C9)."""

    def __init__(
        self,
        directory: str,
        job_id: str,
        *,
        inline_bytes: int = 0,
        compression: str = "",
        owner: str = "",
        file_ops: FileOps = FILE_OPS,
    ) -> None:
        """Creates the job's folder and locks it. `owner`: see `job_folder`.

        Raises:
            CheckpointError: the folder cannot be created, or another process has it.
        """
        self.directory = job_folder(directory, job_id, owner)
        self._job_id = job_id
        self.shared_directory = os.path.join(self.directory, "shared")
        self._inline_bytes = inline_bytes
        self._compression = compression
        self._ops = file_ops
        try:
            os.makedirs(os.path.dirname(self.directory), exist_ok=True)
            self._mkdir(self.directory)
            self._mkdir(self.shared_directory)
            self._ops.fsync_dir(os.path.dirname(self.directory))
            self._ops.fsync_dir(self.directory)
        except OSError as error:
            raise _failed("the checkpoint folder", self.directory, "created", error) from error
        self._lock = DirectoryLock(self.directory)
        if owner and not os.path.exists(os.path.join(self.directory, _OWNER)):
            self._write_owner(owner)

    def prepare(self, checkpoint_id: int) -> CheckpointLocation:
        """Creates the folder of a checkpoint that is about to be triggered; removes leftovers in it.

        Raises:
            CheckpointError: the system refuses, or a checkpoint with this id exists.
        """
        self._lock.check()
        path = self.path_of(checkpoint_id)
        if os.path.exists(os.path.join(path, METADATA)):
            raise CheckpointError(f"{path} is already a complete checkpoint: continue numbering from the newest one")
        try:
            self._remove_folder(path)
            self._mkdir(path)
            self._ops.fsync_dir(self.directory)
        except OSError as error:
            raise _failed("the folder", path, "created", error) from error
        return CheckpointLocation(path, self.shared_directory, self._inline_bytes, self._compression)

    def prepare_savepoint(self, target: str, suffix: str) -> CheckpointLocation:
        """Creates the folder `savepoint-<first digits of the job id>-<suffix>` in `target`, as Flink names it.

        Raises:
            CheckpointError: the system refuses, or the folder exists.
        """
        self._lock.check()
        path = os.path.join(os.path.abspath(target), f"savepoint-{self._job_id[:6]}-{suffix}")
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            self._ops.mkdir(path)
            self._ops.fsync_dir(os.path.dirname(path))
        except OSError as error:
            raise _failed("the savepoint's folder", path, "created", error) from error
        return CheckpointLocation(path, "", self._inline_bytes, self._compression)

    def complete(self, location: CheckpointLocation, manifest: Manifest) -> str:
        """Writes the manifest: from then on the checkpoint exists. Returns its folder.

        Raises:
            CheckpointError: the system refuses; abort and discard the checkpoint.
        """
        self._lock.check()
        return write_manifest(location.directory, manifest, self._ops)

    def discard(self, checkpoint_id: int) -> None:
        """Removes a checkpoint's folder, its manifest first. Shared files stay: `Retention` decides about those.

        Raises:
            CheckpointError: the system refuses.
        """
        self.discard_folder(self.path_of(checkpoint_id))

    def discard_folder(self, path: str) -> None:
        """The same for a folder of its own: that of a failed savepoint."""
        self._lock.check()
        try:
            self._remove_folder(path)
        except OSError as error:
            raise _failed("the checkpoint", path, "removed", error) from error

    def discard_claimed(self, path: str, manifest: Manifest) -> None:
        """Removes the checkpoint from which the job was started: the files of `manifest`, and the folder if it is then
        empty.

        Raises:
            CheckpointError: the system refuses, or files of others are left in the folder.
        """
        self._lock.check()
        names = {file.path for file in files_of(manifest) if not file.inline and not is_shared(file.path)}
        notes = [name for name in self._names(path) if NOTE_NAME.fullmatch(name)]
        try:
            for name in (METADATA, *sorted(names), *notes):
                with suppress(FileNotFoundError):
                    self._ops.unlink(os.path.join(path, name))
            others = sorted(self._names(path))
            if not others:
                self._ops.rmdir(path)
        except OSError as error:
            raise _failed("the claimed checkpoint", path, "removed", error) from error
        if others:
            raise CheckpointError(
                f"the claimed checkpoint {path} was removed, but its folder remains: it contains files that do "
                f"not belong to the checkpoint, for example {others[0]}"
            )

    def delete(self, deletions: Deletions, on_problem: Callable[[str], None] = _ignore) -> None:
        """Removes what `Retention` released. Reports and keeps what cannot be removed."""
        self._lock.check()
        for checkpoint_id in deletions.checkpoints:
            try:
                self.discard(checkpoint_id)
            except CheckpointError as error:
                on_problem(str(error))
        for path in deletions.shared_files:
            try:
                self._ops.unlink(os.path.join(self.directory, "shared", os.path.basename(path)))
            except FileNotFoundError:
                continue
            except OSError as error:
                on_problem(str(_failed("the shared file", path, "removed", error)))

    def completed(self, on_problem: Callable[[str], None] = _ignore) -> list[StoredCheckpoint]:
        """All checkpoints with a complete manifest, newest first. Reports damaged manifests; skips missing ones."""
        found = []
        for checkpoint_id in sorted(self.checkpoint_ids(), reverse=True):
            path = self.path_of(checkpoint_id)
            if not os.path.exists(os.path.join(path, METADATA)):
                continue
            try:
                found.append(StoredCheckpoint(path, load_manifest(path)))
            except CheckpointError as error:
                on_problem(str(error))
        return found

    def latest(self, on_problem: Callable[[str], None] = _ignore) -> StoredCheckpoint | None:
        """The newest checkpoint whose files all exist and are unchanged; reports damaged ones (C6 to C8)."""
        for checkpoint in self.completed(on_problem):
            try:
                verify_checkpoint(checkpoint.path, checkpoint.manifest)
            except CheckpointError as error:
                on_problem(str(error))
            else:
                return checkpoint
        return None

    def checkpoint_ids(self) -> list[int]:
        """The ids of all folders, including unfinished ones."""
        return [int(match[1]) for name in self._names(self.directory) if (match := _CHECKPOINT.fullmatch(name))]

    def shared_files(self) -> list[str]:
        """Shared files, as manifests name them."""
        return [f"../shared/{name}" for name in self._names(self.shared_directory)]

    def path_of(self, checkpoint_id: int) -> str:
        """The folder of a checkpoint."""
        return os.path.join(self.directory, f"chk-{checkpoint_id}")

    def dispose(self) -> None:
        """Removes everything: for a job that has ended and whose checkpoints are not retained."""
        self._lock.check()
        for checkpoint_id in self.checkpoint_ids():
            with suppress(CheckpointError):
                self.discard(checkpoint_id)
        with suppress(OSError):
            self._remove_folder(self.shared_directory)
        with suppress(OSError):
            self._ops.unlink(os.path.join(self.directory, _OWNER))
        self.close(keeps_file=False)
        with suppress(OSError):
            self._ops.rmdir(self.directory)

    def close(self, *, keeps_file: bool = True) -> None:
        """Unlocks the folder. May be called again."""
        self._lock.release(keeps_file=keeps_file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _write_owner(self, owner: str) -> None:
        file = DurableFile(os.path.join(self.directory, _OWNER), self._ops)
        try:
            file.write(owner.encode())
            file.publish()
            self._ops.fsync_dir(self.directory)
        except (OSError, CheckpointError):
            file.abort()
            self.close()
            raise

    def _names(self, folder: str) -> Iterator[str]:
        try:
            yield from os.listdir(folder)
        except FileNotFoundError:
            return

    def _mkdir(self, path: str) -> None:
        with suppress(FileExistsError):
            self._ops.mkdir(path)

    def _remove_folder(self, path: str) -> None:
        """Also where it goes meanwhile: an ended attempt discards what the next one finds left over."""
        with suppress(FileNotFoundError):
            self._remove_existing(path)

    def _remove_existing(self, path: str) -> None:
        if not os.path.isdir(path):
            return
        with suppress(FileNotFoundError):
            self._ops.unlink(os.path.join(path, METADATA))
            self._ops.fsync_dir(path)
        for tries_left in range(_REMOVE_TRIES - 1, -1, -1):
            for name in self._names(path):
                with suppress(FileNotFoundError):
                    self._ops.unlink(os.path.join(path, name))
            try:
                self._ops.rmdir(path)
                return
            except OSError as error:
                if error.errno != errno.ENOTEMPTY or not tries_left:
                    raise


def job_folder(directory: str, job_id: str, owner: str = "") -> str:
    """A job's checkpoint folder under `directory`. With an `owner`: the folder of that owner, or a new one."""
    path = os.path.join(os.path.abspath(directory), job_id)
    if not owner:
        return path
    try:
        with open(os.path.join(path, _OWNER), "rb") as file:
            found = file.read(_OWNER_BYTES_MAX)
    except OSError:
        try:
            is_new = not any(_CHECKPOINT.fullmatch(name) for name in os.listdir(path))
        except OSError:
            is_new = True
        return path if is_new else f"{path}-{owner[:8]}"
    return path if found == owner.encode() else f"{path}-{owner[:8]}"


def remove_ended_job(path: str, owner: str) -> None:
    """Removes the folder of a job that has ended, if it is there and `owner`'s: an earlier JobManager was about to.

    Raises:
        CheckpointError: another process has it.
    """
    if not os.path.isdir(path) or job_folder(os.path.dirname(path), os.path.basename(path), owner) != path:
        return
    CheckpointStorage(os.path.dirname(path), os.path.basename(path)).dispose()


def write_manifest(directory: str, manifest: Manifest, file_ops: FileOps = FILE_OPS) -> str:
    """Completes the checkpoint in `directory`, whose state files are durable; returns `directory`."""
    file = DurableFile(os.path.join(directory, METADATA), file_ops)
    try:
        file.write(text_of(manifest))
        file.publish()
        file_ops.fsync_dir(directory)
    except OSError as error:
        raise _failed("the folder", directory, "synced", error) from error
    finally:
        file.abort()
    return directory


def check_writable(directory: str, option: str = "execution.checkpointing.dir") -> None:
    """Called when a job is submitted, so that a wrong folder is found before the first checkpoint (C17).

    Raises:
        ConfigurationError: nothing can be written there.
    """
    probe = os.path.join(directory, f".shmflink-{os.getpid()}.probe")
    try:
        os.makedirs(directory, exist_ok=True)
        fd = FILE_OPS.create(probe)
        try:
            os.write(fd, b"probe")
            os.fsync(fd)
        finally:
            os.close(fd)
            os.unlink(probe)
    except OSError as error:
        raise ConfigurationError(
            f"{option} is {directory}, which cannot be written to: {error.strerror or error}. Name a folder that "
            "you own, on a local disk"
        ) from error


def durability_warning(directory: str, mounts: str) -> str:
    """What a user should know about the file system of `directory`; empty if it is a local disk (C16).

    `mounts` is the text of /proc/self/mounts. Pure except for resolving links.
    """
    path = os.path.realpath(directory)
    best, kind = "", ""
    for line in mounts.splitlines():
        _, mount, file_system, *_ = line.split()
        mount = mount.encode().decode("unicode_escape")  # the kernel writes a space as \040
        if os.path.commonpath((path, mount)) == mount and len(mount) >= len(best):
            best, kind = mount, file_system
    if kind.startswith("fuse."):
        return f"{directory} is on {kind}: fsync may not reach the disk; prefer a local disk"
    return f"{directory} {_VOLATILE[kind]}" if kind in _VOLATILE else ""


def _failed(what: str, path: str, done: str, error: OSError) -> CheckpointError:
    return CheckpointError(f"{what} {path} cannot be {done}: {error.strerror or error}")
