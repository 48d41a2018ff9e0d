"""Standard input, output and error of a process that may have been started without them (`job.py >&-`)."""

from __future__ import annotations

import errno
import os
import select
import stat
import sys
from typing import Final

__all__ = ["STDERR", "STDOUT", "fill_standard_descriptors", "inherited", "is_unread"]

STDOUT: Final = 1
STDERR: Final = 2
_DEVNULL: Final = -3  # subprocess.DEVNULL, without an import that takes longer than this process needs


def fill_standard_descriptors() -> None:
    """Opens the null device wherever 0, 1 or 2 is closed.

    Otherwise the next file or socket of this process would get that number and receive rows that are printed.
    """
    for fd in (0, STDOUT, STDERR):
        try:
            os.fstat(fd)
        except OSError as error:
            if error.errno != errno.EBADF:
                raise
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one


def inherited(fd: int) -> int | None:
    """What to pass to `subprocess.Popen` for our standard output or error.

    If this process started without the stream, its number may belong to a file of the program by now.
    """
    began = sys.__stdout__ if fd == STDOUT else sys.__stderr__
    return None if began is not None else _DEVNULL


def is_unread(fd: int) -> bool:
    """True if it is a pipe whose reader has closed it."""
    try:
        if not stat.S_ISFIFO(os.fstat(fd).st_mode):
            return False
    except OSError:
        return False
    poll = select.poll()
    poll.register(fd, 0)  # reports POLLERR without being asked
    return bool(poll.poll(0))
