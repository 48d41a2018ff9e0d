"""Runs a user's coroutines on an event loop in a separate thread."""

from __future__ import annotations

import asyncio
import copy
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import Any, Final

import uvloop

from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.mailbox import Mailbox
from shmflink.operators.asynchronous.queue import Entry
from shmflink.operators.asynchronous.retry import RetryStrategy

__all__ = ["AsyncCall", "AsyncCalls"]

_JOIN_SECONDS: Final = 5.0
_CANCEL_SECONDS: Final = 1.0  # time for the `finally` blocks of canceled calls


@dataclass(frozen=True, slots=True)
class AsyncCall:
    """How a value is looked up: `invoke(value)` with a time limit in seconds (None: no limit) for all of its attempts.

    When the limit is reached, the coroutine is canceled and `on_timeout(value)` gives the results. `checked` turns what
    the user returned into results, or raises.
    """

    invoke: Callable[[Any], Any]
    on_timeout: Callable[[Any], Any]
    checked: Callable[[Any], Any]
    timeout_s: float | None = None
    retry: RetryStrategy | None = None


class AsyncCalls:
    """At most `capacity` calls at a time, in order of submission. A call counts until `release` is called for it.

    The slot's thread submits, collects and releases; the loop's thread wakes the mailbox once for all calls that end in
    one round of the loop.
    """

    def __init__(self, name: str, mailbox: Mailbox, call: AsyncCall, capacity: int) -> None:
        self._mailbox = mailbox
        self._call = call
        self._free = capacity  # belongs to the loop's thread, like `_waiting`
        self._waiting: deque[Entry] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended: deque[Entry] = deque()
        self._is_told = True
        self._is_closing = False
        self._loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.thread.start()

    # --- the slot's thread ---

    def submit(self, entries: Sequence[Entry]) -> None:
        """Queues calls."""
        self._loop.call_soon_threadsafe(self._begin, 0, entries)

    def release(self, count: int) -> None:
        """Called when the results of this many calls have been emitted."""
        self._loop.call_soon_threadsafe(self._begin, count, ())

    def collect(self) -> Iterable[Entry]:
        """Removes and returns the entries whose calls have ended since the last time, in the order of their ends."""
        while self._ended:
            yield self._ended.popleft()

    def run(self, action: Callable[[], Any]) -> None:
        """Calls `action` in the loop's thread and waits: for a function's `open`, whose clients find the running loop.

        Raises what `action` raises.
        """
        result: Future[None] = Future()
        self._loop.call_soon_threadsafe(_resolve, result, action)
        result.result()

    def close(self, last: Callable[[], Any]) -> bool:
        """Cancels all calls, calls `last` in the loop's thread, and ends the thread; call it once.

        Raises what `last` raises. False if a call blocks the thread: `last` has not run then.
        """
        self._is_closing = True
        result: Future[None] = Future()
        self._loop.call_soon_threadsafe(lambda: self._loop.create_task(self._stop(result, last)))
        self.thread.join(_JOIN_SECONDS)
        if self.thread.is_alive():
            return False
        result.result()
        return True

    # --- the loop's thread ---

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()

    def _begin(self, released: int, entries: Sequence[Entry]) -> None:
        self._free += released
        self._waiting.extend(entries)
        while self._free and self._waiting and not self._is_closing:
            self._free -= 1
            task = self._loop.create_task(self._serve(self._waiting.popleft()))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, entry: Entry) -> None:
        call = self._call
        try:
            if call.timeout_s is None:
                entry.results = await self._attempts(entry)
            else:
                try:
                    async with asyncio.timeout(call.timeout_s) as limit:
                        entry.results = await self._attempts(entry)
                except TimeoutError:
                    if not limit.expired():
                        raise  # an exception of the user's code
                    entry.in_method = "timeout()"
                    entry.results = call.checked(call.on_timeout(entry.value))
        except BaseException as error:  # any other exception fails the job
            if self._is_closing:
                raise
            entry.error = error
        self._ended.append(entry)
        if self._is_told:
            self._is_told = False
            self._loop.call_soon(self._tell)

    async def _attempts(self, entry: Entry) -> Any:
        call, strategy = self._call, self._call.retry
        entry.in_method = "async_invoke()"
        if strategy is None:
            return call.checked(await call.invoke(entry.value))
        predicate = strategy.get_retry_predicate()
        on_result, on_error = predicate.result_predicate(), predicate.exception_predicate()
        attempts = 1
        while True:
            try:
                results = call.checked(await call.invoke(entry.value))
            except Exception as error:
                if on_error is None or not on_error(error) or not strategy.can_retry(attempts):
                    raise
            else:
                if on_result is None or not on_result(results) or not strategy.can_retry(attempts):
                    return results
            if attempts == 1:
                strategy = copy.deepcopy(strategy)  # each record has its own backoff
            await asyncio.sleep(strategy.get_backoff_time_millis(attempts) / 1000)
            attempts += 1

    def _tell(self) -> None:
        self._is_told = True
        self._mailbox.wake()

    async def _stop(self, result: Future[None], last: Callable[[], Any]) -> None:
        """Cancels the calls, and gives their `finally` blocks a moment to run."""
        self._waiting.clear()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_CANCEL_SECONDS)
        _resolve(result, last)
        self._loop.stop()


def _resolve(result: Future[None], action: Callable[[], Any]) -> None:
    try:
        action()
        result.set_result(None)
    except BaseException as error:
        result.set_exception(error)
