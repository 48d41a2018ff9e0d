"""Requests for checkpoints and savepoints that wait until one may begin, and the one that stops the job."""

from __future__ import annotations

from shmflink.checkpoint.events import CheckpointRequested, Drain, Effect, RequestDone, SavepointRequested

__all__ = ["CheckpointRequests"]


class CheckpointRequests:
    """At most one savepoint stops the job."""

    def __init__(self) -> None:
        self.stop: SavepointRequested | None = None
        self.is_stop_saved = False
        """The savepoint that stops the job is complete."""
        self.savepoints: list[SavepointRequested] = []
        self.checkpoints: list[int] = []

    @property
    def is_draining(self) -> bool:
        """The sources end first; the savepoint comes after that."""
        return self.stop is not None and self.stop.drains and not self.is_stop_saved

    @property
    def is_stop_waiting(self) -> bool:
        return self.stop is not None and self.stop in self.savepoints

    def add(self, request: SavepointRequested | CheckpointRequested) -> list[Effect]:
        """It waits, or drains the job."""
        if isinstance(request, CheckpointRequested):
            self.checkpoints.append(request.request_id)
            return []
        if request.stops or request.drains:
            self.stop = request
        if request.drains:
            return [Drain()]
        self.savepoints.append(request)
        return []

    def take_savepoints(self) -> list[SavepointRequested]:
        taken, self.savepoints = self.savepoints, []
        return taken

    def refuse_savepoints(self, reason: str) -> list[Effect]:
        """The job goes on, if one of them was to stop it."""
        if self.is_stop_waiting:
            self.stop = None
        return [RequestDone(request.request_id, reason=reason) for request in self.take_savepoints()]

    def take_checkpoints(self) -> tuple[int, ...]:
        taken, self.checkpoints = tuple(self.checkpoints), []
        return taken

    def refuse_all(self, reason: str, *, is_stop_triggered: bool) -> list[Effect]:
        """The attempts have ended. A savepoint that was triggered answers its request itself."""
        effects: list[Effect] = []
        is_stored = self.is_stop_saved or is_stop_triggered
        if self.stop is not None and not is_stored and not self.is_stop_waiting:  # it was draining
            effects.append(RequestDone(self.stop.request_id, reason=reason))
        self.stop = None
        self.is_stop_saved = False
        waiting = [*(savepoint.request_id for savepoint in self.take_savepoints()), *self.take_checkpoints()]
        return effects + [RequestDone(request, reason=reason) for request in waiting]
