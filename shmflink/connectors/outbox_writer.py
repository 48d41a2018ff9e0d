"""Writers that delegate writing to the thread of an outbox."""

from __future__ import annotations

from shmflink.connectors.base import SinkWriter
from shmflink.core.outbox import Outbox

__all__ = ["OutboxWriter"]


class OutboxWriter(SinkWriter):
    """Is available and finished when its outbox is. The subclass puts its input into the outbox, and closes it."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    @property
    def is_available(self) -> bool:
        return self._outbox.is_available

    def finish(self) -> None:
        self._outbox.finish()

    @property
    def is_finished(self) -> bool:
        return self._outbox.is_finished
