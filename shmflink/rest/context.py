"""What the handlers of one REST server share."""

from __future__ import annotations

import contextlib

from shmflink.core.clock import Clock
from shmflink.core.ids import JobId
from shmflink.core.lazy_dataclass import dataclass
from shmflink.rest.cancellations import Cancellations
from shmflink.rest.control import Control
from shmflink.rest.errors import job_not_found, not_found
from shmflink.rest.operations import Operations
from shmflink.rest.rendered import Rendered
from shmflink.rest.settings import RestSettings
from shmflink.rest.snapshots import JobSnapshot, Snapshots, UnknownJobError, VertexSample
from shmflink.rest.views.vertices import vertex_id
from shmflink.rpc.read_messages import JobRead, JobSummary, VertexShape

__all__ = ["Context"]


@dataclass(frozen=True, slots=True)
class Context:
    """`host`: the name of this machine, as endpoints of tasks show it. `base_url`: where clients find this server."""

    settings: RestSettings
    control: Control
    snapshots: Snapshots
    savepoints: Operations
    checkpoints: Operations
    disposals: Operations
    cancellations: Cancellations
    clock: Clock
    rendered: Rendered
    host: str
    base_url: str

    # --- lookups, with the errors of most paths ---

    async def job(self, job_id: JobId) -> JobRead:
        """RestError 404 if there is no such job."""
        try:
            return await self.snapshots.job(job_id)
        except UnknownJobError:
            raise job_not_found(job_id.hex) from None

    async def whole_job(self, job_id: JobId) -> JobSnapshot:
        """RestError 404 if there is no such job, or its subtasks are forgotten."""
        try:
            return await self.snapshots.whole_job(job_id)
        except UnknownJobError:
            raise job_not_found(job_id.hex) from None

    async def find_job(self, job_id: JobId) -> JobSummary | None:
        """As it is now; None if there is no such job."""
        found = await self.snapshots.jobs()
        return next((job for job in found.jobs if job.overview.job_id == job_id), None)

    async def find_vertex(self, job_id: JobId, wanted: str) -> tuple[VertexShape, VertexSample] | None:
        """None if there is no such job or vertex."""
        with contextlib.suppress(UnknownJobError):
            read = await self.snapshots.job(job_id)
            shape = next((shape for shape in read.vertices if vertex_id(shape) == wanted), None)
            if shape is not None:
                return shape, await self.snapshots.vertex(job_id, shape.index)
        return None

    async def vertex(self, job_id: JobId, wanted: str) -> tuple[VertexShape, VertexSample]:
        """RestError 404 if there is no such job or vertex."""
        await self.job(job_id)
        found = await self.find_vertex(job_id, wanted)
        if found is None:
            raise not_found(f"JobVertex {wanted} not found")
        return found
