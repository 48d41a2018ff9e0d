"""The end of the command's process: what Python does at exit, without taking apart every module that was imported."""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import os
import sys
import threading
from types import ModuleType
from typing import NoReturn

from .streams import end_streams

__all__ = ["leave"]

_WRITERS = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)


def leave(end: SystemExit) -> NoReturn:
    """Ends the process as `end` says, once everything that the program can notice has been done, in Python's order.

    That is: threads that are no daemons are waited for, functions registered with `atexit` run, objects of the
    program's modules are released and finalized, files that were left open are flushed. Then the system frees the rest.
    """
    if not (end.code is None or isinstance(end.code, int)):
        raise end  # a text, which Python prints
    code = end.code or 0
    end.__traceback__ = end.__context__ = None  # frames of the program
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - as Py_FinalizeEx does
    atexit._run_exitfuncs()  # noqa: SLF001 - there is no public name for it
    for module in _modules_of_program():
        module.__dict__.clear()
    gc.collect()  # not what was imported before the program: it is frozen
    for file in _left_open():
        with contextlib.suppress(OSError, ValueError):  # closed, or its reader is gone
            file.flush()
    try:
        end_streams(end)
    except SystemExit as refused:
        code = 1 if refused.code else 0
    os._exit(code & 0xFF)


def _modules_of_program() -> list[ModuleType]:
    """The program's file, and modules that it imported from elsewhere than libraries."""
    library = os.path.dirname(os.__file__)
    packages = [path for path in sys.path if os.path.basename(path) in ("site-packages", "dist-packages")]
    libraries = tuple(os.path.join(path, "") for path in (library, *packages))
    found = []
    for name, module in list(sys.modules.items()):
        if name == "__main__":
            is_of_program = getattr(module, "__spec__", None) is None
        else:
            file = getattr(module, "__file__", None)
            is_elsewhere = isinstance(file, str) and not file.startswith(libraries)
            is_of_program = is_elsewhere and name.partition(".")[0] != "shmflink"
        if is_of_program:
            found.append(module)
    return found


def _left_open() -> list[io.IOBase]:
    return [each for each in gc.get_objects() if type(each) in _WRITERS]
