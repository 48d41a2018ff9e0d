"""The end of the command's process: what Python does at exit, without taking apart every module that was imported."""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import os
import sys
import threading
from typing import NoReturn

__all__ = ["leave"]

_WRITERS = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)


def leave(end: SystemExit) -> NoReturn:
    """Ends the process as `end` says, once everything that the program can notice has been done, in Python's order.

    That is: threads that are no daemons are waited for, functions registered with `atexit` run, objects of the
    program's file are released and finalized, files that were left open are flushed. Then the system frees the rest.
    """
    if not (end.code is None or isinstance(end.code, int)):
        raise end  # a text, which Python prints
    code = end.code or 0
    end.__traceback__ = end.__context__ = None  # frames of the program
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - as Py_FinalizeEx does
    atexit._run_exitfuncs()  # noqa: SLF001  there is no public name for it
    main = sys.modules.get("__main__")
    if main is not None and main.__dict__.get("__spec__") is None:
        main.__dict__.clear()
    gc.collect()  # not what was imported before the program: it is frozen
    for stream in (*_left_open(), sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or its reader is gone
            stream.flush()
    os._exit(code & 0xFF)


def _left_open() -> list[io.IOBase]:
    return [each for each in gc.get_objects() if type(each) in _WRITERS]
