"""`print()`: records as lines on the standard output of the TaskManager, as Flink prints them.

Once the reader of standard output is gone (`| head`), lines are discarded and the job continues, as in Flink.
"""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from shmflink.connectors.base import Sink, SinkWriter
from shmflink.connectors.formats.text import join_lines, print_lines
from shmflink.connectors.outbox_writer import OutboxWriter
from shmflink.core.batch import Batch
from shmflink.core.outbox import Outbox
from shmflink.errors import ResourceError
from shmflink.operators.base import OperatorContext

__all__ = ["PrintSink"]

_STDOUT: Final = 1

_UNREAD: Final = (errno.EPIPE, errno.EIO)  # the pipe's reader is gone; the terminal was hung up
_ATOMIC_BYTES: Final = 4096
"""PIPE_BUF: writes to a pipe up to this size never mix with those of other processes."""


class PrintSink(Sink):
    """Lines on standard output. Each has the prefix ``identifier:subtask> ``, ``subtask> `` (1-based), ``identifier> ``
    if there is one subtask, or none.
    """

    def __init__(self, identifier: str | None = None) -> None:
        self._identifier = identifier or ""

    @property
    def identifier(self) -> str:
        """The prefix of each line; may be empty."""
        return self._identifier

    def create_writer(self, context: OperatorContext) -> SinkWriter:
        return _PrintWriter(line_prefix(self._identifier, context.subtask_index, context.parallelism), context)


def line_prefix(identifier: str, subtask_index: int, parallelism: int) -> str:
    """The prefix of a line (Flink: PrintSinkOutputWriter)."""
    subtask = str(subtask_index + 1) if parallelism > 1 else ""
    prefix = ":".join(part for part in (identifier, subtask) if part)
    return f"{prefix}> " if prefix else ""


class _PrintWriter(OutboxWriter):
    """Writes in a thread: a slow reader must delay this job, not the slot's other tasks."""

    def __init__(self, prefix: str, context: OperatorContext) -> None:
        self._prefix = prefix
        # Through this pipe the slot's thread makes the other thread abandon a blocked write.
        self._stop_read, self._stop_write = os.pipe()
        super().__init__(Outbox(f"print {context.task_name}", context.mailbox, self._print))

    def write(self, batch: Batch) -> None:
        text = join_lines(print_lines(batch), self._prefix, "utf-8")
        if text:
            self._outbox.put(text)

    def prepare_commit(self, checkpoint_id: int) -> Callable[[], Sequence[Any]]:
        """There is nothing to commit, but the rows of the checkpoint must be printed by then: at-least-once."""
        return self._outbox.call(tuple)

    def close(self) -> None:
        os.write(self._stop_write, b"x")
        if self._outbox.close():
            os.close(self._stop_read)
            os.close(self._stop_write)

    def _print(self, text: bytes) -> None:
        """Runs in the outbox's thread."""
        for piece in _whole_lines(text):
            unwritten = memoryview(piece)
            while unwritten and self._wait_writable():
                unwritten = unwritten[_written(unwritten[:_ATOMIC_BYTES]) :]

    def _wait_writable(self) -> bool:
        """Waits until `_ATOMIC_BYTES` can be written; False if the writer was closed meanwhile."""
        poll = select.poll()
        poll.register(_STDOUT, select.POLLOUT)
        poll.register(self._stop_read, select.POLLIN)
        return all(descriptor != self._stop_read for descriptor, _ in poll.poll())


def _written(piece: memoryview) -> int:
    """The number of bytes that were written, or discarded because there is no reader."""
    try:
        return os.write(_STDOUT, piece)
    except OSError as error:
        if error.errno not in _UNREAD:
            raise ResourceError(f"print(): standard output cannot be written: {error.strerror}") from error
        return len(piece)


def _whole_lines(text: bytes) -> Iterator[bytes]:
    """`text` in pieces that are one write each: as many whole lines as fit, or one line that is longer."""
    start = 0
    while start < len(text):
        end = text.rfind(b"\n", start, start + _ATOMIC_BYTES) + 1
        if end <= start:
            end = text.find(b"\n", start) + 1
        yield text[start:end]
        start = end
