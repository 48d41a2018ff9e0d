"""Standard output and error of a TaskManager, for the output of user code.

Lines are written at once and whole, so that those of several TaskManagers do not mix and none waits for the end of a
task. After the reader has closed the pipe, output is discarded, as in Flink: `shmflink run job.py | head` must not fail
the job.
"""

from __future__ import annotations

import errno
import io
import sys
from typing import Any, Final, TextIO

__all__ = ["UNREAD", "flush_output", "take_standard_streams"]

UNREAD: Final = (errno.EPIPE, errno.EIO)  # the pipe's reader is gone; the terminal hung up


class _Output(io.FileIO):
    """A standard descriptor, which stays open."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in UNREAD:
                raise
            return memoryview(data).nbytes


def take_standard_streams() -> None:
    """Replaces `sys.stdout` and `sys.stderr`, which were set up for another process."""
    sys.stdout = _text_stream(1, sys.stdout, "strict")
    sys.stderr = _text_stream(2, sys.stderr, "backslashreplace")


def _text_stream(fd: int, before: TextIO | None, errors: str) -> TextIO:
    encoding = "utf-8" if before is None else before.encoding
    given = errors if before is None or before.errors is None else before.errors
    return io.TextIOWrapper(
        io.BufferedWriter(_Output(fd, "w", closefd=False)), encoding=encoding, errors=given, line_buffering=True
    )


def flush_output() -> None:
    """Flushes everything that was printed; a failure to write is not an error of the job."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):  # the disk is full; user code closed or replaced the stream
            continue
