"""A thread behind a writer for calls that may block: a full pipe, a slow disk, a client that does not read."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any, Final, Protocol, TypeVar

from shmflink.core.mailbox import Mailbox
from shmflink.errors import ResourceError

__all__ = ["JOIN_TIMEOUT_SECONDS", "Delivery", "Outbox"]

JOIN_TIMEOUT_SECONDS: Final = 5.0

_END: Final = object()

T = TypeVar("T")


class _Call:
    """A call to run in its turn, for a caller that waits for the result."""

    def __init__(self, action: Callable[[], Any]) -> None:
        self._action = action
        self.result: Future[Any] = Future()

    def run(self) -> None:
        try:
            self.result.set_result(self._action())
        except BaseException as error:
            self.result.set_exception(error)
            raise


class Delivery(Protocol):
    """The interface for a caller that only queues items in order."""

    def put(self, item: Any) -> None:
        """Queues an item."""
        ...

    def raise_error(self) -> None:
        """The error of an earlier item, if there was one."""
        ...

    def close(self) -> bool:
        """Discards queued items. False if an item is stuck."""
        ...


class Outbox:
    """Passes items to `deliver`, one at a time and in order, in its own thread.

    The slot's thread puts items; it never waits here. The mailbox is woken when a full queue has room again and at the
    end. An exception of `deliver` or `complete` is raised in the slot's thread by the next call of any method except
    `close`.
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
        """`complete` runs in the thread after the last item of a normal end; `idle` runs each time `idle_seconds` pass
        without an item.
        """
        self._mailbox = mailbox
        self._deliver = deliver
        self._complete = complete
        # Unbounded: `is_available` limits the items, and calls (one per checkpoint) must be accepted even when there is
        # no room.
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._items_max = items_max
        self._idle = idle
        self._idle_seconds = None if idle is None else idle_seconds
        self._error: BaseException | None = None
        self._is_abandoned = False
        self._is_finished = False
        self._has_ended = False  # the thread takes nothing further
        self._ending = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: Any) -> None:
        """Queues an item. Must not be called while `is_available` is False."""
        self._raise_error()
        self._queue.put(item)

    def call(self, action: Callable[[], T]) -> Callable[[], T]:
        """Schedules `action` in the thread after all items so far, even if the queue is full or the end was reached.

        The returned function waits, in any thread, for the result. It raises what `action` raised, or why it did not
        run.
        """
        self._raise_error()
        call = _Call(action)
        with self._ending:
            if not self._has_ended:
                self._queue.put(call)
                return lambda: _waited(call)
        if self._is_finished:
            return action
        self._give_up(call)
        return lambda: _waited(call)

    @property
    def is_available(self) -> bool:
        """False while the queue is full. True after an error, so that the next call raises it."""
        return self._queue.qsize() < self._items_max or self._error is not None

    def finish(self) -> None:
        """Nothing follows; `is_finished` becomes True when everything is delivered and completed."""
        self._raise_error()
        self._queue.put(_END)

    @property
    def is_finished(self) -> bool:
        self._raise_error()
        return self._is_finished

    def close(self, timeout_seconds: float = JOIN_TIMEOUT_SECONDS) -> bool:
        """Discards what is still queued and ends the thread.

        False if it is stuck in `deliver`. Idempotent.
        """
        self._is_abandoned = True
        self._queue.put(_END)
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    @property
    def error(self) -> BaseException | None:
        """The error of the thread, if there was one."""
        return self._error

    def raise_error(self) -> None:
        """The error of the thread, if there was one."""
        self._raise_error()

    def _run(self) -> None:
        try:
            while (item := self._next()) is not _END and not self._is_abandoned:
                if self._queue.qsize() >= self._items_max - 1:
                    self._mailbox.wake()  # it was full and has room again
                if isinstance(item, _Call):
                    item.run()
                else:
                    self._deliver(item)
            if isinstance(item, _Call):
                self._give_up(item)
            if not self._is_abandoned:
                self._complete()
        except BaseException as error:
            self._error = error
        self._end()
        self._mailbox.wake()

    def _end(self) -> None:
        """Calls that are still queued run after a normal end, and fail otherwise."""
        with self._ending:
            self._has_ended = True
        with contextlib.suppress(queue.Empty):
            while True:
                item = self._queue.get_nowait()
                if not isinstance(item, _Call):
                    continue
                if self._error is not None or self._is_abandoned:
                    self._give_up(item)
                    continue
                try:
                    item.run()
                except BaseException as error:
                    self._error = error
        self._is_finished = self._error is None and not self._is_abandoned

    def _give_up(self, call: _Call) -> None:
        if self._error is not None:
            call.result.set_exception(self._error)
        else:
            call.result.cancel()

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


def _waited(call: _Call) -> Any:
    try:
        return call.result.result()
    except CancelledError:
        raise ResourceError("the writer was closed before it had written the rows of this checkpoint") from None
