"""The HA directory: what a JobManager must find again after its death (Flink: HighAvailabilityServices).

::

    <high-availability.storageDir>/<cluster-id>/     locked (flock on the folder itself) by the JobManager that uses it
        owner                    which JobManager that is, for the error of a second one
        identity                 a random id of this folder, and its inode, which distinguishes a copy of the folder
        epoch                    the highest fencing epoch that may have been used
        places/<number>          the program's first, second, ... job: its id, name and file
        jobs/<job id>            the job as it was submitted
        checkpoints/<job id>     its completed checkpoints, newest first
        results/<job id>         how it ended, until the cluster ends cleanly

The files hold JSON (a submission: the bytes of its control message) behind the header that `ha_folder` describes. All
calls block.

Ids of jobs are random. Older releases had no places: they derived a job's id from the cluster's id and the number.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Sequence
from typing import Final

import orjson

from shmflink.checkpoint.file_ops import FILE_OPS, FileOps
from shmflink.core.ids import JobId
from shmflink.core.json_fields import JsonFieldsError
from shmflink.core.lazy_dataclass import dataclass
from shmflink.errors import ResourceError, RpcError
from shmflink.graph.job_graph import JobGraph, JobVertex
from shmflink.jobmanager.ha_folder import HaFolder, Owner, cluster_folder, parsed, understood
from shmflink.rpc.messages import SubmitJob
from shmflink.rpc.states import JobState
from shmflink.rpc.wire import FrameDecoder, frame_of

__all__ = ["HaStore", "JobResult", "Place", "job_names"]

_PLACES, _JOBS, _CHECKPOINTS, _RESULTS = "places", "jobs", "checkpoints", "results"
_JOB_ID: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Place:
    """The job that a program submits as its `number`th, from 0. `main_file` None: an older release did not store it."""

    number: int
    job_id: JobId
    name: str
    main_file: str | None


@dataclass(frozen=True, slots=True)
class JobResult:
    """How a job ended. `failure_kind` and `failure_message` are empty unless it FAILED. `folder_going`: the
    folder of its checkpoints, if it is removed after the end; empty if it is kept.
    """

    job_id: JobId
    state: JobState
    runtime_ms: int
    failure_kind: str = ""
    failure_message: str = ""
    folder_going: str = ""


def job_names(storage_dir: str, cluster_id: str) -> list[str]:
    """The names of the jobs that another JobManager stores in its directory, as far as they can be read."""
    store = HaStore(HaFolder(cluster_folder(storage_dir, cluster_id), -1, FILE_OPS))
    try:
        return [place.name for place in store.places()]
    except (ResourceError, OSError):  # the other JobManager may be writing
        return []


class HaStore:
    """The content of a cluster's directory, locked by this process until `close`. ResourceError if it cannot be
    used.
    """

    def __init__(self, folder: HaFolder) -> None:
        """Use `open`."""
        self._folder = folder

    @staticmethod
    def open(storage_dir: str, cluster_id: str, owner: Owner, file_ops: FileOps = FILE_OPS) -> HaStore:
        """Locks the directory, creates it if it is missing, and begins a new range of epochs.

        If another JobManager holds it, the ResourceError names that one.
        """
        folders = (_PLACES, _JOBS, _CHECKPOINTS, _RESULTS)
        return HaStore(HaFolder.open(cluster_folder(storage_dir, cluster_id), folders, owner, file_ops))

    @property
    def folder(self) -> str:
        """The path of the directory."""
        return self._folder.path

    @property
    def identity(self) -> str:
        """The identity of the directory; a copy has another one."""
        return self._folder.identity

    def next_epoch(self) -> int:
        """A fencing epoch above all that were handed out before, by this process or another."""
        return self._folder.next_epoch()

    # --- places ---

    def put_place(self, place: Place) -> None:
        """Records which job the program's job of this number is."""
        content = {"job_id": place.job_id.hex, "name": place.name, "main_file": place.main_file}
        self._folder.write(_PLACES, str(place.number), orjson.dumps(content))

    def places(self) -> list[Place]:
        """All recorded places, by number."""
        numbers = sorted(int(name) for name in os.listdir(os.path.join(self.folder, _PLACES)) if name.isdecimal())
        found = [self._place(number) for number in numbers]
        return [place for place in found if place is not None]

    def _place(self, number: int) -> Place | None:
        found = self._folder.fields(_PLACES, str(number))
        if found is None:
            return None
        with understood(os.path.join(self.folder, _PLACES, str(number))):
            text = found.text("job_id")
            if _JOB_ID.fullmatch(text) is None:
                raise JsonFieldsError(f"job_id is {text!r}, not 32 hexadecimal digits")
            place = Place(number, JobId(text), found.text("name"), found.optional_text("main_file"))
            found.end()
        return place

    def remove_place(self, number: int) -> None:
        """Clears a place: the next program starts a new job there."""
        self._folder.unlink(_PLACES, str(number))

    # --- jobs ---

    def put_job(self, submission: SubmitJob) -> None:
        """Stores the job. Replaces an earlier submission under its id, and removes its result."""
        job_id = submission.graph.job_id
        self._folder.write(_JOBS, job_id.hex, frame_of(submission))
        self._folder.unlink(_RESULTS, job_id.hex)

    def job(self, job_id: JobId) -> SubmitJob | None:
        """The submission under this id, if the job has not ended."""
        content = self._folder.read(_JOBS, job_id.hex)
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
        """Jobs that have not ended, by id; and the errors of those that cannot be read."""
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
        """Removes a job and the record of its checkpoints, but not the checkpoints' folders."""
        self._folder.unlink(_JOBS, job_id.hex)
        self._folder.unlink(_CHECKPOINTS, job_id.hex)

    # --- checkpoints ---

    def set_checkpoints(self, job_id: JobId, folders: Sequence[str]) -> None:
        """Records the folders of a job's completed checkpoints, newest first. Must be called before older ones are
        deleted.
        """
        self._folder.write(_CHECKPOINTS, job_id.hex, orjson.dumps(list(folders)))

    def checkpoints(self, job_id: JobId) -> list[str]:
        """The folders that were recorded last; empty if none were."""
        content = self._folder.read(_CHECKPOINTS, job_id.hex)
        if content is None:
            return []
        path = os.path.join(self.folder, _CHECKPOINTS, job_id.hex)
        folders = parsed(content, path)
        with understood(path):
            if type(folders) is not list or any(type(one) is not str or not os.path.isabs(one) for one in folders):
                raise JsonFieldsError("the content is not a list of absolute paths")
        return folders

    # --- results ---

    def put_result(self, result: JobResult) -> None:
        """Records that the job has ended, so that no JobManager runs it again; then removes the job itself."""
        content = {
            "state": result.state.value,
            "runtime_ms": result.runtime_ms,
            "failure_kind": result.failure_kind,
            "failure_message": result.failure_message,
        }
        if result.folder_going:
            content["folder_going"] = result.folder_going
        self._folder.write(_RESULTS, result.job_id.hex, orjson.dumps(content))
        self.remove_job(result.job_id)

    def result(self, job_id: JobId) -> JobResult | None:
        """How a job of this cluster ended; None if it has not, or its result was removed."""
        found = self._folder.fields(_RESULTS, job_id.hex)
        if found is None:
            return None
        with understood(os.path.join(self.folder, _RESULTS, job_id.hex)):
            state = found.text("state")
            if state not in JobState.__members__.values():
                raise JsonFieldsError(f"state is {state!r}, which no job enters")
            runtime_ms = found.integer("runtime_ms")
            failure = found.text("failure_kind"), found.text("failure_message")
            result = JobResult(job_id, JobState(state), runtime_ms, *failure, found.text("folder_going", ""))
            found.end()
        return result

    def folders_going(self) -> list[str]:
        """Folders of checkpoints that should have been removed after the end of their jobs. Unreadable results are
        reported when they are needed.
        """
        folders = []
        for name in os.listdir(os.path.join(self.folder, _RESULTS)):
            with contextlib.suppress(ResourceError):
                result = self.result(JobId(name))
                folders.append("" if result is None else result.folder_going)
        return [folder for folder in folders if folder]

    def remove_result(self, job_id: JobId) -> None:
        """Removes the record of how a job ended."""
        self._folder.unlink(_RESULTS, job_id.hex)

    def leave_note(self, note: bytes) -> None:
        """Leaves a note about the ended jobs, for programs that wait for the directory and call `take_note`."""
        self._folder.write("", "note", b"%d %s\n%s" % (self._folder.owner.pid, self._folder.owner.since.encode(), note))

    def take_note(self, holder: tuple[int, str] | None) -> bytes | None:
        """The note of `holder`, the JobManager that held the directory while we waited. Removes it, and also notes of
        other JobManagers, for which nobody waits any longer.
        """
        content = self._folder.read("", "note")
        if content is None:
            return None
        self._folder.unlink("", "note")
        whose, _, note = content.partition(b"\n")
        return note if holder is not None and whose == b"%d %s" % (holder[0], holder[1].encode()) else None

    def forget_results(self) -> None:
        """Called when the cluster ends cleanly: starting it again means new runs of its jobs."""
        places = {place.job_id.hex: place for place in self.places()}
        for name in os.listdir(os.path.join(self.folder, _RESULTS)):
            self.remove_job(JobId(name))  # a crash may have left it behind its result
            if name in places:
                self.remove_place(places[name].number)
            self.remove_result(JobId(name))

    def close(self) -> None:
        """Unlocks the directory. Idempotent."""
        self._folder.close()


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
    raise RpcError(f"a {type(message).__name__} is not a submitted job")
