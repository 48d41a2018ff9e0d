"""The folder of an HA directory: who holds it, its identity, its fencing epochs, and its files.

Each file: one line of text with kind, version, length and CRC-32 of what follows, then the content. Written under a
temporary name, synced, renamed, folder synced: a crash leaves the old or the new one. A file that is neither is an
error that names it; it is never ignored. All calls block.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
import zlib
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import quote

import orjson

from shmflink.checkpoint.file_ops import TEMPORARY_SUFFIX, DurableFile, FileOps
from shmflink.core.json_fields import JsonFields, JsonFieldsError
from shmflink.core.lazy_dataclass import dataclass
from shmflink.errors import CheckpointError, DirectoryInUseError, ResourceError

__all__ = ["HaFolder", "Owner", "cluster_folder", "parsed", "understood"]

_VERSION: Final = 1
_HEADER: Final = re.compile(rb"shmflink (\w+) version (\d+) length (\d+) crc32 ([0-9a-f]{8})\n")
_HEADER_BYTES_MAX: Final = 100
_EPOCHS_AT_ONCE: Final = 1000
_EPOCH_MAX: Final = (1 << 31) - 1
_IDENTITY_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that holds the directory. `since` is text for people."""

    pid: int
    host: str
    since: str


def cluster_folder(storage_dir: str, cluster_id: str) -> str:
    """The folder of a cluster; `storage_dir` is a path or a file: URI."""
    path = storage_dir.removeprefix("file://").removeprefix("file:")
    name = quote(cluster_id.strip("/") or "default", safe="")
    return os.path.join(os.path.abspath(path), name.replace(".", "%2E") if set(name) == {"."} else name)


class HaFolder:
    """The folder of one cluster, locked by this process until `close`. ResourceError if it cannot be used."""

    def __init__(self, path: str, lock_fd: int, file_ops: FileOps) -> None:
        """Use `open`."""
        self.path = path
        self.identity = ""
        self._lock_fd = lock_fd
        self._ops = file_ops
        self._next_epoch = 0
        self._last_epoch = -1
        self._is_settled = False  # this process has reserved epochs
        self.owner = Owner(0, "", "")

    @staticmethod
    def open(path: str, folders: Sequence[str], owner: Owner, file_ops: FileOps) -> HaFolder:
        """Locks the folder, creates it and `folders` in it if they are missing, and begins a new range of epochs. If
        another JobManager holds it, the ResourceError names that one.
        """
        with _named(f"the HA directory {path} cannot be used"):
            _make(path, file_ops)
            lock_fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _lock(lock_fd, path)
            folder = HaFolder(path, lock_fd, file_ops)
            folder._settle(folders, owner)
        except BaseException:
            os.close(lock_fd)
            raise
        return folder

    def _settle(self, folders: Sequence[str], owner: Owner) -> None:
        with _named(f"the HA directory {self.path} cannot be used"):
            for name in ("", *folders):
                path = os.path.join(self.path, name)
                if not os.path.isdir(path):
                    self._ops.mkdir(path)
                    self._ops.fsync_dir(self.path)
                for file in os.listdir(path):
                    if file.endswith(TEMPORARY_SUFFIX):  # left by a JobManager that died while writing
                        self._ops.unlink(os.path.join(path, file))
        self.identity = self._identified()
        self._last_epoch = self._reserved()
        self._next_epoch = self._last_epoch + 1
        self._reserve()
        self._is_settled = True
        self.owner = owner
        self.write("", "owner", orjson.dumps({"pid": owner.pid, "host": owner.host, "since": owner.since}))

    def _identified(self) -> str:
        """Created at the first opening, and again if the folder is a copy, so that the original keeps its own identity.

        A copy with the same inode (a snapshot of the whole file system) cannot be distinguished from the original.
        """
        inode = os.fstat(self._lock_fd).st_ino
        found = self.fields("", "identity")
        if found is not None:
            with understood(os.path.join(self.path, "identity")):
                identity, before = found.text("id"), found.integer("inode")
                found.end()
            if before == inode:
                return identity
        identity = os.urandom(_IDENTITY_BYTES).hex()
        self.write("", "identity", orjson.dumps({"id": identity, "inode": inode}))
        return identity

    # --- epochs ---

    def next_epoch(self) -> int:
        """A fencing epoch above all that this or another process has issued before."""
        self._check_ours()
        if self._next_epoch > self._last_epoch:
            self._reserve()
        self._next_epoch += 1
        return self._next_epoch - 1

    def _reserve(self) -> None:
        last = self._last_epoch + _EPOCHS_AT_ONCE
        if last > _EPOCH_MAX:
            raise ResourceError(f"the epochs of {self.path} are used up: choose another high-availability.cluster-id")
        self.write("", "epoch", orjson.dumps({"reserved": last}))
        self._last_epoch = last

    def _reserved(self) -> int:
        found = self.fields("", "epoch")
        if found is None:
            return -1
        with understood(os.path.join(self.path, "epoch")):
            reserved = found.integer("reserved")
            found.end()
        return reserved

    # --- files ---

    def write(self, folder: str, name: str, content: bytes) -> None:
        """Writes a file, which is durable when this returns; until then the old one exists."""
        self._check_ours()
        where = os.path.join(self.path, folder)
        path = os.path.join(where, name)
        with _named(f"the HA directory {self.path} cannot be written"):
            file = DurableFile(path, self._ops)
            file.write(b"shmflink %s version %d length %d crc32 %08x\n"
                       % (_kind(folder, name).encode(), _VERSION, len(content), zlib.crc32(content)))  # fmt: skip
            file.write(content)
            file.publish()
            self._ops.fsync_dir(where)

    def read(self, folder: str, name: str) -> bytes | None:
        """The content that was passed to `write`; None if there is no such file."""
        path = os.path.join(self.path, folder, name)
        try:
            with open(path, "rb") as file:
                data = file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ResourceError(f"{path} cannot be read: {error.strerror or error}") from error
        return _checked(data, path, _kind(folder, name))

    def fields(self, folder: str, name: str) -> JsonFields | None:
        """The content of a file that is a JSON object; None if there is no such file."""
        content = self.read(folder, name)
        if content is None:
            return None
        path = os.path.join(self.path, folder, name)
        with understood(path):
            return JsonFields(parsed(content, path), "")

    def unlink(self, folder: str, name: str) -> None:
        """Removes the file, durably. Idempotent."""
        self._check_ours()
        where = os.path.join(self.path, folder)
        with _named(f"the HA directory {self.path} cannot be written"), contextlib.suppress(FileNotFoundError):
            self._ops.unlink(os.path.join(where, name))
            self._ops.fsync_dir(where)

    def _check_ours(self) -> None:
        """The lock is on the folder that we opened, and somebody may have put another one in its place. A file system
        may also give the lock to another JobManager while this one still runs: that one has reserved epochs above ours.
        """
        try:
            is_ours = os.path.samestat(os.stat(self.path), os.fstat(self._lock_fd))
        except OSError:
            is_ours = False
        if not is_ours:
            raise ResourceError(f"the HA directory {self.path} was moved or removed while it was in use")
        if self._is_settled and self._reserved() != self._last_epoch:
            raise ResourceError(
                f"another JobManager has taken over the HA directory {self.path}: this one must not continue"
            )

    def close(self) -> None:
        """Unlocks the folder. Idempotent."""
        if self._lock_fd >= 0:
            lock_fd, self._lock_fd = self._lock_fd, -1
            os.close(lock_fd)


def _kind(folder: str, name: str) -> str:
    """The kind in a file's header: job, checkpoint, result; otherwise the file's own name."""
    return folder.removesuffix("s") or name


def _make(folder: str, file_ops: FileOps) -> None:
    if not os.path.isdir(folder):
        os.makedirs(os.path.dirname(folder), mode=0o700, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            file_ops.mkdir(folder)
        file_ops.fsync_dir(os.path.dirname(folder))
    found = os.stat(folder)
    if found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise ResourceError(
            f"the HA directory {folder} (mode {stat.S_IMODE(found.st_mode):04o}, user {found.st_uid}) may be written "
            "by others, but its content is executed: chown and chmod 700 it"
        )


def _lock(lock_fd: int, folder: str) -> None:
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = _owner(folder)
        who = "another JobManager"
        if owner is not None:
            who = f"the JobManager with pid {owner.pid} on {owner.host}, running since {owner.since}"
        error = DirectoryInUseError(
            f"the HA directory {folder} is in use by {who}. Two jobs need two ids: -D high-availability.cluster-id=NAME"
        )
        error.holder = None if owner is None else (owner.pid, owner.since)
        raise error from None


def _owner(folder: str) -> Owner | None:
    """The recorded owner; None if its file is missing or incomplete."""
    try:
        with open(os.path.join(folder, "owner"), "rb") as file:
            owner = JsonFields(parsed(_checked(file.read(), folder, "owner"), folder), "")
        return Owner(owner.integer("pid"), owner.text("host"), owner.text("since"))
    except (OSError, ResourceError, JsonFieldsError):
        return None


def _checked(data: bytes, path: str, kind: str) -> bytes:
    """The content after the header; ResourceError if it does not match the header."""
    header = _HEADER.match(data[:_HEADER_BYTES_MAX])
    if header is None or header[1] != kind.encode():
        raise ResourceError(f"{path} is damaged ({len(data)} bytes without the header of a {kind}): {_REMEDY}")
    if int(header[2]) != _VERSION:
        raise ResourceError(f"{path} has version {int(header[2])} of the format, but this shmflink supports {_VERSION}")
    content = data[header.end() :]
    if len(content) != int(header[3]):
        raise ResourceError(f"{path} is damaged ({len(content)} bytes instead of {int(header[3])}): {_REMEDY}")
    if zlib.crc32(content) != int(header[4], 16):
        raise ResourceError(f"{path} is damaged (its checksum does not match): {_REMEDY}")
    return content


_REMEDY: Final = (
    "restore it from a copy, or choose another high-availability.cluster-id and start from a checkpoint (run -s PATH)"
)


def parsed(content: bytes, path: str) -> object:
    """The JSON of a file; ResourceError if it is invalid."""
    try:
        return orjson.loads(content)
    except ValueError as error:
        raise ResourceError(f"{path} is damaged ({error}): {_REMEDY}") from error


@contextlib.contextmanager
def understood(path: str) -> Iterator[None]:
    """The error for content whose checksum matches: it was written like this, so another version wrote it."""
    try:
        yield
    except JsonFieldsError as error:
        raise ResourceError(
            f"{path} cannot be understood: {error}. Another version of shmflink wrote it: use that one, or choose "
            "another high-availability.cluster-id and start from a checkpoint (run -s PATH)"
        ) from error


@contextlib.contextmanager
def _named(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ResourceError(f"{what}: {error.strerror or error}: {error.filename or ''}".rstrip(": ")) from error
    except CheckpointError as error:
        raise ResourceError(f"{what}: {error}") from error
