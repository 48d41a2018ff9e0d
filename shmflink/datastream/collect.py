"""The results of a job as an iterator in the user's process."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

from shmflink.core.types.parameters import T, TakesTypeParameters
from shmflink.errors import UsageError

__all__ = ["CloseableIterator"]


class CloseableIterator(TakesTypeParameters, Iterator[T]):
    """The results of a running job (`pyflink.datastream.data_stream.CloseableIterator`).

    Close it, or use it in a `with` statement: closing before the end cancels the job. *shmflink only:* dropping the
    last reference cancels the job, too, because nobody can read the rest. When the job fails, `next` first returns the
    remaining elements and then raises the JobExecutionError.
    """

    def __init__(
        self, elements: Iterator[T], on_close: Callable[[], None], on_drop: Callable[[], None] | None = None
    ) -> None:
        """`on_close` is called once, at the end of `elements` or at `close`, whichever comes first. If the iterator is
        garbage-collected before, `on_drop` is called instead; it must take no lock and not refer to the iterator.
        """
        self._elements = elements
        self._on_close = on_close
        self._is_closed = False
        self._pid = os.getpid()
        self._finalizer = weakref.finalize(self, on_drop or _nothing)
        self._finalizer.atexit = False  # then the cluster ends with all its jobs

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        return self.next()

    def next(self) -> T:
        """The next element; StopIteration at the end."""
        if self._is_closed:
            raise StopIteration("No more data.")
        if os.getpid() != self._pid:
            raise UsageError(
                f"the results belong to the process that ran the job (pid {self._pid}); this one (pid {os.getpid()}) "
                "was forked from it: read them in that process"
            )
        try:
            return next(self._elements)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Frees the job's resources; cancels the job if it still runs. Idempotent."""
        if not self._is_closed:
            self._is_closed = True
            self._finalizer.detach()
            if os.getpid() == self._pid:  # after a fork the job still belongs to the parent
                self._on_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _nothing() -> None:
    """There is nothing to free."""
