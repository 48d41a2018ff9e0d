"""The HA directory: what a JobManager must find again after its death (Flink: HighAvailabilityServices).

::

    <high-availability.storageDir>/<cluster-id>/     locked (flock on the folder itself) by the JobManager that uses it
        owner                    who that is, for the message to the second one
        identity                 a random id of this folder, and its inode: a copy of the folder is another one
        epoch                    the highest fencing epoch that may have been used
        places/<number>          which job the program's first, second, ... job is: its id and what it is known by
        jobs/<job id>            the job as it was submitted
        checkpoints/<job id>     its completed checkpoints, newest first
        results/<job id>         how it ended, until the cluster ends in good order

Each file: one line of text with kind, version, length and CRC-32 of what follows, then JSON (a submission: the bytes of
its control message). Written under a temporary name, synced, renamed, folder synced: a crash leaves the old or the new
one. A file that is neither is an error that names it; it is never passed over. All calls block.

Ids of jobs are random. Releases before had no places: there a job's id was made of the cluster's id and the number.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import stat
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, Final
from urllib.parse import quote

import orjson

from shmflink.checkpoint.file_ops import FILE_OPS, TEMPORARY_SUFFIX, DurableFile, FileOps
from shmflink.core.ids import JobId
from shmflink.core.json_fields import JsonFields, JsonFieldsError
from shmflink.core.lazy_dataclass import dataclass
from shmflink.errors import CheckpointError, DirectoryInUseError, ResourceError, RpcError
from shmflink.graph.job_graph import JobGraph, JobVertex
from shmflink.rpc.messages import SubmitJob
from shmflink.rpc.states import JobState
from shmflink.rpc.wire import FrameDecoder, frame_of

__all__ = ["HaStore", "JobResult", "Owner", "Place", "cluster_folder", "job_names"]

_VERSION: Final = 1
_HEADER: Final = re.compile(rb"shmflink (\w+) version (\d+) length (\d+) crc32 ([0-9a-f]{8})\n")
_HEADER_BYTES_MAX: Final = 100
_EPOCHS_AT_ONCE: Final = 1000
_EPOCH_MAX: Final = (1 << 31) - 1
_PLACES, _JOBS, _CHECKPOINTS, _RESULTS = "places", "jobs", "checkpoints", "results"
_JOB_ID: Final = re.compile(r"[0-9a-f]{32}")
_IDENTITY_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that holds the directory. `since` is text for people."""

    pid: int
    host: str
    since: str


@dataclass(frozen=True, slots=True)
class Place:
    """The job that a program submits as its `number`th, from 0. `main_file` None: an older release kept none."""

    number: int
    job_id: JobId
    name: str
    main_file: str | None


@dataclass(frozen=True, slots=True)
class JobResult:
    """How a job ended. `failure_kind` and `failure_message` are empty unless it FAILED."""

    job_id: JobId
    state: JobState
    runtime_ms: int
    failure_kind: str = ""
    failure_message: str = ""


def job_names(storage_dir: str, cluster_id: str) -> list[str]:
    """Of the jobs that another JobManager keeps in its directory; those of them that can be read."""
    store = HaStore(cluster_folder(storage_dir, cluster_id), -1, FILE_OPS)
    try:
        return [place.name for place in store.places()]
    except (ResourceError, OSError):  # it writes them meanwhile
        return []


def cluster_folder(storage_dir: str, cluster_id: str) -> str:
    """The folder of a cluster; `storage_dir` is a path or a file: URI."""
    path = storage_dir.removeprefix("file://").removeprefix("file:")
    name = quote(cluster_id.strip("/") or "default", safe="")
    return os.path.join(os.path.abspath(path), name.replace(".", "%2E") if set(name) == {"."} else name)


class HaStore:
    """The directory of one cluster, held by this process until `close`. ResourceError where it cannot be used."""

    def __init__(self, folder: str, lock_fd: int, file_ops: FileOps) -> None:
        """Use `open`."""
        self.folder = folder
        self.identity = ""
        self._lock_fd = lock_fd
        self._ops = file_ops
        self._next_epoch = 0
        self._last_epoch = -1
        self._owner = Owner(0, "", "")

    @staticmethod
    def open(storage_dir: str, cluster_id: str, owner: Owner, file_ops: FileOps = FILE_OPS) -> HaStore:
        """Takes hold of the directory, makes it where it is missing, and begins a new range of epochs.

        ResourceError where another JobManager holds it, naming that one.
        """
        folder = cluster_folder(storage_dir, cluster_id)
        with _named(f"the HA directory {folder} cannot be used"):
            _make(folder, file_ops)
            lock_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _lock(lock_fd, folder)
            store = HaStore(folder, lock_fd, file_ops)
            store._settle(owner)
        except BaseException:
            os.close(lock_fd)
            raise
        return store

    def _settle(self, owner: Owner) -> None:
        with _named(f"the HA directory {self.folder} cannot be used"):
            for name in ("", _PLACES, _JOBS, _CHECKPOINTS, _RESULTS):
                path = os.path.join(self.folder, name)
                if not os.path.isdir(path):
                    self._ops.mkdir(path)
                    self._ops.fsync_dir(self.folder)
                for file in os.listdir(path):
                    if file.endswith(TEMPORARY_SUFFIX):  # of a JobManager that died while it wrote
                        self._ops.unlink(os.path.join(path, file))
        self.identity = self._identified()
        self._last_epoch = self._reserved()
        self._next_epoch = self._last_epoch + 1
        self._reserve()
        self._owner = owner
        self._write("", "owner", orjson.dumps({"pid": owner.pid, "host": owner.host, "since": owner.since}))

    def _identified(self) -> str:
        """Made at the first opening, and anew where the folder is a copy: whoever runs on the original keeps its own.

        A copy that keeps the inode (a snapshot of the whole file system) cannot be told from it.
        """
        inode = os.fstat(self._lock_fd).st_ino
        found = self._fields("", "identity")
        if found is not None:
            with _understood(os.path.join(self.folder, "identity")):
                identity, before = found.text("id"), found.integer("inode")
                found.end()
            if before == inode:
                return identity
        identity = secrets.token_hex(_IDENTITY_BYTES)
        self._write("", "identity", orjson.dumps({"id": identity, "inode": inode}))
        return identity

    # --- epochs ---

    def next_epoch(self) -> int:
        """A fencing epoch above all that were handed out before, by this process or another."""
        if self._next_epoch > self._last_epoch:
            self._reserve()
        self._next_epoch += 1
        return self._next_epoch - 1

    def _reserve(self) -> None:
        if self._reserved() != self._last_epoch:
            raise ResourceError(
                f"another JobManager has taken over the HA directory {self.folder}: this one must not go on"
            )
        last = self._last_epoch + _EPOCHS_AT_ONCE
        if last > _EPOCH_MAX:
            raise ResourceError(f"the epochs of {self.folder} are used up: choose another high-availability.cluster-id")
        self._write("", "epoch", orjson.dumps({"reserved": last}))
        self._last_epoch = last

    def _reserved(self) -> int:
        found = self._fields("", "epoch")
        if found is None:
            return -1
        with _understood(os.path.join(self.folder, "epoch")):
            reserved = found.integer("reserved")
            found.end()
        return reserved

    # --- places ---

    def put_place(self, place: Place) -> None:
        """From now on the program's job of this number is this one."""
        content = {"job_id": place.job_id.hex, "name": place.name, "main_file": place.main_file}
        self._write(_PLACES, str(place.number), orjson.dumps(content))

    def places(self) -> list[Place]:
        """All that are known, by number."""
        numbers = sorted(int(name) for name in os.listdir(os.path.join(self.folder, _PLACES)) if name.isdecimal())
        found = [self._place(number) for number in numbers]
        return [place for place in found if place is not None]

    def _place(self, number: int) -> Place | None:
        found = self._fields(_PLACES, str(number))
        if found is None:
            return None
        with _understood(os.path.join(self.folder, _PLACES, str(number))):
            text = found.text("job_id")
            if _JOB_ID.fullmatch(text) is None:
                raise JsonFieldsError(f"job_id is {text!r}, not 32 hexadecimal digits")
            place = Place(number, JobId(text), found.text("name"), found.optional_text("main_file"))
            found.end()
        return place

    def remove_place(self, number: int) -> None:
        """The next program begins with a job of its own there."""
        self._unlink(_PLACES, str(number))

    # --- jobs ---

    def put_job(self, submission: SubmitJob) -> None:
        """The job is found again from now on. Replaces what was submitted under its id before; drops its result."""
        job_id = submission.graph.job_id
        self._write(_JOBS, job_id.hex, frame_of(submission))
        self._remove(_RESULTS, job_id)

    def job(self, job_id: JobId) -> SubmitJob | None:
        """What was submitted under this id and has not ended."""
        content = self._read(_JOBS, job_id.hex)
        if content is None or self.result(job_id) is not None:
            return None
        path = os.path.join(self.folder, _JOBS, job_id.hex)
        try:
            (received,) = FrameDecoder().feed(content)
            return _submission(received.message)
        except (RpcError, ValueError, RecursionError) as error:
            raise ResourceError(
                f"{path} cannot be understood: {error}. Another version of shmflink wrote it: run the job's file again"
            ) from error

    def jobs(self) -> tuple[list[SubmitJob], list[str]]:
        """Jobs that have not ended, by id; and what is wrong with those that cannot be read."""
        found: list[SubmitJob] = []
        wrong: list[str] = []
        for name in sorted(os.listdir(os.path.join(self.folder, _JOBS))):
            try:
                submission = self.job(JobId(name))
            except ResourceError as error:
                wrong.append(str(error))
                continue
            if submission is not None:
                found.append(submission)
        return found, wrong

    def remove_job(self, job_id: JobId) -> None:
        """Forgets a job and its checkpoints; the checkpoints' own folders are not touched."""
        self._remove(_JOBS, job_id)
        self._remove(_CHECKPOINTS, job_id)

    # --- checkpoints ---

    def set_checkpoints(self, job_id: JobId, folders: Sequence[str]) -> None:
        """Folders of a job's completed checkpoints, newest first. To be called before older ones are deleted."""
        self._write(_CHECKPOINTS, job_id.hex, orjson.dumps(list(folders)))

    def checkpoints(self, job_id: JobId) -> list[str]:
        """As set last; empty where none was."""
        content = self._read(_CHECKPOINTS, job_id.hex)
        if content is None:
            return []
        path = os.path.join(self.folder, _CHECKPOINTS, job_id.hex)
        folders = _json(content, path)
        with _understood(path):
            if type(folders) is not list or any(type(one) is not str or not os.path.isabs(one) for one in folders):
                raise JsonFieldsError("the content is not a list of absolute paths")
        return folders

    # --- results ---

    def put_result(self, result: JobResult) -> None:
        """The job is over for ever: it is not run again. Then forgets the job itself."""
        content = {
            "state": result.state.value,
            "runtime_ms": result.runtime_ms,
            "failure_kind": result.failure_kind,
            "failure_message": result.failure_message,
        }
        self._write(_RESULTS, result.job_id.hex, orjson.dumps(content))
        self.remove_job(result.job_id)

    def result(self, job_id: JobId) -> JobResult | None:
        """How a job of this cluster ended; None where it has not, or the results were forgotten."""
        found = self._fields(_RESULTS, job_id.hex)
        if found is None:
            return None
        with _understood(os.path.join(self.folder, _RESULTS, job_id.hex)):
            state = found.text("state")
            if state not in JobState.__members__.values():
                raise JsonFieldsError(f"state is {state!r}, which no job enters")
            runtime_ms = found.integer("runtime_ms")
            result = JobResult(
                job_id, JobState(state), runtime_ms, found.text("failure_kind"), found.text("failure_message")
            )
            found.end()
        return result

    def remove_result(self, job_id: JobId) -> None:
        """Forgets how a job ended."""
        self._remove(_RESULTS, job_id)

    def leave_note(self, note: bytes) -> None:
        """For programs that wait for the directory, which get it from `take_note`: what became of the jobs."""
        self._write("", "note", b"%d %s\n%s" % (self._owner.pid, self._owner.since.encode(), note))

    def take_note(self, holder: tuple[int, str] | None) -> bytes | None:
        """The note of the JobManager that held the directory while we waited, `holder`; it is removed, as is any other
        one's, which means nobody any more.
        """
        content = self._read("", "note")
        if content is None:
            return None
        self._unlink("", "note")
        whose, _, note = content.partition(b"\n")
        return note if holder is not None and whose == b"%d %s" % (holder[0], holder[1].encode()) else None

    def forget_results(self) -> None:
        """The cluster ends in good order: who starts it again means new runs of its jobs."""
        places = {place.job_id.hex: place for place in self.places()}
        for name in os.listdir(os.path.join(self.folder, _RESULTS)):
            self.remove_job(JobId(name))  # a crash may have left it behind its result
            if name in places:
                self.remove_place(places[name].number)
            self.remove_result(JobId(name))

    def close(self) -> None:
        """Lets go of the directory. Idempotent."""
        if self._lock_fd >= 0:
            lock_fd, self._lock_fd = self._lock_fd, -1
            os.close(lock_fd)

    # --- files ---

    def _write(self, folder: str, name: str, content: bytes) -> None:
        self._check_ours()
        where = os.path.join(self.folder, folder)
        path = os.path.join(where, name)
        with _named(f"the HA directory {self.folder} cannot be written"):
            file = DurableFile(path, self._ops)
            file.write(b"shmflink %s version %d length %d crc32 %08x\n"
                       % (_kind(folder, name).encode(), _VERSION, len(content), zlib.crc32(content)))  # fmt: skip
            file.write(content)
            file.publish()
            self._ops.fsync_dir(where)

    def _read(self, folder: str, name: str) -> bytes | None:
        path = os.path.join(self.folder, folder, name)
        try:
            with open(path, "rb") as file:
                data = file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ResourceError(f"{path} cannot be read: {error.strerror or error}") from error
        return _checked(data, path, _kind(folder, name))

    def _fields(self, folder: str, name: str) -> JsonFields | None:
        """The content of a file that is a JSON object; None where there is no such file."""
        content = self._read(folder, name)
        if content is None:
            return None
        path = os.path.join(self.folder, folder, name)
        with _understood(path):
            return JsonFields(_json(content, path), "")

    def _remove(self, folder: str, job_id: JobId) -> None:
        self._unlink(folder, job_id.hex)

    def _unlink(self, folder: str, name: str) -> None:
        self._check_ours()
        where = os.path.join(self.folder, folder)
        with _named(f"the HA directory {self.folder} cannot be written"), contextlib.suppress(FileNotFoundError):
            self._ops.unlink(os.path.join(where, name))
            self._ops.fsync_dir(where)

    def _check_ours(self) -> None:
        """The lock is one on the folder that we opened; somebody may have put another one in its place."""
        try:
            is_ours = os.path.samestat(os.stat(self.folder), os.fstat(self._lock_fd))
        except OSError:
            is_ours = False
        if not is_ours:
            raise ResourceError(f"the HA directory {self.folder} was moved or removed while it was in use")


def _kind(folder: str, name: str) -> str:
    """What a file's header calls it: job, checkpoint, result; else its own name."""
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
            "by others, and what is in it is executed: chown and chmod 700 it"
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
    """None where its file is not there, or not whole."""
    try:
        with open(os.path.join(folder, "owner"), "rb") as file:
            owner = JsonFields(_json(_checked(file.read(), folder, "owner"), folder), "")
        return Owner(owner.integer("pid"), owner.text("host"), owner.text("since"))
    except (OSError, ResourceError, JsonFieldsError):
        return None


def _checked(data: bytes, path: str, kind: str) -> bytes:
    """What is behind the header; ResourceError where that does not fit it."""
    header = _HEADER.match(data[:_HEADER_BYTES_MAX])
    if header is None or header[1] != kind.encode():
        raise ResourceError(f"{path} is damaged ({len(data)} bytes without the header of a {kind}): {_REMEDY}")
    if int(header[2]) != _VERSION:
        raise ResourceError(f"{path} has version {int(header[2])} of the format, this shmflink knows {_VERSION}")
    content = data[header.end() :]
    if len(content) != int(header[3]):
        raise ResourceError(f"{path} is damaged ({len(content)} bytes instead of {int(header[3])}): {_REMEDY}")
    if zlib.crc32(content) != int(header[4], 16):
        raise ResourceError(f"{path} is damaged (its checksum does not fit): {_REMEDY}")
    return content


_REMEDY: Final = (
    "restore it from a copy, or choose another high-availability.cluster-id and start from a checkpoint (run -s PATH)"
)


def _json(content: bytes, path: str) -> Any:
    try:
        return orjson.loads(content)
    except ValueError as error:
        raise ResourceError(f"{path} is damaged ({error}): {_REMEDY}") from error


@contextlib.contextmanager
def _understood(path: str) -> Iterator[None]:
    """Its checksum fits: whoever wrote it wrote it like this."""
    try:
        yield
    except JsonFieldsError as error:
        raise ResourceError(
            f"{path} cannot be understood: {error}. Another version of shmflink wrote it: use that one, or choose "
            "another high-availability.cluster-id and start from a checkpoint (run -s PATH)"
        ) from error


def _submission(message: object) -> SubmitJob:
    """Checks the parts that recovery itself looks at. Raises RpcError."""
    if (
        isinstance(message, SubmitJob)
        and isinstance(message.graph, JobGraph)
        and isinstance(message.graph.job_id, JobId)
        and all(isinstance(text, str) for text in (message.graph.job_id.hex, message.graph.name))
        and isinstance(message.configuration, dict)
        and all(isinstance(vertex, JobVertex) for vertex in message.graph.vertices)
    ):
        return message
    raise RpcError(f"a {type(message).__name__} with other fields is no submitted job")


@contextlib.contextmanager
def _named(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ResourceError(f"{what}: {error.strerror or error}: {error.filename or ''}".rstrip(": ")) from error
    except CheckpointError as error:
        raise ResourceError(f"{what}: {error}") from error
