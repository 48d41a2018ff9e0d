"""The results of a job as an iterator in the user's process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self

__all__ = ["CloseableIterator"]


class CloseableIterator(Iterator[Any]):
    """Elements of a running job (`pyflink.datastream.data_stream.CloseableIterator`).

    Close it, or use it in a `with`: closing before the end cancels the job. When the job fails, `next` raises
    its JobExecutionError after the elements that came before.
    """

    def __init__(self, elements: Iterator[Any], on_close: Callable[[], None]) -> None:
        """`on_close` is called once, at the end of `elements` or at `close`, whichever comes first."""
        self._elements = elements
        self._on_close = on_close
        self._is_closed = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        return self.next()

    def next(self) -> Any:
        """The next element; StopIteration at the end."""
        if self._is_closed:
            raise StopIteration("No more data.")
        try:
            return next(self._elements)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Frees what the job holds; cancels it where it still runs. Idempotent."""
        if not self._is_closed:
            self._is_closed = True
            self._on_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
