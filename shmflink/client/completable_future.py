"""A result that arrives later (PyFlink: `pyflink.common.completable_future`)."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Generic

from shmflink.core.types.parameters import T, TakesTypeParameters
from shmflink.errors import UsageError

__all__ = ["CompletableFuture"]


class CompletableFuture(TakesTypeParameters, Generic[T]):
    """Completes once, with a value or an exception. Any number of threads may call `result`."""

    def __init__(self) -> None:
        self._future: Future[T] = Future()
        self._pid = os.getpid()

    @staticmethod
    def completed(value: T) -> CompletableFuture[T]:
        """*shmflink only.* A future that already has its value."""
        future: CompletableFuture[T] = CompletableFuture()
        future.complete(value)
        return future

    @staticmethod
    def failed(error: BaseException) -> CompletableFuture[T]:
        """*shmflink only.* A future that already has its exception."""
        future: CompletableFuture[T] = CompletableFuture()
        future.complete_exceptionally(error)
        return future

    def complete(self, value: T) -> None:
        """*shmflink only.* Sets the value, unless the future is completed or canceled."""
        if not self._future.done():
            self._future.set_result(value)

    def complete_exceptionally(self, error: BaseException) -> None:
        """*shmflink only.* Sets the exception, unless the future is completed or canceled."""
        if not self._future.done():
            self._future.set_exception(error)

    def cancel(self) -> bool:
        """Gives up the result; the job continues (see `JobClient.cancel`). True if the future was not completed."""
        return self._future.cancel()

    def cancelled(self) -> bool:
        return self._future.cancelled()

    def done(self) -> bool:
        """True if `result` would return or raise at once."""
        return self._future.done()

    def result(self) -> T:
        """Waits; returns the value or raises the exception. UsageError in a fork, where no result arrives."""
        if not self._future.done() and os.getpid() != self._pid:
            raise UsageError(
                f"the job belongs to the process that submitted it (pid {self._pid}); this one (pid {os.getpid()}) was "
                "forked from it: wait there"
            )
        return self._future.result()

    def exception(self) -> BaseException | None:
        """The exception, if there is one already, otherwise None. Does not wait."""
        if not self._future.done() or self._future.cancelled():
            return None
        return self._future.exception()

    def add_done_callback(self, action: Callable[[CompletableFuture[T]], None]) -> None:
        """*shmflink only.* Calls `action` once the future is completed or canceled, at once if it already is."""
        self._future.add_done_callback(lambda _: action(self))

    def __str__(self) -> str:
        if not self._future.done():
            return "CompletableFuture[not completed]"
        try:
            self._future.result()
        except (Exception, CancelledError):
            return "CompletableFuture[completed exceptionally]"
        return "CompletableFuture[completed normally]"
