"""Prints our errors for the program's author: only the program's own lines and the message."""

from __future__ import annotations

import itertools
import os
import sys
import traceback
from types import TracebackType

import shmflink
from shmflink.errors import InternalError, ShmflinkError

__all__ = ["excepthook", "is_told_briefly", "text_of"]

_OURS = os.path.dirname(os.path.abspath(shmflink.__file__)) + os.sep


def is_told_briefly(error: BaseException) -> bool:
    """Whether the message suffices. For a bug of ours it does not: then every frame matters."""
    return isinstance(error, ShmflinkError) and not isinstance(error, InternalError)


def text_of(error: BaseException, *, launcher: str = _OURS) -> str:
    """The program's frames down to its call of shmflink, then the message. Our frames and causes would bury it.

    `launcher` is a folder whose frames are omitted like ours, because its code runs the program.
    """
    ours = (_OURS, launcher)
    frames = itertools.dropwhile(
        lambda frame: frame.filename.startswith(ours), traceback.extract_tb(error.__traceback__)
    )
    users = list(itertools.takewhile(lambda frame: not frame.filename.startswith(ours), frames))
    lines = ["Traceback (most recent call last):\n", *traceback.format_list(users)] if users else []
    return "".join([*lines, *traceback.format_exception_only(type(error), error)]).rstrip()


def excepthook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Replaces `sys.excepthook`: prints our errors as `text_of` does, all others as usual."""
    if is_told_briefly(error):
        sys.stderr.write(text_of(error) + "\n")
    else:
        sys.__excepthook__(kind, error, trace)
