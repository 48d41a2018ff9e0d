"""Savepoints that a program requests, over the control socket of its JobManager, like any client."""

from __future__ import annotations

import threading
from collections.abc import Callable

from shmflink.client.completable_future import CompletableFuture
from shmflink.client.control_client import request
from shmflink.core.clock import SYSTEM_CLOCK
from shmflink.core.ids import JobId
from shmflink.errors import ShmflinkError
from shmflink.rpc.control_messages import SavepointCompleted, StopJob, TriggerSavepoint

__all__ = ["request_savepoint"]


def request_savepoint(
    path: Callable[[], str], job_id: JobId, target: str, stops: bool, drains: bool
) -> CompletableFuture[str]:
    """A thread delivers the savepoint's path or a RequestFailedError. `path` waits until the control socket's path
    is known.
    """
    future: CompletableFuture[str] = CompletableFuture()
    message = StopJob(job_id, target, drains) if stops else TriggerSavepoint(job_id, target)

    def ask() -> None:
        try:
            future.complete(request(path(), message, SavepointCompleted, SYSTEM_CLOCK).path)
        except ShmflinkError as error:
            future.complete_exceptionally(error)

    threading.Thread(target=ask, name="shmflink-savepoint", daemon=True).start()
    return future
