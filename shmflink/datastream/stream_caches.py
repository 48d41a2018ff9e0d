"""Streams whose rows are stored for later jobs (`DataStream.cache`)."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeAlias

from shmflink.connectors.cache import CacheSink, CacheSource
from shmflink.plan.calls import Read, Write
from shmflink.planner.carrying import carried_metadata

if TYPE_CHECKING:
    from shmflink.client.job_client import JobClient
    from shmflink.datastream.recorder import Recorded, Recorder

__all__ = ["Caching", "StreamCache", "StreamCaches"]

_PREFIX: Final = "shmflink-cache-"


class StreamCache:
    """The stored rows of one stream: none yet, being written by a job, or complete. Once they are complete, the
    stream's node is a source that reads them.
    """

    def __init__(self, recorder: Recorder, recorded: Recorded) -> None:
        self._recorder = recorder
        self._recorded = recorded
        self._origin = (recorded.node, recorded.inputs)
        self._folder: _Folder | None = None
        self._writing: tuple[JobClient, _Folder] | None = None

    @property
    def is_wanted(self) -> bool:
        """Whether the recorded job reads the stream and its rows are not stored yet."""
        return not self.is_filled and self._recorder.runs(self._recorded)

    @property
    def is_filled(self) -> bool:
        """Whether a job has written all rows; from then on jobs read them."""
        return self._folder is not None

    def follow(self) -> None:
        """Checks whether the job that writes the rows has ended."""
        if self._writing is None:
            return
        client, folder = self._writing
        result = client.get_job_execution_result()
        if result.done():
            self._writing = None
            if result.exception() is None:
                self._read_from(folder)

    def _read_from(self, folder: _Folder) -> None:
        node = self._recorded.node
        self._origin = (node, self._recorded.inputs)  # with its current settings: a uid may have been set since
        annotations = carried_metadata(self._recorded.plan())[node.id]
        source = Read(CacheSource(folder.path, node.output_type, annotations), "CacheRead", node.output_type)
        read = self._recorder.unrecorded(source)
        settings = replace(
            read.settings, parallelism=node.settings.parallelism, max_parallelism=node.settings.max_parallelism
        )
        self._recorded.node = replace(read, id=node.id, settings=settings, place=node.place)
        self._recorded.inputs = ()
        self._folder = folder

    def begin(self) -> _Folder:
        """Makes the recorded job write the rows, too."""
        folder = _Folder()
        self._recorder.record(Write(CacheSink(folder.path), "CacheWrite"), self._recorded)
        return folder

    def submitted(self, client: JobClient, folder: _Folder) -> None:
        """Notes that the job writes the rows."""
        self._writing = (client, folder)

    def invalidate(self) -> None:
        """Deletes the rows; the next job computes and stores them again."""
        if self.is_filled:
            self._recorded.node, self._recorded.inputs = self._origin
        self._folder = self._writing = None


class StreamCaches:
    """The cached streams of one environment."""

    def __init__(self) -> None:
        self._caches: list[StreamCache] = []

    def add(self, cache: StreamCache) -> None:
        self._caches.append(cache)

    def follow(self) -> None:
        """Called before a plan is built: switches streams whose rows are now complete to reading them."""
        for cache in self._caches:
            cache.follow()

    def begin(self) -> list[Caching]:
        """Makes the recorded job write the rows of its cached streams that are not stored yet."""
        wanted = [cache for cache in self._caches if cache.is_wanted]
        return [(cache, cache.begin()) for cache in wanted]

    def clear(self) -> None:
        """Deletes all rows."""
        for cache in self._caches:
            cache.invalidate()


class _Folder:
    """A temporary folder that is removed with this object, at the latest at the end of the process."""

    def __init__(self) -> None:
        _remove_those_of_dead_processes()
        self.path = tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-")
        self._finalizer = weakref.finalize(self, _remove, self.path, os.getpid())


def _remove(path: str, pid: int) -> None:
    if os.getpid() == pid:  # after a fork the folder still belongs to the parent
        shutil.rmtree(path, ignore_errors=True)


def _remove_those_of_dead_processes() -> None:
    """Removes folders that killed programs left behind."""
    root = tempfile.gettempdir()
    for name in os.listdir(root):
        pid = name.removeprefix(_PREFIX).partition("-")[0]
        if name.startswith(_PREFIX) and pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
            path = os.path.join(root, name)
            with contextlib.suppress(OSError):
                if os.lstat(path).st_uid == os.getuid():
                    shutil.rmtree(path, ignore_errors=True)


Caching: TypeAlias = tuple[StreamCache, _Folder]  # a stream, and the folder into which the recorded job writes its rows
