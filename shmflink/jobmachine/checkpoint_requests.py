"""Requests for savepoints and checkpoints: which of them reach the coordinator, and their answers."""

from __future__ import annotations

from shmflink.checkpoint.events import CheckpointRequested, SavepointRequested
from shmflink.jobmachine.effects import Answer
from shmflink.jobmachine.events import SavepointWanted
from shmflink.jobmachine.outlet import Outlet
from shmflink.jobmachine.suspension import SUSPENSION, Suspension
from shmflink.rpc.messages import Failure

__all__ = ["CheckpointRequests"]

_OVER = "the job is over"


class CheckpointRequests:
    """One per job. Each request has one answer."""

    def __init__(
        self, savepoint_directory: str | None, suspension: Suspension, outlet: Outlet, *, is_batch: bool
    ) -> None:
        """`savepoint_directory`: for savepoints whose request names none."""
        self._savepoint_directory = savepoint_directory
        self._suspension = suspension
        self._outlet = outlet
        self._is_batch = is_batch
        self._is_closed = False

    def savepoint(self, request: SavepointWanted) -> SavepointRequested | None:
        """What the coordinator is told; None if the request is refused."""
        folder = request.target or self._savepoint_directory
        if self._is_closed:
            self._refuse(request.request_id, _OVER)
        elif self._is_batch:
            self._refuse(request.request_id, "a job in BATCH mode has no checkpoints and no savepoints")
        elif folder is None:
            text = "name a folder for the savepoint, or set execution.checkpointing.savepoint-dir"
            self._refuse(request.request_id, text)
        else:
            return SavepointRequested(request.request_id, folder, request.stops, request.drains)
        return None

    def checkpoint(self, request_id: int) -> CheckpointRequested | None:
        """What the coordinator is told; None if the request is refused."""
        if self._is_closed:
            self._refuse(request_id, _OVER)
            return None
        return CheckpointRequested(request_id)

    def _refuse(self, request_id: int, reason: str) -> None:
        self.answer(request_id, None, reason)

    def answer(self, request_id: int, path: str | None, reason: str | None) -> None:
        """`path` of what was written, or the reason why there is none."""
        if request_id == SUSPENSION:
            self._suspension.checkpoint_over()
            return
        failure = None if path is not None else Failure("CheckpointError", reason or "")
        self._outlet.ask(Answer(request_id, path, failure))

    def close(self) -> None:
        """The job is over: every later request is refused."""
        self._is_closed = True
