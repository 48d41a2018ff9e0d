"""Feeds events to a job machine, one after the other, and performs the effects of each."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from shmflink.core.clock import Clock
from shmflink.errors import InternalError, ShmflinkError
from shmflink.jobmachine import events
from shmflink.jobmachine.effects import Effect
from shmflink.jobmachine.events import Event
from shmflink.jobmachine.job import JobMachine
from shmflink.jobmanager.splits import failure_of
from shmflink.rpc.limits import system_error_text
from shmflink.rpc.messages import Failure

__all__ = ["MachineEvents"]

_LOG: Final = logging.getLogger(__name__)


class MachineEvents:
    """The events of one job. Used only by the event loop."""

    def __init__(self, machine: JobMachine, name: str, clock: Clock, perform: Callable[[Effect], None]) -> None:
        """`name`: the job's. An exception of `perform` is an internal error of the job."""
        self._machine = machine
        self._name = name
        self._clock = clock
        self._perform = perform
        self._events: deque[Event] = deque()
        self._is_feeding = False

    def feed(self, event: Event) -> None:
        """Handles an event; events that arrive meanwhile wait for their turn."""
        self._events.append(event)
        if self._is_feeding:
            return
        self._is_feeding = True
        try:
            while self._events:
                self._handle(self._events.popleft())
        finally:
            self._is_feeding = False

    def _handle(self, event: Event) -> None:
        try:
            effects = self._machine.handle(event, self._clock.monotonic_ns() // 1_000_000)
        except Exception as error:
            if isinstance(event, events.Crashed):
                raise
            self.crashed(error)
            return
        for effect in effects:
            try:
                self._perform(effect)
            except Exception as error:
                if isinstance(event, events.Crashed):
                    raise
                self.crashed(error)

    def crashed(self, error: Exception) -> None:
        """Fails the job after an exception in our own code: its state is no longer reliable, but that of other jobs
        is.
        """
        _LOG.error("job '%s': internal error", self._name, exc_info=error)
        self.feed(events.Crashed(_internal(error, self._machine.story.lines())))


def _internal(error: Exception, story: Sequence[str]) -> Failure:
    """An internal error as a failure. If users cannot act on it, adds the job's latest transitions."""
    if isinstance(error, OSError):
        return replace(failure_of(error), kind="ResourceError", message=system_error_text(error))
    if isinstance(error, ShmflinkError) and not isinstance(error, InternalError):
        return failure_of(error)
    text = f"the JobManager cannot continue the job: {type(error).__name__}: {error}"
    told = failure_of(error)
    lines = "\n".join(["The latest transitions of the job, oldest first:", *story])
    return replace(told, kind="InternalError", message=text, traceback_text=f"{told.traceback_text}\n{lines}")
