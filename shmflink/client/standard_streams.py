"""Standard input, output and error of a process that may have been started without them (`job.py >&-`)."""

from __future__ import annotations

import errno
import os
import select
import stat
import subprocess
import sys
from typing import Final

__all__ = ["STDERR", "STDOUT", "fill_standard_descriptors", "inherited", "is_unread"]

STDOUT: Final = 1
STDERR: Final = 2


def fill_standard_descriptors() -> None:
    """Puts the null device where 0, 1 or 2 is closed.

    The next file or socket of this process would get the number, and rows that are printed would go into it.
    """
    for fd in (0, STDOUT, STDERR):
        try:
            os.fstat(fd)
        except OSError as error:
            if error.errno != errno.EBADF:
                raise
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free, which is this


def inherited(fd: int) -> int | None:
    """What `subprocess.Popen` is to be given for our standard output or error.

    Where this process began without it, the number may be a file of the program's own by now.
    """
    began = sys.__stdout__ if fd == STDOUT else sys.__stderr__
    return subprocess.DEVNULL if began is None else None


def is_unread(fd: int) -> bool:
    """True where it is a pipe that nobody reads any more."""
    try:
        if not stat.S_ISFIFO(os.fstat(fd).st_mode):
            return False
    except OSError:
        return False
    poll = select.poll()
    poll.register(fd, 0)  # POLLERR is told unasked
    return bool(poll.poll(0))
