"""What the JobManager said last, and when it is asked again: the bound on what any number of HTTP requests cost it.

Requests for the same thing that come while it is asked share one answer. What was read stays valid for a moment. For a
moment more it is still answered with, while the JobManager is asked in the background: no request of many waits for
that. Both together are shorter than what Flink's own REST server keeps an execution graph for (`web.refresh-interval`,
3 s).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from shmflink.core.clock import Clock
from shmflink.core.ids import JobId
from shmflink.core.lazy_dataclass import dataclass
from shmflink.errors import RequestFailedError, RpcError
from shmflink.rest.control import Control
from shmflink.rest.errors import unavailable
from shmflink.rpc.read_messages import (
    ClusterRead,
    JobRead,
    JobsRead,
    ReadCluster,
    ReadJob,
    ReadJobs,
    ReadVertex,
    VertexRead,
)

__all__ = ["JobSnapshot", "Snapshots", "UnknownJobError", "VertexSample"]

_JOBS_AGE_MS: Final = 100
_JOB_AGE_MS: Final = 500
_VERTEX_AGE_MS: Final = 1_000
_NO_AGE: Final = -1  # what is kept does not do
_STALE_MS: Final = 500  # beyond its age
_KEPT_MAX: Final = 1_000  # answers; the ones that nobody asked for longest go first
_RATE_WINDOW_MS: Final = 60_000  # an older sample says nothing about the rate of today (Flink's meters: one minute)

_Found = TypeVar("_Found")


class UnknownJobError(Exception):
    """The JobManager does not know the job, or no longer, or has forgotten its subtasks."""


@dataclass(frozen=True, slots=True)
class VertexSample:
    """The subtasks of a vertex now, and a moment before, for rates; times in ms of one monotonic clock."""

    read: VertexRead
    at_ms: int
    before: VertexRead | None = None
    before_ms: int = 0


@dataclass(frozen=True, slots=True)
class JobSnapshot:
    """A job with all its subtasks, `vertices` in the order of `read.vertices`. `now_ms`: since 1970."""

    read: JobRead
    vertices: tuple[VertexSample, ...]
    now_ms: int


@dataclass(slots=True)
class _Kept:
    value: Any
    at_ms: int


class Snapshots:
    """Over one JobManager. Used by one event loop."""

    def __init__(self, control: Control, clock: Clock) -> None:
        self._control = control
        self._clock = clock
        self._kept: OrderedDict[object, _Kept] = OrderedDict()
        self._under_way: dict[object, asyncio.Task[Any]] = {}

    def now_ms(self) -> int:
        """Since 1970."""
        return self._clock.processing_time_ms()

    # --- reads ---

    async def cluster(self) -> ClusterRead:
        """RestError 503 if the JobManager does not answer; so do the others."""
        return await self._get(ReadCluster(), _JOBS_AGE_MS, lambda: self._control.read(ReadCluster(), ClusterRead))

    async def jobs(self) -> JobsRead:
        """Never stale: clients that have just submitted or canceled a job ask for it."""
        return await self._get(ReadJobs(), _JOBS_AGE_MS, lambda: self._control.read(ReadJobs(), JobsRead), stale_ms=0)

    async def job(self, job_id: JobId) -> JobRead:
        """UnknownJobError if there is no such job."""
        return await self._get(ReadJob(job_id), _JOB_AGE_MS, lambda: self._control.read(ReadJob(job_id), JobRead))

    async def vertex(self, job_id: JobId, index: int) -> VertexSample:
        """UnknownJobError if there is no such job, or its subtasks are forgotten."""
        request = ReadVertex(job_id, index)
        return await self._get(request, _VERTEX_AGE_MS, lambda: self._sample(request))

    async def whole_job(self, job_id: JobId) -> JobSnapshot:
        """With all subtasks; the JobManager is asked for one vertex after the other. UnknownJobError as above."""
        key = ("whole", job_id)
        return await self._get(key, _JOB_AGE_MS, lambda: self._whole(job_id))

    def forget(self) -> None:
        """After a request that changes something: what comes next sees it."""
        self._kept = OrderedDict((key, kept) for key, kept in self._kept.items() if isinstance(key, ReadVertex))

    # --- inside ---

    async def _whole(self, job_id: JobId) -> JobSnapshot:
        read = await self.job(job_id)
        vertices = [await self._vertex_of(read, shape.index) for shape in read.vertices]
        return JobSnapshot(read, tuple(vertices), self.now_ms())

    async def _vertex_of(self, read: JobRead, index: int) -> VertexSample:
        """Of the job in the state that was read: the tasks of one that has ended do not run."""
        job = read.summary.overview
        sample = await self.vertex(job.job_id, index)
        if sample.read.state is job.state:
            return sample
        request = ReadVertex(job.job_id, index)
        return await self._get(request, _NO_AGE, lambda: self._sample(request))

    async def _sample(self, request: ReadVertex) -> VertexSample:
        read = await self._control.read(request, VertexRead)
        now_ms = self._clock.monotonic_ns() // 1_000_000
        kept = self._kept.get(request)
        if kept is None or now_ms - kept.value.at_ms > _RATE_WINDOW_MS:
            return VertexSample(read, now_ms)
        return VertexSample(read, now_ms, kept.value.read, kept.value.at_ms)

    async def _get(
        self, key: object, age_ms: int, read: Callable[[], Awaitable[_Found]], *, stale_ms: int = _STALE_MS
    ) -> _Found:
        kept = self._kept.get(key)
        old_ms = 0 if kept is None else self._clock.monotonic_ns() // 1_000_000 - kept.at_ms
        if kept is None or age_ms == _NO_AGE or old_ms > age_ms + stale_ms:
            shared: _Found = await asyncio.shield(self._reading(key, read))  # a client that leaves takes it from nobody
            return shared
        if old_ms > age_ms:
            self._reading(key, read)
        self._kept.move_to_end(key)
        found: _Found = kept.value
        return found

    def _reading(self, key: object, read: Callable[[], Awaitable[_Found]]) -> asyncio.Task[_Found]:
        """The one that is under way, or a new one."""
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.ensure_future(self._read(key, read))
            self._under_way[key] = task
            task.add_done_callback(lambda done: self._over(key, done))
        return task

    def _over(self, key: object, done: asyncio.Task[Any]) -> None:
        self._under_way.pop(key, None)
        if not done.cancelled():
            done.exception()  # nobody may wait for it

    async def _read(self, key: object, read: Callable[[], Awaitable[_Found]]) -> _Found:
        try:
            value = await read()
        except RequestFailedError as error:
            self._kept.pop(key, None)
            raise UnknownJobError(str(error)) from None
        except RpcError as error:
            raise unavailable(str(error)) from None
        self._kept[key] = _Kept(value, self._clock.monotonic_ns() // 1_000_000)
        self._kept.move_to_end(key)
        if len(self._kept) > _KEPT_MAX:
            self._kept.popitem(last=False)
        return value
