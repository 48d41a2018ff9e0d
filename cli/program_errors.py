"""How a program's end is reported, alike by `run` and `info`: its exit code, its own traceback, our message."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback

from shmflink.client.tracebacks import is_told_briefly, text_of

__all__ = ["FAILED", "code_of", "say", "say_error"]

FAILED = 1
_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep


def code_of(leave: SystemExit) -> int:
    """The exit code that the program asked for; its text, if it gave one, is printed."""
    if leave.code is None or isinstance(leave.code, int):
        return leave.code or 0
    say(str(leave.code))
    return FAILED


def say_error(error: BaseException, file: str) -> None:
    """Prints the exception that the program in `file` raised; for our own errors only the message and the program's
    lines.
    """
    if is_told_briefly(error):
        say(text_of(error, launcher=_HERE))
        return
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != file:
        trace = trace.tb_next
    say("".join(traceback.format_exception(type(error), error, trace)).rstrip())


def say(text: str) -> None:
    """A line on standard error, after what the program has printed."""
    with contextlib.suppress(OSError):  # the reader is gone or the disk is full: that must not fail the command
        sys.stdout.flush()
    with contextlib.suppress(OSError):
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
