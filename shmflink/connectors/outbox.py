"""A thread behind a writer, for what may block: a full pipe, a slow disk, a client that does not read."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, Final

from shmflink.operators.base import Mailbox

__all__ = ["JOIN_TIMEOUT_SECONDS", "Outbox"]

JOIN_TIMEOUT_SECONDS: Final = 5.0

_END: Final = object()


class Outbox:
    """Hands items to `deliver`, one at a time and in order, in a thread of its own.

    The slot's thread puts; it never waits here. When the queue was full or the end is reached, the mailbox is
    woken. What `deliver` or `complete` raises is raised in the slot's thread by the next call of any method
    but `close`.
    """

    def __init__(
        self,
        name: str,
        mailbox: Mailbox,
        deliver: Callable[[Any], None],
        complete: Callable[[], None] = lambda: None,
        *,
        items_max: int = 8,
        idle: Callable[[], None] | None = None,
        idle_seconds: float | None = None,
    ) -> None:
        """`complete` runs in the thread after the last item of a normal end; `idle` after `idle_seconds` without
        an item, again and again.
        """
        self._mailbox = mailbox
        self._deliver = deliver
        self._complete = complete
        # One place more than items, for the end.
        self._queue: queue.Queue[Any] = queue.Queue(items_max + 1)
        self._items_max = items_max
        self._idle = idle
        self._idle_seconds = None if idle is None else idle_seconds
        self._error: BaseException | None = None
        self._is_abandoned = False
        self._is_finished = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: Any) -> None:
        """Queues an item. Must not be called while `is_available` is False."""
        self._raise_error()
        self._queue.put_nowait(item)

    @property
    def is_available(self) -> bool:
        """False while the queue is full. True after an error, so that the next call raises it."""
        return self._queue.qsize() < self._items_max or self._error is not None

    def finish(self) -> None:
        """Nothing follows; `is_finished` tells when everything is delivered and completed."""
        self._raise_error()
        self._queue.put_nowait(_END)

    @property
    def is_finished(self) -> bool:
        self._raise_error()
        return self._is_finished

    def close(self) -> bool:
        """Throws away what is still queued and ends the thread.

        False when it is stuck in `deliver`. Idempotent.
        """
        self._is_abandoned = True
        with contextlib.suppress(queue.Full):  # then the thread finds `_is_abandoned` with the next item
            self._queue.put_nowait(_END)
        self._thread.join(JOIN_TIMEOUT_SECONDS)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while (item := self._next()) is not _END and not self._is_abandoned:
                if self._queue.qsize() >= self._items_max - 1:
                    self._mailbox.wake()  # it was full: there is room again
                self._deliver(item)
            if not self._is_abandoned:
                self._complete()
                self._is_finished = True
        except BaseException as error:
            self._error = error
        self._mailbox.wake()

    def _next(self) -> Any:
        while True:
            try:
                return self._queue.get(timeout=self._idle_seconds)
            except queue.Empty:
                assert self._idle is not None
                self._idle()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error
