"""Jobs of a session cluster that are over, on disk: still readable when another JobManager runs under its name.

A file for each job: what `rpc.read_messages` tells of it, as frames of the control wire (`JobRead`, then a `VertexRead`
for each vertex). Written under a temporary name and renamed; one that cannot be understood is left alone and logged.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final
from urllib.parse import quote

from shmflink.checkpoint.settings import local_directory
from shmflink.config.options import CLUSTER_NAME
from shmflink.config.session_options import JOB_ARCHIVE_DIRECTORY, JOB_STORE_CAPACITY, JOB_STORE_EXPIRATION
from shmflink.core.clock import Clock
from shmflink.core.lazy_dataclass import dataclass
from shmflink.errors import RpcError
from shmflink.rpc.read_messages import JobRead, VertexRead
from shmflink.rpc.wire import FrameDecoder, frame_of

__all__ = ["ArchiveWriter", "ArchivedJob", "JobArchive"]

_LOG: Final = logging.getLogger(__name__)
_NAME: Final = re.compile(r"[0-9a-f]{32}")
_UNFINISHED: Final = re.compile(r"[0-9a-f]{32}\.new")


@dataclass(frozen=True, slots=True)
class ArchivedJob:
    """What is kept of a job that is over. `vertices`: none where the subtasks of the job are not kept."""

    job: JobRead
    vertices: tuple[VertexRead, ...]

    @property
    def ended_ms(self) -> int:
        """Wall clock, since 1970."""
        overview = self.job.summary.overview
        return overview.started_ms + overview.duration_ms


class JobArchive:
    """The folder of one cluster. All calls block; call them from one thread at a time."""

    def __init__(self, folder: str, expires_after_ms: int, jobs_max: int, clock: Clock) -> None:
        self._folder = folder
        self._expires_after_ms = expires_after_ms
        self._jobs_max = jobs_max
        self._clock = clock

    @staticmethod
    def of(configuration: Mapping[str, str], environment: Mapping[str, str], clock: Clock) -> JobArchive:
        """As configured. Nothing is touched yet."""
        given = JOB_ARCHIVE_DIRECTORY.read(configuration)
        state = environment.get("XDG_STATE_HOME") or os.path.join(environment.get("HOME") or "/", ".local", "state")
        root = local_directory(given, JOB_ARCHIVE_DIRECTORY.key) if given else os.path.join(state, "shmflink", "jobs")
        name = quote(CLUSTER_NAME.read(configuration), safe="").replace(".", "%2E")
        expires_after_ms = JOB_STORE_EXPIRATION.read(configuration)
        return JobArchive(os.path.join(root, name), expires_after_ms, JOB_STORE_CAPACITY.read(configuration), clock)

    def load(self) -> list[ArchivedJob]:
        """Jobs that have not expired, in the order of their ends; at most as many as are kept. Removes the others, and
        what a JobManager left that died while it wrote.
        """
        for name in self._names(_UNFINISHED):
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(self._folder, name))
        found = sorted(filter(None, map(self._read, self._names(_NAME))), key=lambda one: one.ended_ms)
        oldest_ms = self._clock.processing_time_ms() - self._expires_after_ms
        kept = [one for one in found if one.ended_ms >= oldest_ms][-self._jobs_max :]
        self.remove([one for one in found if one not in kept])
        return kept

    def put(self, ended: ArchivedJob, expired: Sequence[ArchivedJob]) -> None:
        """Keeps a job, and forgets others. A full or missing disk is logged: the cluster does not need the archive."""
        path = os.path.join(self._folder, ended.job.summary.overview.job_id.hex)
        temporary = f"{path}.new"
        try:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            with open(temporary, "wb") as file:
                file.writelines(frame_of(message) for message in (ended.job, *ended.vertices))
            os.replace(temporary, path)
        except (OSError, RpcError) as error:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            _LOG.warning("job %s is not archived: %s", ended.job.summary.overview.job_id, error)
        self.remove(expired)

    def remove(self, jobs: Sequence[ArchivedJob]) -> None:
        """Forgets them."""
        for one in jobs:
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(self._folder, one.job.summary.overview.job_id.hex))

    def _names(self, pattern: re.Pattern[str]) -> list[str]:
        try:
            return [name for name in os.listdir(self._folder) if pattern.fullmatch(name)]
        except OSError:  # nothing was archived yet, or it is told at the first job
            return []

    def _read(self, name: str) -> ArchivedJob | None:
        path = os.path.join(self._folder, name)
        try:
            with open(path, "rb") as file:
                return _job(file.read())
        except (OSError, RpcError, ValueError, RecursionError) as error:
            _LOG.warning("the archived job %s cannot be read: %s", path, error)
            return None


def _job(content: bytes) -> ArchivedJob:
    job, *vertices = (received.message for received in FrameDecoder().feed(content))
    if not isinstance(job, JobRead):
        raise RpcError(f"it holds a {type(job).__name__}")
    return ArchivedJob(job, tuple(vertex for vertex in vertices if isinstance(vertex, VertexRead)))


class ArchiveWriter:
    """Writes to an archive from a thread of its own: nobody waits for its disk."""

    def __init__(self, archive: JobArchive) -> None:
        self._archive = archive
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="archive")

    def __call__(self, ended: ArchivedJob, expired: Sequence[ArchivedJob]) -> None:
        """See `JobArchive.put`."""
        self._thread.submit(self._archive.put, ended, expired)

    def close(self) -> None:
        """Blocks until all of it is written."""
        self._thread.shutdown()
